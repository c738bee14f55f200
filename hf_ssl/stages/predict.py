"""The stage that answers new data: labels for a folder or a table, or the steps that come next."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import distributed, plugins
from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.core.run import RunDir, StageRecord, inputs_hash
from hf_ssl.data import load_rows
from hf_ssl.data.columns import ROW
from hf_ssl.data.label_kinds import kind_of
from hf_ssl.evaluation.novelty import Typical
from hf_ssl.models.checkpoint import read_json
from hf_ssl.models.loading import load_config
from hf_ssl.models.pooling import LINEAGE
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.build import task_rows
from hf_ssl.stages.fit import finished_model
from hf_ssl.stages.inputs import inputs_of, modality_of
from hf_ssl.stages.plan import resolve_stage
from hf_ssl.stages.reference import limits_of, typical_of
from hf_ssl.stages.result import StageResult
from hf_ssl.stages.teacher import Teacher, kept_teacher
from hf_ssl.training.trainer import arguments
from hf_ssl.training.trainer import predict as answer_rows

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

    from hf_ssl.core.options import PredictConfig
    from hf_ssl.modalities.base import Modality
    from hf_ssl.modalities.encoder import Encoder
    from hf_ssl.tasks.base import Task

logger = logging.getLogger(__name__)

# What a run says of its data, so that nobody has to say it again for new data of the same kind.
INHERITED = (
    "modality",
    "modality_options",
    "input_column",
    "text_pair_column",
    "tokens_column",
    "id_column",
    "encoding",
    "txt",
)
# The transformers class that a published model names, and the task whose answers it gives.
TASKS = {
    "SequenceClassification": "classification", "ImageClassification": "classification", "AudioClassification": "classification",
    "TimeSeriesClassification": "classification", "PatchTSTForClassification": "classification",
    "TokenClassification": "token-classification", "SemanticSegmentation": "segmentation", "ForCTC": "speech-recognition",
}  # fmt: skip
BY_PROBLEM = {"regression": "regression", "multi_label_classification": "multilabel"}


def predict(**options: object) -> StageResult:
    """Answer every row of new data with a fine-tuned model.

    Rows are taken as they are: in their order, repeated ones too, labels ignored. What cannot be read is counted and named in the
    log. Options that say how the run's data are read (kind of data, columns, horizon) need not be given again. Several processes
    (`accelerate launch`) share the work; an interrupted call goes on behind the last part that it saved.

    Args:
        options: those of `hf_ssl.core.options.PredictConfig`. `data` is new data: a folder, a table, a list, a DataFrame.

    Returns:
        `path`: the file of answers, one row per example (per step and channel of a forecast): `id`, `path` or `source_row` (or `step`
        and `date`), `prediction`, and by task `probability`, `low` and `high` (or `plausible` classes) at the given confidence,
        `strangeness` and `unlike_training` (above 1: further from the training examples than 99 % of themselves).
        `metrics`: numbers of rows, of unusual ones, of answers per class.

    Raises:
        ConfigError: there is no fine-tuned model, or it was made for another kind of data or task.
        DataError: the data cannot be read.
    """
    given = _inherited(options)
    resolved = resolve_stage("predict", given)
    config: PredictConfig = resolved.config
    source = _source(config)
    task = source.task(config, modality_of(config))  # before the data are read, which may take long
    data = load_rows(
        config.data, config, label_kind=task.label_kind if kind_of(task.label_kind).shapes_input else None
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


@dataclass
class Source:
    """Where the answers come from: a run's fine-tuned model, or one that stands alone.

    Args:
        record: what the run says of its fine-tuning; None: there is no run.
    """

    ref: CheckpointRef
    record: StageRecord | None

    def folder(self, config: PredictConfig) -> Path:
        return Path(config.output) / "predict" if self.record is not None else Path()

    @property
    def kept(self) -> Path | None:
        """Folder where the run's fine-tuning left what it knows of its errors and its examples."""
        return Path(self.ref.id).parent if self.record is not None else None

    def task(self, config: PredictConfig, modality: Modality) -> Task[Any]:
        """The task that the model was made for, with its labels.

        Raises:
            ConfigError: nothing says which task it is, or the kind of data is another one.
        """
        name, given, labels = (self._of_run if self.record is not None else self._of_model)(modality)
        name = config.task or name
        if name is None:
            raise ConfigError(
                f"{self.ref.id} does not say which task it was made for. Give --task: {', '.join(plugins.names('tasks'))}."
            )
        kind = plugins.find("tasks", name)
        known = {item.name for item in dataclasses.fields(kind.Config)}
        task = kind(kind.Config(**{key: value for key, value in given.items() if key in known}), modality)
        task.take_labels(labels)
        return task

    def _of_run(self, modality: Modality) -> tuple[str, dict[str, Any], list[str]]:
        assert self.record is not None
        kind = str(self.record.options.get("modality", modality.name))
        if kind != modality.name and ":" not in kind:
            raise ConfigError(f"The run's model is for {kind}, not for {modality.name}. Omit --modality.")
        said = self.record.outputs
        return (
            str(said["task"]),
            dict(said.get("task_options") or {}),
            [str(name) for name in said.get("labels") or ()],
        )

    def _of_model(self, modality: Modality) -> tuple[str | None, dict[str, Any], list[str]]:
        own = self.ref.file(LINEAGE)
        said = read_json(own) if own is not None else {}
        found = load_config(self.ref.weights(), token=self.ref.token)
        names = [str(name) for _, name in sorted((found.id2label or {}).items())]
        heads = found.architectures or [""]
        named = BY_PROBLEM.get(str(found.problem_type)) or next(
            (task for part, task in TASKS.items() if part in heads[0]), None
        )
        if named == "speech-recognition":
            vocabulary = getattr(modality.load_processor(self.ref), "tokenizer", None)
            names = sorted(vocabulary.get_vocab(), key=vocabulary.get_vocab().get) if vocabulary is not None else names
        return str(said["task"]) if said.get("task") else named, {}, names


