"""Pairs of texts that are in two splits, once in the other order."""

from __future__ import annotations

from pathlib import Path

from sentences import text

import hf_ssl


def told(folder: Path, test: list[tuple[str, str]]) -> str:
    pairs = [(text(n), text(n + 300)) for n in range(60)]
    for name, rows in (("train", pairs), ("test", test)):
        lines = [
            "sentence1,sentence2,label",
            *(f"{one},{other},{('no', 'yes')[n % 2]}" for n, (one, other) in enumerate(rows)),
        ]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = {"input_column": "sentence1", "text_pair_column": "sentence2", "verbose": False}
    return "\n".join(hf_ssl.load_data(folder, **options).report["warnings"])


def test_pairs_changed_about_are_told(tmp_path: Path) -> None:
    said = told(
        tmp_path, [(text(n + 300), text(n)) for n in range(10)] + [(text(n), text(n + 400)) for n in range(100, 120)]
    )
    assert "changed about" in said and "group_column=" in said


def test_other_pairs_stay_quiet(tmp_path: Path) -> None:
    assert "changed about" not in told(tmp_path, [(text(n), text(n + 400)) for n in range(100, 120)])
