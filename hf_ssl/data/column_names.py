"""Names of columns: found whatever their case, and doubted where one that is not used looks like a label or a group."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import datasets

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.core.one_column import type_of, values_of, whole_names, whole_words
from hf_ssl.data.label_separators import separator_in
from hf_ssl.data.label_words import NO, YES, as_float
from hf_ssl.data.readers.files import FILE_CLASS, FOLDER_GROUP, FOLDER_LABEL
from hf_ssl.data.report import DataReport

if TYPE_CHECKING:
    from hf_ssl.data.columns import ColumnSpec
    from hf_ssl.data.readers.folders import SourcePart

LIKE_LABELS = {"sentiment", "stars", "rating", "y", "y_true", "ytrue", "ground_truth", "groundtruth", "gt",
               "diagnosis", "dx", "emotion", "intent", "topic", "species", "outcome", "gold",
               "annotation", "score", "grade", "polarity", "genre", "toxic", "toxicity", "spam", "klass", "classes", "cls",
               "label_name", "class_name", "label_text", "category_name", "target_label", "class_id", "label_id"}  # fmt: skip


LABEL_WORDS = {"label", "labels", "class", "classes", "category", "sentiment", "target", "rating", "stars", "score", "spam", "toxic", "toxicity",
               "gold", "emotion", "intent", "topic", "diagnosis", "polarity", "genre", "outcome", "grade", "annotation", "duplicate",
               "entailment", "similarity", "relatedness", "hate", "offensive", "sarcastic", "verdict", "stance"}  # fmt: skip
HARMLESS = {"lang", "language", "source", "country", "date", "year", "month", "day", "time", "id", "split", "url", "locale", "license", "domain",
            "version", "index", "length", "title", "path", "file", "fold", "region", "city", "platform", "device", "format", "type", "publisher",
            "publication", "timestamp", "gender", "age"}  # fmt: skip
"""Columns of few values that tell about a text and are no answer."""
MAY_BE_ASKED = {"lang", "language", "country", "region", "city", "gender", "locale", "platform", "device", "type"}
"""Those of them that a text may be asked for, where a table has no other column."""
NUMBERING = {"id", "ids", "nr", "no", "num", "number", "code", "key", "idx", "row", "page", "order",
             "position", "offset", "unnamed", "uid"}  # fmt: skip
"""Last words of the names of columns that number rows."""
SECOND_TEXTS = {
    "sentence2", "sentence_2", "text2", "text_2", "text_b", "hypothesis", "premise", "question2", "context", "answer", "aspect", "response",
    "query", "passage", "claim", "evidence", "sentence_b", "s2", "target_text", "second_text", "reply",
}  # fmt: skip
NOT_THE_ANSWER = {"pred", "preds", "predicted", "prediction", "predictions", "old", "previous", "suggestion", "suggested", "auto", "automatic",
                  "model", "machine", "guess", "weak", "noisy", "status", "count", "score", "confidence", "hat", "yhat", "ypred"}  # fmt: skip
HOLDS_IN_THE_END = {"true", "gold", "new", "corrected", "response", "responses", "final", "human", "expert", "actual"}
"""Words in names of columns that say what a program or somebody earlier thought, and what holds in the end."""
LISTS = {
    "tag",
    "tags",
    "genres",
    "topics",
    "categories",
    "emotions",
    "intents",
    "themes",
    "diagnoses",
    "hashtags",
    "keywords",
    "keyword",
}
"""What columns of several labels a row are called."""
TITLES = {"title", "subject", "headline", "summary", "heading", "question", "text", "abstract", "description", "body"}
"""What shorter texts are called."""
PAIRS = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("sentence_1", "sentence_2"), ("question1", "question2"), ("text_a", "text_b"),
         ("text1", "text2"), ("text_1", "text_2"), ("question", "answer"), ("question", "context"), ("query", "passage"), ("claim", "evidence"),
         ("sentence_a", "sentence_b"), ("sentence", "aspect"))  # fmt: skip
"""Columns that belong together: reading one alone answers another question."""
WORDS_AND_TAGS = "For spans write words and tags: columns tokens and tags; for classes a column of them"
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def words_of_name(name: str) -> list[str]:
    """`patientId`, `Speaker Name`, `label (final)` → their words in lower case."""
    return [word.lower() for word in re.split(r"[\W_]+", _CAMEL.sub(" ", name)) if word]


def called_as_label(name: str) -> bool:
    words = words_of_name(name)
    joined = any(
        re.search(r"^label(?:s|\d+|id)?$|[a-z]label(?:s|\d+)?$", word) and not word.startswith("un") for word in words
    )
    known = plain_name(name) in LIKE_LABELS or len(words) <= 4 and (joined or not LABEL_WORDS.isdisjoint(words))
    return known or "." in name and called_as_label(name.partition(".")[2])


def pair_of(there: Sequence[str]) -> tuple[str, str] | None:
    """Two columns that hold the two texts of a pair, when there are such."""
    for one, two in PAIRS:
        if (first := named(one, there)) and (second := named(two, there)):
            return first, second
    return None


def named(name: str, there: Sequence[str]) -> str | None:
    """The column of this name: spelled exactly so, else the only one that differs in case, blanks and hyphens."""
    if name in there:
        return name
    found = [other for other in there if plain_name(other) == plain_name(name)]
    return found[0] if len(found) == 1 else None


def in_full(spec: ColumnSpec, parts: Sequence[SourcePart]) -> ColumnSpec:
    """Lists of columns and of words with those that hold commas in one piece: a command line cuts them there."""
    there = list(dict.fromkeys(name for part in parts for name in part.dataset.column_names))
    keep, labels, ignore = (whole_names(names, there) for names in (spec.keep, spec.labels, spec.ignore))
    return replace(
        spec, keep=keep, labels=labels, ignore=ignore, na=whole_words(spec.na, (part.dataset for part in parts))
    )


@functools.lru_cache(1 << 16)
def plain_name(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def structures(dataset: datasets.Dataset) -> dict[str, list[str]]:
    """Columns of structures, and the names in them."""
    return {name: list(feature) for name, feature in dataset.features.items() if isinstance(feature, dict)}


def structures_in_list(feature: object) -> dict[str, object]:
    """Names and types in lists of structures: `[{"name": "pos", "score": 0.9}]`; {} for anything else."""
    inner = feature.feature if isinstance(feature, (datasets.List, datasets.LargeList)) else None
    return dict(inner) if isinstance(inner, dict) else {}


def refuse_structures(dataset: datasets.Dataset, name: str, part: SourcePart) -> None:
    """Labels that are structures, or lists of such: which of their values is meant?

    Raises:
        DataError: names them.
    """
    if listed := structures_in_list(type_of(dataset, name)):
        if {"start", "end"} <= set(listed):
            raise DataError(
                f"Column {name!r} of {part.origin} holds spans of the input ({', '.join(listed)}), no labels. {WORDS_AND_TAGS}."
            )
        words = [key for key, kind in listed.items() if getattr(kind, "dtype", "") in ("string", "large_string")]
        ways = " or ".join(f"label_column={f'{name}.{key}'!r}" for key in (words or list(listed))[:5])
        raise DataError(
            f"Column {name!r} of {part.origin} holds lists of structures ({', '.join(listed)}), no labels. One of the values in them is named with "
            f"a dot, and makes lists of labels: {ways}."
        )
    if inside := structures(dataset).get(name):
        named_ones = " or ".join(f"label_column={f'{name}.{key}'!r}" for key in inside[:5])
        kinds = {key: getattr(value, "dtype", "") for key, value in part.dataset.features[name].items()}
        bits = [f"{name}.{key}" for key, kind in kinds.items() if kind.startswith(("bool", "int", "uint", "float"))]
        several = f" All of them, one label each: label_columns={bits}." if len(bits) > 1 else ""
        raise DataError(
            f"Column {name!r} of {part.origin} holds structures, no labels. One of the values in them is named with a dot: {named_ones}."
            f"{several}"
        )


def distinct_values(dataset: datasets.Dataset, column: str) -> int:
    """Different values of a column, of its first 20,000 rows; 0 for columns that hold no plain values."""
    if not isinstance(type_of(dataset, column), (datasets.Value, datasets.ClassLabel)):
        return 0
    return len({value for value in values_of(dataset, column, 20_000) if value is not None})


def distinct_labels(dataset: datasets.Dataset, column: str) -> int:
    """`distinct_values`, of lists of plain values, too: several labels a row."""
    feature = type_of(dataset, column)
    if isinstance(feature, (datasets.List, datasets.LargeList)) and isinstance(feature.feature, datasets.Value):
        return len({tuple(value) for value in values_of(dataset, column, 20_000) if value is not None})
    return distinct_values(dataset, column)


def _is_bits(dataset: datasets.Dataset, column: str) -> bool:
    """Whether a column holds nothing but yes and no, however they are written, and both (or marks, and nothing else)."""
    if not isinstance(type_of(dataset, column), datasets.Value):
        return False
    found = {str(value).strip().lower() for value in values_of(dataset, column, 20_000) if value is not None}
    found -= {"-1", "-1.0", ""}
    return bool(found & YES) and len(found) <= 2 and (len(found - YES) == 1 and found - YES <= NO or found == {"x"})


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
    most = max(2, min(200, size // 2))
    called = [name for name in ignored if name != FILE_CLASS and called_as_label(name)]
    counts = {name: count for name in called if 2 <= (count := distinct_labels(part.dataset, name)) <= most}
    lists = {name: mark for name in ignored if name not in counts and (mark := _joined(part.dataset, name))}
    for name, mark in lists.items():
        if name in called or plain_name(name) in LISTS:
            raise DataError(
                f"No column of {part.origin} is called label, but {name!r} holds several labels in one text, with {mark!r} between them: "
                f"label_column={name!r} with label_kind='multilabel' and label_separator={mark!r}, or ignore_columns=[{name!r}] if they are none."
            )
    found = sorted(
        counts,
        key=lambda name: (
            not NOT_THE_ANSWER.isdisjoint(words_of_name(name)),
            HOLDS_IN_THE_END.isdisjoint(words_of_name(name)),
        ),
    )
    if found:
        ways = " or ".join(f"label_column={name!r}" for name in found[:6])
        raise DataError(
            f"No column of {part.origin} is called label, but {' and '.join(map(repr, found[:6]))} look{'s' if len(found) == 1 else ''} like one "
            f"({counts[found[0]]} values in {size:,} rows). Give {ways}, or ignore_columns={found} if {'it is' if len(found) == 1 else 'they are'} "
            "none."
        )


def _joined(dataset: datasets.Dataset, column: str) -> str | None:
    """What separates several labels of a row in a column of text that is called as labels or lists of them are."""
    lists = not LISTS.isdisjoint(words_of_name(column))
    if not (lists or called_as_label(column)) or getattr(type_of(dataset, column), "dtype", "") not in (
        "string",
        "large_string",
    ):
        return None
    return separator_in([value for value in values_of(dataset, column, 2000) if value], lists)


CAPTIONS = frozenset("text caption captions description prompt report findings impression alt_text".split())
"""Names of columns of what somebody wrote about a picture."""


def tell_perhaps_labels(ignored: list[str], part: SourcePart, report: DataReport) -> None:
    """Columns of a table without a label that hold a few words again and again, whatever they are called."""
    size = len(part.dataset)
    only = [name for name in ignored if name != "path"]
    for name in ignored:
        kind = getattr(type_of(part.dataset, name), "dtype", "")
        if only == [name] and not called_as_label(name) and _are_amounts(part.dataset, name):
            report.warn(
                f"{part.origin} has no label column, and its only other column, {name!r}, holds numbers: label_column={name!r} with "
                f"label_kind='regression' if they are the labels, ignore_columns=[{name!r}] if not"
            )
            continue
        if plain_name(name) in CAPTIONS and any(
            isinstance(one, datasets.Image) for one in part.dataset.features.values()
        ):
            report.warn(
                f"column {name!r} of {part.origin} is called as texts about pictures are, and is not read: ignore_columns=[{name!r}] says so"
            )
            continue
        if called_as_label(name) and are_numbers(part.dataset, name):
            report.warn(
                f"{part.origin} has no label column, and column {name!r}, which is called as labels are, is not used: label_column={name!r} with "
                f"label_kind='regression' if it holds the labels, ignore_columns=[{name!r}] if not"
            )
            continue
        if (
            kind not in ("string", "large_string")
            or not {"pred", "hat", "yhat", "ypred"}.isdisjoint(words_of_name(name))
            or name != FILE_CLASS
            and not (HARMLESS - (MAY_BE_ASKED if only == [name] else set())).isdisjoint(words_of_name(name))
        ):
            continue
        if 2 <= distinct_values(part.dataset, name) <= min(50 if name == FILE_CLASS else 20, size // 5):
            made = ", made of the names of files," if name == FILE_CLASS else ""
            values = sorted({str(value) for value in values_of(part.dataset, name, 2000) if value is not None})[:3]
            report.warn(
                f"{part.origin} has no label column; {name!r}{made} holds the same few values again and again ({', '.join(values)} ...): "
                f"label_column={name!r} if they are labels, ignore_columns=[{name!r}] if not"
            )


def _are_amounts(dataset: datasets.Dataset, column: str) -> bool:
    """Whether a column holds numbers that tell of its rows, and do not number them."""
    words = words_of_name(column)
    if (
        not words
        or words[-1] in NUMBERING
        or not (HARMLESS - {"age"}).isdisjoint(words)
        or not are_numbers(dataset, column)
    ):
        return False
    found = [number for value in values_of(dataset, column, 2000) if (number := as_float(str(value))) is not None]
    return found != [found[0] + place for place in range(len(found))] or found[0] not in (0, 1)


def are_numbers(dataset: datasets.Dataset, column: str) -> bool:
    """Whether a column holds numbers alone, many different ones, as such or as text."""
    if not isinstance(type_of(dataset, column), datasets.Value) or distinct_values(dataset, column) < 8:
        return False
    values = [value for value in values_of(dataset, column, 2000) if value is not None]
    return all(not isinstance(value, bool) and as_float(str(value)) is not None for value in values)


def tell_second_texts(ignored: list[str], used: str, part: SourcePart, report: DataReport) -> None:
    """Columns that are not used and are called as the second text of a pair is, or hold texts of their own."""
    for name in ignored:
        if name != used and (plain_name(name) in SECOND_TEXTS or _are_texts(part.dataset, name)):
            report.warn(
                f"column {name!r} is not used: only {used!r} is read. text_pair_column={name!r} reads both, "
                f"ignore_columns=[{name!r}] says that one is meant"
            )


def _are_texts(dataset: datasets.Dataset, column: str) -> bool:
    """Whether a column holds texts: several words in nearly every row, and nearly every row others."""
    if getattr(type_of(dataset, column), "dtype", "") not in ("string", "large_string"):
        return False
    values = [value for value in values_of(dataset, column, 2000) if value is not None and value.strip()]
    if len(values) < 5 or len(set(values)) < 0.7 * len(values):
        return False
    words = sorted(sum(bool(re.search(r"[^\W\d_]{2}", word)) for word in value.split()) for value in values)
    return words[len(words) // 4] >= (3 if not TITLES.isdisjoint(words_of_name(column)) else 4)


def tell_twins(ignored: list[str], used: dict[str, str | None], report: DataReport) -> None:
    """Columns whose names differ from those that are used in case or blanks only; `used`: option → column."""
    for option, column in used.items():
        for name in ignored:
            if column is not None and plain_name(name) == plain_name(column):
                report.warn(
                    f"columns {column!r} and {name!r} differ in case or blanks only: took {column!r}; {option}={name!r} takes the other"
                )


def existing(name: str, there: Sequence[str], option: str, part: SourcePart) -> str:
    """The column that an option names.

    Raises:
        DataError: there is none; the nearest one is named.
    """
    found = named(name, there)
    if found == FOLDER_LABEL and option == "group_column":  # the class would be lost
        raise DataError(
            "group_column='folder': those folders are the classes; another that is the group: group_level=..."
        )
    if found is not None:
        return found
    if name == FOLDER_LABEL and option == "label_column" and "path" in there:
        raise DataError(
            f"label_column={name!r}: the folders of {part.origin} are not taken for classes. folder_level='last' takes the folder that a file lies "
            "in, folder_level='first' the outermost one; a table with a row per file goes into labels_file=..."
        )
    if name == FOLDER_GROUP:
        raise DataError(
            f"group_level names a folder above files, and {part.origin} are no files of rows: name a column, group_column=..."
        )
    if option == "group_column" and FOLDER_LABEL in there:
        raise DataError(
            f"group_column={name!r}: {part.origin} have no such column. If a folder above them is the group: group_level='first' (the outermost), "
            "'last', or its number from 1."
        )
    raise DataError(f"{option}={name!r}, but the columns of {part.origin} are {shown(there)}.{nearest(name, there)}")


def shown(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names[:30]) + (" ..." if len(names) > 30 else "")
