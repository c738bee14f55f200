"""The stage that opens the test split once and measures."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import distributed
from hf_ssl.core.errors import DataError
from hf_ssl.core.run import write_json
from hf_ssl.data import open_test
from hf_ssl.data.examples import preview_of
from hf_ssl.evaluation.comparison.paired import bootstrap_interval
from hf_ssl.evaluation.metrics.decomposable import DECOMPOSABLE
from hf_ssl.evaluation.metrics.ranking import SCORES
from hf_ssl.modalities.encoder import Encoder
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.report.page import MISTAKES
from hf_ssl.stages.base import metrics_line, prepare_stage
from hf_ssl.stages.build import build_task, task_rows
from hf_ssl.stages.fit import finished_model
from hf_ssl.stages.forecast_answer import Mixture
from hf_ssl.stages.kept import kept_teacher
from hf_ssl.stages.result import StageResult
from hf_ssl.stages.teacher import Teacher
from hf_ssl.tasks.heads import softmax
from hf_ssl.training.trainer import arguments, predict

if TYPE_CHECKING:
    import datasets
    import numpy as np

    from hf_ssl.tasks.base import Task

logger = logging.getLogger(__name__)

SHOWN_MISTAKES = 12


def evaluate(**options: object) -> StageResult:
    """Open the test split once and measure what the run answers with: the fine-tuned model, or the teacher that `finetune` kept.

    Returns:
        metrics (where a teacher answers, those of the plain model are in the run's ledger and in metrics.json, too), and
        `path/predictions.parquet` with one row per example: its id, path and true class where there are some, and what was
        answered, with the probabilities of all classes (their names are in the schema's metadata); no content.
    """
    opening = prepare_stage("evaluate", options, after="finetune")
    config, run, data, modality = opening.config, opening.run, opening.data, opening.modality
    tuned = run.need("finetune", "Run `hf-ssl finetune` with the same --output first.").outputs
    if opening.done is not None:
        return opening.done
    with opening.running() as (record, folder):
        task = build_task(config.task or tuned["task"], tuned["task_options"], modality, data)
        ref = CheckpointRef(config.model, config.revision) if config.model else CheckpointRef(tuned["model"])
        encoder = finished_model(task, ref)
        split = open_test(data, f"evaluate {config.output}") if config.split == "test" else data[config.split]
        from hf_ssl.tasks.base import TaskModule

        module = TaskModule(encoder, task)
        args = arguments(folder, seed=config.seed, defaults=dict(task.training_defaults), overrides={})
        plain, labels = predict(module, task_rows(task, encoder, split), args)
        teacher = None if config.model is not None else kept_teacher(run.path / "finetune")
        logits, own = plain, None
        if teacher is not None:
            answered = teacher.answers(task, split) if distributed.is_main() else None
            own = distributed.broadcast(answered)
            logits = teacher.together(plain, own)
        record.metrics = task.metrics(logits, labels) | task.baseline_metrics(data, config.split)
        interval = _interval(task, logits, split, encoder, record.metrics)
        record.outputs = {"interval": interval} if interval else {}
        predictions = task.predictions(logits, split, encoder)
        if teacher is not None and own is not None:
            record.outputs |= _each(teacher, task, (plain, own, labels), split, encoder)
            for row, one in zip(predictions, task.predictions(plain, split, encoder), strict=True):
                row["model_prediction"] = one["prediction"]
        _write_predictions(folder / "predictions.parquet", split, predictions)
        write_json(folder / MISTAKES, _mistakes(task, logits, split, encoder))
        if distributed.is_main():
            for name, svg in task.figures(logits, labels, split, encoder).items():
                (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        measured = {"split": config.split, "examples": len(split), **record.metrics, **record.outputs}
        write_json(folder / "metrics.json", measured)
        opening.save_data_report()
        logger.info(f"evaluate: {metrics_line(record.metrics)} on {len(split):,} {config.split} examples")
        if "answer" in record.outputs:
            logger.info(f"  that is {record.outputs['answer']}, which predict asks, too")
            logger.info(
                f"  the plain model alone, which needs transformers only: {metrics_line(record.outputs['model'])}"
            )
        if interval:
            told = "{metric} {low:.3f} to {high:.3f}, 95% interval over {units}".format(**interval)
            logger.info(f"  {told}")
    return StageResult(folder, record.metrics)


def _mistakes(task: Task[Any], logits: np.ndarray, split: datasets.Dataset, encoder: Encoder) -> list[dict[str, Any]]:
    """The wrong answers that were given with the highest probability, as a person sees them; they hold content, and stay here."""
    if task.problem_type != "single_label_classification" or task.unit != "row":
        return []
    chances = softmax(logits)
    truth, guess = task.comparison_references(split), task.comparison_predictions(logits, split, encoder)
    wrong = np.flatnonzero(guess != truth)
    found = []
    for row in wrong[np.argsort(-chances[wrong, guess[wrong]], kind="stable")][:SHOWN_MISTAKES].tolist():
        entry = split[row]
        text, picture = preview_of(task.modality, entry[task.modality.column])
        place = entry.get("path")
        found.append(
            {
                "id": entry.get("id"), "path": place.get("path") if isinstance(place, dict) else place,
                "truth": task.label_names[int(truth[row])], "prediction": task.label_names[int(guess[row])],
                "probability": float(chances[row, guess[row]]), "text": text,
                "picture": None if picture is None else base64.b64encode(picture).decode(),
            }
        )  # fmt: skip
    return found


def _each(
    teacher: Teacher | Mixture, task: Task[Any], answers: tuple[np.ndarray, np.ndarray, np.ndarray], split: datasets.Dataset, encoder: Encoder
) -> dict[str, Any]:  # fmt: skip
    """Who answers, and what the plain model and the teacher are worth alone.

    Args:
        answers: logits of the model, what the teacher answers, and the labels.
    """
    plain, own, labels = answers
    model = task.metrics(plain, labels)
    interval = _interval(task, plain, split, encoder, model)
    return {
        "answer": teacher.told(), "model": model, "teacher": task.metrics(teacher.together(None, own), labels),
        **({"model_interval": interval} if interval else {}),
    }  # fmt: skip


def _interval(
    task: Task[Any], logits: np.ndarray, split: datasets.Dataset, encoder: Encoder, reported: dict[str, float]
) -> dict[str, Any] | None:
    """Of the metric that models are compared by, over the examples or their groups.

    None where it is not one of the numbers reported (windows of series, pairs of recordings), or where examples are too few.
    """
    metric = task.comparison_metric
    known: dict[str, Callable[[Any, Any], float]] = {**DECOMPOSABLE, **SCORES}
    if metric not in known or task.unit != "row":
        return None
    predictions, references = task.comparison_predictions(logits, split, encoder), task.comparison_references(split)
    groups = list(split["group"]) if "group" in split.column_names else None
    count = 2000 if metric in DECOMPOSABLE else 300  # resamples are one matrix product, or one call each
    try:
        score = known[metric](predictions, references)
        if not any(abs(score - value) < 1e-6 for value in reported.values()):
            return None
        low, high = bootstrap_interval(metric, predictions, references, groups, n_resamples=count)
    except DataError:
        return None
    units = f"{len(set(groups)):,} groups" if groups is not None else f"{len(split):,} examples"
    return {"metric": metric, "low": low, "high": high, "confidence": 0.95, "units": units}


def _write_predictions(path: Path, split: datasets.Dataset, predictions: list[dict[str, Any]]) -> None:
    if not distributed.is_main():
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    own = "id" in predictions[0]  # several predictions may belong to one row
    columns: dict[str, Any] = {"id": list(split["id"])} if "id" in split.column_names and not own else {}
    if columns and "path" in split.column_names:
        columns["path"] = [place.get("path") if isinstance(place, dict) else place for place in split["path"]]
    if columns and (names := getattr(split.features.get("label"), "names", None)):
        columns["truth"] = [None if label is None else names[label] for label in split["label"]]
    columns.update({name: [row[name] for row in predictions] for name in predictions[0]})
    classes = list(predictions[0].get("probabilities", ()))
    if classes:
        columns["probabilities"] = [list(chances.values()) for chances in columns["probabilities"]]
    table = pa.table(json.loads(json.dumps(columns)))
    pq.write_table(table.replace_schema_metadata({"classes": json.dumps(classes)} if classes else None), path)
