"""Sums and notes in tables, second lines of types and units, copies in other dress, and hints that lead to a read."""

from __future__ import annotations

import json
import re
import wave
from pathlib import Path

import numpy as np
import pytest
from sentences import table, text

from hf_ssl import load_data
from hf_ssl.core.errors import DataError

TEXTS = [text(row) for row in range(60)]
CYRILLIC = str.maketrans("aeopcxy", "аеорсху")


def warnings_of(source: str, **options: object) -> list[str]:
    return load_data(source, verbose=False, **options).report["warnings"]  # type: ignore[arg-type]


def with_sums(word: str, every: int = 10) -> list[str]:
    rows, block = [], 0.0
    for row, one in enumerate(TEXTS):
        rows.append(f"{one},{3.5 + row * 0.7:.1f}")
        block += 3.5 + row * 0.7
        if (row + 1) % every == 0:
            rows.append(f"{word},{block:.1f}")
            block = 0.0
    return rows


@pytest.mark.parametrize(
    "word",
    [
        "Subtotal",
        "Total",
        "Summe",
        "Total général",
        "Gesamt:",
        "Итого",
        "合计",
        "Subtotal north",
        "Total of week 3",
        "North Total",
    ],
)
def test_sums_beside_labels_that_are_numbers_are_told(tmp_path: Path, word: str) -> None:
    source = table(tmp_path / "data.csv", "text,label", with_sums(word))
    told = [one for one in warnings_of(source, label_kind="regression") if "look like sums" in one]
    assert len(told) == 1
    lines = [int(one) for one in re.findall(r"\d+", re.search(r"'skiprows': \[([\d, ]+)\]", told[0])[1])]  # type: ignore[index]
    data = load_data(source, label_kind="regression", csv_options={"skiprows": lines}, verbose=False)
    assert sum(len(data[name]) for name in ("train", "validation", "test")) == 60 and not data.report["warnings"]


def test_one_sum_of_all_and_sums_of_class_numbers_are_told(tmp_path: Path) -> None:
    whole = [f"Total,{sum(range(60))}.0", *(f"{one},{row}.0" for row, one in enumerate(TEXTS))]
    assert any(
        "sums" in one for one in warnings_of(table(tmp_path / "a.csv", "text,label", whole), label_kind="regression")
    )
    last = [*(f"{row % 3},{one}" for row, one in enumerate(TEXTS)), "60,Gesamt"]
    assert any("'skipfooter': 1" in one for one in warnings_of(table(tmp_path / "b.csv", "label,text", last)))


@pytest.mark.parametrize("words", [["Total waste of money", "Sum of all fears"], ["total", "partial"], ["Summe"]])
def test_texts_that_begin_so_are_texts(tmp_path: Path, words: list[str]) -> None:
    rows = [
        f"{words[row // 7 % len(words)] + ' ' + one if row % 7 == 0 else one},{row * 0.5}"
        for row, one in enumerate(TEXTS)
    ]
    assert not warnings_of(table(tmp_path / "data.csv", "text,label", rows), label_kind="regression")


@pytest.mark.parametrize(
    "note",
    ["* preliminary,", "** estimated values,", "N=60,", "Last updated 2024-01-01,", "Data as of 2024,", "(continued),", "User: ANN,",
     '"Source: SAP, 2024",',
     "Source: SAP, extracted 2024", ",* preliminary", "Exported by Ann,"],
)  # fmt: skip
def test_notes_below_a_table_are_told(tmp_path: Path, note: str) -> None:
    rows = [f"{one},{'ab'[row % 2]}" for row, one in enumerate(TEXTS)]
    source = table(tmp_path / "data.csv", "text,label", [*rows, note])
    assert any("'skipfooter': 1" in one for one in warnings_of(source))
    assert not warnings_of(source, csv_options={"skipfooter": 1})


@pytest.mark.parametrize(
    "last", ["* a last item of a list of things,a", "See also the other one,b", "a) the first answer of all,a"]
)
def test_last_rows_with_a_label_are_rows(tmp_path: Path, last: str) -> None:
    rows = [f"{one},{'ab'[row % 2]}" for row, one in enumerate(TEXTS)]
    assert not warnings_of(table(tmp_path / "data.csv", "text,label", [*rows, last]))


