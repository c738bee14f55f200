"""The promises of a kind of data and its encoder."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from hf_ssl.modalities.base import Modality
from hf_ssl.modalities.encoder import Encoder
from hf_ssl.models.reference import CheckpointRef


@dataclass(frozen=True)
class DataCase:
    """A kind of data and what it is tried on.

    Args:
        modality: with its options.
        checkpoint: folder of a tiny checkpoint that it loads.
        values: at least 6 different ones, of different sizes where it has sizes.
        tolerance: how much a vector may depend on what it was padded with.
    """

    modality: Modality
    checkpoint: Path
    values: Sequence[Any]
    tolerance: float = 1e-5

    def load(self, **options: Any) -> Encoder:
        return self.modality.load(str(self.checkpoint), expect_new=("*",), **options)


def content_key_is_the_content(case: DataCase) -> None:
    keys = [case.modality.content_key(value) for value in case.values]
    assert all(isinstance(key, str) for key in keys)
    assert keys == [case.modality.content_key(copy.deepcopy(value)) for value in case.values]
    assert len(set(keys)) == len(keys), "different values have one key"


def vectors_do_not_depend_on_the_order_or_on_each_other(case: DataCase) -> None:
    encoder, values = case.load(), list(case.values)
    order = np.random.default_rng(0).permutation(len(values))
    there, shuffled = encoder.preprocess(values), encoder.preprocess([values[i] for i in order])
    sizes = [encoder.size(feature) for feature in there]
    assert [encoder.size(feature) for feature in shuffled] == [sizes[i] for i in order] and min(sizes) > 0
    first, other = encoder.collate(there), encoder.collate(shuffled)
    assert first.keys() == other.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(other[name], tensor[torch.from_numpy(order)], atol=0, rtol=0, equal_nan=True)
    vectors = encoder.embed(values)
    assert vectors.shape == (len(values), encoder.width) and vectors.dtype == np.float32
    np.testing.assert_allclose(encoder.embed([values[i] for i in order]), vectors[order], atol=case.tolerance)
    alone = np.concatenate([encoder.embed([value]) for value in values])
    np.testing.assert_allclose(alone, vectors, atol=case.tolerance)


def baseline_features_do_not_depend_on_the_other_values(case: DataCase) -> None:
    if type(case.modality).baseline_features is Modality.baseline_features:
        return
    together = case.modality.baseline_features(case.values)
    assert together.ndim == 2 and len(together) == len(case.values) and np.isfinite(together).all()
    for row, value in enumerate(case.values):
        np.testing.assert_allclose(case.modality.baseline_features([value])[0], together[row], atol=1e-5)


def every_pooling_is_kept_through_saving(case: DataCase) -> None:
    encoder = case.load()
    for mode in encoder.poolings:
        chosen = encoder.replace(pooling=mode)
        with tempfile.TemporaryDirectory() as place:
            chosen.save(Path(place))
            again = case.modality.load(place)
        assert again.pooling == chosen.pooling, mode
        np.testing.assert_allclose(again.embed(case.values[:2]), chosen.embed(case.values[:2]), atol=case.tolerance)
        assert again.spec().pooling == mode and again.spec().dimensions == again.width


def revision_is_passed_on(case: DataCase) -> None:
    """A repository in the Hub's cache that has one commit, and no branch called main that could be read instead."""
    from huggingface_hub import constants

    commit, repository = "a" * 40, f"hf-ssl-check/{case.modality.name.replace(' ', '-')}"
    folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        shutil.copytree(case.checkpoint, folder / "snapshots" / commit)
        with mock.patch.object(constants, "HF_HUB_OFFLINE", True):
            encoder = case.modality.load(CheckpointRef(repository, commit), expect_new=("*",))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert encoder.ref == CheckpointRef(repository, commit) and encoder.report.revision == commit
    np.testing.assert_array_equal(encoder.embed(case.values[:2]), case.load().embed(case.values[:2]))


MODALITY_CHECKS = (
    content_key_is_the_content, vectors_do_not_depend_on_the_order_or_on_each_other,
    baseline_features_do_not_depend_on_the_other_values, every_pooling_is_kept_through_saving, revision_is_passed_on,
)  # fmt: skip


def check_modality(
    modality: Modality, checkpoint: Path | str, values: Sequence[Any], *, tolerance: float = 1e-5
) -> None:
    """Try every promise of a kind of data and its encoder; arguments as for `DataCase`.

    Raises:
        AssertionError: a promise is not kept.
    """
    case = DataCase(modality, Path(checkpoint), values, tolerance)
    for check in MODALITY_CHECKS:
        check(case)
