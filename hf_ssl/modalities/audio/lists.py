"""Lists of recordings: Kaldi's folders, and paths in tables that are right but for the folder in front."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_ssl.core.by_name import ByName
from hf_ssl.core.errors import DataError

KALDI = (
    "wav.scp",
    "segments",
    "text",
    "utt2spk",
    "spk2utt",
    "utt2dur",
    "reco2dur",
    "spk2gender",
    "utt2label",
    "utt2lang",
)


def is_kaldi(file: Path) -> bool:
    """Whether this is one of the lists of a Kaldi data folder."""
    return file.name in KALDI and (file.parent / "wav.scp").is_file()


def read_kaldi(files: list[Path], root: Path) -> tuple[dict[str, list[Any]], list[str]]:
    """Rows of Kaldi data folders: one per segment, or per recording without segments.

    A recording that is a command (`sox ... |`) is never run: it stays what it is, and whoever opens it says so.

    Returns:
        Columns `audio`, `path`, `id`, `start`, `end`, and `transcript`, `speaker`, `label` where the lists have them; and notes.
    """
    rows: list[dict[str, Any]] = []
    for file in files:
        folder = file.parent
        wavs = _pairs(file)
        extra = {
            name: _pairs(folder / listed)
            for name, listed in (("transcript", "text"), ("speaker", "utt2spk"), ("label", "utt2label"))
        }
        segments = _pairs(folder / "segments")
        parts: list[tuple[str | None, ...]] = [(utterance, *line.split()) for utterance, line in segments.items()] or [
            (name, name, None, None) for name in wavs
        ]
        for utterance, recording, start, end in (part for part in parts if len(part) == 4):
            source = wavs.get(str(recording), f"{recording}, which wav.scp does not name")
            path = Path(source)
            found = next((place for place in (path, folder / path, root / path) if place.is_file()), path)
            shown = source if found.is_file() else utterance
            row = {"audio": str(found), "path": shown, "id": utterance, "start": _time(start), "end": _time(end)}
            rows.append({**row, **{name: values.get(str(utterance)) for name, values in extra.items() if values}})
    names = dict.fromkeys(name for row in rows for name in row)
    notes = [
        f"lists of Kaldi: {len(rows):,} rows by wav.scp{' and segments' if any(row['end'] is not None for row in rows) else ''}"
    ]
    return {name: [row.get(name) for row in rows] for name in names}, notes


def _time(text: str | None) -> float | None:
    return None if text is None or float(text) < 0 else float(text)


def _pairs(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return {key: rest.strip() for key, _, rest in (line.strip().partition(" ") for line in lines if line.strip())}


def locate(value: object, root: Path | None, audio_root: str | None, by_name: ByName) -> object:
    """A path in a table is relative to `audio_root`, else to the table's folder, else to the current one; else it is the only
    file of that name below the data's folder. Anything but a path stays what it is.

    Raises:
        DataError: bare samples, whose rate nobody knows.
    """
    if isinstance(value, dict) and value.get("bytes") is None and isinstance(value.get("path"), str):
        value = value["path"]
    if isinstance(value, list):
        raise DataError(
            "The audio column holds bare lists of numbers, whose rate is not known. Give paths, a datasets.Audio "
            'column, or {"array": samples, "sampling_rate": 16000} per row.'
        )
    if not isinstance(value, str) or Path(value).is_absolute() and Path(value).is_file():
        return value
    plain = value.strip().replace("\\", "/")
    for folder in (audio_root, root):
        if folder is not None and (Path(folder).expanduser() / plain).is_file():
            return str(Path(folder).expanduser() / plain)
    return value if Path(value).is_file() else by_name.find(plain) or value


def name_of(value: object, row: int) -> str:
    """What a report calls a recording: its path, never its content."""
    path = value.get("path") if isinstance(value, dict) else value
    return path if isinstance(path, str) and path else f"row {row}"
