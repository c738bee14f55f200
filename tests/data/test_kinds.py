"""Files of every kind that users have are read right, or refused with the option to give; none is read wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from data_kinds import CASES, Case, classify

pytest.importorskip("PIL")
pytest.importorskip("soundfile")


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.kind}: {one.name}")
def test_right_or_a_clear_error(one: Case, tmp_path: Path) -> None:
    outcome, said = classify(one, tmp_path)
    assert outcome != "wrong", said


def test_there_are_enough_of_every_kind() -> None:
    kinds = Counter(one.kind for one in CASES)
    assert sum(kinds.values()) >= 120 and min(kinds.values()) >= 10
    assert len({(one.kind, one.name) for one in CASES}) == len(CASES)
