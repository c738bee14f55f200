"""Files that tables name: each table's own folder first, whatever another folder holds under the same names."""

from __future__ import annotations

import ast
import io
import re

import numpy as np
import pytest
import soundfile
from PIL import Image

from hf_ssl.core.errors import DataError
from hf_ssl.data import load_data

COUNT = 10


def picture(file, seed):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def tone(file, seed):
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, 0.3 * np.random.default_rng(seed).standard_normal(8000).clip(-1, 1), 16_000)


def table(file, names, column="file_name"):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{column},label\n" + "".join(f"{name},{'ab'[row % 2]}\n" for row, name in enumerate(names)))


def rows_of(data):
    return [row for split in data.values() if "label" in split.column_names for row in split]


@pytest.mark.parametrize("folders", [("jan", "feb"), ("train", "test")])
@pytest.mark.parametrize("inner", ["", "images/"])
def test_two_tables_in_different_folders_each_find_their_own_pictures(tmp_path, folders, inner):
    for number, folder in enumerate(folders):
        names = [f"{inner}{row}.png" for row in range(COUNT)]
        for row, name in enumerate(names):
            picture(tmp_path / folder / name, 100 * number + row)
        table(tmp_path / folder / "labels.csv", names)
    data = load_data(tmp_path, modality="image", verbose=False)
    found = sorted(row["image"]["path"] for row in rows_of(data))
    assert found == sorted(map(str, tmp_path.rglob("*.png")))
    assert all(row["image"]["path"].endswith("/" + row["path"]) for row in rows_of(data))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_two_tables_in_different_folders_each_find_their_own_recordings(tmp_path, kind):
    import pandas as pd

    for number, folder in enumerate(("spk1", "spk2")):
        for row in range(COUNT):
            tone(tmp_path / folder / f"{row}.wav", 100 * number + row)
        frame = pd.DataFrame(
            {"audio_filepath": [f"{row}.wav" for row in range(COUNT)], "label": list("ab") * (COUNT // 2)}
        )
        file = tmp_path / folder / f"manifest.{kind}"
        if kind == "jsonl":
            frame.to_json(file, orient="records", lines=True)
        else:
            frame.to_csv(file, index=False) if kind == "csv" else frame.to_parquet(file)
    data = load_data(tmp_path, modality="audio", verbose=False)
    assert len(rows_of(data)) == 2 * COUNT
    assert len({row["audio"]["digest"] for row in rows_of(data)}) == 2 * COUNT


def test_masks_of_two_folders_go_with_the_pictures_of_their_own(tmp_path):
    for number, folder in enumerate(("train", "test")):
        for row in range(COUNT):
            picture(tmp_path / folder / "im" / f"{row}.png", 100 * number + row)
            (tmp_path / folder / "mask").mkdir(exist_ok=True)
            Image.fromarray(np.full((12, 12), number, np.uint8)).save(tmp_path / folder / "mask" / f"{row}.png")
        lines = "".join(f"im/{row}.png,mask/{row}.png\n" for row in range(COUNT))
        (tmp_path / folder / "list.csv").write_text("image,mask\n" + lines)
    data = load_data(tmp_path, modality="image", label_column="mask", verbose=False)

    def values(split):
        held = [row["label"] for row in data[split]]
        return {int(np.asarray(Image.open(one["path"] or io.BytesIO(one["bytes"]))).max()) for one in held}

    assert (values("train"), values("test")) == ({0}, {1})


def test_a_file_that_is_gone_is_not_another_folders_of_the_same_name(tmp_path):
    for number, folder in enumerate(("jan", "feb")):
        for row in range(20):
            if (folder, row) != ("jan", 3):
                picture(tmp_path / folder / f"{row}.png", 100 * number + row)
        table(tmp_path / folder / "labels.csv", [f"{row}.png" for row in range(20)])
    data = load_data(tmp_path, modality="image", verbose=False)
    assert len(rows_of(data)) == 39


def test_tables_called_as_folders_name_the_files_in_those(tmp_path):
    for number, folder in enumerate(("train", "test")):
        for row in range(COUNT):
            picture(tmp_path / folder / f"{row}.png", 100 * number + row)
        table(tmp_path / f"{folder}.csv", [f"{row}.png" for row in range(COUNT)])
    data = load_data(tmp_path, modality="image", verbose=False)
    assert {row["path"].split("/")[0] for row in data["test"]} == {"test"}
    assert {row["path"].split("/")[0] for row in data["train"]} == {"train"}


def test_a_name_that_several_folders_have_is_an_error_until_the_folder_is_written(tmp_path):
    for number, folder in enumerate(("one", "two")):
        for row in range(COUNT):
            picture(tmp_path / folder / f"{row}.png", 100 * number + row)
    table(tmp_path / "labels.csv", [f"{row}.png" for row in range(COUNT)])
    with pytest.raises(DataError, match=r"several.*one/0\.png and two/0\.png|several.*two/0\.png and one/0\.png"):
        load_data(tmp_path, modality="image", verbose=False)
    table(tmp_path / "labels.csv", [f"{folder}/{row}.png" for folder in ("one", "two") for row in range(COUNT)])
    assert len(rows_of(load_data(tmp_path, modality="image", verbose=False))) == 2 * COUNT


def test_audio_root_says_where_paths_begin_whatever_lies_beside_the_table(tmp_path):
    for row in range(COUNT):
        tone(tmp_path / "lists" / f"{row}.wav", row)
        tone(tmp_path / "clean" / f"{row}.wav", 100 + row)
    table(tmp_path / "lists" / "labels.csv", [f"{row}.wav" for row in range(COUNT)])
    options = {"modality": "audio", "verbose": False}
    own = load_data(tmp_path / "lists", **options)
    clean = load_data(tmp_path / "lists", audio_root=str(tmp_path / "clean"), **options)
    assert not {row["audio"]["digest"] for row in rows_of(own)} & {row["audio"]["digest"] for row in rows_of(clean)}


@pytest.mark.parametrize("entry", ["IMG_{}.png", "img_{}", "{}", "{:02}"])
def test_entries_with_other_zeros_in_front_of_their_numbers(tmp_path, entry):
    for number in range(20):
        picture(tmp_path / "im" / f"IMG_{number:04}.png", number)
    lines = [f"{entry.format(number)},{'ab'[number % 2]}" for number in range(20)]
    (tmp_path / "list.csv").write_text("file,label\n" + "\n".join(lines))
    data = load_data(tmp_path / "im", modality="image", labels_file=tmp_path / "list.csv", verbose=False)
    rows = [row for split in ("train", "validation", "test") for row in data[split]]
    assert {(row["path"], data.label_names[row["label"]]) for row in rows} == {
        (f"IMG_{number:04}.png", "ab"[number % 2]) for number in range(20)
    }
    assert any("by their numbers" in text for text in data.report["warnings"])


def test_numbers_that_may_be_several_files_are_not_taken_for_one(tmp_path):
    for number in range(10):
        picture(tmp_path / "im" / f"a{number:02}.png", number)
        picture(tmp_path / "im" / f"b{number:02}.png", 10 + number)
    (tmp_path / "list.csv").write_text("file,label\n" + "\n".join(f"{n},{'ab'[n % 2]}" for n in range(10)))
    with pytest.raises(DataError, match="No file is named"):
        load_data(tmp_path / "im", modality="image", labels_file=tmp_path / "list.csv", verbose=False)


@pytest.mark.parametrize("order", [("{name}", "{label}"), ("{label}", "{name}")])
@pytest.mark.parametrize("kind", ["image", "audio"])
def test_a_table_of_files_without_a_header_is_known_and_the_names_of_the_hint_fit(kind, order, tmp_path):
    for number in range(24):
        file = tmp_path / f"item{number:03}.{'png' if kind == 'image' else 'wav'}"
        picture(file, number) if kind == "image" else tone(file, number)
    names = sorted(file.name for file in tmp_path.iterdir())
    lines = [",".join(order).format(name=name, label="ab"[row % 2]) for row, name in enumerate(names)]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="no header") as refused:
        load_data(tmp_path, modality=kind, verbose=False)
    columns = ast.literal_eval(re.search(r"'names': (\[.*?\])", str(refused.value))[1])
    data = load_data(tmp_path, modality=kind, verbose=False, csv_options={"names": columns})
    assert data.label_names == ["a", "b"] and sum(map(len, data.values())) == 24 + len(data["unlabeled"])


def test_what_is_written_about_pictures_is_told_where_it_is_not_read(tmp_path):
    for number in range(24):
        picture(tmp_path / f"{number}.png", number)
    lines = [f"{number}.png,a picture of the {number}th pump" for number in range(24)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,caption", *lines]))
    warnings = load_data(tmp_path, modality="image", verbose=False).report["warnings"]
    assert len(warnings) == 1 and "ignore_columns=['caption']" in warnings[0]
    assert not load_data(tmp_path, modality="image", ignore_columns=["caption"], verbose=False).report["warnings"]
