"""What the report owes the user: every hint works, examples are shown and escaped, hostile files give our errors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_ssl import cli
from hf_ssl.core.errors import DataError, HfSslError
from hf_ssl.data import load_data

SENTENCES = [f"the shop number {n} sold {n * n} kettles to house {7 * n}" for n in range(40)]
ROWS = {"text": SENTENCES, "label": ["a", "b"] * 20}


def test_examples_are_shown_escaped_and_beside_the_report(tmp_path: Path) -> None:
    data = load_data(
        {"text": [f"<script>alert({n})</script> row {n}" for n in range(40)], "label": ["<b>", "&"] * 20},
        verbose=False,
    )
    written = data.save_report(tmp_path)
    page = written.with_suffix(".html").read_text(encoding="utf-8")
    assert "<script>" not in page and "&lt;script&gt;" in page and "<b>" not in page
    for split in data:
        assert f"<td>{split}</td>" in page
    assert len(data.examples(2)) == 2 * 2 * 3 + 2  # two classes in three splits, and the pool
    assert "script" not in written.read_text(encoding="utf-8")
    data.save_report(tmp_path / "none" / "data.json", examples=0)
    assert not (tmp_path / "none" / "data.html").exists()


def test_pictures_sounds_and_series_are_shown(tmp_path: Path) -> None:
    pil, soundfile = pytest.importorskip("PIL.Image"), pytest.importorskip("soundfile")
    rng = np.random.default_rng(0)
    for number in range(8):
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "s").mkdir(exist_ok=True)
        pil.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(tmp_path / "p" / f"{number}.png")
        soundfile.write(tmp_path / "s" / f"{number}.wav", 0.1 * rng.standard_normal(8000), 16_000)
    (one, *_) = load_data(tmp_path / "p", "image", verbose=False).examples()
    assert one.text == "30 x 20, 3 channels" and one.picture is not None and one.picture.startswith(b"\x89PNG")
    (one, *_) = load_data(tmp_path / "s", "audio", verbose=False, cache_dir=str(tmp_path / "c")).examples()
    assert one.text.startswith("0.50 s, -20 dB")
    frame = pd.DataFrame({"date": pd.date_range("2020-01-01", periods=200), "y": range(200)})
    (one, *_) = load_data(frame, "timeseries", horizon=5, context_length=10, verbose=False).examples()
    assert "steps" in one.text and one.text.rstrip().endswith("█")


def test_the_command_reads_reports_and_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame(ROWS).to_csv(tmp_path / "a.csv", index=False)
    assert cli.main(["data", str(tmp_path / "a.csv"), "--save", str(tmp_path / "out"), "--examples", "1"]) == 0
    said = capsys.readouterr().err
    assert "40 found = 40 used + 0 left out" in said and "kettles" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "data.examples.json",
        "data.html",
        "data.json",
        "data.txt",
    ]
    assert cli.main(["data", str(tmp_path / "b.csv")]) == 1
    assert "No such file" in capsys.readouterr().err
    assert cli.main(["data", str(tmp_path / "a.csv"), "--max_left_out", "2"]) == 1
    assert cli.main(["data"]) == 1


# -- hostile files ----------------------------------------------------------------------------------------------------------


def seeds() -> dict[str, tuple[bytes, dict[str, Any]]]:
    """A good file of every reader: name → content and options."""
    frame, rows = pd.DataFrame(ROWS), [dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)]
    sentences = "\n\n".join("\n".join(f"{word} O" for word in text.split()) for text in SENTENCES)
    series = {"modality": "timeseries"}
    dates = pd.DataFrame(
        {"date": pd.date_range("2020-01-01", periods=80).strftime("%d/%m/%Y"), "y": range(80)}
    ).to_csv(index=False)
    return {
        "a.csv": (frame.to_csv(index=False).encode(), {}),
        "b.tsv": (frame.to_csv(index=False, sep="\t").encode(), {}),
        "c.jsonl": ("\n".join(map(json.dumps, rows)).encode(), {}),
        "d.json": (json.dumps(rows).encode(), {}),
        "e.conll": (sentences.encode(), {"label_kind": "tags"}),
        "f.conllu": (b"# text = a b\n1\ta\ta\tNOUN\n2\tb\tb\tVERB\n\n" * 30, {"label_kind": "tags"}),
        "g.txt": ("\n".join(SENTENCES).encode(), {"txt": "lines"}),
        "h.csv.gz": (gzip.compress(frame.to_csv(index=False).encode()), {}),
        "i.csv": (dates.encode(), {**series, "horizon": 2, "context_length": 4}),
        "j.ts": (b"@problemName x\n@classLabel true a b\n@data\n" + b"".join(f"{n},2,3:{'ab'[n % 2]}\n".encode() for n in range(20)), series),
        "k.arff": (b"@relation x\n@attribute a numeric\n@attribute b numeric\n@attribute c {x,y}\n@data\n"
                   + b"".join(f"{n},1,{'xy'[n % 2]}\n".encode() for n in range(20)), series),
        "l.tsf": (b"@attribute series_name string\n@attribute start_timestamp date\n@frequency daily\n@data\n"
                  + b"".join(f"T{n}:2020-01-01 00-00-00:{n},2,3,4,5\n".encode() for n in range(20)), series),
    }  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_mutated_files_give_data_or_our_error(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(seeds())))
    content, options = seeds()[name]
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, max(0, len(changed) - 1)))
        what = data.draw(st.sampled_from(["byte", "cut", "insert", "repeat", "remove"]))
        if what == "byte" and changed:
            changed[place] = data.draw(st.integers(0, 255))
        elif what == "cut":
            del changed[place:]
        elif what == "insert":
            odd = st.sampled_from(
                [
                    b'"',
                    b"\0",
                    b"\xff\xfe",
                    b"\r",
                    b",,,",
                    b"\n\n",
                    b"\t",
                    b"nan",
                    b"1e999",
                    b"{",
                    b"]",
                    b"\xed\xa0\xbd",
                    b"#",
                    b";",
                    b"00/00/0000",
                ]
            )
            changed[place:place] = data.draw(odd)
        elif what == "repeat":
            changed[place:place] = changed[max(0, place - 40) : place]
        else:
            del changed[place : place + data.draw(st.integers(1, 60))]
    file = tmp_path / name
    file.write_bytes(bytes(changed))
    try:
        load_data(file, verbose=False, cache_dir=str(tmp_path / ".cache"), **options)
    except HfSslError as error:
        assert str(error)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "label", "x", ""]), inner, max_size=3),
        max_leaves=6,
    ), max_size=12),
)  # fmt: skip
def test_any_json_gives_data_or_our_error(tmp_path: Path, rows: list[Any]) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    try:
        load_data(tmp_path / "a.jsonl", verbose=False)
    except HfSslError as error:
        assert str(error)


def test_an_exploding_archive_and_an_endless_line_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_ssl.core.textfiles.UNPACKED_FREE", 1 << 20)
    for name in ("a.csv.gz", "a.jsonl.gz", "a.txt.gz", "a.conll.gz"):
        file = tmp_path / name
        file.write_bytes(gzip.compress(b"\0" * (8 << 20)))
        with pytest.raises(DataError, match="unpacks to more than"):
            load_data(file, verbose=False, **({"label_kind": "tags"} if "conll" in name else {}))
    monkeypatch.setattr("hf_ssl.core.textfiles.MAX_LINE", 1 << 20)
    for name in ("b.csv", "b.jsonl"):
        file = tmp_path / name
        file.write_bytes(b"text,label\n" + b"x" * (3 << 20) + b",a\n")
        with pytest.raises(DataError, match="line is longer than"):
            load_data(file, verbose=False)


def test_deep_json_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(DataError):
        load_data(tmp_path / "a.json", verbose=False)
    (tmp_path / "b.jsonl").write_text("[" * 100_000 + "\n")
    with pytest.raises(DataError):
        load_data(tmp_path / "b.jsonl", verbose=False)
