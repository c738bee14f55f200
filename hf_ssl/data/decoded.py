"""What the input column holds (paths, bytes, arrays) → the modality's own values, before columns get their names."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.data.column_names import named
from hf_ssl.data.columns import LABEL_ALIASES, ColumnSpec, input_column
from hf_ssl.data.readers.files import check_bad_files, short
from hf_ssl.data.readers.folders import ReadOptions, SourcePart
from hf_ssl.data.readers.levels import FOLDER_LABEL
from hf_ssl.data.readers.lost import refuse_lost_values
from hf_ssl.data.readers.tables import quiet
from hf_ssl.data.report import kind_of_reason

RECORDING = "recording"  # a column that says which rows were cut from one file


def decoded(
    parts: list[SourcePart], spec: ColumnSpec, how: ReadOptions, *, whole: bool = False
) -> tuple[list[SourcePart], ColumnSpec]:
    """Let the modality decode, cut and check every part (text has nothing to do).

    Rows that were cut from one file form a group when the user names none, so that no file is on two sides of a split.

    Args:
        whole: rows of the pool stay whole, too.

    Raises:
        DataError: nothing usable is left, or more rows than `max_left_out` are unusable.
    """
    modality = how.modality
    if not modality.decodes:
        made_here = all(part.origin == f"{modality.name} files" for part in parts)
        return _grouped(parts, spec, how) if made_here else (parts, spec)
    cache = Path(how.cache_dir or datasets.config.HF_DATASETS_CACHE) / f"hf_ssl_{modality.name}"
    done, faults = [], list[str]()
    for part in parts:
        bad: list[dict[str, str]] = []
        free = [
            name for name in spec.ignore if name in part.dataset.column_names
        ]  # they say no part of a recording either
        with quiet():
            rows, notes = modality.decode(
                part.dataset.remove_columns(free), input_column(modality, spec.input, part), root=part.root, cache=cache, quarantine=bad,
                whole=whole or (how.label_kind == "transcript" and part.split != "unlabeled"),
            )  # fmt: skip
        bad = [{**item, "path": short(item["path"], part.root)} for item in bad]
        how.report.quarantined += bad
        faults += [item["reason"] for item in bad]
        _enter(bad, len(part.dataset), part, how)
        if not len(rows):
            raise DataError(
                f"{part.origin} holds no usable {modality.name}: {bad[0]['reason'] if bad else 'no rows'}."
            )
        for note in notes:
            how.report.warn(note)
        how.report.account("pieces").found += len(rows)
        done.append(replace(part, dataset=rows))
    if faults:
        _refuse_lost(parts, done, spec, how, faults[0])
    how.report.unit = "pieces"
    return _grouped(done, replace(spec, input=modality.column), how)


def _refuse_lost(
    before: list[SourcePart], after: list[SourcePart], spec: ColumnSpec, how: ReadOptions, reason: str
) -> None:
    """See `refuse_lost_values`; labels are those of folders, of the column that the user names, or of one that is called so."""
    if how.label_kind in ("transcript", "regression", "mask", "tags"):
        return

    def labels(parts: list[SourcePart]) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for part in parts:
            there = part.dataset.column_names
            aliases = (spec.label,) if spec.label else (FOLDER_LABEL, *LABEL_ALIASES)
            name = next((name for alias in aliases if (name := named(alias, there))), None)
            if (
                name is not None
                and part.split != "unlabeled"
                and part.dataset.features[name] == datasets.Value("string")
            ):
                found[name].update(one for one in part.dataset[name] if one and one not in spec.na)
        return found

    left = labels(after)
    for name, counts in labels(before).items():
        what = "a folder" if name == FOLDER_LABEL else f"column {name!r}"
        refuse_lost_values(
            counts, left[name], what, f"{reason}. {how.modality.hint(reason)}".rstrip(". "), name == FOLDER_LABEL
        )


def _enter(bad: list[dict[str, str]], total: int, part: SourcePart, how: ReadOptions) -> None:
    """Unusable rows by reason, and the others as used; too many of one reason are an error that names the option.

    Raises:
        DataError: more than `max_left_out` of the rows are unusable.
    """
    reasons = Counter(kind_of_reason(item["reason"]) for item in bad)
    how.report.account("rows").used += total - len(bad)
    hints = dict.fromkeys(hint for item in bad if (hint := how.modality.hint(item["reason"])))
    check_bad_files(bad, total, how.report, "recordings", "; ".join(hints))
    for reason, count in reasons.most_common():
        how.report.leave_out("rows", reason, count, total, warn=False)


def _grouped(parts: list[SourcePart], spec: ColumnSpec, how: ReadOptions) -> tuple[list[SourcePart], ColumnSpec]:
    if spec.group is not None or not any(RECORDING in part.dataset.column_names for part in parts):
        return parts, spec
    for part in parts:
        if RECORDING not in part.dataset.column_names:  # every row is a recording of its own
            part.dataset = part.dataset.add_column(
                RECORDING, list(part.dataset["path"]), feature=datasets.Value("string")
            )
    how.report.decide(f"rows of one {RECORDING} stay together")
    return parts, replace(spec, group=RECORDING)
