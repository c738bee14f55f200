"""Peers as they really run, where they are installed (`pip install "hf_ssl[peers]"`), and what each is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hf_ssl.core import plugins
from hf_ssl.evaluation.peers.base import Asked

PLACES = ("the harbour", "a ship", "the captain", "our anchor")
TOOLS = ("the compiler", "a program", "the debugger", "our linker")


def sentences(seed: int, each: int) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], each)
    return [f"{rng.choice((PLACES, TOOLS)[label])} is here again" for label in labels], labels


def test_a_support_vector_machine_reads_frozen_vectors() -> None:
    rng = np.random.default_rng(0)
    labels, truth = np.repeat([0, 2], 8), np.repeat([0, 2], 20)
    vectors, test = (rng.normal(size=(len(y), 6)) + 3.0 * (y[:, None] - 1.0) for y in (labels, truth))
    asked = Asked([], labels, [], vectors, test, "single_label_classification", 0, "")
    found = plugins.find("peers", "svm")().answer(asked)
    assert set(found.predictions) == {0, 2} and (found.predictions == truth).mean() > 0.9


@pytest.mark.slow
def test_setfit_learns_from_pairs(tmp_path: Path) -> None:
    pytest.importorskip("setfit", reason="setfit is not installed")
    from hf_ssl import demo

    texts, labels = sentences(0, 8)
    test, truth = sentences(1, 20)
    peer = plugins.find("peers", "setfit")()
    peer.check("text", "class")
    asked = Asked(texts, labels + 1, test, None, None, "single_label_classification", 0, str(demo.minilm_path()))
    found = peer.answer(asked)
    assert found.scores is not None and found.scores.shape == (40, 2)
    assert (found.predictions == truth + 1).mean() > 0.9
