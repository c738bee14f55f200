"""Names of columns: found whatever their case, and doubted where one that is not used looks like a label or a group."""

from __future__ import annotations

import re
from collections.abc import Sequence

import datasets

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.data.readers.folders import SourcePart

LIKE_LABELS = {"sentiment", "stars", "rating", "y", "diagnosis", "dx", "emotion", "intent", "topic", "species", "outcome", "gold",
               "annotation", "score", "grade", "polarity", "genre", "toxic", "toxicity", "spam", "klass", "classes", "cls",
               "label_name", "class_name", "label_text", "category_name", "target_label", "class_id", "label_id"}  # fmt: skip
LIKE_GROUPS = {"group", "groups", "group_id", "patient", "patient_id", "patientid", "subject", "subject_id", "speaker", "speaker_id",
               "author", "author_id", "user", "user_id", "userid", "username", "participant", "participant_id", "recording_id",
               "site", "hospital", "session", "session_id", "household", "customer", "customer_id", "client_id", "donor",
               "donor_id", "writer", "writer_id", "case_id", "study_id"}  # fmt: skip


def named(name: str, there: Sequence[str]) -> str | None:
    """The column of this name: spelled exactly so, else the only one that differs in case, blanks and hyphens."""
    if name in there:
        return name
    found = [other for other in there if plain_name(other) == plain_name(name)]
    return found[0] if len(found) == 1 else None


def plain_name(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def _distinct(dataset: datasets.Dataset, column: str) -> int:
    """Different values of a column, of its first 20,000 rows; 0 for columns that hold no plain values."""
    if not isinstance(dataset.features[column], (datasets.Value, datasets.ClassLabel)):
        return 0
    return len({value for value in dataset[:20_000][column] if value is not None})


def _is_bits(dataset: datasets.Dataset, column: str) -> bool:
    """Whether a column holds nothing but 0 and 1, and both."""
    if not isinstance(dataset.features[column], datasets.Value):
        return False
    return {str(value) for value in dataset[:20_000][column] if value is not None} in (
        {"0", "1"},
        {"False", "True"},
        {"0.0", "1.0"},
    )


def doubt_labels(ignored: list[str], part: SourcePart) -> None:
    """Columns that are not used, but whose names and values say that they might have been meant.

    Raises:
        DataError: one looks like the label, and none was found.
    """
    size = len(part.dataset)
    bits = [name for name in ignored if _is_bits(part.dataset, name)]
    if len(bits) >= 2:
        raise DataError(
            f"{part.origin} has no label column, but {len(bits)} columns of 0 and 1 ({', '.join(bits[:5])}). If each is a label: "
            f"label_columns={bits}; if none is: ignore_columns={bits}."
        )
    for name in ignored:
        if plain_name(name) in LIKE_LABELS and 2 <= _distinct(part.dataset, name) <= max(2, min(200, size // 2)):
            raise DataError(
                f"No column of {part.origin} is called label, but {name!r} looks like one ({_distinct(part.dataset, name)} values in "
                f"{size:,} rows). Give label_column={name!r}, or ignore_columns=[{name!r}] if it is none."
            )


def like_groups(ignored: list[str], part: SourcePart) -> list[str]:
    """Columns that look like groups: called so, and with values that repeat."""
    size = len(part.dataset)
    return [
        name
        for name in ignored
        if plain_name(name) in LIKE_GROUPS and 2 <= _distinct(part.dataset, name) <= 0.9 * size
    ]


def looks_like_data(names: Sequence[str], part: SourcePart) -> bool:
    """Whether the names of columns are values: long texts, numbers, or values that the columns hold themselves."""
    head = part.dataset[:2000]
    for name in names:
        if (
            len(name) > 40
            and " " in name
            or len(name.split()) > 5
            or re.fullmatch(r"-?\d+([.,]\d+)?|\d{4}-\d\d-\d\d.*", name.strip())
        ):
            return True
        if len(names) > 1 and isinstance(part.dataset.features[name], datasets.Value):
            values = [value for value in head[name] if value is not None]
            if len(values) > 4 and sum(value == name for value in values) >= max(2, 0.05 * len(values)):
                return True
    return False


def made_up_names(count: int) -> list[str]:
    return ["text", "label", *(f"column_{place}" for place in range(2, count))][:count]


def existing(name: str, there: Sequence[str], option: str, part: SourcePart) -> str:
    """The column that an option names.

    Raises:
        DataError: there is none; the nearest one is named.
    """
    found = named(name, there)
    if found is not None:
        return found
    raise DataError(f"{option}={name!r}, but the columns of {part.origin} are {shown(there)}.{nearest(name, there)}")


def shown(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names[:30]) + (" ..." if len(names) > 30 else "")
