"""Files that are small on the disk and large in the memory, or wide beyond reason, cost neither memory nor time."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_ssl.core import textfiles
from hf_ssl.core.errors import DataError
from hf_ssl.data import load_data
from hf_ssl.modalities.text import text


def refused(source: Path, **options: object) -> str:
    with pytest.raises(DataError) as told:
        load_data(str(source), verbose=False, **options)
    return str(told.value)


def test_packed_arrays_of_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_ssl.modalities.arrays.UNPACKED_FREE", 1 << 20)
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((500, 8, 400), np.float32))
    assert "unpacks to 6 MB" in refused(tmp_path / "x.npz", modality="timeseries")


def test_a_member_of_a_tar_that_promises_more_than_there_is(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        member = tarfile.TarInfo("a.png")
        member.size = 1 << 50
        archive.addfile(member)
    told = refused(tmp_path / "x.tar", modality="image")
    assert "a.png" in told and "promise" in told


def test_a_tar_within_gzip_that_is_mostly_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PIL")
    monkeypatch.setattr("hf_ssl.modalities.image.files.UNPACKED_FREE", 1 << 20)
    with tarfile.open(tmp_path / "x.tar", "w:gz") as archive:
        member = tarfile.TarInfo("a.png")
        member.size = 8 << 20
        archive.addfile(member, io.BytesIO(bytes(8 << 20)))
    assert "promise 8 MB" in refused(tmp_path / "x.tar", modality="image")


def test_parquet_of_one_value_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_ssl.data.readers.tables.MANY_ROWS", 1000)
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(200_000, np.int32)), pa.array(["the nurse"]))
    pq.write_table(pa.table({"text": column}), tmp_path / "x.parquet", compression="zstd")
    assert "200,000 rows" in refused(tmp_path / "x.parquet")


def test_a_document_as_long_as_a_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_LINE", 2000)
    (tmp_path / "x.txt").write_text("the nurse said\n" * 300, encoding="utf-8")
    assert "one document of" in refused(tmp_path / "x.txt") and textfiles.MAX_LINE > 2000
    assert len(load_data(str(tmp_path / "x.txt"), txt="lines", max_left_out=1.0, verbose=False)["unlabeled"]) >= 1
    pq.write_table(pa.table({"text": ["a " * 1500, *(f"nurse {n}" for n in range(30))]}), tmp_path / "x.parquet")
    found = load_data(str(tmp_path / "x.parquet"), verbose=False)
    assert sum(len(part) for part in found.values()) == 30


def test_a_wide_table_costs_what_its_columns_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Dataset.features` copies the description of all columns: looking at it for each of them is quadratic."""
    looked: list[int] = []
    real = datasets.Dataset.features.fget
    assert real is not None

    def counting(self: datasets.Dataset) -> datasets.Features:
        looked.append(1)
        return real(self)

    monkeypatch.setattr(datasets.Dataset, "features", property(counting))
    counts = []
    for wide in (20, 200):
        lines = [",".join(["text", *(f"c{n}" for n in range(wide)), "label"])]
        for row in range(30):
            lines.append(",".join([f"the nurse measured {row}", *(f"{n}.{row}" for n in range(wide)), "ab"[row % 2]]))
        (tmp_path / f"{wide}.csv").write_text("\n".join(lines), encoding="utf-8")
        looked.clear()
        load_data(str(tmp_path / f"{wide}.csv"), verbose=False)
        counts.append(len(looked))
    assert counts[1] == counts[0]


def test_zip_is_no_folder_to_write_into(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("../harm.jsonl", '{"text": "the nurse"}\n')
    assert "None of the" in refused(tmp_path / "x.zip") and not (tmp_path.parent / "harm.jsonl").exists()
