"""Pictures of every kind become pixels, and what cannot is reported and left out."""

from __future__ import annotations

import io
import json
import tarfile

import datasets
import numpy as np
import pandas as pd
import pytest

pil = pytest.importorskip("PIL.Image")

from contract_image import pictures  # noqa: E402
from follow import hints  # noqa: E402
from PIL import Image as PILImage  # noqa: E402

from hf_ssl import load_data  # noqa: E402
from hf_ssl.core.errors import ConfigError, DataError, MissingExtraError  # noqa: E402
from hf_ssl.data.leakage.near_image import LookIndex  # noqa: E402
from hf_ssl.demo import images as demo_images  # noqa: E402
from hf_ssl.modalities.image.files import DecodeOptions, Unreadable, inspect, pixels, signature  # noqa: E402
from hf_ssl.modalities.image.image import Image  # noqa: E402

QUIET = {"verbose": False}


def encoded(array, kind="PNG", **options):
    stream = io.BytesIO()
    pil.fromarray(array.squeeze()).save(stream, format=kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 1), ("L", 1), ("LA", 3), ("P", 3), ("PA", 3), ("RGB", 3), ("RGBA", 3), ("CMYK", 3), ("YCbCr", 3), ("HSV", 3),
     ("I;16", 1), ("I", 1), ("F", 1)],
)  # fmt: skip
def test_every_mode_becomes_8_bits(mode, channels):
    picture = pil.fromarray(pictures(1)[0])
    picture = picture.convert("I").convert("I;16") if mode == "I;16" else picture
    picture = pil.merge("LA", [picture.convert("L")] * 2).convert("PA") if mode == "PA" else picture
    array = pixels(picture.convert(mode) if picture.mode != mode else picture, DecodeOptions())
    assert array.dtype == np.uint8 and array.shape == (32, 32, channels)
    assert array.std() > 5


def test_transparent_pixels_show_the_background_not_what_lies_beneath():
    array = np.zeros((4, 4, 4), np.uint8)
    array[:2, :, 3] = 255  # the upper half is opaque black, the lower half transparent black
    seen = pixels(pil.fromarray(array, "RGBA"), DecodeOptions())
    assert (seen[:2] == 0).all() and (seen[2:] == 255).all()
    assert (pixels(pil.fromarray(array, "RGBA"), DecodeOptions(background=7))[2:] == 7).all()


def test_palette_transparency_is_seen():
    picture = pil.fromarray(np.eye(4, dtype=np.uint8), "P")
    picture.putpalette([10, 20, 30, 200, 100, 50])
    stream = io.BytesIO()
    picture.save(stream, format="PNG", transparency=0)
    seen = pixels(stream.getvalue(), DecodeOptions())
    assert seen[0, 1].tolist() == [255] * 3 and seen[0, 0].tolist() == [200, 100, 50]


def test_12_bits_in_16_are_stretched_or_kept_comparable():
    array = (np.arange(64 * 64).reshape(64, 64) % 4096).astype(np.uint16)
    content = encoded(array)
    assert pixels(content, DecodeOptions())[..., 0].max() == 255
    full = pixels(content, DecodeOptions(intensity="full"))
    assert full.max() == round(4095 / 65535 * 255)


def test_upright_as_the_camera_says():
    exif = pil.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    array = np.zeros((8, 16, 3), np.uint8)
    assert pixels(encoded(array, "JPEG", exif=exif), DecodeOptions()).shape == (16, 8, 3)


def test_arrays_with_any_number_of_channels(tmp_path):
    for shape, wanted in (((9, 8), 1), ((9, 8, 6), 6), ((6, 9, 8), 6)):
        np.save(tmp_path / "a.npy", np.random.default_rng(0).random(shape))
        assert pixels(tmp_path / "a.npy", DecodeOptions()).shape == (9, 8, wanted)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(Unreadable, match="plain numpy array"):
        pixels(tmp_path / "objects.npy", DecodeOptions())


