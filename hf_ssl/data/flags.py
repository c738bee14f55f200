"""Columns that say which rows somebody did not want: rejected by an annotator, excluded, deleted, of weight 0; and labels of merged cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_ssl.core.errors import DataError
from hf_ssl.core.one_column import values_of
from hf_ssl.data.column_names import distinct_values, plain_name, words_of_name
from hf_ssl.data.label_words import NO, YES, as_float
from hf_ssl.data.report import DataReport

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import SourcePart

VERDICTS = {
    "answer",
    "verdict",
    "status",
    "review",
    "decision",
    "qc",
    "quality",
    "review_status",
    "qc_status",
    "state",
    "flag",
}
ACCEPTED = {"accept", "accepted", "ok", "approved", "valid", "pass", "passed", "good", "keep", "included", "active", "current",
            "published", "live", "final"}  # fmt: skip
REFUSED = {
    "reject", "rejected", "ignore", "ignored", "skip", "skipped", "invalid", "fail", "failed", "excluded", "exclude", "discard", "discarded",
    "deleted", "removed", "bad", "withdrawn", "voided", "retracted", "superseded",
    "draft", "unpublished",
}  # fmt: skip
OUT = {
    "exclude", "excluded", "deleted", "removed", "discard", "discarded", "drop", "dropped", "ignored", "rejected", "invalid", "unusable",
    "corrupt", "corrupted", "removal", "deletion", "exclusion", "remove", "delete", "artifact", "artefact", "outlier", "blacklisted", "hidden",
    "withdrawn", "retracted",
}  # fmt: skip
"""Names of columns whose `yes` says that a row is not wanted."""
IN = {
    "include",
    "included",
    "keep",
    "kept",
    "usable",
    "use",
    "used",
    "approved",
    "accepted",
    "consent",
    "consented",
    "eligible",
}
"""Names of columns whose `no` says so."""
WEIGHTS = {"weight", "weights", "sample_weight", "case_weight"}
MOST_STATES = 8
FEWEST_BLOCKS, LONG_BLOCK = 4, 8


def refuse_verdicts(ignored: Sequence[str], part: SourcePart) -> None:
    """What annotators rejected would be trained on.

    Raises:
        DataError: a column says `accept` and `reject` (perhaps `pending`, too), and is not used.
    """
    for name in ignored:
        words = words_of_name(name)
        called = (
            plain_name(name) in VERDICTS
            or bool(words)
            and words[-1] in VERDICTS - {"answer", "review", "quality", "flag"}
        )
        if not called or not 2 <= distinct_values(part.dataset, name) <= MOST_STATES:
            continue
        found = Counter(str(value).strip().lower() for value in part.dataset[name] if value is not None)
        refused = sum(count for word, count in found.items() if word in REFUSED)
        if refused and not ACCEPTED.isdisjoint(found):
            raise DataError(
                f"{refused:,} of {len(part.dataset):,} rows of {part.origin} were not accepted (column "
                f"{name!r}: {', '.join(found)}). Leave them out of the file; label_column={name!r} if the column is the label; "
                f"ignore_columns=[{name!r}] if they are examples all the same."
            )


def tell_flags(ignored: Sequence[str], part: SourcePart, report: DataReport) -> None:
    """Columns that are not used and say of some rows that they are not wanted: `exclude`, `usable`, `deleted`, `weight`.

    Raises:
        DataError: see `refuse_verdicts`.
    """
    refuse_verdicts(ignored, part)
    for name in ignored:
        words = set(words_of_name(name)) - {"is", "was", "flag", "flagged", "marked", "for", "to", "be", "should"}
        if len(words) != 1 and plain_name(name) not in WEIGHTS:
            continue
        if plain_name(name) in WEIGHTS:
            values = [as_float(str(value)) for value in values_of(part.dataset, name, 200_000) if value is not None]
            count, told = sum(value == 0 for value in values), "0"
            if not count or count == len(values):
                continue
        else:
            unwanted = YES if words <= OUT else NO if words <= IN else None
            if unwanted is None or distinct_values(part.dataset, name) > 3:
                continue
            found = [str(value).strip().lower() for value in part.dataset[name] if value is not None]
            flagged = [value for value in found if value in unwanted]
            if not flagged or len(flagged) == len(part.dataset) or not set(found) <= YES | NO | {""}:
                continue
            count, told = len(flagged), flagged[0]
        report.warn(
            f"{count:,} of {len(part.dataset):,} rows of {part.origin} have {name!r} = {told!r}, and are read as all others: leave them out of "
            f"the file if they are not wanted, ignore_columns=[{name!r}] says that they are"
        )


def tell_merged_cells(labels: Sequence[object], name: str, part: SourcePart, report: DataReport) -> None:
    """Labels that stand in the first row of a block alone, with blanks below, as merged cells of a spreadsheet are exported.

    Blocks have the same length, or their labels alternate: a few labels at random places are just few labels.
    """
    places = [place for place, label in enumerate(labels) if label is not None and str(label).strip()]
    gaps = [after - before for before, after in zip(places, places[1:], strict=False)]
    long = len(places) > 1 and min([*gaps, len(labels) - places[-1]]) >= LONG_BLOCK
    if len(places) < FEWEST_BLOCKS and not long or not places or places[0] != 0 or min(gaps) < 2:
        return
    said = [str(labels[place]) for place in places]
    changes = all(before != after for before, after in zip(said, said[1:], strict=False))
    if len({*gaps}) == 1 or changes:
        report.warn(
            f"{part.origin}: column {name!r} has a value in {len(places):,} of {len(labels):,} rows, each the first of a block of {gaps[0]} rows or "
            "so, as merged cells of a spreadsheet: rows without one are read as unlabeled. If a label holds for the rows below it, fill them in "
            f"the file (pandas: table[{name!r}].ffill()); ignore_columns=[{name!r}] reads all rows without labels"
        )
