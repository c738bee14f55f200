"""`hf-ssl data SOURCE` on odd files of all three sets: reads or says what to do, and what it saves is escaped."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from data_kinds import CASES, Case
from data_kinds_after import CASES as AFTER
from new_user import CASES as NEW

from hf_ssl import cli

pytest.importorskip("PIL")
pytest.importorskip("soundfile")

ODD = (
    "one word a row", "days as %d/%m/%Y", "row names without a name", "sizes 0, through a pipe", "NeMo: offset and duration", "TIFF of several pages",
    "masks of 0, 128, 255", "a stray table", "year and week", "one column per label, shares, given", "German Excel, load every quarter of an hour",
    "a column of states", "MongoDB", "SMILES and pIC50", "LabelMe, JSON beside pictures", "thumbs up and down", "source code by language", "mails",
)  # fmt: skip

ASKED = {
    "row names without a name", "TIFF of several pages", "masks of 0, 128, 255", "one column per label, shares, given",
    "a column of states", "source code by language", "mails", "a stray table",
    "LabelMe, JSON beside pictures", "German Excel, load every quarter of an hour",
}  # fmt: skip
"""Those that end in an error that says what to do."""


def flags(options: dict[str, object]) -> list[str]:
    """Options as they are typed."""
    made = []
    for name, value in options.items():
        made += [f"--{name}", json.dumps(value) if isinstance(value, (list, dict)) else str(value)]
    return made


@pytest.mark.parametrize("one", [one for one in (*CASES, *AFTER, *NEW) if one.name in ODD], ids=lambda one: one.name)
def test_the_command_reads_or_says_what_to_do(
    one: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, options, _ = one.make(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    rc = cli.main(["data", str(source), *flags(options), "--save", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert "Traceback" not in said and "These options" not in said
    assert (rc == 1) is (one.name in ASKED)
    if rc:
        assert re.search(r"error: .{20}", said)
        return
    assert re.search(r"[\d,]+ found = [\d,]+ used \+ [\d,]+ left out", said)
    assert "<script" not in (tmp_path / "out" / "data.html").read_text(encoding="utf-8").lower()


def test_odd_files_are_enough() -> None:
    assert sum(one.name in ODD for one in (*CASES, *AFTER, *NEW)) >= 12


MARKUP = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize("where", ["text", "label", "column", "file", "folder"])
def test_markup_in_the_data_is_escaped_in_the_saved_report(where: str, tmp_path: Path) -> None:
    """Texts, labels, names of columns, files and folders are a stranger's."""
    source = tmp_path / "d"
    source.mkdir()
    rows = {"text": [f"row {n} of kettles and lamps {n * n}" for n in range(40)], "label": ["a", "b"] * 20}
    options = []
    if where == "folder":
        for name in (MARKUP, "plain"):
            (source / name).mkdir()
            for n in range(10):
                (source / name / f"{n}.txt").write_text(f"{len(name)} row {n} of them, which {n * n} people wrote")
    else:
        if where == "text":
            rows["text"] = [f"{MARKUP} {text}" for text in rows["text"]]
        if where == "label":
            rows["label"] = [MARKUP, "b"] * 20
        name = MARKUP if where == "column" else "text"
        options = ["--input_column", name] if where == "column" else []
        pd.DataFrame({name: rows["text"], "label": rows["label"]}).to_csv(
            source / (f"{MARKUP}.csv" if where == "file" else "a.csv"), index=False
        )
    assert cli.main(["data", str(source), *options, "--save", str(tmp_path / "out")]) == 0
    for page in (tmp_path / "out").glob("*.html"):
        assert "<img src=x" not in page.read_text(encoding="utf-8")
