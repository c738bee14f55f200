"""Whatever the columns are called → the canonical ones, with a stable id and a content key for every row."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import datasets

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.data.labels import raw_labels
from hf_ssl.data.readers.sources import FOLDER_LABEL, Part
from hf_ssl.data.readers.tables import quiet
from hf_ssl.data.report import Ledger

LABEL_ALIASES = ("label", "labels", "class", "category", "target")
TRANSCRIPT_ALIASES = ("transcript", "transcription", "sentence", "normalized_text", "text")
TAG_ALIASES = ("tags", "ner_tags", "pos_tags", "labels")
MAX_UNUSABLE = 0.5


@dataclass(frozen=True)
class Wanted:
    """Column names that the user gave; None means "find it"."""

    input: str | None = None
    pair: str | None = None
    label: str | None = None
    group: str | None = None
    id: str | None = None
    tokens: str | None = None
    tags: str | None = None
    keep: tuple[str, ...] = ()


@dataclass
class Rows:
    """Canonical rows and what runs along with them, all of one length.

    Attributes:
        dataset: canonical columns.
        keys: hash of the normalized content, equal for equal content.
        labels: label as names (None: no label).
        groups: group of each row, or None when there are no groups.
    """

    dataset: datasets.Dataset
    keys: list[str]
    labels: list[Any]
    groups: list[str] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: Sequence[int]) -> Rows:
        """These rows, in this order."""
        if len(rows) == len(self) and all(place == row for place, row in enumerate(rows)):
            return self
        groups = None if self.groups is None else [self.groups[row] for row in rows]
        keys, labels = [self.keys[row] for row in rows], [self.labels[row] for row in rows]
        return Rows(self.dataset.select(rows), keys, labels, groups)

    def ids(self, rows: Sequence[int]) -> list[str]:
        return list(self.dataset.select(rows)["id"]) if len(rows) else []


@dataclass
class CanonicalPart:
    """One part with canonical columns; `label_names` are those of a `ClassLabel`, in its order."""

    split: str | None
    rows: Rows
    label_names: list[str] | None
    has_labels: bool


@dataclass
class Canonicaliser:
    """Renames columns, drops unusable rows, makes keys and ids. One instance sees all parts, so ids are unique.

    `tagged` says that rows are lists of words (token classification).
    """

    modality: Any
    wanted: Wanted
    ledger: Ledger
    tagged: bool = False
    mapping: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, None] = field(default_factory=dict)
    seen_ids: Counter[str] = field(default_factory=Counter)

    def __call__(self, part: Part) -> CanonicalPart:
        names = self._find_columns(part)
        source = part.dataset.select_columns(list(dict.fromkeys([*names.values(), *self.wanted.keep])))
        labels, label_names = self._labels(source, names, part)
        keys = self._keys(source, names, part)
        usable = [row for row, key in enumerate(keys) if key is not None]
        # Ids exist for usable rows only: removing a broken row elsewhere does not change them.
        ids = self._ids(source, names.get("id"), keys)
        groups = self._groups(source, names.get("group"), ids)
        content = {new: old for new, old in names.items() if new not in {"label", "group", "id", "tags"}}
        canonical = _renamed(source, content, self.wanted.keep)
        with quiet():
            canonical = canonical.add_column("id", ids, feature=datasets.Value("string"))
            if groups is not None:
                canonical = canonical.add_column("group", groups, feature=datasets.Value("string"))
        rows = Rows(canonical, [key or "" for key in keys], labels, groups).take(usable)
        return CanonicalPart(part.split, rows, label_names, "label" in names or "tags" in names)

    def values(self, rows: datasets.Dataset) -> Iterator[tuple[Any, ...]]:
        """Content of canonical rows: `(value,)`, or `(text, text_pair)`; words are joined by spaces."""
        if "tokens" in rows.column_names:
            yield from ((" ".join(words),) for words in _iterate(rows, "tokens"))
        elif "text_pair" in rows.column_names:
            yield from zip(_iterate(rows, self.modality.column), _iterate(rows, "text_pair"), strict=True)
        else:
            yield from ((value,) for value in _iterate(rows, self.modality.column))

    def _find_columns(self, part: Part) -> dict[str, str]:
        """Canonical name → name in this part."""
        there = part.dataset.column_names
        names = self._input_columns(there, part)
        optional = part.split == "unlabeled"
        for new, given in (("group", self.wanted.group), ("id", self.wanted.id), ("label", self.wanted.label)):
            if given is not None and (given in there or not optional):
                names[new] = _existing(given, there, f"{new}_column", part)
        if self.tagged:
            tags = self._given_or_alias(self.wanted.tags, TAG_ALIASES, there, optional, "tags_column", part)
            names = {new: old for new, old in names.items() if new != "label"} | ({"tags": tags} if tags else {})
        elif "label" not in names:
            found = [name for name in (FOLDER_LABEL, *LABEL_ALIASES) if name in there]
            names |= {"label": found[0]} if found else {}
        if "path" in there and "path" not in names.values():
            names["path"] = "path"
        for name in self.wanted.keep:
            _existing(name, there, "keep_columns", part)
            if name in names and names[name] != name or name in {"id", "group", "label", "tags"}:
                raise DataError(f"keep_columns: {name!r} is the name of a canonical column; rename yours first.")
        self.mapping |= {new: old for new, old in names.items() if new not in self.mapping}
        self.ignored |= dict.fromkeys(name for name in there if name not in {*names.values(), *self.wanted.keep})
        return names

    def _input_columns(self, there: list[str], part: Part) -> dict[str, str]:
        column = self.modality.column
        if self.tagged and (self.wanted.tokens or "tokens" in there):
            return {"tokens": _existing(self.wanted.tokens or "tokens", there, "tokens_column", part)}
        names = {column: input_column(self.modality, self.wanted.input, part)}
        pair = self.wanted.pair or ("text_pair" if "text_pair" in there else None)
        if pair is not None and (pair in there or part.split != "unlabeled"):
            names["text_pair"] = _existing(pair, there, "text_pair_column", part)
        return names

    def _given_or_alias(
        self, given: str | None, aliases: Sequence[str], there: list[str], optional: bool, option: str, part: Part
    ) -> str | None:
        if given is not None:
            return given if given in there else None if optional else _existing(given, there, option, part)
        found = [name for name in aliases if name in there]
        if not found and not optional:
            raise DataError(
                f"{part.origin} has no column of tags; its columns: {_shown(there)}. Say which: {option}=..."
            )
        return found[0] if found else None

    def _labels(
        self, source: datasets.Dataset, names: dict[str, str], part: Part
    ) -> tuple[list[Any], list[str] | None]:
        name = names.get("tags") or names.get("label")
        if name is None or part.split == "unlabeled":
            return [None] * len(source), None
        labels, label_names = raw_labels(_iterate(source, name), source.features[name])
        if self.tagged:
            for row, (words, tags) in enumerate(zip(_iterate(source, names["tokens"]), labels, strict=True)):
                if tags is not None and words is not None and len(words) != len(tags):
                    raise DataError(
                        f"Row {row} of {part.origin}: {len(words)} words and {len(tags)} tags; they must be as many."
                    )
        return labels, label_names

    def _keys(self, source: datasets.Dataset, names: dict[str, str], part: Part) -> list[str | None]:
        """Content key of every row, None for an unusable one (which is counted)."""
        columns = [names[new] for new in ("tokens", self.modality.column, "text_pair") if new in names]
        keys: list[str | None] = []
        reasons: Counter[str] = Counter()
        for values in zip(*(_iterate(source, column) for column in columns), strict=True):
            if "tokens" in names:
                values = (None if values[0] is None else " ".join(map(str, values[0])),)
            reason = next((why for why in map(self._problem, values) if why is not None), None)
            keys.append(None if reason is not None else self._key(values))
            if reason is not None:
                reasons[reason] += 1
        self.ledger.dropped.update(reasons)
        if sum(reasons.values()) > MAX_UNUSABLE * len(keys):
            shown = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common(3))
            raise DataError(
                f"Most rows of {part.origin} are unusable ({shown}). Is {', '.join(columns)} the right column?"
            )
        return keys

    def _problem(self, value: Any) -> str | None:
        return f"no {self.modality.name}" if value is None else self.modality.problem(value)

    def _key(self, values: Sequence[Any]) -> str:
        # Text of emoji or punctuation only normalizes to nothing: then the text as it is decides.
        parts = [self.modality.content_key(value) or str(value).strip() for value in values]
        return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def _ids(self, source: datasets.Dataset, name: str | None, keys: Sequence[str | None]) -> list[str]:
        """The user's ids, else the content's hash; a repeated one gets its number of occurrence (`-2`, `-3`)."""
        stems = [str(value) for value in _iterate(source, name)] if name else [key[:16] if key else "" for key in keys]
        ids = []
        for stem, key in zip(stems, keys, strict=True):
            self.seen_ids[stem] += key is not None
            count = self.seen_ids[stem]
            ids.append(stem if count <= 1 else f"{stem}-{count}")
        return ids

    def _groups(self, source: datasets.Dataset, name: str | None, ids: list[str]) -> list[str] | None:
        if name is None:
            return None
        groups = [None if value is None else str(value) for value in _iterate(source, name)]
        if without := sum(group is None for group in groups):
            self.ledger.decide(f"{without:,} rows have no {name}: each is a group of its own")
        return [f"row {row}" if group is None else group for group, row in zip(groups, ids, strict=True)]


def transcript_column(parts: Sequence[Part], wanted: Wanted, label_kind: str | None) -> Wanted:
    """With transcripts asked for, the column that holds them, found by its usual names."""
    if label_kind != "transcript" or wanted.label is not None:
        return wanted
    there = {name for part in parts for name in part.dataset.column_names}
    found = next((name for name in TRANSCRIPT_ALIASES if name in there), None)
    return replace(wanted, label=found) if found else wanted


def input_column(modality: Any, given: str | None, part: Part) -> str:
    """Name of the column that holds the content: the one given, else the first known name, else the pool's only column.

    Raises:
        DataError: there is none.
    """
    there = part.dataset.column_names
    if given is not None:
        return _existing(given, there, "input_column", part)
    lower = {name.lower(): name for name in reversed(there)}
    found = [lower[alias] for alias in (modality.column, *modality.aliases) if alias in lower]
    if not found and len(there) == 1 and part.split == "unlabeled":
        found = list(there)
    if not found:
        raise DataError(
            f"No column of {part.origin} is known to hold the {modality.name}. "
            f"Its columns: {_shown(there)}. Say which one: input_column={there[0]!r}."
        )
    return found[0]


def _iterate(dataset: datasets.Dataset, column: str) -> Iterator[Any]:
    for batch in dataset.select_columns([column]).iter(batch_size=1000):
        yield from batch[column]


def _renamed(source: datasets.Dataset, names: dict[str, str], keep: tuple[str, ...]) -> datasets.Dataset:
    """Only the content columns, under their canonical names; `large_string` (pandas, polars) becomes `string`."""
    kept = [name for name in keep if name not in names.values()]
    dataset = source.select_columns([*names.values(), *kept])
    dataset = dataset.rename_columns({old: new for new, old in names.items() if old != new})
    large = [name for name, feature in dataset.features.items() if feature == datasets.Value("large_string")]
    with quiet():
        for name in large:
            dataset = dataset.cast_column(name, datasets.Value("string"))
    return dataset


def _existing(name: str, there: list[str], option: str, part: Part) -> str:
    if name in there:
        return name
    separator = " Is ';' the separator? csv_options={'sep': ';'}" if len(there) == 1 and ";" in there[0] else ""
    raise DataError(
        f"{option}={name!r}, but the columns of {part.origin} are {_shown(there)}.{nearest(name, there)}{separator}"
    )


def _shown(names: list[str]) -> str:
    return ", ".join(name[:40] for name in names[:30]) + (" ..." if len(names) > 30 else "")
