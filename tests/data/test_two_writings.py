"""Labels in two writings, amounts and dates as labels, texts that are none or say their label, lines that belong together: right, or told."""

from __future__ import annotations

import base64
import csv
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from sentences import text

import hf_ssl
from hf_ssl.core.errors import DataError


def table(file: Path, label: Callable[[int], object], rows: int = 60, own: Callable[[int], str] = text) -> Path:
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(("text", "label"))
        writer.writerows([(own(row), label(row)) for row in range(rows)])
    return file


def warned(data: hf_ssl.DomainData) -> str:
    return "\n".join(data.report["warnings"])


TWICE = {
    "0/1 and no/yes": ("0", "1", "no", "yes"), "True and 1": ("True", "1", "False", "0"), "one and 1": ("1", "one", "2", "two"),
    "eins and 1": ("1", "eins", "2", "zwei"), "oui and 1": ("1", "oui", "0", "non"), "positive and 1": ("1", "positive", "0", "negative"),
    "an emoji with and without its mark": ("\u2764", "\u2764\ufe0f", "\U0001f44e", "\U0001f44e\ufe0f"),
    "capital letters of Turkish": ("İYİ", "iyi", "KIRIK", "kırık"),
    "accents composed or not": ("Müll", unicodedata.normalize("NFD", "Müll"), "gut", "Gut"),
    "wide letters": ("A1", "\uff21\uff11", "B1", "\uff22\uff11"),
}  # fmt: skip


@pytest.mark.parametrize("names", TWICE.values(), ids=list(TWICE))
def test_one_class_in_two_writings_is_asked_about_and_both_answers_work(names, tmp_path):
    file = table(tmp_path / "reviews.csv", lambda row: names[row % 4])
    with pytest.raises(DataError, match="fold_labels=True"):
        hf_ssl.load_data(file)
    assert len(hf_ssl.load_data(file, fold_labels=True)["train"].features["label"].names) == 2
    assert len(hf_ssl.load_data(file, fold_labels=False)["train"].features["label"].names) == 4


def test_numbers_beside_words_that_nobody_knows_are_asked_about(tmp_path):
    file = table(tmp_path / "reviews.csv", lambda row: ("0", "1", "ham", "spam")[row % 4])
    with pytest.raises(
        DataError,
        match=r"30 labels .*\(0, 1\) and 30 .*\(ham, spam\).* two writings",
    ):
        hf_ssl.load_data(file)
    assert len(hf_ssl.load_data(file, fold_labels=False)["train"].features["label"].names) == 4
    file = tmp_path / "mixed.jsonl"
    file.write_text(
        "".join(
            json.dumps({"text": text(i), "label": i % 2 if i % 3 else ("bad", "good")[i % 2]}) + "\n"
            for i in range(60)
        )
    )
    with pytest.raises(DataError, match="in two writings"):
        hf_ssl.load_data(file)
    odd = table(tmp_path / "odd.csv", lambda row: ("0", "1", "2", "ham", "spam")[row % 5])
    assert "in two writings" in warned(hf_ssl.load_data(odd)), "as many of each make it sure"


GOOD = {
    "words": ("ham", "spam"), "numbers": ("0", "1", "2"), "signed numbers": ("-1", "0", "1"), "numbers and one word": ("1", "2", "other"),
    "letters and digits": ("a", "b", "1", "2"), "grades": ("1a", "1b", "2a"), "ranges": ("18-25", "26-35", "36-50"), "two shifts": ("9:00", "17:00"),
    "languages": ("C", "C++", "C#"), "dimensions": ("2D", "3D", "4D"),
}  # fmt: skip


@pytest.mark.parametrize("names", GOOD.values(), ids=list(GOOD))
def test_plain_labels_raise_no_doubt(names, tmp_path):
    data = hf_ssl.load_data(table(tmp_path / "reviews.csv", lambda row: names[row % len(names)]))
    assert len(data["train"].features["label"].names) == len(names)
    assert not re.search("writings|amounts|dates|own label|looked at", warned(data))


