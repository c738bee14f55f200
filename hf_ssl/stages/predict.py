"""The stage that answers new data: labels for a folder or a table, or the steps that come next."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.run import inputs_hash
from hf_ssl.data import load_rows
from hf_ssl.data.label_kinds import kind_of
from hf_ssl.stages.answerer import Answerer, Source, inherited
from hf_ssl.stages.fit import finished_model
from hf_ssl.stages.inputs import modality_of
from hf_ssl.stages.plan import resolve_stage
from hf_ssl.stages.result import StageResult

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

    from hf_ssl.core.options import PredictConfig

logger = logging.getLogger(__name__)


def predict(**options: object) -> StageResult:
    """Answer every row of new data with a fine-tuned model.

    Rows are taken as they are: in their order, repeated ones too, labels ignored. What cannot be read is counted and named in the
    log. Options that say how the run's data are read (kind of data, columns, horizon) need not be given again. Several processes
    (`accelerate launch`) share the work; an interrupted call goes on behind the last part that it saved.

    Args:
        options: those of `hf_ssl.core.options.PredictConfig`. `data` is new data: a folder, a table, a list, a DataFrame; `future` a table
            (or DataFrame) of what is known of the steps to be forecast.

    Returns:
        `path`: the file of answers, one row per example (per step and channel of a forecast): `id`, `path` or `source_row` (or `step`
        and `date`), `prediction`, and by task `probability`, `low` and `high` (or `plausible` classes) at the given confidence,
        `strangeness` and `unlike_training` (above 1: further from the training examples than 99 % of themselves).
        `metrics`: numbers of rows, of unusual ones, of answers per class.

    Raises:
        ConfigError: there is no fine-tuned model, or it was made for another kind of data or task.
        DataError: the data cannot be read.
    """
    given = inherited(options)
    resolved = resolve_stage("predict", given)
    config: PredictConfig = resolved.config
    source = Source.of(config)
    task = source.task(config, modality_of(config))  # before the data are read, which may take long
    if config.future is not None and task.unit != "window":
        raise ConfigError(
            "future: it says what is known of the steps ahead of series, and this run forecasts none. Leave it out."
        )
    data = load_rows(
        config.data,
        config,
        future=config.future,
        label_kind=task.label_kind if kind_of(task.label_kind).shapes_input else None,
    )
    rows = data["rows"]
    if task.unit == "window":
        task.fit_labels(rows)
    answerer = Answerer.of(task, finished_model(task, source.ref), source, config)
    file = Path(config.save) if config.save else source.folder(config) / "predictions.parquet"
    key = inputs_hash("predict", data.fingerprint, answerer.encoder.report.weights_sha, answerer.teacher and answerer.teacher.told(),
                      dataclasses.asdict(task.config), config.confidence, config.all_classes, config.part_size)  # fmt: skip
    parts = file.parent / f".{file.name}-{key}"
    metrics = _answer(answerer, rows, parts, config.part_size)
    if distributed.is_main():
        _join(parts, file)
        shutil.rmtree(parts)
        _tell(metrics, file)
    distributed.barrier()
    return StageResult(file, distributed.broadcast(metrics))


def _answer(answerer: Answerer, rows: datasets.Dataset, parts: Path, size: int) -> dict[str, Any]:
    """Answer part by part; those that an interrupted call has saved are counted, not made again."""
    count: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for number, start in enumerate(range(0, len(rows), size)):
        file = parts / f"{number:06}.parquet"
        there = distributed.broadcast(file.is_file() if distributed.is_main() else None)
        if there:
            logger.info(f"  part {number + 1} is there already")
        entries = None if there else answerer(rows.select(range(start, min(start + size, len(rows)))))
        if not distributed.is_main():
            continue
        if entries is not None:
            _write(entries, file)
        for entry in _read(file):
            count["answers"] += 1
            count["unlike_training"] += bool(entry.get("unlike_training"))
            if isinstance(entry["prediction"], str) and answerer.task.label_names:
                answers[entry["prediction"]] += 1
    classes = dict(answers.most_common()) if set(answers) <= set(answerer.task.label_names) else {}
    known = {"unlike_training": count["unlike_training"]} if answerer.typical is not None else {}
    return {"rows": len(rows), "answers": count["answers"], **known, "predicted": classes}


def _write(entries: list[dict[str, Any]], file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    pq.write_table(pa.Table.from_pylist(entries), temporary)
    temporary.replace(file)


def _read(file: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    wanted = [name for name in pq.read_schema(file).names if name in ("prediction", "unlike_training")]
    yield from pq.read_table(file, columns=wanted).to_pylist()


def _join(parts: Path, file: Path) -> None:
    """All parts as one file, of the kind that its name says."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    table = pa.concat_tables(
        [pq.read_table(part) for part in sorted(parts.glob("*.parquet"))], promote_options="default"
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.tmp")
    if file.suffix == ".parquet":
        pq.write_table(table, temporary)
    elif file.suffix == ".jsonl":
        lines = (json.dumps(row, ensure_ascii=False) for row in table.to_pylist())
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    else:
        pyarrow.csv.write_csv(_flat(table), temporary)
    temporary.replace(file)


def _flat(table: pa.Table) -> pa.Table:
    """Lists as text, which is all that a CSV file can hold."""
    import pyarrow as pa

    columns = {}
    for name in table.column_names:
        nested = pa.types.is_list(table.schema.field(name).type)
        values = table.column(name)
        columns[name] = (
            [None if v is None else "|".join(map(str, v)) for v in values.to_pylist()] if nested else values
        )
    return pa.table(columns)


def _tell(metrics: Mapping[str, Any], file: Path) -> None:
    shares = ", ".join(f"{name} {count:,}" for name, count in list(metrics["predicted"].items())[:8])
    logger.info(
        f"predict: {metrics['answers']:,} answers for {metrics['rows']:,} rows in {file}"
        + (f" ({shares})" if shares else "")
    )
    strange = metrics.get("unlike_training", 0)
    if strange > max(2, 0.05 * metrics["answers"]):
        logger.warning(
            f"{strange:,} of {metrics['answers']:,} inputs look unlike those that the model was made from (column unlike_training): do "
            "not rely on its answers there before some have been checked"
        )
