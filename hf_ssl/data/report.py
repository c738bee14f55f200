"""What was found, what was decided, what was left out: written for people, without a single row of their data."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hf_ssl.core.codes import calling_module, code_of_warning
from hf_ssl.core.errors import DataError
from hf_ssl.core.numbers import rounded_up

MAX_LISTED = 20
MAX_LEFT_OUT = 0.1
SPLITS = ("unlabeled", "train", "validation", "test")


@dataclass
class Account:
    """What was found of one unit (files, rows, pieces, series), what of it is used, and why the rest is not.

    `used` is counted where the splits are made, not computed from the rest, so that the sum is a check.
    """

    found: int = 0
    used: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def missing(self) -> int:
        """What nobody accounts for: 0, or a reader forgot something."""
        return self.found - self.used - sum(self.left_out.values())

    def to_dict(self) -> dict[str, Any]:
        return {
            "found": self.found,
            "used": self.used,
            "left_out": {reason: count for reason, count in sorted(self.left_out.items()) if count},
        }


def kind_of_reason(reason: str) -> str:
    """What a reason has in common with others of its kind: no path, no detail, no numbers of one row."""
    plain = re.split(r": | \(", reason)[0]
    return re.sub(r"(?<=between )\S+ s and \S+ s", "its start and end", plain)


class DataReport:
    """Collects the facts of one `load_data` call while it runs.

    Attributes:
        facts: named numbers and lists of the report.
        decisions: what was chosen, and by which rule, in the order it was chosen.
        warnings: what the reader should not overlook.
        warning_codes: of each, by the part of the library that found it.
        dropped: unusable rows, counted by reason.
        quarantined: unusable files, `{"path", "reason"}`.
        accounts: unit → found, used, left out.
        max_left_out: share of rows or files above which leaving them out is an error.
        unit: what the examples are called in the accounts: rows, pieces of recordings, series.
    """

    def __init__(self, max_left_out: float = MAX_LEFT_OUT) -> None:
        if not 0 <= max_left_out <= 1:
            raise DataError(f"max_left_out is a share from 0 to 1, got {max_left_out}.")
        self.max_left_out = max_left_out
        self.unit = "rows"
        self.accounts: dict[str, Account] = {}
        self.facts: dict[str, Any] = {}
        self.decisions: list[str] = []
        self.warnings: list[str] = []
        self.warning_codes: list[str] = []
        self.dropped: Counter[str] = Counter()
        self.quarantined: list[dict[str, str]] = []
        self._lost: dict[str, tuple[int, int]] = {}

    def decide(self, text: str) -> None:
        if text not in self.decisions:
            self.decisions.append(text)

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)
            self.warning_codes.append(code_of_warning(calling_module(__name__)))

    def account(self, unit: str) -> Account:
        """The account of `"files"`, `"rows"`, `"pieces"` or `"series"`."""
        return self.accounts.setdefault(unit, Account())

    def leave_out(
        self,
        unit: str,
        reason: str,
        count: int,
        total: int,
        *,
        example: str = "",
        hint: str = "",
        warn: bool = True,
        floor: int = 1,
        within: str = "",
    ) -> None:
        """Enter what is not used into the account, and say so: a warning, or an error when it is too large a share.

        Args:
            unit: account to enter it into.
            reason: why, in the words of the closing line.
            count: how many.
            total: of how many.
            example: one of them, such as a file and a line.
            hint: option that reads them otherwise.
            warn: False where it was announced already, or was asked for.
            floor: fewer than so many are never too large a share.
            within: what the total is of (a part of the data, the files of a source): the limit is for all reasons there together; "": for
                this one alone.

        Raises:
            DataError: more than `max_left_out` of the total.
        """
        if not count:
            return
        self.account(unit).left_out[reason] += count
        if not warn:
            return
        text = f"{count:,} of {total:,} {unit} left out: {reason}"
        text += (f" (such as {example})" if example else "") + (f". {hint}" if hint else "")
        total, gone = self.lose(within, count, total)
        before = gone - count
        if gone >= floor and gone > self.max_left_out * total:
            rest = (
                f" To go on without them: max_left_out={rounded_up(gone / total)}."
                if gone < total
                else " None would be left."
            )
            share = f"{gone / total:.0%}" + (
                f" with {before:,} of {total:,} left out for other reasons" if before else ""
            )
            raise DataError(
                f"{text}{'' if text.endswith('.') else '.'} That is {share}, more than max_left_out="
                f"{self.max_left_out:g}.{rest}"
            )
        self.warn(text)

    def lose(self, within: str, count: int, total: int) -> tuple[int, int]:
        """Count what is lost, whatever the reason: of how many, and how many so far."""
        if not within:
            return total, count
        most, gone = self._lost.get(within, (0, 0))
        self._lost[within] = (max(most, total), gone + count)
        return self._lost[within]

    def to_dict(self) -> dict[str, Any]:
        """The report: JSON-safe; holds counts, ids, class names and file names, never content."""
        return {
            **self.facts,
            "dropped": dict(sorted(self.dropped.items())),
            "quarantined": self.quarantined,
            "accounts": {unit: account.to_dict() for unit, account in self.accounts.items()},
            "decisions": self.decisions,
            "warnings": self.warnings,
            "warning_codes": self.warning_codes,
            "test_opened": [],
        }


def render(report: dict[str, Any]) -> str:
    """The report as plain text for a terminal."""
    lines = [f"Data: {report['source']} ({report['modality']})"]
    if report.get("files"):
        lines.append("  files        " + ", ".join(f"{count:,} {kind}" for kind, count in report["files"].items()))
    lines.append("  columns      " + ", ".join(f"{new} <- {old}" for new, old in report["columns"].items()))
    if report["ignored_columns"]:
        lines.append("  not used     " + ", ".join(report["ignored_columns"]))
    lines += _split_table(report)
    lines += _class_table(report)
    for reason, count in report["dropped"].items():
        lines.append(f"  dropped      {count:,} rows: {reason}")
    if report["quarantined"]:
        lines.append(f"  quarantined  {len(report['quarantined']):,} files")
        lines += [f"    {item['path']}: {item['reason']}" for item in report["quarantined"][:MAX_LISTED]]
    lines += _duplicate_lines(report)
    lines += [f"  decided      {text}" for text in report["decisions"]]
    lines += [f"  WARNING      {text}" for text in report["warnings"]]
    for opening in report["test_opened"]:
        lines.append(f"  test opened  {opening['time']}: {opening['reason']}")
    lines += _account_lines(report)
    lines.append(f"  fingerprint  {report['fingerprint']}")
    return "\n".join(lines)


def _split_table(report: dict[str, Any]) -> list[str]:
    lines = []
    for split, rows in report["rows"].items():
        numbers = [f"{rows:>10,} rows"]
        if split in report.get("groups", {}).get("per_split", {}):
            numbers.append(f"{report['groups']['per_split'][split]:,} groups")
        described = report["describe"].get(split, {})
        numbers += [f"{name.replace('_', ' ')} {value:,}" for name, value in described.items() if _is_number(value)]
        lines.append(f"  {split:<12} " + ", ".join(numbers).strip())
    return lines


def _class_table(report: dict[str, Any]) -> list[str]:
    if not report["classes"]:
        return []
    names = report["label_names"]
    splits = [split for split in SPLITS if split in report["classes"]]
    width = max([len(name) for name in names[:MAX_LISTED]] + [5])
    lines = [f"  {report['label_kind']:<12} " + f"{'':<{width}} " + " ".join(f"{split:>10}" for split in splits)]
    for name in names[:MAX_LISTED]:
        counts = " ".join(f"{report['classes'][split].get(name, 0):>10,}" for split in splits)
        lines.append(f"  {'':<12} {name:<{width}} {counts}")
    if len(names) > MAX_LISTED:
        lines.append(f"  {'':<12} ... and {len(names) - MAX_LISTED:,} more classes")
    return lines


def _duplicate_lines(report: dict[str, Any]) -> list[str]:
    lines = []
    for split, found in report["duplicates"].items():
        if found["rows"]:
            what = "removed" if found["removed"] else "kept"
            lines.append(f"  duplicates   {split}: {found['rows']:,} repeated rows {what}")
        if found["conflicts"]:
            lines.append(f"  conflicts    {split}: {found['conflicts']:,} examples come with different labels")
    for leak in report["leaks"]:
        action = {"strip": "removed from", "allow": "KEPT in", "fail": "in"}[report["leakage"]]
        lines.append(
            f"  leaks        {leak['exact']:,} exact and {leak['near']:,} near copies of {leak['against']} "
            f"{action} {leak['split']}"
        )
    return lines


def _account_lines(report: dict[str, Any]) -> list[str]:
    """`rows: 120 found = 118 used + 2 left out (2 empty text)`."""
    lines = []
    for unit, account in report.get("accounts", {}).items():
        left = sum(account["left_out"].values())
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in account["left_out"].items())
        lines.append(
            f"  {unit:<12} {account['found']:,} found = {account['used']:,} used + {left:,} left out"
            + (f" ({reasons})" if reasons else "")
        )
    return lines


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