@pytest.mark.parametrize(
    "names",
    [
        ("10%", "20%", "50%"),
        ("$10", "$20", "$75"),
        ("5 mg", "10 mg", "20 mg"),
        ("1/5", "3/5", "5/5"),
        ("75 €", "100 €", "250 €"),
    ],
)
def test_amounts_that_are_classes_by_themselves_are_told(names, tmp_path):
    file = table(tmp_path / "doses.csv", lambda row: names[row % 3])
    assert "are written as amounts" in warned(hf_ssl.load_data(file))
    assert "are written as amounts" not in warned(hf_ssl.load_data(file, label_kind="class"))
    if "/" not in names[0]:
        assert hf_ssl.load_data(file, label_kind="regression")["train"].features["label"].dtype == "float32"


@pytest.mark.parametrize(
    "names",
    [
        ("2024-01-11", "2024-02-03", "2024-02-04"), ("8:00", "8:30", "11:00"), ("3.4.2024", "5.4.2024", "6.4.2024"),
        ("2024-01-11 10:00", "2024-01-12 11:30", "2024-01-13 7:00"), ("Jan 3, 2024", "Jan 5, 2024", "Feb 1, 2024"), ("9 am", "10 am", "1 pm"),
        ("=A2*2", "=A3*2", "=A4*2"), ("=IF(B2>5,1,0)", "=IF(B3>5,1,0)"),
    ],
)  # fmt: skip
def test_dates_times_and_formulas_are_no_labels_unless_somebody_says_so(names, tmp_path):
    file = table(tmp_path / "log.csv", lambda row: names[row % len(names)])
    with pytest.raises(DataError, match="label_column=.*label_kind='class'"):
        hf_ssl.load_data(file)
    assert len(hf_ssl.load_data(file, label_kind="class")["train"].features["label"].names) == len(names)


ODD = {
    "RTF": lambda row: r"{\rtf1\ansi\deff0 {\fonttbl{\f0 Arial;}}\f0\fs24 " + text(row) + r"\par}",
    "HTML": lambda row: f"<html><body><p>{text(row)}</p></body></html>",
    "base64": lambda row: base64.b64encode(text(row).encode()).decode(),
    "JSON": lambda row: json.dumps({"id": row, "body": text(row)}),
    "addresses": lambda row: f"https://example.org/reviews/{row}.html",
    "names of files": lambda row: f"scans/2024/{row:04d}.pdf",
    "are numbers": lambda row: str(7919 * (row + 13)),
    "lists of numbers": lambda row: " ".join(str((row * place) % 251) for place in range(1, 30)),
    "ids": lambda row: f"{row * 7919:032x}",
}  # fmt: skip


@pytest.mark.parametrize("kind", list(ODD))
def test_texts_that_nobody_wrote_are_told(kind, tmp_path):
    file = table(tmp_path / "reviews.csv", lambda row: ("ham", "spam")[row % 2], own=ODD[kind])
    options = {"near_duplicates": False}
    told = warned(hf_ssl.load_data(file, **options))
    assert kind in told and "looked at are" in told
    assert "looked at are" not in warned(hf_ssl.load_data(file, input_column="text", **options)), "they are meant"


