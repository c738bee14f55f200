"""Numbered warnings: what a reader of the page should not overlook, each with what it means and what to do.

The numbers stay what they are, so that they can be looked up (docs/reading-the-report.md) and talked about; those of the
terminal are in `hf_ssl.core.codes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hf_ssl.core.codes import code_of_warning
from hf_ssl.core.run import RunDir
from hf_ssl.evaluation.comparison.verdict import UNCLEAR

DOCS = "docs/reading-the-report.md"
REPEATS = code_of_warning("hf_ssl.data.leakage")
MEANING = {
    "HFS301": ("The data report has a warning.", "Read it, and look at the examples; hf-ssl data SOURCE reads the data again."),
    "HFS302": ("More than a tenth of what was found is not used.", "See the account of rows in the data section."),
    "HFS303": ("The test split was opened for more than one purpose.", "Choices made since the first opening are choices on test data."),
    "HFS304": ("The comparison cannot tell at this number of test items.", "Label more test items: the table says how many would do."),
    "HFS305": ("The simple baseline is as good, as far as can be told.", "Use it, or find out what the pretrained model misses."),
    "HFS306": ("The comparison is not finished.", "Run the same command again; finished models are kept."),
    "HFS307": ("Pre-training was no better than its start.", "The start was kept. More data, another objective, or no pre-training."),
    "HFS308": ("Without labels along the way it cannot be judged whether pre-training helped.", "Give some labels; compare then tells."),
    "HFS309": ("Rows or groups are repeated, in one part or across parts.", "Removed unless kept by --dedup, --leakage or --near_duplicates."),
    "HFS310": ("The license of the start checkpoint is not known.", "Ask its makers before publishing what descends from it."),
    "HFS311": ("A stage failed or was interrupted.", "Its part of this page may be missing or old. Go on with --resume."),
    "HFS312": ("Few test items.", "Intervals are wide; with fewer than 100 items most real gains go unseen."),
    "HFS313": ("Features collapsed, or nearly.", "The effective rank fell below half of the start's: a lower learning rate, or another objective."),
    "HFS314": ("Training waited for its data.", "Raise --dataloader_num_workers where a GPU trains; store the data smaller, or decoded."),
}  # fmt: skip


WAITED, WORTH = 5.0, 10.0
"""Percent of a training, and seconds, from which on waiting for data is told."""


@dataclass(frozen=True)
class Notice:
    """A warning of this run.

    Args:
        code: its number, as in the docs.
        detail: what was found here.
    """

    code: str
    detail: str

    @property
    def title(self) -> str:
        return MEANING[self.code][0]

    @property
    def advice(self) -> str:
        return MEANING[self.code][1]

    @property
    def docs(self) -> str:
        return f"{DOCS}#{self.code.lower()}"


def notices(
    run: RunDir, data: dict[str, Any], contest: dict[str, Any], tables: dict[str, Any], monitor: list[dict[str, Any]]
) -> list[Notice]:
    """All warnings, by number."""
    found = [*_of_data(data), *_of_comparison(contest, tables), *_of_training(run, monitor)]
    if run.base is not None and not run.base.license:
        found.append(Notice("HFS310", run.base.id))
    for name, record in run.stages.items():
        if record.status in ("failed", "interrupted"):
            found.append(Notice("HFS311", f"{name}: {record.status}. {record.error}".strip()))
        share, seconds = (record.metrics.get(key) or 0.0 for key in ("data_wait_percent", "train_seconds"))
        if share > WAITED and share / 100 * seconds > WORTH:
            found.append(Notice("HFS314", f"{name}: {share:.0f} % of {seconds:,.0f} seconds."))
    return sorted(found, key=lambda notice: notice.code)


def _of_data(data: dict[str, Any]) -> Iterator[Notice]:
    texts = data.get("warnings", [])
    codes = data.get("warning_codes") or [""] * len(texts)  # a report of before warnings had codes
    for text, code in zip(texts, codes, strict=False):
        yield Notice("HFS309" if code == REPEATS else "HFS301", text)
    for unit, account in data.get("accounts", {}).items():
        left = sum(account["left_out"].values())
        if account["found"] and left > 0.1 * account["found"]:
            yield Notice("HFS302", f"{left:,} of {account['found']:,} {unit}.")
    reasons = list(dict.fromkeys(opening["reason"].split(" ")[0] for opening in data.get("test_opened", [])))
    if len(reasons) > 1:
        yield Notice("HFS303", f"By {', then by '.join(reasons)}.")
    leaks = [f"{leak['exact']:,} exact and {leak['near']:,} near copies of {leak['against']} in {leak['split']}"
             for leak in data.get("leaks", []) if leak["exact"] or leak["near"]]  # fmt: skip
    if leaks and REPEATS not in codes:  # else it is told already, with an example
        yield Notice("HFS309", f"{'; '.join(leaks)} ({'kept' if data.get('leakage') == 'allow' else 'removed'}).")
    test = data.get("rows", {}).get("test")
    if test is not None and test < 100:
        yield Notice("HFS312", f"The test split has {test:,}.")


def _of_comparison(contest: dict[str, Any], tables: dict[str, Any]) -> Iterator[Notice]:
    unclear = [title for title, table in tables.items() if table["overall"]["word"] == UNCLEAR]
    for title in unclear:
        yield Notice("HFS304", f"{title}: {tables[title]['overall']['sentence']}")
    won = [choice for choice in contest.get("choices", []) if choice["protocol"] == "baseline"]
    if won:
        yield Notice("HFS305", "; ".join(f"{choice['budget']} labels: {choice['arm']}" for choice in won) + ".")
    if contest.get("unfinished"):
        yield Notice("HFS306", f"{contest['unfinished']} models are left.")


def _of_training(run: RunDir, monitor: list[dict[str, Any]]) -> Iterator[Notice]:
    pretrained = run.stage("pretrain")
    if pretrained.done and pretrained.metrics.get("kept_step") == 0:
        yield Notice("HFS307", str(pretrained.metrics.get("outcome", "")))
    if pretrained.done and monitor and not any("probe" in entry for entry in monitor):
        yield Notice("HFS308", str(pretrained.metrics.get("outcome", "")))
    ranks = [entry["effective_rank"] for entry in monitor if isinstance(entry.get("effective_rank"), float)]
    if len(ranks) > 1 and ranks[-1] < 0.5 * ranks[0]:
        yield Notice("HFS313", f"Effective rank {ranks[0]:.1f} at the start, {ranks[-1]:.1f} at the end.")