@pytest.mark.parametrize(
    "second",
    [
        "(string),(class)",
        "[V],[A]",
        "-,-",
        "[string],[category]",
        "VARCHAR(200),INT",
        "#string,#class",
        "(free text),(1-5)",
        "mm,%",
    ],
)
def test_a_second_line_of_types_or_units_is_asked_about(tmp_path: Path, second: str) -> None:
    rows = [second, *(f"{one},{row % 3}" for row, one in enumerate(TEXTS))]
    source = table(tmp_path / "data.csv", "text,label", rows)
    with pytest.raises(DataError, match=r"csv_options=\{'skiprows': \[1\]\}.*'engine': 'python'"):
        load_data(source, verbose=False)
    assert load_data(source, csv_options={"skiprows": [1]}, verbose=False).label_names == ["0", "1", "2"]
    data = load_data(source, csv_options={"engine": "python"}, verbose=False)
    assert sum(len(data[name]) for name in ("train", "validation", "test")) == 61


@pytest.mark.parametrize(
    ("header", "first", "rest"),
    [("text,label", "(laughs),0", "{one},{n}"), ("text", "[deleted]", "{one}"), ("a,text,label", "-,{one} first,1", "{m},{one},{n}"),
     ("text,label", "(a),(b)", "({one}),(c)"), ("size,text,label", "m,{one} so,1", "{s},{one},{n}")],
)  # fmt: skip
def test_a_first_row_in_brackets_is_a_row(tmp_path: Path, header: str, first: str, rest: str) -> None:
    rows = [rest.format(one=one, n=row % 2, m="-x"[row % 2], s="sml"[row % 3]) for row, one in enumerate(TEXTS)]
    load_data(
        table(tmp_path / "data.csv", header, [first.format(one=TEXTS[0]), *rows]),
        folder_labels=False,
        label_kind="class",
        verbose=False,
    )


@pytest.mark.parametrize(
    "dress",
    ["{0} \U0001f600\U0001f525", "{0} #fun #summer", "@bob {0}", "Hi team, {0}. Best, Ann", "Dear Sir or Madam,\n{0}\nKind regards\nJohn",
     "Hallo zusammen,\n{0}\nViele Grüße\nAnna", "{0}\n\nSent from my iPhone", "{1}", "{0} :-)"],
)  # fmt: skip
def test_copies_in_other_dress_are_told(tmp_path: Path, dress: str) -> None:
    texts = [text(row, 9) for row in range(52)]
    rows = [f'"{one}",{"ab"[row % 2]}' for row, one in enumerate(texts)]
    copies = [f'"{dress.format(one, one.translate(CYRILLIC))}",{"ab"[row % 2]}' for row, one in enumerate(texts[:6])]
    table(tmp_path / "train.csv", "text,label", rows[:40])
    table(tmp_path / "test.csv", "text,label", [*copies, *rows[40:]])
    source = str(tmp_path)
    assert any("6 of " in one and "test" in one for one in warnings_of(source))
    data = load_data(source, normalize="words", verbose=False)
    assert sum(len(data[name]) for name in ("train", "validation")) == 34


def test_texts_that_differ_in_their_last_words_are_no_copies(tmp_path: Path) -> None:
    def rows(word: str) -> list[str]:
        return [f"{text(row, 9)} is the best {word},{'ab'[row % 2]}" for row in range(30)]

    table(tmp_path / "train.csv", "text,label", rows("camera of all that I have had in my life"))
    table(tmp_path / "test.csv", "text,label", rows("phone one could give to an old aunt"))
    assert not warnings_of(str(tmp_path))


