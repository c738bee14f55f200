"""One bad row loses no file, and what stands beside the rows that are read is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from hf_ssl import load_data
from hf_ssl.core.errors import DataError

soundfile = pytest.importorskip("soundfile")
ROWS = [(f"word{number} of sentence number{number * 7} here{number * 13}", "ab"[number % 2]) for number in range(40)]


def read(source: Path, **options: Any) -> Any:
    data = load_data(source, verbose=False, **options)
    accounts = data.report["accounts"].values()
    assert all(one["found"] == one["used"] + sum(one["left_out"].values()) for one in accounts)
    return data


def labeled(data: Any) -> int:
    return sum(len(data[name]) for name in ("train", "validation", "test") if name in data)


@pytest.mark.parametrize(
    "bad", ['{"text": "x y z", "label": "a", "no\\ud800te": 1}', '{"text": "x", "n": ' + "9" * 5000 + "}"]
)
@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_a_row_of_json_that_python_stumbles_over(tmp_path: Path, bad: str, kind: str) -> None:
    lines = [json.dumps({"text": text, "label": label}) for text, label in ROWS]
    (tmp_path / f"a.{kind}").write_text("\n".join([*lines, bad]) + "\n")
    data = read(tmp_path)
    assert labeled(data) >= 40 and data.report["warnings"]


def test_text_of_parquet_that_is_no_utf8(tmp_path: Path) -> None:
    content = [text.encode() for text, _ in ROWS]
    content[5] = b"caf\xe9 of the station"
    text = pa.array(content, pa.binary()).view(pa.string())
    parquet.write_table(pa.table({"text": text, "label": [label for _, label in ROWS]}), tmp_path / "a.parquet")
    data = read(tmp_path)
    assert labeled(data) == 40 and any("1 values" in text and "UTF-8" in text for text in data.report["warnings"])


def tone(file: Path, number: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, 0.3 * np.random.default_rng(number).uniform(-1, 1, 16_000), 16_000)


def common_voice(folder: Path, tables: dict[str, range]) -> None:
    for name, numbers in tables.items():
        lines = ["client_id\tpath\tsentence\tup_votes"]
        for number in numbers:
            if not (folder / "clips" / f"{number}.wav").exists():
                tone(folder / "clips" / f"{number}.wav", number)
            words = "wrong words" if name == "invalidated" else f"word{number} and number{number}"
            lines.append(f"speaker{number // 2}\t{number}.wav\t{words}\t2")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")


def test_common_voice_is_its_splits(tmp_path: Path) -> None:
    splits = {"train": range(12), "dev": range(12, 16), "test": range(16, 20)}
    common_voice(tmp_path, {**splits, "validated": range(20), "invalidated": range(6), "other": range(20, 24)})
    data = read(tmp_path, modality="audio", label_kind="transcript")
    assert {name: len(data[name]) for name in ("train", "validation", "test")} == {
        "train": 12,
        "validation": 4,
        "test": 4,
    }
    assert "wrong words" not in data["train"]["label"]
    assert any("invalidated.tsv, other.tsv, validated.tsv" in text for text in data.report["warnings"])
    untold = read(tmp_path, modality="audio")
    assert any("'sentence'" in text and "label_kind='transcript'" in text for text in untold.report["warnings"])
    for name in splits:
        (tmp_path / f"{name}.tsv").unlink()
    with pytest.raises(DataError, match="group_column='client_id'"):
        read(tmp_path, modality="audio", label_kind="transcript")
    data = read(tmp_path, modality="audio", label_kind="transcript", group_column="client_id")
    assert labeled(data) == 20


def test_durations_that_contradict_start_and_end_are_told(tmp_path: Path) -> None:
    lines = ["path,start,end,duration,label"]
    for number in range(24):
        tone(tmp_path / f"{number}.wav", number)
        lines.append(f"{number}.wav,0.1,0.6,{0.5 if number % 4 else 0.9},{'ab'[number % 2]}")
    (tmp_path / "parts.csv").write_text("\n".join(lines) + "\n")
    data = read(tmp_path, modality="audio")
    assert any("6 of 24" in text and "duration_column='duration'" in text for text in data.report["warnings"])
    assert labeled(read(tmp_path, modality="audio", start_column="start", duration_column="duration")) == 24
    (tmp_path / "parts.csv").write_text("\n".join(lines).replace("0.9", "0.5") + "\n")
    assert not any("'duration'" in text for text in read(tmp_path, modality="audio").report["warnings"])


def pictures(root: Path, names: list[str]) -> None:
    pil = pytest.importorskip("PIL.Image")
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (12, 12, 3), dtype=np.uint8)
        pil.fromarray(pixels).save(root / name)


def test_a_table_without_labels_that_hides_class_folders_is_told_with_what_reads_them(tmp_path: Path) -> None:
    names = [f"{folder}/{number}.png" for folder in ("cat", "dog") for number in range(10)]
    pictures(tmp_path, names)
    (tmp_path / "sizes.csv").write_text("file,height\n" + "".join(f"{name},{row}\n" for row, name in enumerate(names)))
    told = [text for text in read(tmp_path, modality="image").report["warnings"] if "cat, dog" in text]
    assert len(told) == 1 and "**/*.png" in told[0] and "folder_labels=False" in told[0]
    assert load_data(f"{tmp_path}/**/*.png", modality="image", verbose=False).label_names == ["cat", "dog"]
    meant = read(tmp_path, modality="image", folder_labels=False).report["warnings"]
    assert not any("cat, dog" in text for text in meant)


def test_a_class_called_train_below_train_is_read_by_following_the_message(tmp_path: Path) -> None:
    pictures(
        tmp_path,
        [f"{split}/{kind}/{n}.png" for split in ("train", "test") for kind in ("train", "car") for n in range(10)],
    )
    with pytest.raises(DataError, match=r"split_names=\['test'\] with folder_level='last'"):
        read(tmp_path, modality="image")
    data = read(tmp_path, modality="image", split_names=["test"], folder_level="last")
    assert data.label_names == ["car", "train"] and len(data["test"]) == 20


def test_labels_with_a_comma_and_a_blank_between_them(tmp_path: Path) -> None:
    labels = ['"a, b"', "a", "b", '"a, b, c"']
    lines = [f"{text},{labels[row % 4]}" for row, (text, _) in enumerate(ROWS)]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    assert any("label_separator=','" in text for text in read(tmp_path).report["warnings"])
    data = read(tmp_path, label_kind="multilabel", label_separator=",")
    assert data.label_names == ["a", "b", "c"]
