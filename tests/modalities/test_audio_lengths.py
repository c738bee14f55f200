"""How much of a recording is read: headers that declare less than there is, and parts in columns of unknown names."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import datasets
import pytest

import sounds
from hf_ssl.core.errors import DataError
from hf_ssl.data import DomainData, load_data

soundfile = pytest.importorskip("soundfile", reason='needs the audio extra: pip install "hf_ssl[audio]"')
RATE = sounds.RATE


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No store of another test is found."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def load(source: Path, **options: Any) -> DomainData:
    return load_data(source, "audio", verbose=False, **options)


def lengths_of(data: DomainData) -> list[int]:
    """Samples of every piece with a label."""
    return [row["audio"]["length"] for split in ("train", "validation", "test") for row in data[split]]


def seconds_of(data: DomainData) -> float:
    return sum(lengths_of(data)) / RATE


def waves(folder: Path, declared: int | None, behind: bytes = b"") -> Path:
    """Ten files of half a second whose data chunk declares so many bytes (None: all)."""
    for number in range(10):
        file = folder / "ab"[number % 2] / f"{number}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, sounds.voice(number, 0.5), RATE, subtype="PCM_16")
        content = bytearray(file.read_bytes())
        place = content.index(b"data") + 4
        if declared is not None:
            content[place : place + 4] = declared.to_bytes(4, "little")
            content[4:8] = (place + declared - 4).to_bytes(4, "little")
        file.write_bytes(bytes(content) + behind)
    return folder


@pytest.mark.parametrize("declared", [100, 3200, 12_801])
def test_a_header_that_declares_less_is_told_and_all_is_read(tmp_path: Path, declared: int) -> None:
    for _ in range(2):  # from the store, too
        data = load(waves(tmp_path, declared) if not any(tmp_path.iterdir()) else tmp_path)
        assert seconds_of(data) == pytest.approx(5.0, abs=0.01)
        assert any("10 WAV files" in text for text in data.report["warnings"])


CHUNK = b"LIST" + (2000).to_bytes(4, "little") + b"INFO" + b"\xff" * 1996


@pytest.mark.parametrize(
    "behind", [b"", CHUNK, CHUNK + CHUNK, bytes(5000), b"<?xml version='1.0'?>" * 100, b"ID3\x04" + b"\xfe" * 3000]
)
def test_what_programs_write_behind_the_sound_is_no_sound(tmp_path: Path, behind: bytes) -> None:
    data = load(waves(tmp_path, None, behind))
    assert seconds_of(data) == pytest.approx(5.0, abs=0.01) and not data.report["warnings"]


def test_joined_files_are_not_read_in_part(tmp_path: Path) -> None:
    source = waves(tmp_path, None)
    file = source / "a" / "0.wav"
    file.write_bytes(file.read_bytes() + (source / "a" / "2.wav").read_bytes())
    data = load(source, max_left_out=0.1)
    assert "joined" in data.report["quarantined"][0]["reason"] and seconds_of(data) == pytest.approx(4.5, abs=0.01)


WRITTEN = {
    "comma": lambda value: f"{value:.2f}".replace(".", ","),
    "clock": lambda value: f"00:00:{value:05.2f}",
    "point": lambda value: f"{value:.2f}",
}


def parts(folder: Path, names: tuple[str, str], write: Any) -> Path:
    rows = []
    for number in range(8):
        soundfile.write(folder / f"{number}.wav", sounds.voice(number, 3.0), RATE)
        for part in range(6):
            span = {names[0]: write(0.5 * part), names[1]: write(0.5 * part + 0.5)}
            rows.append({"path": f"{number}.wav", **span, "label": "ab"[part % 2]})
    with (folder / "parts.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.mark.parametrize("how", WRITTEN)
def test_parts_in_columns_of_unknown_names_are_asked_for(tmp_path: Path, how: str) -> None:
    source = parts(tmp_path, ("debut", "fin"), WRITTEN[how])
    with pytest.raises(DataError, match="start_column") as told:
        load(source)
    assert "debut, fin" in str(told.value)
    data = load(source, start_column="debut", end_column="fin")
    assert lengths_of(data) == [RATE // 2] * 48


def test_the_least_time_is_no_minute(tmp_path: Path) -> None:
    data = load(parts(tmp_path, ("t_min", "t_max"), WRITTEN["point"]), start_column="t_min", end_column="t_max")
    assert lengths_of(data) == [RATE // 2] * 48


@pytest.mark.parametrize("names", [("start_min", "end_min"), ("x", "y")])
def test_parts_in_minutes(tmp_path: Path, names: tuple[str, str]) -> None:
    source = parts(tmp_path, names, lambda value: f"{value / 60:.6f}")
    unit = {} if names[0] == "start_min" else {"time_unit": "min"}
    data = load(source, start_column=names[0], end_column=names[1], label_column="label", **unit)
    assert sum(data.num_rows[split] for split in ("train", "validation", "test")) == 48
    assert all(abs(length - RATE // 2) <= 1 for length in lengths_of(data))


def test_columns_of_frames_are_told(tmp_path: Path) -> None:
    source = parts(tmp_path, ("start_frame", "end_frame"), lambda value: str(round(value * RATE)))
    data = load(source)
    assert any("start_frame" in text for text in data.report["warnings"])
    assert not load(source, time_unit="samples").report["warnings"]
    assert set(lengths_of(data)) == {RATE // 2}