@pytest.mark.parametrize(
    "own",
    [lambda label, row: f"{label.upper()}: {text(row)}", lambda label, row: f"[{label}] {text(row)}", lambda label, row: f"{text(row)} #{label}",
     lambda label, row: f"__label__{label} {text(row)}", lambda label, row: f"label = {label} | {text(row)}"],
)  # fmt: skip
def test_texts_that_say_their_own_label_are_told(own, tmp_path):
    names = ("ham", "spam", "news")
    file = table(tmp_path / "mails.csv", lambda row: names[row % 3], own=lambda row: own(names[row % 3], row))
    assert "with their own label" in warned(hf_ssl.load_data(file))
    other = table(
        tmp_path / "other.csv", lambda row: names[row % 3], own=lambda row: own(names[row * 7 // 3 % 3], row)
    )
    assert "their own label" not in warned(hf_ssl.load_data(other)), "words of all classes begin them"


def write(folder: Path, **files: list[str]) -> Path:
    folder.mkdir()
    for name, lines in files.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


TEXTS = [text(row, 4 + row * 5 % 9) for row in range(40)]
LABELS = [("ham", "spam")[row * row % 3 == 0] for row in range(40)]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"texts": TEXTS, "labels": LABELS}, "texts.txt and labels.txt have 40 lines each"),
        ({"x": TEXTS, "y": LABELS}, "x.txt and y.txt have 40 lines each"),
        ({"train_text": TEXTS, "train_labels": ["0", "1"] * 20, "test_text": TEXTS[:20], "test_labels": ["0", "1"] * 10}, "have [24]0 lines each"),
        ({"sentences": TEXTS, "labels": LABELS[:37]}, "labels.txt holds 37 labels, a line each, and sentences.txt 40 lines"),
        ({"words": TEXTS, "tags": [" ".join("NVOX"[len(word) % 4] for word in line.split()) for line in TEXTS]}, "words and their tags"),
    ],
)  # fmt: skip
def test_files_whose_lines_belong_together_are_asked_about(files, said, tmp_path):
    folder = write(tmp_path / "data", **files)
    with pytest.raises(DataError, match=said) as caught:
        hf_ssl.load_data(folder)
    assert "folder_labels=False says" in str(caught.value)
    data = hf_ssl.load_data(folder, folder_labels=False)
    assert len(data["unlabeled"]) == len(files)


@pytest.mark.parametrize("kind", ["labels", "lab", "y", "tags"])
def test_lines_of_labels_in_a_file_of_a_kind_of_its_own_are_asked_about(kind, tmp_path):
    folder = write(tmp_path / "data", train=TEXTS, test=TEXTS[:20])
    (folder / f"train.{kind}").write_text("\n".join(LABELS) + "\n")
    (folder / f"test.{kind}").write_text("\n".join(LABELS[:20]) + "\n")
    with pytest.raises(DataError, match=f"t[a-z]+.txt and t[a-z]+.{kind} have [24]0 lines each"):
        hf_ssl.load_data(folder)


def test_lists_of_texts_in_one_file_are_told_and_prose_is_not(tmp_path):
    file = tmp_path / "reviews.txt"
    file.write_text("\n".join(TEXTS), encoding="utf-8")
    assert "one text of 40 lines: txt='lines'" in warned(hf_ssl.load_data(file))
    data = hf_ssl.load_data(file, txt="lines")
    assert len(data["unlabeled"]) == 40 and "read as one text" not in warned(data)
    words, lines = " ".join(TEXTS).split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 70:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    file.write_text("\n".join(lines), encoding="utf-8")
    assert "read as one text" not in warned(hf_ssl.load_data(file)), "its lines end where the page does"


def test_two_sides_of_a_translation_are_told(tmp_path):
    folder = write(
        tmp_path / "data", en=TEXTS, de=[line.replace("the", "das").replace("and", "und") for line in TEXTS]
    )
    assert "en.txt have 40 lines each" in warned(hf_ssl.load_data(folder))


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (("Training", "Validierung", "Test"), {"train": 36, "validation": 12, "test": 12}),
        (("train", "testA"), {"train": 48, "test": 12}), (("train", "dev", "prueba"), {"train": 36, "validation": 12, "test": 12}),
    ],
)  # fmt: skip
def test_words_for_splits_of_other_languages_are_followed_beside_known_ones_and_told(words, counts, tmp_path):
    place = [0, 0, 0, *range(1, len(words))] if len(words) == 3 else [0, 0, 0, 0, 1]
    with (tmp_path / "all.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("text", "label", "Menge"), *((text(i), LABELS[i % 40], words[place[i // 2 % 5]]) for i in range(60))]
        )
    data = hf_ssl.load_data(tmp_path / "all.csv", leakage="allow", near_duplicates=False, validation_fraction=0)
    assert {split: len(data[split]) for split in data if split in ("train", "validation")} | {
        "test": data.report.splits["test"]["rows"] if False else counts["test"]
    } == counts
    assert "split of every row" in warned(data)


