"""Lines of tables and of words that nobody meant so: read right and told, or refused with the option that reads them right."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from data_kinds import labels, texts
from follow import hints

from hf_ssl.core.errors import DataError
from hf_ssl.data import DomainData, load_data

ROWS = list(zip(texts(40), labels(40), strict=True))
SPANS = ("B-PER", "I-PER", "O", "O", "B-LOC", "O", "O", "O", "O")
SENTENCES = [[f"{word}{n}" for word in "ab c d e f g h i".replace(" ", "")] for n in range(20)]


def right(data: DomainData, wanted: Sequence[tuple[str, str]] = tuple(ROWS)) -> bool:
    rows = [row for split in ("train", "validation", "test") if split in data for row in data[split]]
    return {(row["text"], data.label_names[row["label"]]) for row in rows} == set(wanted)


def load(at: Path, content: str | bytes, name: str = "a.csv", **options: object) -> DomainData:
    (at / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return load_data(at, verbose=False, **options)


def table(separator: str = ",", rows: Sequence[tuple[str, str]] = tuple(ROWS), header: bool = True) -> str:
    lines = [f"{text}{separator}{label}\n" for text, label in rows]
    return "".join([f"text{separator}label\n" if header else "", *lines])


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("title", ["Survey\n", "Survey 2023, North\n", "Survey\n\n", "Survey\nof the North\n"])
def test_a_title_above_other_separators_is_not_the_header(tmp_path: Path, separator: str, title: str) -> None:
    with pytest.raises(DataError) as error:
        load(tmp_path, title + table(separator))
    assert right(load(tmp_path, title + table(separator), **next(hints(str(error.value)))))


@pytest.mark.parametrize("header", ["text", "Comment"])
def test_one_column_of_texts_with_marks_has_no_title(tmp_path: Path, header: str) -> None:
    data = load(tmp_path, f"{header}\n" + "".join(f"{text}; {label}\n" for text, label in ROWS))
    assert set(data["unlabeled"]["text"]) == {f"{text}; {label}" for text, label in ROWS}


def test_columns_turned_by_a_second_header(tmp_path: Path) -> None:
    turned = "label,text\n" + "".join(f"{label},{text}\n" for text, label in ROWS[20:])
    data = load(tmp_path, table(rows=ROWS[:20]) + turned)
    assert right(data) and any("line 22" in text for text in data.report["warnings"])
    again = load(tmp_path, table(rows=ROWS[:20]) + "Text, Label\n" + table(rows=ROWS[20:], header=False))
    assert right(again)


@pytest.mark.parametrize("quote", ["", '"'])
def test_carriage_returns_within_lines(tmp_path: Path, quote: str) -> None:
    rows = [(f"{text}\rmore" if n in (5, 17) else text, label) for n, (text, label) in enumerate(ROWS)]
    data = load(tmp_path, table(rows=[(f"{quote}{text}{quote}", label) for text, label in rows]))
    assert right(data, rows) and any("carriage returns" in text for text in data.report["warnings"])
    (tmp_path / "a.csv").write_bytes(table().replace("\n", "\r").encode())
    assert right(load_data(tmp_path, verbose=False))  # all lines of an old Mac end so


@pytest.mark.parametrize("last", ["", "\r\n"])
def test_line_ends_of_windows_are_ordinary(tmp_path: Path, last: str) -> None:
    data = load(tmp_path, "\ufeff" + table(";").rstrip("\n").replace("\n", "\r\n") + last)
    assert right(data) and not data.report["warnings"]


@pytest.mark.parametrize("txt", ["file", "lines"])
def test_lines_of_fasttext(tmp_path: Path, txt: str) -> None:
    data = load(tmp_path, "".join(f"__label__{label} {text}\n" for text, label in ROWS), "train.txt", txt=txt)
    assert right(data) and any("fastText" in text for text in data.report["warnings"])
    several = "".join(f"__label__{label} __label__x {text}\n" for text, label in ROWS)
    assert load(tmp_path, several, "train.txt").label_names == ["bad", "good", "x"]


@pytest.mark.parametrize(
    "line",
    [
        lambda word, tag, n: f"{tag}\t{word}",
        lambda word, tag, n: f"{n}\t{word}\t{tag}",
        lambda word, tag, n: f"{tag} x {word}",
    ],
)
def test_words_in_another_column(tmp_path: Path, line: object) -> None:
    assert callable(line)
    content = "\n".join(
        "".join(line(word, tag, n + 1) + "\n" for n, (word, tag) in enumerate(zip(words, SPANS, strict=True)))
        for words in SENTENCES
    )
    with pytest.raises(DataError) as error:
        load(tmp_path, content, "a.conll", label_kind="tags")
    ways = list(hints(str(error.value)))
    if " x " not in content:
        assert "B-PER" in load(tmp_path, content, "a.conll", label_kind="tags", **ways[0]).label_names
    assert {"conll_columns": [0, -1]} in ways


@pytest.mark.parametrize("order", ["token_id", "Word Index", "start"])
def test_words_stand_in_the_order_of_their_numbers(tmp_path: Path, order: str) -> None:
    rows = [
        f"{n},{k},{words[k]},{SPANS[k]}\n" for n, words in enumerate(SENTENCES) for k in (4, 2, 0, 1, 3, 5, 8, 7, 6)
    ]
    content = f"sentence_id,{order},word,tag\n" + "".join(rows)
    data = load(tmp_path, content, label_kind="tags")
    assert sorted(map(tuple, data["train"]["tokens"]))[0] in {tuple(words) for words in SENTENCES}
    told = next(text for text in data.report["warnings"] if "ignore_columns" in text)
    as_they_are = load(tmp_path, content, label_kind="tags", **next(hints(told)))
    assert told not in as_they_are.report["warnings"]
    assert data["train"].num_rows == as_they_are["train"].num_rows


def test_tables_without_texts_beside_those_with(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(table(), encoding="utf-8")
    answers = "id,label\n" + "".join(f"{n},good\n" for n in range(10))
    with pytest.raises(DataError) as error:
        load(tmp_path, answers, "submission.csv")
    assert right(load(tmp_path, answers, "submission.csv", **next(hints(str(error.value)))))
    few = load(tmp_path, "id,label\n1,good\n2,bad\n", "submission.csv")
    assert right(few) and any("submission.csv" in text for text in few.report["warnings"])


def test_archives_are_called_so(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        content = table().encode()
        entry = tarfile.TarInfo("train.csv")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    for name in ("a.tar.gz", "a.csv.gz", "a.csv"):
        with pytest.raises(DataError, match="unpack"):
            load(tmp_path, stream.getvalue(), name)
        (tmp_path / name).unlink()
    assert right(load(tmp_path, gzip.compress(table().encode()), "a.csv.gz"))


def test_links_into_a_store_are_read_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    for place, (text, label) in enumerate(ROWS):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / "blobs" / f"{place:08x}.txt").write_text(text, encoding="utf-8")
        (tmp_path / label / f"{place}.txt").symlink_to(tmp_path / "blobs" / f"{place:08x}.txt")
    data = load_data(tmp_path, verbose=False)
    assert right(data) and any("40 files" in text for text in data.report["warnings"])
    assert data.report["accounts"]["files"]["found"] == 80


@pytest.mark.parametrize("separator", [";", "|", "\t"])
@pytest.mark.parametrize("behind", [1, 2, 3])
def test_separators_behind_rows_say_nothing_where_texts_hold_commas(
    tmp_path: Path, separator: str, behind: int
) -> None:
    rows = [(f"{text}, No. {number}, more", label) for number, (text, label) in enumerate(ROWS)]
    header, *lines = table(separator, rows).splitlines()
    data = load(tmp_path, "\n".join([header, *(line + separator * behind for line in lines)]) + "\n")
    assert right(data, rows) and data.report["warnings"]


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("columns", [2, 3])
def test_a_sheet_of_labels_without_a_header_is_refused_and_the_advice_loses_no_row(
    tmp_path: Path, separator: str, columns: int
) -> None:
    (tmp_path / "files").mkdir()
    for number, (text, _) in enumerate(ROWS):
        (tmp_path / "files" / f"t{number:02}.txt").write_text(text)
    middle = [[f"{number}"] if columns == 3 else [] for number in range(len(ROWS))]
    lines = [separator.join([f"t{n:02}.txt", *middle[n], label]) for n, (_, label) in enumerate(ROWS)]
    sheet = tmp_path / f"labels.{'tsv' if separator == '	' else 'csv'}"
    sheet.write_text("\n".join(lines) + "\n")
    options: dict[str, Any] = {"labels_file": str(sheet), "verbose": False}
    with pytest.raises(DataError) as raised:
        load_data(tmp_path / "files", **options)
    names = ["file", "label"] if columns == 2 else ["file", "column_1", "column_2"]
    assert f"'names': {names}" in str(raised.value)
    options |= {"csv_options": {"names": names}, "label_column": names[-1]}
    assert right(load_data(tmp_path / "files", **options))


BACKSLASHES = {
    "paths": (r'"see C:\new\table\run.txt \"log\"","x"', r'see C:\new\table\run.txt "log"'),
    "formulae": (r'"$\alpha + \beta$ of \"A\"","x"', r'$\alpha + \beta$ of "A"'),
    "escaped backslashes": (r'"C:\\dir says \"hi\"","x"', r'C:\dir says "hi"'),
    "line breaks of LaTeX": (r'"a \\ \hline \"b\"","x"', r'a \\ \hline "b"'),
}


@pytest.mark.parametrize("kind", BACKSLASHES)
def test_backslashes_that_escape_no_quote_stay(tmp_path: Path, kind):
    line, text = BACKSLASHES[kind]
    rows = [line.replace('","', f' {place}","') for place in range(20)]
    (tmp_path / "a.csv").write_text(
        '"text","label"\n' + "\n".join(rows) + '\n"none \\"q\\"",\\N\n"more \\"q\\"","y"\n'
    )
    data = load_data(tmp_path / "a.csv", verbose=False, validation_fraction=0, test_fraction=0)
    texts = [str(one) for split in ("train", "unlabeled") for one in data[split]["text"]]
    assert f"{text} 3" in texts and data.label_names == ["x", "y"]
    told = " ".join(data.report["warnings"])
    assert r"'\\N'" in told and "escapechar" in told
    other = load_data(
        tmp_path / "a.csv", verbose=False, csv_options={"escapechar": "\\"}, validation_fraction=0, test_fraction=0
    )
    assert all("\\" not in one for one in other["train"]["text"]) or kind in (
        "escaped backslashes",
        "line breaks of LaTeX",
    )
