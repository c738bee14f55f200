"""Numbers of labels: as many as there are, as a share, or all; too many say how many there are."""

from __future__ import annotations

import datasets
import pytest

from hf_ssl.core.errors import DataError
from hf_ssl.data.budgets import budget_rows, budget_size, budgets_of, labels_in


def labeled(counts: dict[str, int]) -> datasets.Dataset:
    names = [name for name, count in counts.items() for _ in range(count)]
    rows = datasets.Dataset.from_dict({"id": [f"r{number}" for number in range(len(names))], "label": names})
    return rows.cast_column("label", datasets.ClassLabel(names=list(counts)))


@pytest.mark.parametrize(
    ("smallest", "expected"), [(100, [4, 16, 64]), (64, [4, 16, 64]), (58, [4, 16, 58]), (16, [4, 16]), (3, [3])]
)
def test_usual_numbers_are_cut_to_what_there_is(smallest: int, expected: list[int]) -> None:
    assert budgets_of(labeled({"a": 200, "b": smallest}), None) == expected


def test_amounts_and_series_count_examples() -> None:
    rows = datasets.Dataset.from_dict({"label": [0.5] * 40})
    assert budgets_of(rows, None) == [4, 16, 40]
    assert budgets_of(rows, ["8", "50%", "all"]) == [8, "50%", "all"]
    assert budget_size(rows, "50%") == 20 and labels_in(rows, "all") == 40 and len(budget_rows(rows, "50%", 0)) == 20


def test_too_many_names_the_smallest_class_and_what_to_ask_for() -> None:
    with pytest.raises(DataError, match=r"57 .*, 'b'.*--labels_per_class 4,16,57"):
        budgets_of(labeled({"a": 90, "b": 57}), [4, 16, 64])


def test_shares_are_nested_and_keep_every_class() -> None:
    rows = labeled({"a": 90, "b": 30})
    tenth, half = (set(budget_rows(rows, share, 3)) for share in ("10%", "50%"))
    assert len(tenth) == 9 + 3 and len(half) == 45 + 15 and tenth < half
    assert budget_size(rows, "10%") == pytest.approx(6) and labels_in(rows, 4) == 8
    assert sorted(budget_rows(rows, "all", 0)) == list(range(120))
    assert set(budget_rows(rows, 4, 3)) <= half | set(budget_rows(rows, "all", 3))
