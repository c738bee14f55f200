"""Canonical parts → splits: labels encoded alike, rows sorted, what is lacking split off, the pool made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.data.columns import Canonicalizer, each_value
from hf_ssl.data.domain import DomainData
from hf_ssl.data.fingerprint import fingerprint
from hf_ssl.data.group_names import refuse_other_groups
from hf_ssl.data.label_dates import tell_dates
from hf_ssl.data.label_doubts import tell_many_classes, tell_marks, tell_no_speech, tell_scores, tell_typos
from hf_ssl.data.label_kinds import KINDS
from hf_ssl.data.label_words import one_spelling, tell_na_words
from hf_ssl.data.labels import Encoding, encoding_of, named_labels, resolve_kind
from hf_ssl.data.leakage.guard import drop_duplicates
from hf_ssl.data.readers.folders import ReadOptions
from hf_ssl.data.readers.tables import quiet
from hf_ssl.data.report import SPLITS, DataReport
from hf_ssl.data.rows import CanonicalPart, Rows, added
from hf_ssl.data.splits import check_labels as check_classes
from hf_ssl.data.splits import split_rows
from hf_ssl.data.tags import one_scheme
from hf_ssl.data.tags_alike import one_type
from hf_ssl.data.telltale import tell_traits


@dataclass(frozen=True)
class Fractions:
    """Parts of the labeled rows that are split off where a split is lacking, and the seed of the split."""

    validation: float
    test: float
    seed: int

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            if not 0 <= getattr(self, name) < 1:
                raise DataError(f"{name}_fraction must be in [0, 1), got {getattr(self, name)}.")
        if self.validation + self.test >= 1:
            raise DataError(
                f"validation_fraction + test_fraction is {self.validation + self.test:g}: no row would train."
            )


@dataclass(frozen=True)
class LabelRules:
    """What the user says about labels: their kind, and the options `label_separator`, `fold_labels`, `tag_scheme`."""

    kind: str | None = None
    separator: str | None = None
    fold: bool | None = None
    tag_scheme: str | None = None


def encode_and_sort(
    parts: list[CanonicalPart], canonicalizer: Canonicalizer, rules: LabelRules
) -> tuple[dict[str, Rows], Encoding | None]:
    """Encode the labels of all parts alike, then sort rows into splits: labeled ones, and the pool."""
    label_kind = rules.kind
    report, kind = canonicalizer.report, "tags" if canonicalizer.tagged else label_kind
    present = [label for part in parts for label in part.rows.labels if label is not None]
    encoding = None
    if present:
        kind = resolve_kind(present, kind, report)
        column = canonicalizer.mapping.get("label", "label")
        for part in parts:
            part.rows.labels = named_labels(part.rows.labels, kind, rules.separator, report, column)
        every = [label for part in parts for label in part.rows.labels]
        tell_marks(every, kind, canonicalizer.spec.na, column, report)
        if kind == "transcript":
            tell_no_speech(every, canonicalizer.spec.na, column, report)
        if kind == "class":
            tell_typos(every, report)
            tell_dates(every, label_kind, column, report)
            tell_scores(every, label_kind, column, report)
            tell_many_classes(every, label_kind, column, canonicalizer.modality.name, report)
        tell_na_words((label for part in parts for label in part.rows.labels), kind, canonicalizer.spec.na, report)
        given = [part.rows.labels for part in parts]
        if KINDS[kind].schemed and rules.tag_scheme != "keep":
            spelled = one_type(given, rules.fold, report)
        else:
            spelled = one_spelling(given, kind, rules.fold, report)
        for part, labels in zip(parts, spelled, strict=True):
            part.rows.labels = labels
        if KINDS[kind].pictures:
            _class_masks(parts, canonicalizer)
        if KINDS[kind].schemed:
            _one_tag_scheme(parts, rules.tag_scheme, report)
        labeled = [part for part in parts if any(label is not None for label in part.rows.labels)]
        every = [label for part in labeled for label in part.rows.labels]
        encoding = encoding_of(every, kind, [part.label_names for part in labeled])
    elif any(part.has_labels and part.split != "unlabeled" for part in parts):
        report.warn("there is a label column, but no row has a label: all rows are unlabeled")
    pieces: dict[str, list[Rows]] = {}
    for part in parts:
        for split, rows in _sorted_rows(part, encoding, report).items():
            pieces.setdefault(split, []).append(rows)
    return {split: _joined(found) for split, found in pieces.items()}, encoding


def _class_masks(parts: list[CanonicalPart], canonicalizer: Canonicalizer) -> None:
    """One meaning of the values of masks for all parts."""
    modality = canonicalizer.modality
    if not hasattr(modality, "class_masks"):
        raise DataError(
            f"label_kind='mask' is for pictures, and these are {modality.name}: leave it out, or read pictures: modality='image'."
        )
    masks = [mask for part in parts for mask in part.rows.labels]
    pictures = [value for part in parts for value in part.rows.dataset[modality.column]]
    made = iter(modality.class_masks(masks, canonicalizer.report, pictures))
    bad: list[str] = []
    for part in parts:
        part.rows.labels = [next(made) for _ in part.rows.labels]
        usable = [row for row, mask in enumerate(part.rows.labels) if not isinstance(mask, str)]
        bad += [mask for mask in part.rows.labels if isinstance(mask, str)]
        part.rows = part.rows.take(usable)
    canonicalizer.report.leave_out(
        canonicalizer.unit, "their mask cannot be read", len(bad), len(masks), example=bad[0] if bad else ""
    )


def _one_tag_scheme(parts: list[CanonicalPart], given: str | None, report: DataReport) -> None:
    """One scheme for all parts: what train writes is what test must be read as."""
    every = one_scheme([labels for part in parts for labels in part.rows.labels], given, report)
    place = 0
    for part in parts:
        part.rows.labels = every[place : place + len(part.rows.labels)]
        place += len(part.rows.labels)
        if part.label_names is not None and not {tag for row in part.rows.labels for tag in row or ()} <= set(
            part.label_names
        ):
            part.label_names = None


def _sorted_rows(part: CanonicalPart, encoding: Encoding | None, report: DataReport) -> dict[str, Rows]:
    rows = part.rows
    with_label = [row for row, label in enumerate(rows.labels) if label is not None]
    without = [row for row, label in enumerate(rows.labels) if label is None]
    held_out = part.split in {"validation", "test"}
    if encoding is None:  # nothing has labels: held-out texts still measure the self-supervised objective
        return {str(part.split) if held_out else "unlabeled": rows}
    found = {}
    if with_label:
        labeled = rows.take(with_label)
        column = "tags" if KINDS[encoding.kind].schemed else "label"
        with quiet():
            dataset = added(labeled.dataset, column, encoding.encode(labeled.labels), encoding.feature)
        # Rows that came without a split are train; what train lacks is split off later.
        found[part.split or "train"] = Rows(dataset, labeled.keys, labeled.labels, labeled.groups)
    if without and held_out:
        report.dropped[f"no label, in {part.split}"] += len(without)
        if not with_label:
            report.warn(
                f"the {part.split} split has no labels ({len(without):,} rows): not used, not even as unlabeled data"
            )
        report.leave_out(
            "rows", f"no label, in {part.split}", len(without), len(rows), warn=bool(with_label),
            hint="Rows of a held-out split cannot be measured without",
        )  # fmt: skip
    elif without:
        found["unlabeled"] = rows.take(without)
    return found


def _joined(pieces: list[Rows]) -> Rows:
    if len(pieces) == 1:
        return pieces[0]
    grouped = all(rows.groups is not None for rows in pieces)
    return Rows(
        datasets.concatenate_datasets([rows.dataset for rows in pieces]),
        [key for rows in pieces for key in rows.keys],
        [label for rows in pieces for label in rows.labels],
        [group for rows in pieces for group in rows.groups or []] if grouped else None,
    )


def split_off(
    splits: dict[str, Rows],
    encoded: Encoding | None,
    fractions: Fractions,
    dedup: bool,
    report: DataReport,
    like_groups: Mapping[str, bool] | None = None,
    unit: str = "rows",
) -> dict[str, Rows]:
    """Split off what labeled data lack. Repeated rows go first, so that no two copies end on two sides.

    Raises:
        DataError: nothing to train on, one class only, too few rows or groups, or a column that looks like groups and was
            not given as such (`like_groups`).
    """
    if encoded is None:
        return splits
    if "train" not in splits:
        held_out = " and ".join(name for name in splits if name != "unlabeled")
        said = report.facts.get("split_words", {})
        words = [f"{said[name]}=train" for name in splits if name != "unlabeled" and said.get(name)]
        hint = (
            f"Names of files or folders say so; if these rows are all there is, and are to be split: split_names={words}."
            if words
            else "Give some to train on."
        )
        raise DataError(f"There are labeled rows in {held_out}, but none to train on. {hint}")
    sizes = {"validation": fractions.validation, "test": fractions.test}
    sizes = {name: 0.0 if name in splits else size for name, size in sizes.items()}
    lacking = [name for name, size in sizes.items() if size]
    if not lacking:
        return splits
    check_labels(encoded, {"train": splits["train"]}, report)
    refuse_other_groups(splits["train"].groups, like_groups or {}, lacking)
    splits = {**splits, **drop_duplicates({"train": splits["train"]}, dedup, report, unit)}
    train = splits["train"]
    rows = split_rows(
        train.labels,
        encoded.kind,
        train.groups,
        validation_fraction=sizes["validation"],
        test_fraction=sizes["test"],
        seed=fractions.seed,
        report=report,
    )
    way = "in whole groups" if train.groups else KINDS[encoded.kind].split
    report.facts["split_off"] = dict.fromkeys(lacking, way)
    report.decide(f"{' and '.join(lacking)} split off from {len(train):,} labeled rows {way}, seed {fractions.seed}")
    return {**splits, **{name: train.take(chosen) for name, chosen in rows.items()}}


def check_labels(
    encoded: Encoding | None, splits: dict[str, Rows], report: DataReport, known: Set[str] = frozenset()
) -> None:
    """See `splits.check_labels`; the pool has no labels to check. `known`: names that must not be gone."""
    if encoded is not None:
        check_classes(
            encoded.kind, {name: rows.labels for name, rows in splits.items() if name != "unlabeled"}, report
        )
        _refuse_lost_classes(encoded, known, splits, report)


def names_in(encoded: Encoding | None, splits: dict[str, Rows]) -> set[str]:
    """Names of labels that rows have."""
    if encoded is None:
        return set()
    labels = [
        label for name, rows in splits.items() if name != "unlabeled" for label in rows.labels if label is not None
    ]
    return set(KINDS[encoded.kind].names_in(labels))


def _refuse_lost_classes(encoded: Encoding, known: Set[str], splits: dict[str, Rows], report: DataReport) -> None:
    """A class whose every row was removed, because it repeats one of another class, would be missing in silence.

    Args:
        encoded: how labels are stored.
        known: names that rows had before repeated and leaking ones were removed.
        splits: what is left.
        report: told about tags and several labels per row, where rare ones are common.

    Raises:
        DataError: a class is gone.
    """
    lost = sorted(known - names_in(encoded, splits))
    if not lost:
        return
    text = (
        f"No row of {', '.join(map(repr, lost[:5]))} is left: all repeat a row of another label. Are two folders or files the same, one of "
        "them a link? Leave one out; dedup=False keeps repeated rows"
    )
    if KINDS[encoded.kind].holds == "name":
        raise DataError(f"{text}.")
    report.warn(text)


def add_pool(splits: dict[str, Rows], canonicalizer: Canonicalizer, has_pool: bool) -> dict[str, Rows]:
    """The pool never has labels, and words are joined to text. Where there is no pool, the rows of train are it.

    Args:
        splits: canonical rows.
        canonicalizer: what made them.
        has_pool: the source has unlabeled data of its own. Rows that merely lack a label can be a handful of
            forgotten ones: when they are fewer than train's, the rows of train join them.

    Raises:
        DataError: there are neither labeled nor unlabeled rows besides validation and test.
    """
    report, train, pool = canonicalizer.report, splits.get("train"), splits.get("unlabeled")
    if pool is not None:
        pool = _without_labels(pool, canonicalizer)
    if train is None:
        if pool is None:
            raise DataError("There is nothing to train on: only validation and test have rows.")
        return {**splits, "unlabeled": pool}
    if pool is None:
        report.decide("no unlabeled rows: the pool is the rows of train, without their labels")
        pool = _without_labels(train, canonicalizer)
        report.facts["pool_copies"] = len(pool)
    elif not has_pool and len(pool) < len(train):
        report.decide(f"only {len(pool):,} rows lack a label: the pool is those and the rows of train")
        known = set(pool.keys)
        more = train.take([row for row, key in enumerate(train.keys) if key not in known])
        report.facts["pool_copies"] = len(more)
        pool = _joined([pool, _without_labels(more, canonicalizer)])
    return {**splits, "unlabeled": pool}


def _without_labels(rows: Rows, canonicalizer: Canonicalizer) -> Rows:
    there, column = rows.dataset.column_names, canonicalizer.modality.column
    dataset = rows.dataset.remove_columns([name for name in ("label", "tags") if name in there])
    if "tokens" in there:
        texts = [value[0] for value in canonicalizer.values(dataset)]
        canonicalizer.report.decide("the pool's words are joined by spaces to text")
        with quiet():
            plain = dataset.remove_columns([name for name in ("tokens", column) if name in there])
            dataset = added(plain, column, texts, datasets.Value("string"))
    return Rows(dataset, rows.keys, [None] * len(rows), rows.groups)


def finish(
    splits: dict[str, Rows],
    encoding: Encoding | None,
    canonicalizer: Canonicalizer,
    how: ReadOptions,
    facts: dict[str, Any],
) -> DomainData:
    """Count, describe and fingerprint what is there now."""
    splits = {name: splits[name] for name in SPLITS if name in splits}
    kind, names = (encoding.kind, list(encoding.names)) if encoding else (None, [])
    report = how.report
    copies = report.facts.pop("pool_copies", 0)  # rows of train that are in the pool too are used once
    report.account(canonicalizer.unit).used += sum(len(rows) for rows in splits.values()) - copies
    column = canonicalizer.modality.column
    every = [rows.dataset for rows in splits.values() if column in rows.dataset.column_names]
    for remark in how.modality.remarks(value for dataset in every for value in each_value(dataset, column)):
        report.warn(remark)
    if kind == "class" and "train" in splits:
        tell_traits(splits["train"], how.modality, report)
    _tell_what_is_missing(report)
    report.facts = {
        **facts,
        "modality": how.modality.name,
        "files": dict(sorted(how.files.items())),
        "columns": canonicalizer.mapping,
        "ignored_columns": sorted(canonicalizer.ignored),
        "rows": {name: len(rows) for name, rows in splits.items()},
        "label_kind": kind,
        "label_names": names,
        "classes": _class_counts(splits, kind),
        "describe": {name: _describe(rows, canonicalizer) for name, rows in splits.items()},
        **report.facts,
        "fingerprint": fingerprint(splits, names),
    }
    return DomainData(
        {name: rows.dataset for name, rows in splits.items()}, report.to_dict(), how.modality.name, how.modality
    )


def finish_cut(splits: dict[str, datasets.Dataset], how: ReadOptions, facts: dict[str, Any]) -> DomainData:
    """The same for splits that the modality made itself: rows are no examples, so none are compared or removed."""
    modality, report = how.modality, how.report
    splits = {name: splits[name] for name in SPLITS if name in splits}
    _tell_what_is_missing(report)
    report.facts = {
        **facts, "modality": modality.name, "files": dict(sorted(how.files.items())), "columns": {}, "ignored_columns": [],
        "rows": {name: len(dataset) for name, dataset in splits.items()}, "label_kind": "future", "label_names": [],
        "classes": {}, "duplicates": {}, "leaks": [],
        "describe": {name: dict(modality.describe(dataset)) for name, dataset in splits.items()},
        **report.facts, "fingerprint": modality.fingerprint(splits),
    }  # fmt: skip
    return DomainData(splits, report.to_dict(), modality.name, modality)


def _tell_what_is_missing(report: DataReport) -> None:
    """A reader that forgets to enter what it leaves out is found here, by everybody who uses it."""
    for unit, account in report.accounts.items():
        if account.missing:
            report.warn(f"{account.missing:,} of {account.found:,} {unit} are neither used nor entered as left out")


def _describe(rows: Rows, canonicalizer: Canonicalizer) -> dict[str, Any]:
    dataset, column = rows.dataset, canonicalizer.modality.column
    if column not in dataset.column_names:
        dataset = datasets.Dataset.from_dict({column: [value[0] for value in canonicalizer.values(dataset)]})
    return dict(canonicalizer.modality.describe(dataset))


def _class_counts(splits: dict[str, Rows], kind: str | None) -> dict[str, dict[str, int]]:
    """Examples of every class (of every tag: words) per labeled split."""
    if kind is None or KINDS[kind].holds is None:
        return {}
    counts = {}
    for split, rows in splits.items():
        if split != "unlabeled":
            counts[split] = dict(sorted(Counter(KINDS[kind].names_in(rows.labels)).items()))
    return counts