def test_names_of_a_table_of_recordings_without_header_work(tmp_path: Path) -> None:
    (tmp_path / "wavs").mkdir()
    lines = []
    for row in range(20):
        with wave.open(str(tmp_path / "wavs" / f"LJ001-{row:04d}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes((np.random.default_rng(row).normal(size=8000) * 3000).astype("<i2").tobytes())
        lines.append(f"LJ001-{row:04d}|{text(row)} in 18{row:02d}|{text(row)} in eighteen {row}")
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    names = {"names": ["audio", "column_1", "transcript"]}
    with pytest.raises(DataError, match=re.escape(f"csv_options={names}")):
        load_data(str(tmp_path), modality="audio", label_kind="transcript", verbose=False)
    data = load_data(str(tmp_path), modality="audio", label_kind="transcript", csv_options=names, verbose=False)
    assert data.label_kind == "transcript" and "eighteen" in data["train"][0]["label"]


def test_a_test_table_without_the_columns_of_labels_becomes_the_pool(tmp_path: Path) -> None:
    names = ["toxic", "insult", "threat"]
    rows = [f"{row},{one},{row % 2},{int(row % 5 == 0)},{int(row % 3 == 0)}" for row, one in enumerate(TEXTS)]
    table(tmp_path / "train.csv", f"id,text,{','.join(names)}", rows)
    table(tmp_path / "test.csv", "id,text", [f"{row},{text(row)}" for row in range(100, 130)])
    with pytest.raises(DataError, match=re.escape("split_names=['train', 'test=unlabeled']")):
        load_data(str(tmp_path), label_columns=names, verbose=False)
    data = load_data(str(tmp_path), label_columns=names, split_names=["train", "test=unlabeled"], verbose=False)
    assert len(data["unlabeled"]) == 30 and data.label_names == sorted(names)


def test_a_large_codebook_beside_reports_is_left_out(tmp_path: Path) -> None:
    table(tmp_path / "reports.csv", "id,report,code", [f"{row},{one},{row % 25}" for row, one in enumerate(TEXTS)])
    table(tmp_path / "codebook.csv", "code,text", [f"{row},what the code {row} means" for row in range(25)])
    with pytest.raises(DataError, match="input_column='report'"):
        load_data(str(tmp_path), verbose=False)
    data = load_data(str(tmp_path), input_column="report", ignore_columns=["code"], verbose=False)
    assert len(data["unlabeled"]) == 60


def test_a_column_of_values_names_no_series(tmp_path: Path) -> None:
    rows = [f"2024-01-{1 + hour // 24:02d} {hour % 24:02d}:00,{value}" for hour in range(96) for value in (1, 2)]
    source = table(tmp_path / "data.csv", "timestamp,value", rows)
    with pytest.raises(DataError, match="duplicates='last'") as error:
        load_data(source, modality="timeseries", verbose=False)
    assert "item_column='value'" not in str(error.value)


@pytest.mark.parametrize("units", ["s,bar", ",[V]", "[s],[V]"])
def test_units_below_the_names_of_a_series_are_asked_about(tmp_path: Path, units: str) -> None:
    rows = [units, *(f"{place / 20:.2f},{place % 7 * 1.5}" for place in range(200))]
    source = table(tmp_path / "data.csv", "time,value", rows)
    with pytest.raises(DataError, match=re.escape("csv_options={'skiprows': [1]}")):
        load_data(source, modality="timeseries", verbose=False)
    options = {"timestamp_unit": "s", "csv_options": {"skiprows": [1]}}
    assert len(load_data(source, modality="timeseries", verbose=False, **options)["unlabeled"]) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", ["({:.2f})|{:.2f}", "{:.2f}-|{:.2f}", '"(${:,.2f})"|"${:,.2f}"'])
def test_money_is_read_as_amounts(tmp_path: Path, shape: str) -> None:
    loss, gain = shape.split("|")
    rows = [f"{one},{(loss if row % 3 == 0 else gain).format(1200 + row * 13.5)}" for row, one in enumerate(TEXTS)]
    source = table(tmp_path / "data.csv", "text,label", rows)
    with pytest.raises(DataError, match="label_kind='regression'"):
        load_data(source, verbose=False)
    data = load_data(source, label_kind="regression", verbose=False)
    every = [value for name in ("train", "validation", "test") for value in data[name]["label"]]
    assert sum(value < 0 for value in every) == 20 and min(every) < -1900


def test_rows_of_one_group_are_read_with_both_options(tmp_path: Path) -> None:
    rows = [f"{one},{'ab'[row % 2]},pat1" for row, one in enumerate(TEXTS)]
    source = table(tmp_path / "data.csv", "text,label,patient", rows)
    with pytest.raises(DataError, match="validation_fraction=0 and test_fraction=0"):
        load_data(source, group_column="patient", verbose=False)
    data = load_data(source, group_column="patient", validation_fraction=0, test_fraction=0, verbose=False)
    assert len(data["train"]) == 60


def test_true_values_beside_predictions_are_the_labels(tmp_path: Path) -> None:
    rows = [f"{one},{'ab'[row % 2]},{'ab'[(row + (row % 7 == 0)) % 2]}" for row, one in enumerate(TEXTS)]
    source = table(tmp_path / "data.csv", "text,y_true,y_hat", rows)
    with pytest.raises(DataError, match="label_column='y_true'") as error:
        load_data(source, verbose=False)
    assert "y_hat" not in str(error.value)
    assert not warnings_of(source, label_column="y_true")


@pytest.mark.parametrize("name", ["classes.json", "labels.json", "vocab.json", "label_names.csv"])
@pytest.mark.parametrize("table", ["train.csv", "data.csv"])
def test_a_list_of_what_codes_mean_is_no_text_whatever_split_its_table_is_of(name, table, tmp_path):
    rows = [f"{text(n)},{n % 3 + 1}" for n in range(60)]
    (tmp_path / table).write_text("\n".join(["text,label", *rows]) + "\n")
    names = ["leak", "noise", "fine"]
    (tmp_path / name).write_text(json.dumps(names) if name.endswith("json") else "\n".join(["name", *names]) + "\n")
    read = load_data(tmp_path, verbose=False)
    assert "leak" not in read["unlabeled"]["text"]
    assert any(name in text for text in read.report["warnings"])


def test_a_list_of_texts_beside_a_table_is_the_pool(tmp_path):
    rows = [f"{text(n)},{n % 3 + 1}" for n in range(60)]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (tmp_path / "pool.json").write_text(json.dumps([text(n) for n in range(100, 140)]))
    read = load_data(tmp_path, verbose=False)
    assert len(read["unlabeled"]) == 40 and not read.report["warnings"]


def test_a_table_of_many_numbers_without_a_header_is_not_given_a_name_for_each(tmp_path):
    lines = [",".join(str((7 * row * place) % 256) for place in range(785)) for row in range(1, 30)]
    (tmp_path / "digits.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError) as refused:
        load_data(tmp_path / "digits.csv", modality="image", verbose=False)
    assert len(str(refused.value)) < 400 and "785 columns" in str(refused.value)


@pytest.mark.parametrize("name", ["dataset_info.json", "id2label.json", "config.json", "label_map.json"])
def test_an_object_that_describes_a_table_is_told_and_not_read(name, tmp_path):
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *(f"{text(n)},{n % 2}" for n in range(60))]) + "\n")
    (tmp_path / name).write_text(json.dumps({"0": "leak", "1": "noise", "fields": ["text", "label"]}))
    warnings = load_data(tmp_path, verbose=False).report["warnings"]
    assert len(warnings) == 1 and name in warnings[0]


@pytest.mark.parametrize("name", ["README.md", "LICENSE.txt", "notes.md"])
def test_a_paper_beside_a_table_is_no_reason_to_warn(name, tmp_path):
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *(f"{text(n)},{n % 2}" for n in range(60))]) + "\n")
    (tmp_path / name).write_text("What these data are, and who made them.\n")
    assert not load_data(tmp_path, verbose=False).report["warnings"]


@pytest.mark.parametrize(
    "content",
    [{"text": {"0": "a", "1": "b"}, "label": {"0": "x", "1": "y"}}, {"a.txt": "leak", "b.txt": "noise"}, [{"text": "a", "label": "x"}]],
)  # fmt: skip
def test_rows_and_names_of_files_in_an_object_are_no_description(content, tmp_path):
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *(f"{text(n)},{n % 2}" for n in range(60))]) + "\n")
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    try:
        warnings = load_data(tmp_path, verbose=False).report["warnings"]
    except DataError:
        return  # it is asked about
    assert not any("descriptions of the others" in text for text in warnings)
