"""What a stage has done, in a few lines for the reader: what, how well, where it lies, and what to type next.

Everything is read from the stage's own record in `run.json`, so that the box says what the files say. No rendering here:
`hf_ssl.core.terminal` shows it, `--json` prints it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_ssl.core.run import LEDGER, RunDir, StageRecord

DEFAULT = "runs/default"
SHOWN = 6  # numbers of a stage that fit in a line


@dataclass(frozen=True)
class Summary:
    """One box.

    Args:
        title: the stage.
        lines: what is said, by a word for each line: `("result", "no better than the start")`.
        table: cells of a table, its header first.
        next: the command to type next; empty where nothing follows.
    """

    title: str
    lines: tuple[tuple[str, str], ...]
    table: tuple[tuple[str, ...], ...] = ()
    next: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"stage": self.title, **self.facts, "next": self.next}


def summary_of(
    verb: str, path: Path, metrics: Mapping[str, Any], skipped: bool, options: Mapping[str, Any]
) -> Summary:
    """The box of a stage that has ended.

    Args:
        path: the stage's folder.
        metrics: its numbers.
        skipped: it had been done before, with the same inputs.
        options: as given by the user.
    """
    folder = Path(str(options.get("output") or DEFAULT))
    record = RunDir(folder).stage(verb) if (folder / LEDGER).is_file() else StageRecord()
    lines = [
        ("did", _did(verb, record, metrics) + (" (before, with the same inputs: skipped)" if skipped else "")),
        ("result", _result(verb, metrics)),
        ("advice", _advice(metrics)),
        ("where", _where(path, record)),
    ]
    if record.seconds and not skipped:
        lines += [("time", clock(record.seconds)), ("speed", _speed(metrics))]
    facts = {"path": str(path), "skipped": skipped, "seconds": record.seconds, "metrics": metrics}
    told = tuple((name, text) for name, text in lines if text)
    table = attempts(metrics) if verb == "adapt" else ()
    return Summary(verb, told, table, next=next_command(verb, metrics, options, record), facts=facts)


def clock(seconds: float) -> str:
    """`4 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def next_command(verb: str, metrics: Mapping[str, Any], options: Mapping[str, Any], record: StageRecord) -> str:
    """What one would type next, with this run's own names; what cannot be known is left as a word in capitals."""
    output = shlex.quote(str(options.get("output") or DEFAULT))
    data = options.get("data")
    # Data given as objects have no name that could be typed.
    source = f"--data {shlex.quote(data)}" if isinstance(data, str) else "--data DATA"
    kind = str(record.options.get("modality") or options.get("modality") or "text")
    same = f"{source} --output {output}" + (f" --modality {kind}" if kind != "text" else "")
    query = {"text": '"A TEXT LIKE THOSE"', "image": "--file PICTURE.png", "audio": "--file SOUND.wav"}
    folder = Path(str(options.get("output") or DEFAULT))
    has_model = (folder / LEDGER).is_file() and RunDir(folder).stage("finetune").done
    known = {
        "adapt": f"hf-ssl predict NEW-DATA --output {output}",
        "data": f"hf-ssl pretrain {source} --model CHECKPOINT --output runs/mine"
        + (f" --modality {kind}" if kind != "text" else ""),
        "gap": _advised(metrics, options, same),
        "pretrain": f"hf-ssl compare {same}   (did it help?)",
        "finetune": f"hf-ssl evaluate {same}",
        "evaluate": f"hf-ssl predict NEW-DATA --output {output}",
        "predict": f"hf-ssl report {output}" if (folder / LEDGER).is_file() else "",
        "compare": f"hf-ssl predict NEW-DATA --output {output}" if has_model else f"hf-ssl finetune {same}",
        "embed": f"hf-ssl search {query.get(kind, '--file SERIES.csv')} --output {output}",
        "report": "open the page in a browser",
        "push": "open the address above" if "commit" in metrics else "",  # a dry run leads nowhere
        "import-tf": f"hf-ssl pretrain --model {output} --data DATA   (pictures: --modality image)",
    }
    return known.get(verb, "")


def _advised(metrics: Mapping[str, Any], options: Mapping[str, Any], same: str) -> str:
    """The command of what `gap` says is worth trying first."""
    model = shlex.quote(str(options.get("model") or "CHECKPOINT"))
    advice = metrics.get("advice")
    target = options.get("target")
    other = shlex.quote(target) if isinstance(target, str) else "OTHER-DATA"
    commands = {
        "as-released": f"hf-ssl finetune {same} --model {model}",
        "domain-adaptive": f"hf-ssl pretrain {same} --model {model} --unlabeled {other}",
        "adversarial": f"hf-ssl finetune {same} --model {model} --target {other} --domain_method dann",
        "another-checkpoint": f"hf-ssl gap {same} --model ANOTHER-CHECKPOINT",
    }
    chosen = str(advice.get("choice")) if isinstance(advice, Mapping) else ""
    return commands.get(chosen, f"hf-ssl pretrain {same} --model {model}")


def hits_summary(hits: Sequence[Mapping[str, Any]], vote: str | None) -> Summary:
    """What `search` found, the nearest first."""
    rows = [
        (
            f"{hit['score']:.3f}",
            str(hit.get("label", "")),
            str(hit.get("text") or hit.get("path") or hit["id"]).replace("\n", " ")[:90],
        )
        for hit in hits
    ]
    lines = (("result", f"{len(rows)} nearest" + (f"; they vote for {vote}" if vote else "")),)
    return Summary("search", lines, (("score", "label", "what"), *rows) if rows else ())


def _did(verb: str, record: StageRecord, metrics: Mapping[str, Any]) -> str:
    options, rows = record.options, []
    if verb == "pretrain":
        rows.append(str(options.get("objective") or "continued pre-training"))
    if verb == "finetune":
        untrained = record.outputs.get("untrained")
        rows += [str(record.outputs.get("task", "")), str(untrained or options.get("peft", ""))]
    if metrics.get("steps"):
        rows.append(f"{metrics['steps']:,} step{'s' * (metrics['steps'] != 1)}")
    if verb == "compare":
        rows.append(f"base against adapted on {metrics.get('test_examples', 0):,} test examples")
    if verb in ("evaluate", "predict", "embed"):
        counted = next((metrics[name] for name in ("examples", "rows", "vectors", "count") if name in metrics), None)
        rows.append(f"{counted:,} examples" if isinstance(counted, int) else str(options.get("split") or ""))
    if verb == "push" and isinstance(metrics.get("files"), Mapping):
        rows.append(f"{len(metrics['files'])} files, read again in a fresh process")
    if verb == "adapt" and isinstance(metrics.get("attempts"), list):
        rows.append(
            f"{sum(one['outcome'] == 'done' for one in metrics['attempts'])} of {len(metrics['attempts'])} ways tried"
        )
    return ", ".join(row for row in rows if row) or verb


def _speed(metrics: Mapping[str, Any]) -> str:
    """`1,234 tokens/s, data wait 0.4 %, MFU 41 % (131 of 320 GFLOP/s)` of a stage that trained."""
    told = [f"{rate:,} {name.removesuffix('_per_second')}/s" for name, rate in metrics.items()
            if name.endswith("_per_second") and "gflops" not in name and rate]  # fmt: skip
    if "data_wait_percent" in metrics:
        told.append(f"data wait {metrics['data_wait_percent']:.1f} %")
    if "mfu_percent" in metrics:
        used, possible = (metrics[f"{name}_gflops_per_second"] for name in ("model", "matmul"))
        rates = f"{used:,.0f} of {possible:,.0f}" if used >= 10 else f"{used:.2g} of {possible:.2g}"
        told.append(f"MFU {metrics['mfu_percent']:.0f} % ({rates} GFLOP/s)")
    return ", ".join(told)


def attempts(metrics: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """What `adapt` tried, how good each was, how long it took."""
    attempts = metrics.get("attempts")
    if not isinstance(attempts, list):
        return ()
    rows = [
        (one["name"], "" if one["score"] is None else f"{one['score']:.3f}", clock(one["seconds"]), one["kept"] or one["outcome"])
        for one in attempts
    ]  # fmt: skip
    return (("way", "score", "time", "outcome"), *rows)


def _result(verb: str, metrics: Mapping[str, Any]) -> str:
    if verb == "pretrain" and "outcome" in metrics:
        start, kept = metrics.get("start", {}), metrics.get("kept", {})
        change = f"; probe {start['probe']:.3f} → {kept['probe']:.3f}" if "probe" in start and "probe" in kept else ""
        return f"{metrics['outcome']} (kept step {metrics.get('kept_step', 0)}{change})"
    if isinstance(metrics.get("verdict"), Mapping):
        return "; ".join(f"{title.lower()}: {word}" for title, word in metrics["verdict"].items())
    if verb == "finetune":
        said, count = numbers(metrics.get("validation", {})), metrics.get("validation_examples", 0)
        return (
            said + (f" on {count:,} for validation" if count else "") if said else "no validation data to measure on"
        )
    if verb == "predict" and isinstance(metrics.get("predicted"), Mapping):
        found = [f"{name} {count:,}" for name, count in list(metrics["predicted"].items())[:SHOWN]]
        strange = metrics.get("unlike_training", 0)
        return ", ".join(found) + (f"; {strange:,} look unlike the training data" if strange else "")
    if verb == "adapt" and "kept" in metrics:
        measured = numbers(metrics.get("test", {}))
        parts = [
            f"kept {metrics['kept']}: {metrics.get('why', '')}",
            metrics.get("training"),
            measured and f"on test {measured}",
        ]
        return "; ".join(part for part in parts if part)
    if verb == "push" and "difference" in metrics:
        return str(
            metrics.get(
                "url", f"nothing uploaded; answers differ by at most {metrics['difference']:.2g} of the largest"
            )
        )
    return str(metrics["url"]) if "url" in metrics else numbers(metrics)


def _advice(metrics: Mapping[str, Any]) -> str:
    """What `compare` says to use, for each number of labels."""
    use = metrics.get("use")
    return "; ".join(f"{budget}: {word}" for budget, word in use.items()) if isinstance(use, Mapping) else ""


def numbers(metrics: Mapping[str, Any]) -> str:
    """`accuracy 0.812, f1_macro 0.790`: the first few that are fractions, each under one of its names (`macro_f1` is `f1_macro`)."""
    found = {
        (frozenset(name.split("_")), value): name
        for name, value in reversed(list(metrics.items()))
        if isinstance(value, float)
    }
    return ", ".join([f"{name} {value:.3f}" for (_, value), name in reversed(list(found.items()))][:SHOWN])


def _where(path: Path, record: StageRecord) -> str:
    model = record.outputs.get("model")
    where = model if isinstance(model, str) else str(path)
    return "" if where == "." else where