def test_dicom(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.data import get_testdata_file

    file = get_testdata_file("CT_small.dcm")
    seen = pixels(file, DecodeOptions())
    assert seen.shape == (128, 128, 1) and seen.std() > 10
    inverted = pydicom.dcmread(file)
    inverted.PhotometricInterpretation = "MONOCHROME1"
    inverted.save_as(tmp_path / "inverted.dcm")
    again = pixels(tmp_path / "inverted.dcm", DecodeOptions())
    assert np.corrcoef(seen.ravel(), again.ravel())[0, 1] < -0.99


@pytest.fixture
def hostile(tmp_path):
    """Ten good pictures and what an unlucky folder holds beside them."""
    good = pictures(10)
    for number, picture in enumerate(good):
        (tmp_path / f"good{number}.png").write_bytes(encoded(picture))
    whole = encoded(pictures(1, side=64, seed=5)[0], "JPEG")
    (tmp_path / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_bytes(b"no picture at all")
    (tmp_path / "empty.png").write_bytes(b"")
    return tmp_path


def test_broken_files_are_quarantined_with_their_reason(hostile):
    with pytest.raises(DataError, match="3 of 13 files"):
        load_data(hostile, "image", **QUIET)
    for number, picture in enumerate(pictures(20, seed=9)):
        (hostile / f"more{number}.png").write_bytes(encoded(picture))
    data = load_data(hostile, "image", **QUIET)
    reasons = {item["path"]: item["reason"] for item in data.report["quarantined"]}
    assert set(reasons) == {"truncated.jpg", "text.png", "empty.png"}
    assert "truncated" in reasons["truncated.jpg"] and "no known format" in reasons["text.png"]
    assert len(data["unlabeled"]) == 30 and data.report["describe"]["unlabeled"]["side_max"] == 32


def test_bombs_are_refused_before_they_are_opened(tmp_path):
    for number, picture in enumerate(pictures(9)):
        (tmp_path / f"{number}.png").write_bytes(encoded(picture))
    (tmp_path / "bomb.png").write_bytes(encoded(np.zeros((2000, 2000), np.uint8)))
    data = load_data(tmp_path, "image", max_megapixels=1, **QUIET)
    assert [item["path"] for item in data.report["quarantined"]] == ["bomb.png"]
    assert "max_megapixels=1" in data.report["quarantined"][0]["reason"]


def test_class_folders_and_a_separate_pool(tmp_path):
    for number, picture in enumerate(pictures(24)):
        split = "unlabeled" if number % 2 else f"train/{'ab'[number // 2 % 2]}"
        (tmp_path / split / "deep").mkdir(parents=True, exist_ok=True)
        (tmp_path / split / "deep" / f"{number}.png").write_bytes(encoded(picture))
    data = load_data(tmp_path, "image", validation_fraction=0.2, test_fraction=0.2, **QUIET)
    assert data.label_kind == "class" and data.label_names == ["a", "b"]
    assert len(data["unlabeled"]) == 12 and isinstance(data["train"].features["image"], datasets.Image)
    shown = data["train"].cast_column("image", datasets.Image())[0]["image"]
    assert shown.size == (32, 32), "one cast and it is a Pillow image"


def test_tables_with_paths_and_groups(tmp_path):
    (tmp_path / "scans").mkdir()
    rows = []
    for number, picture in enumerate(pictures(30)):
        (tmp_path / "scans" / f"{number}.png").write_bytes(encoded(picture))
        rows.append({"file_name": f"scans/{number}.png", "label": "xy"[number % 2], "patient": f"p{number // 3}"})
    pd.DataFrame(rows).to_csv(tmp_path / "metadata.csv", index=False)
    data = load_data(tmp_path, "image", group_column="patient", **QUIET)
    seen = {split: set(data[split]["group"]) for split in ("train", "validation", "test")}
    assert not seen["train"] & seen["test"] and not seen["train"] & seen["validation"]
    assert data["train"]["path"][0].startswith("scans/")


def test_a_path_that_leads_nowhere_is_a_dropped_row(tmp_path):
    for number, picture in enumerate(pictures(8)):
        (tmp_path / f"{number}.png").write_bytes(encoded(picture))
    pd.DataFrame({"image": [f"{number}.png" for number in range(8)] + ["gone.png"]}).to_csv(
        tmp_path / "unlabeled.csv", index=False
    )
    with pytest.raises(DataError, match="max_left_out"):
        load_data(tmp_path / "unlabeled.csv", "image", **QUIET)
    data = load_data(tmp_path / "unlabeled.csv", "image", max_left_out=0.2, **QUIET)
    assert len(data["unlabeled"]) == 8 and data.report["dropped"] == {"no such file": 1}
    assert any("gone.png" in text for text in data.report["warnings"])


def test_hugging_face_images_and_streams():
    rows = [{"image": pil.fromarray(picture), "label": number % 2} for number, picture in enumerate(pictures(20))]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    dataset = datasets.Dataset.from_list(rows, features=features)
    plain = load_data(dataset, "image", **QUIET)
    stream = load_data(dataset.to_iterable_dataset(), "image", **QUIET)
    assert plain.fingerprint == stream.fingerprint
    assert len(plain["train"]) + len(plain["validation"]) + len(plain["test"]) == 20


def test_arrays_in_memory():
    stack = np.stack([picture[..., 0] for picture in pictures(12)])
    data = load_data({"image": stack}, "image", **QUIET)
    assert len(data["unlabeled"]) == 12
    found = {pixels(value, DecodeOptions()).tobytes() for value in data["unlabeled"]["image"]}
    assert found == {picture[..., :1].tobytes() for picture in pictures(12)}


def test_webdataset_shards(tmp_path):
    for shard in range(2):
        with tarfile.open(tmp_path / f"train-{shard:03d}.tar", "w") as archive:
            for number, picture in enumerate(pictures(8, seed=shard)):
                members = {"png": encoded(picture), "cls": str(number % 2).encode()}
                if number == 7:
                    members = {"png": encoded(picture), "json": json.dumps({"label": "1"}).encode()}
                for kind, content in members.items():
                    info = tarfile.TarInfo(f"{shard}{number}.{kind}")
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    data = load_data(tmp_path, "image", test_fraction=0.25, validation_fraction=0, **QUIET)
    assert data.label_names == ["0", "1"] and len(data["train"]) + len(data["test"]) == 16
    assert sum(label == 1 for label in [*data["train"]["label"], *data["test"]["label"]]) == 8


def test_a_cut_shard_keeps_what_can_be_read(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number, picture in enumerate(pictures(10)):
            content = encoded(picture)
            info = tarfile.TarInfo(f"{number}.png")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    quarantine: list[dict[str, str]] = []
    (tmp_path / "cut.tar").write_bytes(stream.getvalue()[:-12_000])
    found = Image().read_files([tmp_path / "cut.tar"], tmp_path, quarantine)
    assert len(found) == 9 and "cut short" in quarantine[0]["reason"]


def test_equal_pixels_are_equal_content_whatever_the_file():
    picture = pictures(1)[0]
    image = Image()
    assert image.content_key(encoded(picture)) == image.content_key(encoded(picture, "TIFF"))
    gray = picture[..., :1]
    assert image.content_key(encoded(gray)) == image.content_key(encoded(np.repeat(gray, 3, axis=2)))
    assert image.content_key(encoded(picture)) != image.content_key(encoded(picture[::-1].copy()))


def test_copies_in_another_size_and_compression_are_found_and_others_are_not():
    originals = [np.asarray(pil.fromarray(p).resize((96, 96))) for p in pictures(40, seed=3)]
    targets = [signature(picture) for picture in originals]
    index = LookIndex(targets, Image.near_bits)
    copies = []
    for picture in originals:
        small = np.asarray(pil.fromarray(picture).resize((70, 70), pil.BICUBIC))
        copies.append(signature(pixels(encoded(small, "JPEG", quality=80), DecodeOptions())))
    assert {match.query: match.target for match in index.search(copies)} == {row: row for row in range(40)}
    others = [signature(np.asarray(pil.fromarray(p).resize((96, 96)))) for p in pictures(40, seed=4)]
    assert list(index.search(others)) == []
    assert signature(np.full((20, 20, 3), 9, np.uint8)) is None, "a flat picture looks like nothing"
    assert list(LookIndex([None], 10).search(targets)) == []


def test_near_copies_of_test_pictures_leave_the_pool(tmp_path):
    for number, picture in enumerate(pictures(12)):
        (tmp_path / f"test/{'ab'[number % 2]}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"test/{'ab'[number % 2]}" / f"{number}.png").write_bytes(encoded(picture))
        (tmp_path / f"train/{'ab'[number % 2]}").mkdir(parents=True, exist_ok=True)
        other = pictures(12, seed=8)[number]
        (tmp_path / f"train/{'ab'[number % 2]}" / f"{number}.png").write_bytes(encoded(other))
    (tmp_path / "unlabeled").mkdir()
    (tmp_path / "unlabeled" / "copy.jpg").write_bytes(encoded(pictures(1)[0], "JPEG", quality=90))
    (tmp_path / "unlabeled" / "own.png").write_bytes(encoded(pictures(1, seed=20)[0]))
    data = load_data(tmp_path, "image", validation_fraction=0, **QUIET)
    assert len(data["unlabeled"]) == 1
    assert data.report["leaks"] == [{**data.report["leaks"][0], "split": "unlabeled", "against": "test", "near": 1}]


def test_masks_are_labels(tmp_path):
    rows = []
    for number, picture in enumerate(pictures(10)):
        (tmp_path / f"{number}.png").write_bytes(encoded(picture))
        (tmp_path / f"{number}_mask.png").write_bytes(encoded((picture[..., 0] > 127).astype(np.uint8)))
        rows.append({"image": f"{number}.png", "mask": f"{number}_mask.png"})
    pd.DataFrame(rows).to_csv(tmp_path / "train.csv", index=False)
    data = load_data(tmp_path, "image", label_column="mask", **QUIET)
    assert data.label_kind == "mask" and len(data["train"]) == 7
    before = data.fingerprint
    (tmp_path / "0_mask.png").rename(tmp_path / "renamed.png")
    rows[0]["mask"] = "renamed.png"
    pd.DataFrame(rows).to_csv(tmp_path / "train.csv", index=False)
    assert load_data(tmp_path, "image", label_column="mask", **QUIET).fingerprint != before


def test_options_are_checked():
    with pytest.raises(ConfigError, match="crop_scale"):
        Image(Image.Config(crop_scale=[0.5]))
    with pytest.raises(DataError, match="max_megapixels"):
        load_data({"image": np.zeros((2, 4, 4), np.uint8)}, "image", max_megapixel=3, **QUIET)


def test_clip_art_in_the_wild():
    """8,121 drawings of mixed modes and sizes; one folder of them here."""
    try:
        folder = demo_images.clipart_folder() / "buttons"
    except MissingExtraError as error:
        pytest.skip(str(error))
    files = sorted(folder.rglob("*.png"))
    assert files and all(inspect(str(file), DecodeOptions()).problem is None for file in files)


def test_baseline_features_of_a_gray_picture_are_the_same_beside_a_colored_one():
    gray, colored = pictures(1, channels=1)[0], pictures(1)[0]
    alone, beside = Image().baseline_features([gray]), Image().baseline_features([gray, colored])
    assert alone.shape == (1, 3 * 28 * 28) and beside.shape == (2, 3 * 28 * 28)
    np.testing.assert_array_equal(alone[0], beside[0])
    assert Image(Image.Config(channels=1)).baseline_features([colored]).shape == (1, 28 * 28)


def _rasters(folder, change, count=16, side=24):
    """Pictures of two classes as floats from 0 to 1, a part of each changed by `change(array, number)`."""
    rng = np.random.default_rng(0)
    for number in range(count):
        kind = "crop" if number % 2 else "urban"
        (folder / kind).mkdir(parents=True, exist_ok=True)
        smooth = np.kron(rng.random((6, 6)), np.ones((side // 6, side // 6)))
        array = (smooth + 0.3 * (number % 2) + 0.05 * rng.random((side, side))).astype(np.float32)
        np.save(folder / kind / f"{number}.npy", change(array, number))
    return folder


def _with(value, rows=6):
    def change(array, number):
        array[:rows] = value
        return array

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [(_with(-9999), "nodata=-9999"), (_with(1e20), "nodata=1e+20"), (_with(np.nan), "no finite number"), (_with(np.inf), "no finite number"),
     (lambda a, n: _with(-9999)(_with(np.nan, 8)(a, n), n), "nodata=-9999"), (_with(-5432.1), "value_range="),
     (lambda a, n: (_with(-32768)(np.round(a * 1000), n)).astype(np.int16), "nodata=-32768"),
     (lambda a, n: np.stack([_with(-9999)(a, n) * k for k in (1, 2, 1)], -1), "value_range=")],
    ids=["-9999", "1e20", "nan", "inf", "both", "unknown", "int16", "scaled"],
)  # fmt: skip
def test_pixels_that_were_not_measured_leave_the_others_what_they_are(tmp_path, change, words):
    data = load_data(str(_rasters(tmp_path, change)), modality="image", near_duplicates=False, **QUIET)
    assert len(data["train"]) + len(data["validation"]) + len(data["test"]) == 16
    assert any(words in text for text in data.report["warnings"])
    assert not any("repeat" in text for text in data.report["warnings"])


def test_a_value_of_no_measurement_is_black_and_the_rest_keeps_its_range(tmp_path):
    array = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    array[0, 0] = -9999
    seen = pixels(array, DecodeOptions())
    assert seen[0, 0] == 0 and len(np.unique(seen)) > 50
    assert len(np.unique(pixels(array, DecodeOptions(nodata=float("nan"), value_range=(-9999, 1))))) == 2
    tiff = io.BytesIO()
    pil.fromarray(np.where(array == -9999, 0.5, array).astype(np.float32)).save(
        tiff, format="TIFF", tiffinfo={42113: "0.5"}
    )
    assert pixels(tiff.getvalue(), DecodeOptions())[0, 0, 0] == 0  # as GDAL writes it


def test_how_deep_pictures_become_8_bits_is_told_until_it_is_said(tmp_path):
    folder = _rasters(tmp_path, lambda array, number: (array * 3000).astype(np.uint16))
    told = [w for w in load_data(str(folder), modality="image", **QUIET).report["warnings"] if "value_range=" in w]
    assert len(told) == 1 and told[0].startswith("16 of 16")
    for way in ({"intensity": "range"}, {"intensity": "full"}, {"value_range": [0, 4095]}):
        said = load_data(str(folder), modality="image", **way, **QUIET)
        assert not any("value_range=" in text for text in said.report["warnings"])
    with pytest.raises(ConfigError):
        load_data(str(folder), modality="image", value_range=[5, 1], **QUIET)


def test_pictures_that_8_bits_cannot_tell_apart_are_no_copies(tmp_path):
    faint = _rasters(tmp_path, lambda array, number: (array * 9 + number % 3).astype(np.uint16))
    data = load_data(str(faint), modality="image", intensity="full", near_duplicates=False, **QUIET)
    assert data.report["accounts"]["rows"]["left_out"] == {}


@pytest.mark.parametrize("small", ["cat/thumbnails", "cat/web", "cat_small", "thumbs/cat"])
def test_thumbnails_beside_pictures_are_told_and_left_out(tmp_path, small):
    big = "images/cat" if small == "thumbs/cat" else "cat"
    for number in range(8):
        blocks = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
        picture = PILImage.fromarray(blocks).resize((64, 48), PILImage.Resampling.BICUBIC)
        for folder, size in ((big, (64, 48)), (small, (16, 12)), (big.replace("cat", "dog"), (32, 32))):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            turned = picture.rotate(90) if "dog" in folder else picture
            turned.resize(size).save(tmp_path / folder / f"{number}.png")
    options = {"folder_level": "last"} if small == "thumbs/cat" else {}
    data = load_data(tmp_path, modality="image", verbose=False, **options)
    told = next(text for text in data.report["warnings"] if "another size" in text)
    assert "8 of 24" in told
    left = load_data(tmp_path, modality="image", verbose=False, **options, **next(hints(told)))
    assert sum(left[split].num_rows for split in ("train", "validation", "test")) == 16


def test_patients_of_dicom_files_are_a_group(tmp_path):
    pytest.importorskip("pydicom")
    from new_user import dicom

    for number in range(24):
        dicom(tmp_path / ("benign" if number % 2 else "malignant") / f"IM{number}", f"P{number // 4}", "CT", number)
    with pytest.raises(DataError, match="PatientID") as error:
        load_data(tmp_path, modality="image", verbose=False)
    group, independent = hints(str(error.value))
    data = load_data(tmp_path, modality="image", verbose=False, **group)
    patients = [set(data[split]["group"]) for split in ("train", "validation", "test")]
    assert not patients[0] & patients[1] and not patients[0] & patients[2]
    assert "group" not in load_data(tmp_path, modality="image", verbose=False, **independent)["train"].column_names