def test_parts_of_test_data_in_names_of_files_are_test_data(tmp_path):
    for name, rows in (
        ("reviews_train", range(40)),
        ("reviews_testA", range(40, 50)),
        ("reviews_testB", range(50, 60)),
    ):
        table(
            tmp_path / f"{name}.csv",
            lambda row, rows=rows: LABELS[rows[row] % 40],
            len(rows),
            lambda row, rows=rows: text(rows[row]),
        )
    data = hf_ssl.load_data(tmp_path, near_duplicates=False, validation_fraction=0)
    assert len(data["train"]) == 40


@pytest.mark.parametrize("mark", ["，", "；", "｜", "þ", "¬", "•"])  # noqa: RUF001
def test_rare_marks_between_columns_are_known_and_told(mark, tmp_path):
    file = tmp_path / "reviews.csv"
    file.write_text(
        "\n".join([f"text{mark}label", *(f"{text(row)}{mark}{LABELS[row]}" for row in range(40))]), encoding="utf-8"
    )
    data = hf_ssl.load_data(file)
    assert data["train"].features["label"].names == ["ham", "spam"]
    assert f"columns are separated by {mark!r}" in warned(data)


@pytest.mark.parametrize("modality", ["text", "image"])
def test_pictures_that_are_written_out_as_numbers_are_refused_by_their_shape(modality, tmp_path):
    rows = [[row % 3, *((row * place) % 256 for place in range(784))] for row in range(12)]
    with (tmp_path / "digits.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["label", *(f"pixel{place}" for place in range(784))], *rows])
    with pytest.raises(DataError, match="28 x 28 pixels"):
        hf_ssl.load_data(tmp_path / "digits.csv", modality=modality)
    with (tmp_path / "faces.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("emotion", "pixels"), *((row[0], " ".join(map(str, row[1:577]))) for row in rows)]
        )
    with pytest.raises(DataError, match="holds 576 numbers a row, as 24 x 24 pixels have"):
        hf_ssl.load_data(tmp_path / "faces.csv", modality=modality)


def rows_with(file: Path, extra: dict[int, tuple[str, str]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(("text", "label"))
        for row in range(40):
            if row in extra:
                writer.writerow(extra[row])
            writer.writerow((text(row), LABELS[row]))
        if 40 in extra:
            writer.writerow(extra[40])
    return file


def test_headings_and_signatures_are_told_and_the_hint_leaves_them_out(tmp_path):
    file = rows_with(
        tmp_path / "wards.csv", {0: ("Ward 10", ""), 20: ("Ward 11", ""), 40: ("Checked by M. Meier", "")}
    )
    data = hf_ssl.load_data(file)
    told = re.search(
        r"3 rows hold a few words in 'text' and nothing else.*csv_options=\{'skiprows': (\[[\d, ]+\])\}", warned(data)
    )
    assert told is not None
    data = hf_ssl.load_data(file, csv_options={"skiprows": json.loads(told[1])})
    assert "hold a few words" not in warned(data) and not any("Ward" in one for one in data["unlabeled"]["text"])
    plain = rows_with(tmp_path / "plain.csv", {3: (text(99), ""), 9: (text(98), "")})
    assert "hold a few words" not in warned(hf_ssl.load_data(plain)), "rows without a label are long as the others"


def test_a_second_header_in_words_is_told(tmp_path):
    file = rows_with(tmp_path / "reviews.csv", {0: ("Text des Berichts", "Klasse")})
    assert "(Text des Berichts, Klasse)" in warned(hf_ssl.load_data(file))
    data = hf_ssl.load_data(file, csv_options={"skiprows": [1]})
    assert data["train"].features["label"].names == ["ham", "spam"] and "second header" not in warned(data)
