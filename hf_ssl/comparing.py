"""The stage that answers: did adapting help?"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.assembly import (
    StageResult,
    build_task,
    fit_task,
    modality_of,
    open_pool,
    output_of,
    read_data,
    stage_inputs,
    start_of,
    task_config,
    task_rows,
)
from hf_ssl.config import resolve
from hf_ssl.data import few_label_subset, open_test
from hf_ssl.errors import ConfigError
from hf_ssl.evaluation import comparison, probes
from hf_ssl.models import load_model
from hf_ssl.run import RunDir, say, write_json
from hf_ssl.training import predict


def compare(**options: Any) -> StageResult:
    """Did adapting help? Base against adapted: same labelled subsets, seeds and steps, one test set.

    Returns:
        `path/table.md`, `table.json`, and the test predictions of every arm; `metrics["verdict"]` in words.
    """
    resolved = resolve("compare", options, task_config(options))
    config, run = resolved.config, RunDir(resolved.config.output)
    data, modality = read_data(config, run), modality_of(config)
    inputs, done = stage_inputs("compare", resolved, data.fingerprint, run, run.stage("pretrain").get("inputs"))
    if done is not None:
        return done
    adapted = config.adapted or output_of(run, "pretrain")
    if adapted is None:
        raise ConfigError(
            "There is nothing adapted to compare. Run `hf-ssl pretrain` with this --output, or give --adapted."
        )
    with run.running("compare", inputs, resolved.to_dict(), resume=config.resume, overwrite=config.overwrite) as entry:
        folder = run.folder("compare")
        model_id, revision = start_of(config, run)
        task = build_task(config.task, dataclasses.asdict(resolved.plugin), modality, data)
        if data.label_kind != "class":
            raise ConfigError(
                "compare measures one class per example for now; fine-tune and evaluate both models instead."
            )
        test = _limited(open_test(data, f"compare {config.output}"), config.test_limit, config.seed)
        truth = task.probe_targets(test)
        subsets = {
            (k, d): few_label_subset(data["train"], k, config.seed + d)
            for k in config.budgets
            for d in range(config.draws)
        }
        arms = {"base": (model_id, revision), "adapted": (adapted, None)}
        probed = _probe_arms(arms, modality, data["train"], test, subsets, task, config)
        tuned = []
        for arm, (source, arm_revision) in arms.items() if config.finetune_arms else ():
            pool = open_pool(task, source, arm_revision, data, config)
            for (budget, draw), subset in subsets.items():
                say(f"compare: {arm}, {budget} labels per class, draw {draw + 1} of {config.draws}")
                work = run.folder("compare", "work")
                fit = fit_task(
                    task,
                    source,
                    arm_revision,
                    data["train"].select(subset),
                    None,
                    config,
                    resolved.training,
                    work,
                    seed=config.seed + draw,
                    pool=pool,
                )
                logits, _ = predict(fit.module, task_rows(task, fit.processor, test), fit.args)
                tuned.append(comparison.ResultRow(arm, budget, draw, logits.argmax(-1)))
                np.save(folder / f"finetuned-{arm}-{budget}-{draw}.npy", logits.argmax(-1))
        shutil.rmtree(folder / "work", ignore_errors=True)
        entry["metrics"] = _report_comparison(folder, tuned, probed, truth, task.primary_metric)
        data.save_report(run.folder("data") / "report")
        say(f"{(folder / 'table.md').read_text(encoding='utf-8')}\ncompare: table in {folder / 'table.md'}")
    return StageResult(folder, entry["metrics"])


def _probe_arms(
    arms: dict, modality: Any, train_split: Any, test: Any, subsets: dict, task: Any, config: Any
) -> list[comparison.ResultRow]:
    """Frozen linear probes of both arms, and beside them what needs no pretrained model (TF-IDF, pixels …)."""
    needed = sorted({int(i) for subset in subsets.values() for i in subset})
    place = {row: number for number, row in enumerate(needed)}
    texts, targets = train_split.select(needed)[modality.column], task.probe_targets(train_split)
    rows = []
    for arm, (source, revision) in arms.items():
        model, _ = load_model(source, "AutoModel", revision=revision)
        processor = modality.load_processor(source, revision)
        pooling = modality.native_pooling(str(arms["base"][0]))
        have, ask = (
            modality.embed(model, processor, values, pooling=pooling, max_length=256)
            for values in (texts, test[modality.column])
        )
        for (budget, draw), subset in subsets.items():
            known = have[[place[int(i)] for i in subset]]
            rows.append(
                comparison.ResultRow(
                    arm, budget, draw, probes.linear_probe(known, targets[subset], ask, seed=draw).predictions
                )
            )
    if modality.baseline is None:
        return rows
    ask_values = list(test[modality.column])
    if modality.name == "text":
        have_values = list(texts)
        baseline = probes.tfidf_probe
    else:
        have_values, ask_values = modality.baseline_features(list(texts)), modality.baseline_features(ask_values)
        baseline = probes.linear_probe
    for (budget, draw), subset in subsets.items():
        known = [have_values[place[int(i)]] for i in subset]
        guess = baseline(known, targets[subset], ask_values, seed=draw)
        rows.append(comparison.ResultRow(modality.baseline, budget, draw, guess.predictions))
    return rows


def _report_comparison(folder: Path, tuned: list, probed: list, truth: np.ndarray, metric: str) -> dict[str, Any]:
    tables = {"Frozen probe": comparison.compare_arms(probed, truth, metric=metric)}
    if tuned:
        beside = [row for row in probed if row.arm not in ("base", "adapted")]
        tables = {"Fine-tuned": comparison.compare_arms([*tuned, *beside], truth, metric=metric), **tables}
    text = "\n\n".join(f"### {title}\n\n{table.to_markdown()}" for title, table in tables.items())
    (folder / "table.md").write_text(text, encoding="utf-8")
    write_json(folder / "table.json", {title: table.to_dict() for title, table in tables.items()})
    return {
        "verdict": {title: table.overall.word for title, table in tables.items()},
        "metric": metric,
        "test_examples": len(truth),
    }


def _limited(split: Any, limit: int | None, seed: int) -> Any:
    """A fixed random part of the test split."""
    if limit is None or limit >= len(split):
        return split
    return split.select(np.sort(np.random.default_rng(seed).permutation(len(split))[:limit]))
