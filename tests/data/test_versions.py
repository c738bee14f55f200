"""Tables in one folder whose names leave open how they belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
from sentences import text

import hf_ssl


def folder_of(folder: Path, names: dict[str, range]) -> Path:
    for name, rows in names.items():
        lines = ["text,label", *(f"{text(n)},{('bad', 'good')[n % 2]}" for n in rows)]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def warnings_of(source: Path, **options: object) -> str:
    return "\n".join(hf_ssl.load_data(source, verbose=False, **options).report["warnings"])


@pytest.mark.parametrize(
    "names",
    [
        ("data1.csv", "data_final.csv"), ("old.csv", "new.csv"), ("reviews.csv", "reviews_v2.csv"), ("reviews (1).csv", "reviews.csv"),
        ("umfrage_alt.csv", "umfrage_neu.csv"), ("data.csv", "data-backup.csv"), ("texts_raw.csv", "texts_clean.csv"),
    ],
)  # fmt: skip
def test_versions_of_one_table_are_told(names: tuple[str, str], tmp_path: Path) -> None:
    source = folder_of(tmp_path, {names[0]: range(60), names[1]: range(20, 80)})
    said = warnings_of(source)
    assert "40 of 60 rows" in said and all(name in said for name in names)
    for name in names:
        assert "versions" not in warnings_of(source / name)


def test_tables_called_by_letters_are_told(tmp_path: Path) -> None:
    source = folder_of(tmp_path, {"a.csv": range(60), "b.csv": range(60, 80)})
    assert "split_names=['a=train', 'b=test']" in warnings_of(source)
    read = hf_ssl.load_data(source, verbose=False, split_names=["a=train", "b=test"])
    assert len(read["test"]) == 20


@pytest.mark.parametrize(
    "names",
    [
        ("jan.csv", "feb.csv"), ("part1.csv", "part2.csv"), ("reviews_2020.csv", "reviews_2021.csv"), ("shops.csv", "news.csv"),
        ("shard-00000-of-00002.csv", "shard-00001-of-00002.csv"), ("new_york.csv", "old_town.csv"),
    ],
)  # fmt: skip
def test_parts_of_one_table_stay_quiet(names: tuple[str, str], tmp_path: Path) -> None:
    assert warnings_of(folder_of(tmp_path, {names[0]: range(60), names[1]: range(60, 120)})) == ""


@pytest.mark.parametrize("names", [("train_old.csv", "test_new.csv"), ("train.csv", "test.csv")])
def test_splits_are_no_versions(names: tuple[str, str], tmp_path: Path) -> None:
    assert "versions" not in warnings_of(folder_of(tmp_path, {names[0]: range(60), names[1]: range(60, 120)}))
