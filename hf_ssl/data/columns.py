"""Whatever the columns are called → the canonical ones, with a stable id and a content key for every row."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.data.annotations import TRANSCRIPT_ALIASES
from hf_ssl.data.column_doubles import tell_second_labels
from hf_ssl.data.column_names import existing, named, refuse_structures, shown
from hf_ssl.data.flags import tell_merged_cells
from hf_ssl.data.input_column import input_column, other_columns, refuse_names_of_texts
from hf_ssl.data.label_bits import labels_of_columns
from hf_ssl.data.label_doubts import tell_other_folders
from hf_ssl.data.label_words import (
    NA_SURELY,
    counted,
    one_group_each,
    without_na_words,
)
from hf_ssl.data.labels import raw_labels, sort_names
from hf_ssl.data.missing_words import NA_PERHAPS, says_nothing
from hf_ssl.data.odd_texts import tell_odd_texts, tell_own_labels
from hf_ssl.data.readers.files import FOLDER_LABEL
from hf_ssl.data.readers.folders import SourcePart
from hf_ssl.data.readers.tables import quiet
from hf_ssl.data.report import DataReport, kind_of_reason
from hf_ssl.data.rows import CanonicalPart, Rows, added
from hf_ssl.data.spoiled import tell_spoiled
from hf_ssl.data.tags import refuse_without_words
from hf_ssl.data.unused import tell_unused

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality

LABEL_ALIASES = ("label", "labels", "class", "category", "target")
TAG_ALIASES = ("tags", "ner_tags", "pos_tags", "labels")
MAX_UNUSABLE = 0.5


@dataclass(frozen=True)
class ColumnSpec:
    """Column names that the user gave; None means "find it"."""

    input: str | None = None
    pair: str | None = None
    label: str | None = None
    group: str | None = None
    id: str | None = None
    tokens: str | None = None
    tags: str | None = None
    keep: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    na: tuple[str, ...] = ()
    domain: str | None = None
    fold: bool | None = None
    yes: tuple[str, ...] = ()


@dataclass
class Canonicalizer:
    """Renames columns, drops unusable rows, makes keys and ids. One instance sees all parts, so ids are unique.

    `tagged` says that rows are lists of words (token classification); `unit` is what its rows are in the report's accounts.
    """

    modality: Modality
    spec: ColumnSpec
    report: DataReport
    tagged: bool = False
    unit: str = "rows"
    mapping: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, None] = field(default_factory=dict)
    seen_ids: Counter[str] = field(default_factory=Counter)
    taken_ids: set[str] = field(default_factory=set)
    like_groups: dict[str, bool] = field(default_factory=dict)
    spellings: dict[str, str] = field(default_factory=dict)
    uneven: dict[int, str] = field(default_factory=dict)

    def __call__(self, part: SourcePart) -> CanonicalPart:
        names = self._find_columns(part)
        source = part.dataset.select_columns(
            list(dict.fromkeys([*names.values(), *self.spec.keep, *self._label_columns(part)]))
        )
        labels, label_names = self._labels(source, names, part)
        keys = self._keys(source, names, part)
        if (texts := names.get("text")) and texts in source.column_names:
            tell_own_labels(source[texts], labels, texts, self.report)
        usable = [row for row, key in enumerate(keys) if key is not None]
        # Ids exist for usable rows only: removing a broken row elsewhere does not change them.
        ids = self._ids(source, names.get("id"), keys)
        groups = self._groups(source, names.get("group"), ids)
        content = {new: old for new, old in names.items() if new not in {"label", "group", "id", "tags"}}
        canonical = _renamed(source, content, self.spec.keep)
        with quiet():
            canonical = added(canonical, "id", ids, datasets.Value("string"))
            if groups is not None:
                canonical = added(canonical, "group", groups, datasets.Value("string"))
        rows = Rows(canonical, [key or "" for key in keys], labels, groups).take(usable)
        return CanonicalPart(part.split, rows, label_names, "label" in names or "tags" in names)

    def values(self, rows: datasets.Dataset) -> Iterator[tuple[Any, ...]]:
        """Content of canonical rows: `(value,)`, or `(text, text_pair)`; words are joined by spaces."""
        if "tokens" in rows.column_names:
            yield from ((" ".join(words),) for words in each_value(rows, "tokens"))
        elif "text_pair" in rows.column_names:
            yield from zip(each_value(rows, self.modality.column), each_value(rows, "text_pair"), strict=True)
        else:
            yield from ((value,) for value in each_value(rows, self.modality.column))

    def _find_columns(self, part: SourcePart) -> dict[str, str]:
        """Canonical name → name in this part."""
        there = part.dataset.column_names
        names = self._input_columns(there, part)
        optional = part.split == "unlabeled"
        for new, given in (("group", self.spec.group), ("id", self.spec.id), ("label", self.spec.label)):
            if given is not None and (named(given, there) or not optional):
                option = f"{new}_column"
                names[new] = (
                    self._answer(given, option, part) if new == "label" else existing(given, there, option, part)
                )
        if self.tagged:
            option = f"tags_column={self.spec.tags!r}" if self.spec.tags else "label_kind='tags'"
            refuse_without_words(part, names.get("tokens"), names.get(self.modality.column, "..."), option)
            tags = self._given_or_alias(self.spec.tags, TAG_ALIASES, there, optional, "tags_column", part)
            names = {new: old for new, old in names.items() if new != "label"} | ({"tags": tags} if tags else {})
        elif self._label_columns(part):
            names.pop("label", None)
        elif "label" not in names:
            free = [name for name in there if name not in self.spec.ignore and name not in names.values()]
            found = [name for alias in (FOLDER_LABEL, *LABEL_ALIASES) if (name := named(alias, free))]
            names |= {"label": found[0]} if found else {}
            if found and not optional:
                tell_second_labels([name for name in free if name not in found], found[0], part, self.report)
            if len(found) > 1 and not optional:
                self.report.warn(
                    f"{' and '.join(map(repr, found))} are all called as labels are: took {found[0]!r}; label_column=... takes another"
                )
        if "path" in there and "path" not in names.values():
            names["path"] = "path"
        for name in self.spec.keep:
            existing(name, there, "domain_column" if name == self.spec.domain else "keep_columns", part)
            if name in names and names[name] != name or name in {"id", "group", "label", "tags"}:
                raise DataError(f"keep_columns: {name!r} is the name of a canonical column; rename yours first.")
        self.mapping |= {new: old for new, old in names.items() if new not in self.mapping}
        used = {*names.values(), *self.spec.keep, *self._label_columns(part)}
        ignored = [name for name in there if name not in used]
        self.ignored |= dict.fromkeys(name for name in ignored if name not in self.modality.consumed)
        doubtful = [name for name in ignored if name not in self.spec.ignore]
        self.like_groups |= tell_unused(doubtful, names, self.spec, self.modality, part, self.report)
        return names

    def _label_columns(self, part: SourcePart) -> list[str]:
        if part.split == "unlabeled":
            return [name for name in self.spec.labels if name in part.dataset.column_names]
        return [self._answer(name, "label_columns", part) for name in self.spec.labels]

    def _answer(self, name: str, option: str, part: SourcePart) -> str:
        """The column of labels that an option names.

        Raises:
            DataError: there is none; of a split that is held out, what reads it without.
        """
        try:
            return existing(name, part.dataset.column_names, option, part)
        except DataError as error:
            said = self.report.facts.get("split_words", {})
            if part.split not in ("validation", "test") or not (word := said.get(part.split)):
                raise
            words = [*(other for split, other in said.items() if split != part.split and other), f"{word}=unlabeled"]
            raise DataError(f"{error} If the rows of {part.split} have no labels: split_names={words}.") from error

    def _input_columns(self, there: list[str], part: SourcePart) -> dict[str, str]:
        column = self.modality.column
        if self.tagged and (self.spec.tokens or "tokens" in there):
            return {"tokens": existing(self.spec.tokens or "tokens", there, "tokens_column", part)}
        names = {column: input_column(self.modality, self.spec.input, part)}
        pair = self.spec.pair or ("text_pair" if "text_pair" in there else None)
        if pair is not None and (pair in there or part.split != "unlabeled"):
            names["text_pair"] = existing(pair, there, "text_pair_column", part)
        return names

    def _given_or_alias(
        self,
        given: str | None,
        aliases: Sequence[str],
        there: list[str],
        optional: bool,
        option: str,
        part: SourcePart,
    ) -> str | None:
        if given is not None:
            return named(given, there) or (None if optional else existing(given, there, option, part))
        found = [name for alias in aliases if (name := named(alias, there))]
        if not found and not optional:
            raise DataError(
                f"{part.origin} has no column of tags; its columns: {shown(there)}. Say which: {option}=..."
            )
        return found[0] if found else None

    def _labels(
        self, source: datasets.Dataset, names: dict[str, str], part: SourcePart
    ) -> tuple[list[Any], list[str] | None]:
        name = names.get("tags") or names.get("label")
        if several := self._label_columns(part):
            if part.split == "unlabeled":
                return [None] * len(source), None
            columns = {name: list(each_value(source, name)) for name in several}
            return labels_of_columns(columns, self.spec.na, self.report, self.spec.yes), sort_names(several)
        if name is None or part.split == "unlabeled":
            return [None] * len(source), None
        refuse_structures(source, name, part)
        labels, label_names = raw_labels(each_value(source, name), source.features[name])
        if "path" in source.column_names and name not in (FOLDER_LABEL, self.spec.label):
            tell_other_folders(labels, list(source["path"]), name, self.report)
        if not self.tagged:
            tell_merged_cells(labels, name, part, self.report)
            tell_spoiled((label for label in labels if isinstance(label, str)), name, self.report)
            labels = without_na_words(labels, name, self.spec.na, self.report)
        if self.tagged:
            pairs = enumerate(zip(each_value(source, names["tokens"]), labels, strict=True))
            self.uneven = {
                row: f"{len(words)} words and {len(tags) if isinstance(tags, list) else 1} tags"
                for row, (words, tags) in pairs
                if tags is not None
                and words is not None
                and len(words) != (len(tags) if isinstance(tags, list) else 1)
            }
            if len(self.uneven) > MAX_UNUSABLE * len(labels):
                row = min(self.uneven)
                raise DataError(
                    f"Row {row} of {part.origin}: {self.uneven[row]}, and so {len(self.uneven):,} of {len(labels):,} rows; they must be as many. "
                    "Mend those rows, or leave them out."
                )
        return labels, label_names

    def _keys(self, source: datasets.Dataset, names: dict[str, str], part: SourcePart) -> list[str | None]:
        """Content key of every row, None for an unusable one (which is counted)."""
        columns = [names[new] for new in ("tokens", self.modality.column, "text_pair") if new in names]
        keys: list[str | None] = []
        reasons: Counter[str] = Counter()
        first: dict[str, tuple[int, str]] = {}
        words: Counter[str] = Counter()
        for values in zip(*(each_value(source, column) for column in columns), strict=True):
            if "tokens" in names:
                values = (None if values[0] is None else " ".join(map(str, values[0])),)
            reason = next((why for why in map(self._problem, values) if why is not None), None)
            if reason is None and len(keys) in self.uneven:
                reason = f"as many words as tags are needed: {self.uneven[len(keys)]}"
            words.update(
                value for value in values if isinstance(value, str) and len(value) < 40 and says_nothing(value)
            )
            keys.append(None if reason is not None else self._key(values))
            if reason is not None:
                kind = kind_of_reason(reason)
                reasons[kind] += 1
                first.setdefault(kind, (len(keys) - 1, reason))
        if self.modality.name == "text" and "tokens" not in names:
            refuse_names_of_texts(source[:200][columns[0]], columns[0], part)
        self.report.dropped.update(reasons)
        self.uneven = {}
        if sum(reasons.values()) > MAX_UNUSABLE * len(keys):
            shown = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common(3))
            row, why = min(first.values())
            raise DataError(
                f"{sum(reasons.values()):,} of {len(keys):,} rows of {part.origin} are unusable ({shown}), such as row "
                f"{row} ({_without_root(why, part)}). Is {', '.join(columns)} the right column?"
                + other_columns(self.modality.name, part, columns, names)
            )
        within = f"rows of {part.origin}, {part.split}"
        for reason, count in reasons.most_common():
            row, why = first[reason]
            detail = _without_root(why, part).removeprefix(reason).lstrip(": ")
            example = f"row {row} of {part.origin}" + (f": {detail}" if detail else "")
            hint = self.modality.hint(why)
            self.report.leave_out(self.unit, reason, count, len(keys), example=example, hint=hint, within=within)
        self._tell_na_words(words, columns)
        tell_spoiled((value for column in columns for value in each_value(source, column)), columns[0], self.report)
        if self.modality.name == "text" and columns[0] != self.spec.input:
            tell_odd_texts(source[columns[0]], columns[0], self.report)
        return keys

    def _tell_na_words(self, words: Counter[str], columns: list[str]) -> None:
        """Texts that are nothing but `NA` or `null` are kept, because a text may be that; the user is told."""
        found = {
            word: count
            for word, count in words.most_common()
            if word not in ("-", ".", "?", *self.spec.na)
            and (count > 1 or word in NA_PERHAPS or not word[:1].isalpha())
        }
        if found:
            self.report.warn(
                f"of the values of {columns[0]!r} {counted(found)}: kept as text; na_values={[*self.spec.na, *found]} leaves them out"
            )

    def _problem(self, value: object) -> str | None:
        if value is None or isinstance(value, str) and (value in NA_SURELY or value in self.spec.na):
            return f"no {self.modality.name}"
        return self.modality.validate(value)

    def _key(self, values: Sequence[Any]) -> str:
        # Text that normalizes to nothing is what it is.
        parts = [self.modality.content_key(value) or str(value).strip() for value in values]
        return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def _ids(self, source: datasets.Dataset, name: str | None, keys: Sequence[str | None]) -> list[str]:
        """The user's ids, else the content's hash; a repeated one gets its number of occurrence (`-2`, `-3`)."""
        own = list(each_value(source, name)) if name else [None] * len(keys)
        ids = []
        repeated = without = 0
        example = ""
        for value, key in zip(own, keys, strict=True):
            stem = str(value) if value is not None and str(value).strip() else key[:16] if key else ""
            without += name is not None and value is None and key is not None
            if key is None:
                ids.append(stem)
                continue
            self.seen_ids[stem] += 1
            made = stem
            while made in self.taken_ids:  # a user may have a row called `7-2` too
                made = f"{stem}-{self.seen_ids[stem]}"
                self.seen_ids[stem] += made in self.taken_ids
            if made != stem and name:
                repeated, example = repeated + 1, example or f"{stem!r} as {made!r}"
            self.taken_ids.add(made)
            ids.append(made)
        if repeated:
            self.report.warn(
                f"{repeated:,} rows repeat the {name} of another row: they got a number behind it ({example})"
            )
        if without:
            self.report.warn(f"{without:,} rows have no {name}: their ids are made from their content")
        return ids

    def _groups(self, source: datasets.Dataset, name: str | None, ids: list[str]) -> list[str] | None:
        if name is None:
            return None
        groups = [
            None if value is None or value != value or not str(value).strip() else str(value)
            for value in each_value(source, name)
        ]
        if without := sum(group is None for group in groups):
            self.report.warn(
                f"{without:,} of {len(groups):,} rows have no {name}: each is taken for a group of its own; "
                "write a group into them where some belong together"
            )
        if self.spec.fold is not False:
            groups = one_group_each(groups, name, self.spellings, self.report)
        return [f"row {row}" if group is None else group for group, row in zip(groups, ids, strict=True)]


ROW = "source_row"
"""Column with the number of a row in its table, from 0, for who answers rows and wants to find them again."""


def numbered(dataset: datasets.Dataset) -> datasets.Dataset:
    """The dataset with the column `ROW`; one that is there already is kept."""
    if ROW in dataset.column_names:
        return dataset
    with quiet():
        return added(dataset, ROW, range(len(dataset)), datasets.Value("int64"))


def _without_root(reason: str, part: SourcePart) -> str:
    """A reason whose paths begin in the source's folder."""
    return reason.replace(f"{part.root}/", "") if part.root is not None else reason


def transcript_column(parts: Sequence[SourcePart], spec: ColumnSpec, label_kind: str | None) -> ColumnSpec:
    """With transcripts asked for, the column that holds them, found by its usual names."""
    if label_kind != "transcript" or spec.label is not None:
        return spec
    there = {name for part in parts for name in part.dataset.column_names}
    found = next((name for name in TRANSCRIPT_ALIASES if name in there), None)
    return replace(spec, label=found) if found else spec


def each_value(dataset: datasets.Dataset, column: str) -> Iterator[Any]:
    """Values of a column, read in batches: one by one takes four times as long."""
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
