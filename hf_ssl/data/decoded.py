"""What the input column holds (paths, bytes, arrays) → the modality's own values, before columns get their names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.data.columns import Wanted, input_column
from hf_ssl.data.readers.files import check_bad_files
from hf_ssl.data.readers.sources import Part, Reading
from hf_ssl.data.readers.tables import quiet

RECORDING = "recording"  # a column that says which rows were cut from one file


def decoded(parts: list[Part], wanted: Wanted, how: Reading) -> tuple[list[Part], Wanted]:
    """Let the modality decode, cut and check every part (text has nothing to do).

    Rows that were cut from one file form a group when the user names none, so that no file is on two sides of a split.

    Raises:
        DataError: nothing usable is left, or more than one row in five is unusable.
    """
    modality = how.modality
    if not modality.decodes:
        return parts, wanted
    cache = Path(how.cache_dir or datasets.config.HF_DATASETS_CACHE) / f"hf_ssl_{modality.name}"
    done = []
    for part in parts:
        bad: list[dict[str, str]] = []
        with quiet():
            rows, notes = modality.decode(
                part.dataset, input_column(modality, wanted.input, part), root=part.root, cache=cache, quarantine=bad,
                whole=how.label_kind == "transcript" and part.split != "unlabeled",
            )  # fmt: skip
        how.ledger.quarantined += [{**item, "path": _short(item["path"], part.root)} for item in bad]
        check_bad_files(bad, len(part.dataset))
        if not len(rows):
            raise DataError(
                f"{part.origin} holds no usable {modality.name}: {bad[0]['reason'] if bad else 'no rows'}."
            )
        for note in notes:
            how.ledger.decide(note)
        done.append(Part(part.split, rows, part.origin, part.root))
    return _grouped(done, replace(wanted, input=modality.column), how)


def _grouped(parts: list[Part], wanted: Wanted, how: Reading) -> tuple[list[Part], Wanted]:
    if wanted.group is not None or not any(RECORDING in part.dataset.column_names for part in parts):
        return parts, wanted
    for part in parts:
        if RECORDING not in part.dataset.column_names:  # every row is a recording of its own
            part.dataset = part.dataset.add_column(
                RECORDING, list(part.dataset["path"]), feature=datasets.Value("string")
            )
    how.ledger.decide(f"rows of one {RECORDING} stay together")
    return parts, replace(wanted, group=RECORDING)


def _short(path: str, root: Path | None) -> str:
    """Below the data's own folder, or the bare name: a report tells nothing about the rest of the disk."""
    if not Path(path).is_absolute():
        return path
    return Path(path).relative_to(root).as_posix() if root and Path(path).is_relative_to(root) else Path(path).name
