"""Marks that say "as above", lists of labels, pieces of one recording, piles beside classes: told before anything is trained."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sentences import text

import hf_ssl
from hf_ssl.core.errors import HfSslError


def told(path: Path, **options: object) -> str:
    """Everything that was warned of, or the error."""
    try:
        return "\n".join(hf_ssl.load_data(path, verbose=False, **options).report["warnings"])
    except HfSslError as error:
        return str(error)


def table(folder: Path, labels: list[str], count: int = 60) -> Path:
    file = folder / "data.csv"
    rows = [f'"{text(n)}","{labels[n % len(labels)]}"' for n in range(count)]
    file.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("labels", "mark"),
    [
        (["billing;refund", "refund;delay", "delay", "billing", "refund;login"], ";"),
        (["red,blue", "blue", "green,red", "green"], ","),
        (["A", "B", "A+B", "A+C"], "+"),
        (["low A", "low B", "low A and low B", "low A and high C"], " and "),
        (["A", "B", "A|B", "C"], "|"),
    ],
)
def test_several_labels_in_one_text(labels: list[str], mark: str, tmp_path: Path) -> None:
    said = told(table(tmp_path, labels))
    assert "label_kind='multilabel'" in said and "fold_labels" not in said
    followed = hf_ssl.load_data(table(tmp_path, labels), verbose=False, label_kind="multilabel", label_separator=mark)
    assert max(int(sum(label)) for label in followed["train"]["label"]) == 2


@pytest.mark.parametrize(
    "labels",
    [
        ["Austin, TX", "Dallas, TX", "Houston, TX", "Miami, FL", "Tampa, FL"], ["food and drink", "food", "travel"], ["C++", "C", "Java"],
        ["R&D", "HR", "IT"], ["a/b testing", "sales"], ["1: a", "2: b"],
    ],
)  # fmt: skip
def test_names_of_one_label_stay_quiet(labels: list[str], tmp_path: Path) -> None:
    assert "multilabel" not in (said := told(table(tmp_path, labels))) and "fold_labels" not in said


@pytest.mark.parametrize("mark", ['""', "dito", "〃", "########", "as above"])
def test_marks_under_a_label(mark: str, tmp_path: Path) -> None:
    labels = ["warm", mark, mark, "cold", mark, mark]
    plain = mark.replace('""', '"')
    said = told(table(tmp_path, labels))
    assert repr(plain) in said and f"na_values=[{plain!r}]" in said
    read = hf_ssl.load_data(table(tmp_path, labels), verbose=False, na_values=[plain])
    assert sorted(read["train"].features["label"].names) == ["cold", "warm"]


def test_rows_that_were_deleted(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    rows = [f"{text(n)},{'ab'[n % 2]},{'deleted' if n % 6 == 0 else 'active'}" for n in range(42)]
    file.write_text("\n".join(["text,label,status", *rows]), encoding="utf-8")
    assert "ignore_columns=['status']" in told(file)
    machine = file.with_name("machine.csv")
    machine.write_text("\n".join(["text,label,status", *(row.replace("deleted", "idle") for row in rows)]), "utf-8")
    assert "status" not in told(machine)


def folders(place: Path, names: dict[str, list[str]]) -> Path:
    for folder, files in names.items():
        for file in files:
            (place / folder).mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(zlib.crc32(f"{folder}/{file}".encode())).integers(
                0, 255, (16, 16, 3), np.uint8
            )
            Image.fromarray(noise).save(place / folder / file)
    return place


def test_pieces_of_one_recording(tmp_path: Path) -> None:
    pieces = [f"vid{video}_frame{frame:04d}.png" for video in range(4) for frame in range(4)]
    assert "group_column='prefix'" in told(folders(tmp_path, {"run": pieces, "walk": pieces}), modality="image")


@pytest.mark.parametrize("name", ["_rejected", "unsure"])
def test_a_pile_beside_classes(name: str, tmp_path: Path) -> None:
    files = [f"{n}.png" for n in range(8)]
    said = told(folders(tmp_path, {"cat": files, "dog": files, name: files}), modality="image")
    assert f"ignore_folders=['{name}']" in said


@pytest.mark.parametrize(
    "names", [["Line1", "Line2", "Line3"], ["Kamera1", "Kamera2", "Kamera3"], ["raw", "denoised"]]
)
def test_lines_and_states_are_asked_about(names: list[str], tmp_path: Path) -> None:
    files = [f"{n}.png" for n in range(8)]
    assert "folder_labels" in told(folders(tmp_path, dict.fromkeys(names, files)), modality="image")


@pytest.mark.parametrize("mark", ["32767", "65535", "-32768", "2147483647", "1e30"])
def test_marks_of_instruments_in_series(mark: str, tmp_path: Path) -> None:
    values = [mark if n % 40 == 7 else f"{10 + 4 * np.sin(n / 4):.2f}" for n in range(240)]
    stamps = [f"2024-01-{1 + n // 24:02d} {n % 24:02d}:00:00" for n in range(240)]
    file = tmp_path / "series.csv"
    file.write_text("\n".join(["timestamp,temp", *map(",".join, zip(stamps, values, strict=True))]), encoding="utf-8")
    options = {"modality": "timeseries", "horizon": 12, "context_length": 24}
    said = told(file, **options)
    assert "na_values=" in said
    hint = said.split("na_values=['")[1].split("'")[0]
    assert "lie far" not in told(file, **options, na_values=[hint])
