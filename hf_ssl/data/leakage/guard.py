"""Repeated rows, and rows of the pool or of train that are also in validation or test."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import DataError, HfSslWarning, nearest
from hf_ssl.data.leakage.near_image import LookIndex
from hf_ssl.data.leakage.near_text import NearIndex, hash_pieces, search_all
from hf_ssl.data.leakage.shared_parts import tell_shared_parts
from hf_ssl.data.leakage.swapped import tell_swapped
from hf_ssl.data.report import MAX_LISTED, DataReport
from hf_ssl.data.rows import Rows

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality

# Who is checked against whom. Test never loses a row; validation loses what is in test, because choosing a model on
# test rows is a leak too.
CHECKS = {"unlabeled": ("validation", "test"), "train": ("validation", "test"), "validation": ("test",)}
NOTHING = hash_pieces(())
MODES = ("strip", "fail", "allow")
Values = Callable[[Any], Iterable[tuple[Any, ...]]]


def drop_duplicates(splits: dict[str, Rows], dedup: bool, report: DataReport, unit: str = "rows") -> dict[str, Rows]:
    """Keep the first of equal rows within the pool and within train; validation and test are only counted.

    Texts that occur with different labels are reported as conflicts; the first label is kept.
    """
    counts: dict[str, Any] = {}
    kept = {}
    for split, rows in splits.items():
        first: dict[str, int] = {}
        repeated = [row for row, key in enumerate(rows.keys) if first.setdefault(key, row) != row]
        against = [row for row in repeated if not _same(rows.labels[row], rows.labels[first[rows.keys[row]]])]
        conflicts = {rows.keys[row] for row in against}
        removed = bool(repeated) and dedup and split in {"unlabeled", "train"}
        counts[split] = {
            "rows": len(repeated),
            "removed": removed,
            "conflicts": len(conflicts),
            "conflict_ids": rows.ids(sorted(first[key] for key in conflicts)[:MAX_LISTED]),
        }
        if conflicts:
            earlier = first[rows.keys[against[0]]]
            report.warn(
                f"{split}: {len(conflicts):,} {unit} occur again with different labels, such as {str(rows.labels[earlier])[:30]!r} and "
                f"{str(rows.labels[against[0]])[:30]!r} (id {rows.ids([earlier])[0]})"
                + ("; the first label was kept" if removed else "")
                + ". Write one label for each, or leave them out of the source"
            )
        if removed:
            report.leave_out(unit, f"repeated in {split}", len(repeated), len(rows), warn=False)
            report.warn(
                f"{len(repeated):,} of {len(rows):,} {unit} of {split} repeat another one and were removed; dedup=False keeps them"
            )
        kept[split] = rows.take(sorted(first.values())) if removed else rows
    report.facts["duplicates"] = _merged(report.facts.get("duplicates", {}), counts)
    return kept


@dataclass(frozen=True)
class LeakCheck:
    """What to look for and what to do about it.

    Attributes:
        mode: `"strip"` removes leaks (never from test), `"fail"` raises, `"allow"` keeps them and warns.
        near: look for similar content too, not only for equal content.
        threshold: Jaccard similarity of the shingles from which content counts as similar.
    """

    mode: str = "strip"
    near: bool = True
    threshold: float = 0.85

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise DataError(
                f"leakage={self.mode!r} does not exist.{nearest(self.mode, MODES)} Known: {', '.join(MODES)}."
            )
        if not 0 < self.threshold <= 1:
            raise DataError(f"near_threshold must be in (0, 1], got {self.threshold}.")


def remove_leakage(
    splits: dict[str, Rows],
    values: Values,
    modality: Modality,
    check: LeakCheck,
    report: DataReport,
    unit: str = "rows",
) -> dict[str, Rows]:
    """Find rows of the pool, train and validation that repeat held-out rows, and do what `check.mode` says.

    Args:
        splits: canonical rows of every split.
        values: content of canonical rows.
        modality: gives `shingles`; when it gives None, only exact copies are looked for.
        check: what to look for.
        report: gets `leaks`, with counts and ids.

    Raises:
        DataError: a leak with `mode="fail"`, or nothing is left of a split.
    """
    found = _exact(splits)
    similar = check.near and _add_near(found, splits, values, modality, check.threshold, report)
    if check.near:
        _tell_loose(found, splits, values, modality, report)
        if modality.name == "text":
            tell_shared_parts(splits, found, values, report)
    tell_swapped(splits, values, report)
    report.facts["near_checked"] = similar
    report.facts["leaks"] = [
        _describe(split, against, splits[split], hits)
        for (split, against), hits in found.items()
        if hits["exact"] or hits["near"]
    ]
    if not report.facts["leaks"]:
        return splits
    return _act(splits, found, check.mode, report, unit)


def straddling_groups(splits: dict[str, Rows], mode: str, report: DataReport, unit: str = "rows") -> dict[str, Rows]:
    """Groups that the source itself has on two sides: train (and validation) give them up, the pool is reported.

    The pool carries no labels, so a group that it shares with test is a milder matter: it is counted and kept.
    """
    counts: dict[str, Any] = {
        "per_split": {name: len(set(rows.groups)) for name, rows in splits.items() if rows.groups}
    }
    kept = dict(splits)
    for split, against in CHECKS.items():
        held = {group for name in against if name in kept for group in kept[name].groups or []}
        groups = kept[split].groups if split in kept else None
        bad = [row for row, group in enumerate(groups or []) if group in held]
        if not bad or groups is None:
            continue
        count = len({groups[row] for row in bad})
        text = f"{count:,} groups ({len(bad):,} rows) of {split} are also in {' or '.join(against)}"
        counts.setdefault("shared", {})[split] = {"groups": count, "rows": len(bad)}
        if split == "unlabeled" or mode == "allow":
            report.warn(f"{text}; kept")
        elif mode == "fail":
            raise DataError(f"{text}. leakage='strip' removes them from {split}.")
        else:
            gone = set(bad)
            rest = kept[split].take([row for row in range(len(groups)) if row not in gone])
            kept[split] = _not_empty(rest, split, report)
            report.warn(f"{text}; removed from {split}")
            report.leave_out(
                unit, f"of a group that is in {' or '.join(against)}, in {split}", len(bad), len(groups), warn=False
            )
    report.facts["groups"] = counts
    return kept


def _exact(splits: dict[str, Rows]) -> dict[tuple[str, str], dict[str, list[int]]]:
    found = {}
    for split, against in CHECKS.items():
        for held_out in against:
            if split in splits and held_out in splits:
                held = set(splits[held_out].keys)
                rows = [row for row, key in enumerate(splits[split].keys) if key in held]
                found[split, held_out] = {"exact": rows, "near": []}
    return found


def _add_near(
    found: dict[tuple[str, str], dict[str, list[int]]],
    splits: dict[str, Rows],
    values: Values,
    modality: Modality,
    threshold: float,
    report: DataReport,
) -> bool:
    """Add similar rows to what was found; returns whether this kind of data can be looked through for them."""
    indexes: dict[str, Any] = {}
    bits = getattr(modality, "near_bits", None)
    for held_out in sorted({against for _, against in found}):
        targets = list(_pieces(splits[held_out], values, modality))
        if bits is not None:
            indexes[held_out] = LookIndex(targets, bits)
            continue
        if targets and all(pieces is None for pieces in targets):
            report.decide(f"{modality.name} has no near-duplicate check: only exact copies were looked for")
            return False
        indexes[held_out] = NearIndex([NOTHING if pieces is None else pieces for pieces in targets], threshold)
    for split in CHECKS:
        searched = {held_out: index for held_out, index in indexes.items() if (split, held_out) in found}
        if not searched:
            continue
        known = indexes[split].targets if split in indexes else _pieces(splits[split], values, modality)
        queries = known if bits is not None else (NOTHING if p is None else p for p in known)
        other: dict[str, dict[int, int]] = {}
        for held_out, pairs in search_all(searched, queries).items():
            exact = set(found[split, held_out]["exact"])
            near = [(row, target) for row, target in pairs if row not in exact]
            own, theirs = splits[split].labels, splits[held_out].labels
            # A minimal pair (one symbol, another label) is what there is to learn, and gives no answer away.
            unlike = {row: at for row, at in near if own[row] is not None and not _same(own[row], theirs[at])}
            other[held_out] = unlike
            found[split, held_out]["near"] = [row for row, _ in near if row not in unlike]
        _warn_of_pairs(split, other, found, splits, report)
    return True


def _warn_of_pairs(
    split: str,
    other: dict[str, dict[int, int]],
    found: dict[tuple[str, str], dict[str, list[int]]],
    splits: dict[str, Rows],
    report: DataReport,
) -> None:
    """One warning a split: a row that is like one of validation and one of test is one row, and what is removed is not kept."""
    gone = {row for held_out in other for kind in ("exact", "near") for row in found[split, held_out][kind]}
    left = {held_out: [row for row in rows if row not in gone] for held_out, rows in other.items()}
    where = [held_out for held_out, rows in left.items() if rows]
    if where:
        count, row = len({row for rows in left.values() for row in rows}), left[where[0]][0]
        own, theirs = splits[split], splits[where[0]]
        target = other[where[0]][row]
        report.warn(
            f"{count:,} rows of {split} are much like a row of {' or '.join(where)} that has another label, such as id {own.ids([row])[0]} "
            f"({str(own.labels[row])[:30]!r}) and {theirs.ids([target])[0]} ({str(theirs.labels[target])[:30]!r}): kept, because they do not tell "
            "its label. If they are copies, give one label to both in the source; near_duplicates=False looks for equal content alone"
        )


def _tell_loose(
    found: dict[tuple[str, str], dict[str, list[int]]],
    splits: dict[str, Rows],
    values: Values,
    modality: Modality,
    report: DataReport,
) -> None:
    """Warn about rows that are copies of held-out ones but for what copies gain or lose: case, accents, tags, links.

    They are kept, for such a difference may be what there is to learn: the user says which it is.
    """
    held: dict[str, dict[tuple[str, ...], int]] = {}
    for split, against in CHECKS.items():
        for held_out in against:
            if (split, held_out) not in found:
                continue
            if held_out not in held:
                held[held_out] = dict(_loose_keys(splits[held_out], values, modality))
            known = held[held_out]
            gone = {*found[split, held_out]["exact"], *found[split, held_out]["near"]}
            own, theirs = splits[split].labels, splits[held_out].labels
            pairs = [
                (row, known[key])
                for key, row in (_loose_keys(splits[split], values, modality) if known else ())
                if key in known and row not in gone
            ]
            pairs = [(row, target) for row, target in pairs if own[row] is None or _same(own[row], theirs[target])]
            found[split, held_out]["loose"] = [row for row, _ in pairs]
            if pairs:
                (mine,), (other,) = splits[split].ids([pairs[0][0]]), splits[held_out].ids([pairs[0][1]])
                report.warn(
                    f"{len(pairs):,} of {len(own):,} rows of {split} are rows of {held_out} but for case, accents, HTML tags, links, marks, emoji, "
                    f"hashtags, letters that look alike, a greeting or a number in front, such as id {mine} (of {held_out}: {other}): kept. "
                    "normalize='words' takes them for the same and removes them, normalize='exact' says that they are not"
                )


def _loose_keys(rows: Rows, values: Values, modality: Modality) -> Iterator[tuple[tuple[str, ...], int]]:
    """Key of each row that has one, and its number."""
    for row, value in enumerate(values(rows.dataset)):
        keys = tuple(key for part in value if (key := modality.loose_key(part)) is not None)
        if len(keys) == len(value):
            yield keys, row


def _pieces(rows: Rows, values: Values, modality: Modality) -> Iterator[np.ndarray | None]:
    if getattr(modality, "near_bits", None) is not None:
        yield from (modality.signature(value[0]) for value in values(rows.dataset))
        return
    for value in values(rows.dataset):
        sets = [pieces for part in value if (pieces := modality.shingles(part)) is not None]
        if len(sets) < len(value):
            yield None
        elif len(sets) == 1:
            yield hash_pieces(sets[0])
        else:
            yield hash_pieces(f"{side}\x1f{piece}" for side, pieces in enumerate(sets) for piece in pieces)


def _describe(split: str, against: str, rows: Rows, hits: dict[str, list[int]]) -> dict[str, Any]:
    ids = rows.ids(sorted([*hits["exact"], *hits["near"]])[:MAX_LISTED])
    return {"split": split, "against": against, "exact": len(hits["exact"]), "near": len(hits["near"]), "ids": ids}


def _act(
    splits: dict[str, Rows],
    found: dict[tuple[str, str], dict[str, list[int]]],
    mode: str,
    report: DataReport,
    unit: str,
) -> dict[str, Rows]:
    leaks = report.facts["leaks"]
    text = "; ".join(
        f"{leak['exact'] + leak['near']:,} rows of {leak['split']} are also in {leak['against']}" for leak in leaks
    )
    if mode == "fail":
        raise DataError(
            f"Leakage: {text} (ids: {', '.join(leaks[0]['ids'][:5])}). "
            "leakage='strip' removes them, leakage='allow' keeps them."
        )
    if mode == "allow":
        warning = f"TRANSDUCTIVE: {text}, and leakage='allow' keeps them. Results will not hold for new data."
        report.warn(warning)
        warnings.warn(HfSslWarning(warning), stacklevel=4)
        return splits
    kept = dict(splits)
    for split in CHECKS:
        exact = {row for (name, _), hits in found.items() if name == split for row in hits["exact"]}
        gone = exact | {row for (name, _), hits in found.items() if name == split for row in hits["near"]}
        if gone:
            total, held = len(splits[split]), "validation or test" if split != "validation" else "test"
            report.leave_out(unit, f"in {split}, also in {held}", len(exact), total, warn=False)
            near = gone - exact
            if exact and not near:
                report.warn(
                    f"{len(exact):,} of {total:,} rows of {split} are also in {held} and were removed; leakage='allow' keeps them"
                )
            same = f". {len(exact):,} more are also in {held} as they are: leakage='allow' keeps them" if exact else ""
            report.leave_out(
                unit, f"in {split}, much like a row of {held}", len(near), total,
                example=f"id {splits[split].ids([min(near)])[0]}" if near else "",
                hint=f"near_duplicates=False keeps them, near_threshold says how much alike is a copy{same}", floor=10,
            )  # fmt: skip
            rest = splits[split].take([row for row in range(len(splits[split])) if row not in gone])
            kept[split] = _not_empty(rest, split, report)
    return kept


def _not_empty(rows: Rows, split: str, report: DataReport) -> Rows:
    if len(rows):
        return rows
    said = [word for name, word in report.facts.get("split_words", {}).items() if name in CHECKS[split] and word]
    anew = (
        f"split_names={[split, *(f'{word}={split}' for word in said)]} takes them together and splits them anew; "
        if said
        else ""
    )
    raise DataError(
        f"Nothing is left of {split}: every row of it is also in validation or test (or shares a group with them). {anew}leakage='allow' keeps "
        "them, and what is measured does not hold for new ones."
    )


def _merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Numbers of a second pass over the same split, after a first one that removed rows, add up."""
    merged = dict(earlier)
    for split, found in later.items():
        if split not in merged or found["rows"]:
            merged[split] = found
    return merged


def _same(a: object, b: object) -> bool:
    return a == b or json.dumps(a, default=str) == json.dumps(b, default=str)
