"""Files written after the readers, by someone else: right, told or a clear error, and nothing false about ordinary ones."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from data_kinds import Case, classify
from data_kinds_after import CASES

from hf_ssl.core.errors import HfSslError
from hf_ssl.data import load_data

pytest.importorskip("PIL")
pytest.importorskip("soundfile")

HINT = re.compile(r"\b([a-z_]+)=(\{[^{}]*\}|\[[^\[\]]*\]|'[^']*'|True|False|\d+(?:\.\d+)?)")
STEPS = 6


def name_of(one: Case) -> str:
    return f"{one.kind}: {one.name}"


def needs_dicom(one: Case) -> None:
    if one.name.startswith("DICOM"):
        pytest.importorskip("pydicom")


@pytest.mark.parametrize("one", CASES, ids=name_of)
def test_right_or_a_clear_error(one: Case, tmp_path: Path) -> None:
    needs_dicom(one)
    outcome, said = classify(one, tmp_path)
    assert outcome != "wrong", said


def hints(text: str, given: dict[str, Any]) -> list[tuple[str, Any]]:
    """Options that a message names with a value that was not given yet."""
    found = [(name, ast.literal_eval(value)) for name, value in HINT.findall(text) if "..." not in value]
    return [
        (name, value) for name, value in found if given.get(name) != value and (name, value) != ("max_left_out", 0.1)
    ]


@pytest.mark.parametrize("one", [one for one in CASES if one.kind in ("tables", "names")], ids=name_of)
def test_following_what_is_said_goes_on(one: Case, tmp_path: Path) -> None:
    """A hint that is followed leads to data or to another question: never round in a circle, and never to a traceback."""
    source, options, _ = one.make(tmp_path)
    options = {"verbose": False, "cache_dir": str(tmp_path / ".cache"), **options}
    seen: list[str] = []
    for _ in range(STEPS):
        try:
            load_data(source, **options)
        except HfSslError as error:
            assert str(error) not in seen, f"following the hint changed nothing: {error}"
            seen.append(str(error))
            found = hints(str(error), options)
            if not found:
                return
            name, value = found[0]
            options[name] = {**(options.get(name) or {}), **value} if isinstance(value, dict) else value
        else:
            return
    raise AssertionError(f"no end of questions: {seen}")


def test_there_are_enough_of_every_kind() -> None:
    kinds = Counter(one.kind for one in CASES)
    assert sum(kinds.values()) >= 150 and kinds["ordinary"] >= 40
    assert len({(one.kind, one.name) for one in CASES}) == len(CASES)
