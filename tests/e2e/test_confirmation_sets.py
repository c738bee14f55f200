"""The project's own protocol: settings are chosen on some sets, figures come from others, and those are opened once per release."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[1] / "benchmarks" / "best_answer_sets.py"


@pytest.fixture(scope="module")
def sets() -> ModuleType:
    spec = importlib.util.spec_from_file_location("best_answer_sets", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


def test_every_kind_of_data_has_three_of_each_and_no_set_is_both(sets):
    from hf_ssl.core import plugins

    for named in (sets.DEVELOPMENT, sets.CONFIRMATION):
        assert named.keys() == set(plugins.names("modalities"))
        assert all(len(loaders) >= 3 for loaders in named.values())
    assert not sets.every(sets.DEVELOPMENT).keys() & sets.every(sets.CONFIRMATION).keys()


def test_the_docs_name_all_of_them(sets):
    page = (FILE.parents[2] / "docs" / "best-answer.md").read_text(encoding="utf-8")
    absent = [
        name
        for named in (sets.DEVELOPMENT, sets.CONFIRMATION)
        for name in sets.every(named)
        if f"`{name}`" not in page
    ]
    assert absent == []


def test_they_are_opened_once_per_release(sets, tmp_path):
    ledger = tmp_path / "results" / "opened.jsonl"
    with pytest.raises(RuntimeError, match="commit first"):
        sets.open_confirmation(ledger, "0.1.0", "abc-dirty", "2026-11-30")
    assert not ledger.exists()
    sets.open_confirmation(ledger, "0.1.0", "abc", "2026-11-30")
    sets.open_confirmation(ledger, "0.1.0", "abc", "2026-12-01")  # stopped, and goes on
    with pytest.raises(RuntimeError, match="once per release"):
        sets.open_confirmation(ledger, "0.1.0", "def", "2026-12-02")
    sets.open_confirmation(ledger, "0.2.0", "def", "2027-01-01")
    opened = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    assert [(one["release"], one["commit"], one["date"]) for one in opened] == [
        ("0.1.0", "abc", "2026-11-30"), ("0.2.0", "def", "2027-01-01"),
    ]  # fmt: skip
