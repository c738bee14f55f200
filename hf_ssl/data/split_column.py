"""A column that says the split of every row (`split`, `is_test`): followed, because not to see it would mix test with train."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.core.one_column import type_of, values_of
from hf_ssl.data.column_names import named, plain_name, words_of_name
from hf_ssl.data.columns import LABEL_ALIASES
from hf_ssl.data.label_words import NO, YES
from hf_ssl.data.readers.files import FOLDER_LABEL, HELD_OUT, SPLIT_NAMES, split_named
from hf_ssl.data.readers.folders import ReadOptions, SourcePart
from hf_ssl.data.readers.split_words import FOREIGN
from hf_ssl.data.rows import selected

NAMES = (
    "split",
    "splits",
    "data_split",
    "dataset_split",
    "split_name",
    "partition",
    "tvt",
    "set",
    "subset",
    "usage",
    "phase",
)
"""Columns that are meant to say it, as a rule; any other of few values is one when these are words for splits."""
SURE = frozenset({"split", "splits", "partition", "partitions", "tvt"})
"""Words in names that say nothing else, so that values nobody knows are asked about."""
ABBREVIATED = {
    "tr": "train", "trn": "train", "trainval": "train", "development": "validation", "devel": "validation", "tune": "validation",
    "va": "validation", "vl": "validation", "publictest": "validation",
    "te": "test", "ts": "test", "tst": "test", "testa": "test", "testb": "test", "privatetest": "test",
}  # fmt: skip
"""Words that say a split in a column, where others beside them do; as names of folders they may mean anything."""
FLAG = re.compile(r"(?:is|in|for|used_for|use_for|use_in)_?(\w+)")
FOLDS = ("fold", "folds", "kfold", "cv_fold", "fold_id", "split", "splits")
MOST = 20
"""A column of more different values says no split."""


@dataclass
class _Found:
    """A column, and what its values say.

    Attributes:
        values: of every row.
        meaning: value → split; None where nobody knows.
        note: what was guessed.
    """

    name: str
    values: list[str]
    meaning: dict[str, str | None]
    note: str = ""

    @property
    def splits(self) -> set[str]:
        return {split for split in self.meaning.values() if split is not None}

    @property
    def unclear(self) -> Counter[str]:
        """Values that nobody knows, and how often they occur."""
        return Counter(value for value in self.values if self.meaning[value] is None)

    def option(self) -> str:
        """`split_names=[...]` with a word for every value; a guess where it is not known."""
        known = sorted(
            {value.lower() for value, split in self.meaning.items() if split and value.lower() in SPLIT_NAMES}
        )
        said = [
            f"{value}={split}" for value, split in self.meaning.items() if split and value.lower() not in SPLIT_NAMES
        ]
        numbered = not self.splits and all(re.fullmatch(r"\d+", value) for value in self.meaning)
        order = ("train", "test") if len(self.meaning) == 2 else ("train", "validation", "test")
        guessed = []
        for place, value in enumerate(sorted(self.unclear)):
            known_abroad = FOREIGN.get(value.lower())
            if known_abroad is not None:
                guessed.append(f"{value}={known_abroad}")
                continue
            near = difflib.get_close_matches(value.lower(), SPLIT_NAMES, n=1, cutoff=0.7)
            likely = SPLIT_NAMES[near[0]] if near else "test" if value else "train"
            guessed.append(f"{value}={order[min(place, len(order) - 1)] if numbered or not self.splits else likely}")
        return f"split_names={[*known, *said, *guessed]}"


def by_split_column(
    parts: list[SourcePart], ignored: Sequence[str], used: set[str | None], how: ReadOptions
) -> list[SourcePart]:
    """Parts whose rows say their split become a part per split; other parts stay.

    Args:
        parts: what was read.
        ignored: the user's `ignore_columns`: those are not followed.
        used: columns that are used for something else.
        how: words that say a split, and the report.

    Raises:
        DataError: a column surely says the split, and nobody knows what its values mean; or too many rows say none.
    """
    made = []
    contents = {
        plain_name(name) for name in (*LABEL_ALIASES, FOLDER_LABEL, how.modality.column, *how.modality.aliases)
    }
    for part in parts:
        own = [name for name in part.dataset.column_names if name not in ignored and name not in used]
        own = [name for name in own if plain_name(name) not in contents]
        if (
            part.origin == f"{how.modality.name} files"
        ):  # whose folders have said their split already, where they say one
            own = [name for name in own if name != "path"]
        alone = not any(one.split in (None, "train") for one in parts)
        found = (
            _found_in(part, own, how) if part.split in (None, "train") or alone and part.split != "unlabeled" else None
        )
        if found is None:
            _tell_folds(part, own, how)
            made.append(part)
            continue
        made += _cut(part, found, how)
    return made


def _cut(part: SourcePart, found: _Found, how: ReadOptions) -> list[SourcePart]:
    """A part per split; rows that say none are left out."""
    name, unclear = found.name, found.unclear
    counts = Counter(found.meaning[value] for value in found.values if found.meaning[value] is not None)
    shown = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    text = f"{part.origin}: column {name!r} says the split of every row ({shown}); ignore_columns=[{name!r}] splits the rows anew"
    if found.note or part.split is not None:
        note = found.note or f"although the file is called {part.split}"
        how.report.warn(f"{text}. Taken so {note}; {found.option()} says otherwise")
    elif plain_name(name) in NAMES or FLAG.fullmatch(plain_name(name)):
        how.report.decide(text)
    else:
        how.report.warn(text)
    if unclear:
        words = " or ".join(repr(value) if value else "empty" for value, _ in unclear.most_common(3))
        hint = "" if FLAG.fullmatch(plain_name(name)) else f"{found.option()} says what that means. "
        how.report.leave_out(
            "rows", f"column {name!r}, which says the split of rows, is {words} there", sum(unclear.values()), len(found.values),
            hint=f"{hint}ignore_columns=[{name!r}] splits the rows anew",
        )  # fmt: skip
    every = [found.meaning[value] for value in found.values]
    return [
        replace(
            part, split=split, dataset=selected(part.dataset, [row for row, own in enumerate(every) if own == split])
        )
        for split in counts
    ]


def _found_in(part: SourcePart, there: list[str], how: ReadOptions) -> _Found | None:
    """The column to follow: one that is called so, else one whose values say it, else a mark of yes and no.

    Raises:
        DataError: see `by_split_column`.
    """
    known = [name for alias in NAMES if (name := named(alias, there))]
    found = []
    for name in [*known, *(name for name in there if name not in known)]:
        one = _words_in(part.dataset, name, how)
        if one is None:
            continue
        sure, share = not SURE.isdisjoint(words_of_name(name)), 1 - sum(one.unclear.values()) / len(one.values)
        sure = sure or (
            2 <= len(one.meaning) <= 4
            and bool(one.unclear)
            and all(split is not None or value.lower() in FOREIGN for value, split in one.meaning.items())
        )
        numbered = name in known and all(value.isdigit() for value in one.meaning)
        doubtful = len(one.splits) > 1 and share >= 0.1 or numbered and not sure and 2 <= len(one.meaning) <= 4
        complete = len(one.splits) > 1 and ("train" in one.splits or name in known)
        if (
            how.split_names
            and part.split is not None
            and name in known
            and not one.splits
            and _say_splits(one.meaning)
        ):
            words = ", ".join(list(one.meaning)[:5])
            every = [*how.split_names, *one.meaning]
            how.report.warn(
                f"{part.origin}: column {name!r} ({words}) says the split of every row and is not followed, because split_names gives other "
                f"words: split_names={every} follows it, ignore_columns=[{name!r}] says that this is meant"
            )
        if complete and (share >= 1 - how.report.max_left_out or name in known or not any(one.unclear)):
            found.append(one)
        elif doubtful and part.split is None:
            words = ", ".join(list(one.meaning)[:5])
            how.report.warn(
                f"{part.origin}: column {name!r} ({words}) may say the split of rows and is not followed; if it does: "
                f"{one.option()}, if not: ignore_columns=[{name!r}]"
            )
        elif sure and part.split is None and 2 <= len(one.meaning) <= 4 and len(one.splits) < 2 and len(one.unclear):
            counts = ", ".join(f"{value or 'empty'} ({count:,})" for value, count in Counter(one.values).items())
            raise DataError(
                f"Column {name!r} of {part.origin} seems to say the split of rows, and its values are not known to: "
                f"{counts}. Say what they mean: {one.option()}; or that it says none: ignore_columns=[{name!r}]."
            )
    if len(found) > 1:
        others = [
            one.name
            for one in found[1:]
            if [one.meaning[v] for v in one.values] != [found[0].meaning[v] for v in found[0].values]
        ]
        if others:
            how.report.warn(
                f"{part.origin}: columns {found[0].name!r} and {others[0]!r} say different splits: took {found[0].name!r}; "
                f"ignore_columns=[{found[0].name!r}] takes the other, ignore_columns=[{others[0]!r}] says that this is meant"
            )
    if found and (part.split is None or "train" in found[0].splits):
        return found[0]
    return _marked(part.dataset, there) if part.split is None else None


def _words_in(dataset: datasets.Dataset, name: str, how: ReadOptions) -> _Found | None:
    """What the values of a column of few different ones say; None: there are too many, or they are no words."""
    if not isinstance(type_of(dataset, name), (datasets.Value, datasets.ClassLabel)):
        return None
    if len(set(_texts(dataset, name, 1000))) > MOST:
        return None
    values = _texts(dataset, name)
    found = _Found(name, values, {value: _split_of(value, how) for value in dict.fromkeys(values)})
    if len(found.meaning) > MOST:
        return None
    if how.split_names is None and "train" in found.splits:
        held = [
            value for value in found.meaning if "_".join(words_of_name(value)) in HELD_OUT and not found.meaning[value]
        ]
        for value in held:
            free = "test" if "test" not in found.splits else "validation" if value.lower().startswith("eval") else ""
            if free and free not in found.splits:
                found.meaning[value] = free
                found.note = f"because {value!r} sounds like {free}"
        for value in list(found.unclear):
            if (abroad := FOREIGN.get(value.lower())) and abroad not in found.splits:
                found.meaning[value] = abroad
                found.note = f"because {value!r} is a word for {abroad}"
    return found


def _say_splits(values: Iterable[str]) -> bool:
    """Whether values are words for splits, and for several, whatever words the user has given."""
    plain = [value.lower() for value in values]
    return all(value in SPLIT_NAMES for value in plain) and len({SPLIT_NAMES[value] for value in plain}) > 1


def _split_of(value: str, how: ReadOptions) -> str | None:
    plain = value.lower()
    if plain in how.words:
        return how.words[plain]
    if how.split_names is None and (split := ABBREVIATED.get("".join(words_of_name(value)))):
        return split
    return split_named(" ".join(words_of_name(value)), how.words)


def _marked(dataset: datasets.Dataset, there: list[str]) -> _Found | None:
    """Columns such as `is_test`, of yes and no: one split for every row. Of a field that says neither, nothing is known."""
    yes, no = YES | {"t", "on"}, NO | {"f", "off"}
    marks: dict[str, list[str]] = {}
    first = ""
    for name in there:
        match = FLAG.fullmatch(plain_name(name).replace("training", "train"))
        word = match[1].removesuffix("_set") if match else ""
        split = "test" if word in HELD_OUT else SPLIT_NAMES.get(word)
        if split is None or split == "unlabeled" or not isinstance(type_of(dataset, name), datasets.Value):
            continue
        values = [value.lower() for value in _texts(dataset, name)]
        counts = Counter(values)
        said_yes, said_no = (sum(counts[word] for word in words) for words in (yes, no))
        blank = counts[""] if not said_no else 0  # `x` or nothing
        if said_yes and said_no + blank and said_yes + said_no + blank >= 0.5 * len(values):
            marks[split] = ["yes" if v in yes else "no" if v in no or blank and not v else v for v in values]
            first = first or name
    if not marks:
        return None
    other = "test" if set(marks) == {"train"} else "train"
    values, meaning = [], dict.fromkeys((*marks, other))
    for row in range(len(dataset)):
        said = {split: column[row] for split, column in marks.items()}
        split = next((split for split, mark in said.items() if mark == "yes"), None)
        values.append(split or next((mark for mark in said.values() if mark != "no"), other))
    return _Found(first, values, {value: value if value in meaning else None for value in values})


def _texts(dataset: datasets.Dataset, name: str, count: int | None = None) -> list[str]:
    feature, values = type_of(dataset, name), values_of(dataset, name, count)
    if isinstance(feature, datasets.ClassLabel):
        return [feature.names[value] if value is not None and value >= 0 else "" for value in values]
    return ["" if value is None or value != value else str(value).strip().removesuffix(".0") for value in values]


def _tell_folds(part: SourcePart, there: list[str], how: ReadOptions) -> None:
    names = {name.rpartition(".")[2]: name for name in reversed(there)}
    for alias in FOLDS:
        if (name := named(alias, list(names))) is None or part.split not in (None, "train"):
            continue
        name = names[name]
        values = set(_texts(part.dataset, name))
        if 2 <= len(values) <= MOST and all(value.isdigit() for value in values):
            how.report.warn(
                f"{part.origin}: column {name!r} numbers {len(values)} folds and is not followed: rows are split "
                f"anew. group_column={name!r} keeps folds "
                f"whole, ignore_columns=[{name!r}] says that this is meant"
            )