def _inherited(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with what the run knows of its data, where they do not say otherwise."""
    if options.get("model"):
        return dict(options)
    run = RunDir(str(options.get("output") or "runs/default"))
    known = {name: value for name, value in run.stage("finetune").options.items() if value not in (None, {}, [])}
    there = _columns_of(options.get("data"))
    for name in [name for name in known if name.endswith("_column")]:
        if there is not None and known[name] not in there:
            del known[name]
    return {**{name: known[name] for name in INHERITED if name in known}, **options}


def _columns_of(data: object) -> list[str] | None:
    """Columns of data in memory, none for bare texts; None where files have to be read to know."""
    if isinstance(data, (list, tuple)) and data:
        return [] if not isinstance(data[0], Mapping) else list(data[0])
    columns = getattr(data, "columns", None) if hasattr(data, "iloc") else getattr(data, "column_names", None)
    return None if columns is None or isinstance(columns, dict) else [str(name) for name in columns]


def _source(config: PredictConfig) -> Source:
    if config.model:
        return Source(CheckpointRef(config.model, config.revision), None)
    run = RunDir(config.output)
    record = run.need("finetune", "Run `hf-ssl finetune` with the same --output first, or name a fine-tuned --model.")
    model = Path(str(record.outputs["model"]))
    if not model.is_dir():  # the run was moved
        model = run.path / "finetune" / "model"
    if not model.is_dir():
        raise CheckpointError(
            f"{run.path} says that {record.outputs['model']} is its model, but no such folder is there."
        )
    return Source(CheckpointRef(str(model)), record)


@dataclass
class Answerer:
    """A fine-tuned model and all that its answers need.

    Args:
        limits: of its errors (`hf_ssl.evaluation.conformal`), where they are known.
        typical: what its own examples are like, where that is known.
        teacher: what the run answers with instead of its model, or beside it.
        head_pooling: as in `FinetuneConfig`, when it was made.
    """

    task: Task[Any]
    encoder: Encoder
    args: Any
    limits: np.ndarray | None
    typical: Typical | None
    all_classes: bool
    teacher: Teacher | None = None
    head_pooling: str = "encoder"

    @classmethod
    def of(cls, task: Task[Any], encoder: Encoder, source: Source, config: PredictConfig) -> Answerer:
        folder = source.kept
        limits = limits_of(folder, config.confidence) if folder is not None else None
        typical = typical_of(folder) if folder is not None else None
        defaults = {**task.training_defaults, "per_device_eval_batch_size": config.eval_batch_size}
        with tempfile.TemporaryDirectory() as nothing:  # the Trainer wants a folder, and writes nothing into it here
            args = arguments(Path(nothing), seed=config.seed, defaults=defaults, overrides={"report_to": "none"})
        teacher = kept_teacher(folder) if folder is not None else None
        pooling = source.record.options.get("head_pooling", "encoder") if source.record is not None else "encoder"
        if teacher is not None:
            logger.info(f"  answers are those of {teacher.told()}")
        return cls(task, encoder, args, limits, typical, config.all_classes, teacher, pooling)

    def __call__(self, rows: datasets.Dataset) -> list[dict[str, Any]]:
        """One entry per answer. All processes take part; each gets all answers."""
        rows = self.task.readable(rows)
        found = self.task.answers(self._logits(rows), rows, self.encoder, self.limits)
        if self.task.unit == "window":
            return found
        where = [name for name in ("id", "path", ROW) if name in rows.column_names]
        strange = self._strangeness(rows) if distributed.is_main() else None
        entries = []
        for number, (place, answer) in enumerate(zip(rows.select_columns(where), found, strict=True)):
            if isinstance(place.get("path"), dict):
                place["path"] = place["path"].get("path")
            chances = answer.pop("probabilities", None)
            if self.all_classes and chances is not None:
                answer |= {f"probability of {name}": chance for name, chance in chances.items()}
            if strange is not None:
                answer |= {"strangeness": float(strange[number]), "unlike_training": bool(strange[number] > 1)}
            entries.append({**place, **answer})
        return entries

    def _logits(self, rows: datasets.Dataset) -> np.ndarray:
        """Of the model, of the teacher, or of both together."""
        from hf_ssl.tasks.base import TaskModule

        teacher, logits = self.teacher, None
        if teacher is None or teacher.model_share > 0:
            items = task_rows(self.task, self.encoder, rows)
            logits, _ = answer_rows(TaskModule(self.encoder, self.task), items, self.args)
            if teacher is None:
                return logits
        own = teacher.answers(self.task, rows, self.head_pooling) if distributed.is_main() else None
        return teacher.together(logits, distributed.broadcast(own))

    def _strangeness(self, rows: datasets.Dataset) -> np.ndarray | None:
        if self.typical is None:
            return None
        values = inputs_of(rows, self.task.modality)
        return self.typical.strangeness(self.encoder.embed(values, max_length=self.task.max_length(self.encoder)))


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
