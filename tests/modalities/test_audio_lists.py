"""Lists of recordings as Kaldi and ELAN write them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("soundfile")
from data_kinds import tone  # noqa: E402

from hf_ssl import load_data  # noqa: E402
from hf_ssl.core.errors import DataError  # noqa: E402


def kaldi(at: Path, commands: int) -> None:
    at.mkdir(exist_ok=True)
    for number in range(10):
        tone(at / f"r{number}.wav", 200.37 + 20.11 * number, 1.5)
    lines = [f"rec{n} sox r{n}.wav -t wav - |" if n < commands else f"rec{n} r{n}.wav" for n in range(10)]
    (at / "wav.scp").write_text("\n".join(lines) + "\n")
    (at / "segments").write_text(
        "".join(f"u{n}-{k} rec{n} {k * 0.5} {k * 0.5 + 0.4}\n" for n in range(10) for k in range(3))
    )


def test_commands_are_counted_as_recordings(tmp_path: Path) -> None:
    kaldi(tmp_path, 5)
    with pytest.raises(DataError, match="(?s)15 of 30 recordings.*max_left_out=0.5"):
        load_data(tmp_path, modality="audio", verbose=False)
    data = load_data(tmp_path, modality="audio", verbose=False, max_left_out=0.5)
    assert data.report["accounts"]["pieces"]["used"] == 15


ELAN = {
    "hh:mm:ss.ms": lambda seconds: f"00:00:{seconds:06.3f}",
    "ss.msec": lambda seconds: f"{seconds:.3f}",
    "msec": lambda seconds: f"{round(1000 * seconds)}",
}


@pytest.mark.parametrize("unit", ELAN)
def test_times_as_elan_writes_them(tmp_path: Path, unit: str) -> None:
    for number in range(4):
        tone(tmp_path / f"r{number}.wav", 200 + 50 * number, 3.0)
    rows = [f"file\tBegin Time - {unit}\tEnd Time - {unit}\tlabel"]
    for number in range(16):
        start = 0.7 * (number // 4)
        rows.append(
            f"r{number % 4}.wav\t{ELAN[unit](start)}\t{ELAN[unit](start + 0.3 + 0.01 * number)}\t{'ab'[number // 4 % 2]}"
        )
    (tmp_path / "e.tsv").write_text("\n".join(rows) + "\n")
    data = load_data(tmp_path, modality="audio", verbose=False, validation_fraction=0, test_fraction=0)
    lengths = sorted(row["audio"]["length"] / 16_000 for row in data["train"])
    assert lengths == pytest.approx([0.3 + 0.01 * number for number in range(16)], abs=1e-3)


def test_the_column_of_files_is_the_one_whose_values_are_there(tmp_path: Path) -> None:
    for number in range(20):
        tone(tmp_path / "clips" / f"{100 + number}.wav", 200 + 20 * number, 0.5)
    rows = [f'{100 + number},"{"Bark" if number % 2 else "Rain"}"' for number in range(20)]
    (tmp_path / "list.csv").write_text("clip no.,labels\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match="input_column='clip no.'"):
        load_data(tmp_path, modality="audio", verbose=False)
