"""What was found, what was decided, what was left out: written for people, without a single row of their data."""

from __future__ import annotations

from collections import Counter
from typing import Any

MAX_LISTED = 20
SPLITS = ("unlabeled", "train", "validation", "test")


class Ledger:
    """Collects the facts of one `load_data` call while it runs.

    Attributes:
        facts: named numbers and lists of the report.
        decisions: what was chosen, and by which rule, in the order it was chosen.
        warnings: what the reader should not overlook.
        dropped: unusable rows, counted by reason.
        quarantined: unusable files, `{"path", "reason"}`.
    """

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.decisions: list[str] = []
        self.warnings: list[str] = []
        self.dropped: Counter[str] = Counter()
        self.quarantined: list[dict[str, str]] = []

    def decide(self, text: str) -> None:
        if text not in self.decisions:
            self.decisions.append(text)

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def to_dict(self) -> dict[str, Any]:
        """The report: JSON-safe; holds counts, ids, class names and file names, never content."""
        return {
            **self.facts,
            "dropped": dict(sorted(self.dropped.items())),
            "quarantined": self.quarantined,
            "decisions": self.decisions,
            "warnings": self.warnings,
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
            lines.append(f"  conflicts    {split}: {found['conflicts']:,} texts come with different labels")
    for leak in report["leaks"]:
        action = {"strip": "removed from", "allow": "KEPT in", "fail": "in"}[report["leakage"]]
        lines.append(
            f"  leaks        {leak['exact']:,} exact and {leak['near']:,} near copies of {leak['against']} "
            f"{action} {leak['split']}"
        )
    return lines


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
