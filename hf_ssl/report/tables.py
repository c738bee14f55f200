"""Tables of the page, as text cells; the template gives them captions and scopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_ssl.core.run import RunDir
from hf_ssl.core.summary import attempts
from hf_ssl.evaluation.comparison.attribution import COLUMNS, saved_text
from hf_ssl.evaluation.comparison.contest import contender_name

SPLITS = ("unlabeled", "train", "validation", "test")
CLASSES = 40
"""Most classes with a line of their own."""


@dataclass(frozen=True)
class Table:
    """Cells as text; the first of every row names it.

    Args:
        strong: numbers of the rows that stand out.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: Sequence[int] = ()


def contest_table(contest: Mapping[str, Any]) -> Table:
    """Every contender at every number of labels, the best first."""
    lines = contest["lines"]
    present = any(line["present"] is not None for line in lines)
    counted = str(contest.get("counted", "labels"))
    head = ["what", counted, str(contest["metric"]), *(["classes of test only"] if present else []), "against the chosen", "95% interval",
            "p (Holm)", "could be shown", "seconds", "trained parameters", "in words"]  # fmt: skip
    rows = []
    for line in lines:
        difference = line["difference"]
        rows.append(
            [
                contender_name((line["arm"], line["protocol"])), str(line["budget"]), _spread(line["score"]),
                *([_number(line["present"])] if present else []), _signed(difference and difference["difference"]), _interval(difference),
                _number(line["adjusted_p"]), _number(line["minimum_detectable"]), _number(line["seconds"], 1),
                "–" if line["trainable"] is None else f"{line['trainable']:,}", line["word"],
            ]
        )  # fmt: skip
    strong = [place for place, line in enumerate(lines) if line["word"] == "chosen"]
    return Table("Everything that was tried: what to use is in bold", head, rows, strong)


def attribution_table(steps: Sequence[Mapping[str, Any]]) -> Table:
    """What came from what."""
    head = [*COLUMNS, "in words"]
    rows = [
        [
            step["step"], step["fixed"], str(step["budget"]), _signed(step["difference"]["difference"]), _interval(step["difference"]),
            _number(step["adjusted_p"]), _number(step["minimum_detectable"]), saved_text(step["labels_saved"]), step["verdict"]["word"],
        ]
        for step in steps
    ]  # fmt: skip
    strong = [place for place, step in enumerate(steps) if step["verdict"]["word"] == "helped"]
    return Table("What helped: each line compares two arms that differ in one thing", head, rows, strong)


def attempts_tables(adapted: Mapping[str, Any]) -> list[Table]:
    """Every way that `adapt` tried, where it ran."""
    rows = [list(row) for row in attempts(adapted)]
    strong = [place for place, row in enumerate(rows[1:]) if row[0] == adapted["kept"]]
    return [Table("Ways tried: the kept one is in bold", rows[0], rows[1:], strong)] if rows else []


def split_table(data: Mapping[str, Any]) -> Table:
    """Rows, and rows of every class, in every split."""
    splits = [split for split in SPLITS if split in data.get("rows", {})]
    rows = [["all rows", *(f"{data['rows'][split]:,}" for split in splits)]]
    classes = data.get("classes") or {}
    for name in data.get("label_names", [])[:CLASSES] if classes else []:
        rows.append([name, *(f"{classes[split].get(name, 0):,}" if split in classes else "–" for split in splits)])
    more = len(data.get("label_names", [])) - CLASSES
    if classes and more > 0:
        rows.append([f"{more} more classes", *("" for _ in splits)])
    return Table("Rows of every split", ["", *splits], rows)


def stage_table(run: RunDir) -> Table:
    """What ran, when, how long, and how well it used the machine."""
    ordered = sorted(run.stages.items(), key=lambda item: item[1].started)
    head, rows = ["stage", "status", "started", "seconds"], []
    used = {"data wait": ("data_wait_percent", "%"), "model": ("model_gflops_per_second", "GFLOP/s"),
            "matrix products": ("matmul_gflops_per_second", "GFLOP/s"), "MFU": ("mfu_percent", "%")}  # fmt: skip
    some = any("mfu_percent" in record.metrics for _, record in ordered)
    for name, record in ordered:
        rows.append([name, record.status, record.started, f"{record.seconds:,.0f}"])
        if some:
            rows[-1] += [
                f"{record.metrics[key]:,.1f} {unit}" if key in record.metrics else "–" for key, unit in used.values()
            ]
    return Table("Stages: what ran, and what it cost", [*head, *(used if some else ())], rows)


UNITS = {"_percent": " %", "_seconds": " s", "_gb": " GB"}


def numbers(metrics: Mapping[str, Any]) -> str:
    """`steps 40, accuracy 0.813, MFU 24.2 %`: the plain numbers among metrics; the rates of `stage_table` are left to it."""
    shown = []
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or "gflops" in name:
            continue
        unit = next((ending for ending in UNITS if name.endswith(ending)), "")
        told = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}" if unit else f"{value:.3f}"
        words = name.removesuffix(unit).replace("_", " ").replace("mfu", "MFU")
        rate = words.endswith(" per second")
        shown.append(
            f"{told} {words.removesuffix(' per second')}/s" if rate else f"{words} {told}{UNITS.get(unit, '')}"
        )
    return ", ".join(shown)


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _spread(score: Mapping[str, Any]) -> str:
    return f"{score['mean']:.3f}" + (f" ± {score['sd']:.3f}" if score["sd"] is not None else "")


def _interval(difference: Mapping[str, Any] | None) -> str:
    return "–" if difference is None else f"[{difference['low']:+.3f}, {difference['high']:+.3f}]"
