"""Files of every kind that users have are read right, told about, or refused with advice that works when it is followed; none is read wrong.

Three sets (`tests/support`): by those who wrote the readers, by someone else afterwards, and one of what offices and laboratories export.
A part of them, always the same, is tried in every run; all of them where slow tests are run.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from zlib import crc32

import pytest
from _pytest.mark import ParameterSet
from data_kinds import CASES, Case, classify
from data_kinds_after import CASES as AFTER
from follow import follow
from new_user import CASES as NEW

pytest.importorskip("PIL")
pytest.importorskip("soundfile")
EVERY = [*CASES, *AFTER, *NEW]
PART = 6


def name_of(one: Case) -> str:
    return f"{one.kind}: {one.name}"


def some_of(cases: list[Case]) -> list[ParameterSet]:
    """All cases, those beyond every sixth marked slow; which is which depends on names alone."""
    return [
        pytest.param(one, id=name_of(one), marks=[] if crc32(name_of(one).encode()) % PART == 0 else pytest.mark.slow)
        for one in cases
    ]


def needs_dicom(one: Case) -> None:
    if "DICOM" in one.name:
        pytest.importorskip("pydicom")


@pytest.mark.parametrize("one", some_of(EVERY))
def test_right_or_a_clear_error_that_leads_on(one: Case, tmp_path: Path) -> None:
    """Every option and every edit that an error names is tried: one way leads to the right reading, and none in a circle."""
    needs_dicom(one)
    outcome, said = classify(one, tmp_path)
    assert outcome != "wrong", said
    if outcome == "clear error":
        (tmp_path / "again").mkdir()
        assert not follow(one, tmp_path / "again").faults


@pytest.mark.slow
@pytest.mark.parametrize("one", EVERY, ids=name_of)
def test_what_warnings_say_works(one: Case, tmp_path: Path) -> None:
    """A warning does not come again once its option is given, and no option that it names is unknown."""
    needs_dicom(one)
    assert not follow(one, tmp_path).faults


def test_there_are_enough_of_every_kind() -> None:
    for cases, least in ((CASES, 120), (AFTER, 150), (NEW, 60)):
        kinds = Counter(one.kind for one in cases)
        assert sum(kinds.values()) >= least
        assert len({(one.kind, one.name) for one in cases}) == len(cases)
    assert min(Counter(one.kind for one in CASES).values()) >= 10
    assert sum(one.kind == "ordinary" for one in AFTER) >= 40
