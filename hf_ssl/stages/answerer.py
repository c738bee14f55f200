"""Who answers new data: a run's model or a published one, with the teacher that it answers with, and what is known of its errors."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import distributed, plugins
from hf_ssl.core.errors import CheckpointError, ConfigError, DataError
from hf_ssl.core.run import RunDir, StageRecord
from hf_ssl.data import load_rows
from hf_ssl.data.columns import ROW
from hf_ssl.data.label_kinds import kind_of
from hf_ssl.evaluation.novelty import Typical
from hf_ssl.models.loading import load_config
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.build import task_rows
from hf_ssl.stages.fit import finished_model
from hf_ssl.stages.forecast_answer import Mixture
from hf_ssl.stages.inputs import inputs_of, modality_of
from hf_ssl.stages.kept import kept_teacher
from hf_ssl.stages.published import lineage_of, plain_options, published_teacher
from hf_ssl.stages.reference import limits_of, typical_of
from hf_ssl.stages.resolve import resolve
from hf_ssl.stages.teacher import Teacher
from hf_ssl.tasks.base import TaskModule
from hf_ssl.tasks.heads import softmax
from hf_ssl.training.trainer import arguments
from hf_ssl.training.trainer import predict as answer_rows

if TYPE_CHECKING:
    import datasets

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


@dataclass
class Source:
    """Where the answers come from: a run's fine-tuned model, or one that stands alone.

    Args:
        record: what the run says of its fine-tuning; None: there is no run.
    """

    ref: CheckpointRef
    record: StageRecord | None

    @classmethod
    def of(cls, config: PredictConfig) -> Source:
        """The model that the options name, or the one of their run."""
        if config.model:
            return cls(CheckpointRef(config.model, config.revision), None)
        run = RunDir(config.output)
        record = run.need(
            "finetune", "Run `hf-ssl finetune` with the same --output first, or name a fine-tuned --model."
        )
        model = Path(str(record.outputs["model"]))
        if not model.is_dir():  # the run was moved
            model = run.path / "finetune" / "model"
        if not model.is_dir():
            raise CheckpointError(
                f"{run.path} says that {record.outputs['model']} is its model, but no such folder is there."
            )
        return cls(CheckpointRef(str(model)), record)

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
        said = lineage_of(self.ref)
        found = load_config(self.ref.weights(), token=self.ref.token)
        names = [str(name) for _, name in sorted((found.id2label or {}).items())]
        heads = found.architectures or [""]
        named = BY_PROBLEM.get(str(found.problem_type)) or next(
            (task for part, task in TASKS.items() if part in heads[0]), None
        )
        if named == "speech-recognition":
            vocabulary = getattr(modality.load_processor(self.ref), "tokenizer", None)
            names = sorted(vocabulary.get_vocab(), key=vocabulary.get_vocab().get) if vocabulary is not None else names
        own = str(
            said.get("task")
        )  # of a file that anybody may have written: by name alone, so that nothing is imported for it
        return own if own in plugins.names("tasks") else named, plain_options(said.get("task_options")), names


def inherited(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with what the run, or the published model, knows of its data, where they do not say otherwise."""
    if options.get("model"):
        said = lineage_of(CheckpointRef(str(options["model"]), options.get("revision")))
        kind = str(said.get("modality"))
        if kind not in plugins.names("modalities") or options.get("modality", kind) != kind:
            return dict(options)
        return {"modality": kind, "modality_options": plain_options(said.get("modality_options")), **options}
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


@dataclass
class Answerer:
    """A fine-tuned model and all that its answers need.

    Args:
        limits: of its errors (`hf_ssl.evaluation.conformal`), where they are known.
        typical: what its own examples are like, where that is known.
        teacher: what the run answers with instead of its model, or beside it.
    """

    task: Task[Any]
    encoder: Encoder
    args: Any
    limits: np.ndarray | None
    typical: Typical | None
    all_classes: bool
    teacher: Teacher | Mixture | None = None

    @classmethod
    def of(
        cls, task: Task[Any], encoder: Encoder, source: Source, config: PredictConfig, start: str | None = None
    ) -> Answerer:
        folder = source.kept
        limits = limits_of(folder, config.confidence) if folder is not None else None
        typical = typical_of(folder) if folder is not None else None
        defaults = {**task.training_defaults, "per_device_eval_batch_size": config.eval_batch_size}
        with tempfile.TemporaryDirectory() as nothing:  # the Trainer wants a folder, and writes nothing into it here
            args = arguments(Path(nothing), seed=config.seed, defaults=defaults, overrides={"report_to": "none"})
        teacher = kept_teacher(folder) if folder is not None else published_teacher(source.ref, start)
        if teacher is not None:
            logger.info(f"  answers are those of {teacher.told()}")
        return cls(task, encoder, args, limits, typical, config.all_classes, teacher)

    def __call__(self, rows: datasets.Dataset) -> list[dict[str, Any]]:
        """One entry per answer. All processes take part; each gets all answers."""
        rows = self.task.readable(rows)
        found = self.task.answers(self.logits(rows), rows, self.encoder, self.limits)
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

    def logits(self, rows: datasets.Dataset) -> np.ndarray:
        """Of the model, of the teacher, or of both together."""
        teacher, logits = self.teacher, None
        if teacher is None or teacher.model_share > 0:
            items = task_rows(self.task, self.encoder, rows)
            logits, _ = answer_rows(TaskModule(self.encoder, self.task), items, self.args)
            if teacher is None:
                return logits
        own = teacher.answers(self.task, rows) if distributed.is_main() else None
        return teacher.together(logits, distributed.broadcast(own))

    def _strangeness(self, rows: datasets.Dataset) -> np.ndarray | None:
        if self.typical is None:
            return None
        values = inputs_of(rows, self.task.modality)
        return self.typical.strangeness(self.encoder.embed(values, max_length=self.task.max_length(self.encoder)))


class Answer:
    """What a run or a published model answers with: the plain model, or the teacher where that is ahead. Made by `load_answer`."""

    def __init__(self, answerer: Answerer, config: PredictConfig) -> None:
        self._answerer, self._config = answerer, config

    @property
    def classes(self) -> list[str]:
        """Their names, in the order of the probabilities."""
        return [str(name) for name in self._answerer.task.label_names]

    def __repr__(self) -> str:
        teacher = self._answerer.teacher
        who = "the fine-tuned model" if teacher is None else teacher.told()
        return f"Answer({len(self.classes)} classes, by {who})"

    def probabilities(self, data: object) -> np.ndarray:
        """Of every row `(rows, classes)`.

        Args:
            data: what `load_rows` takes: texts, arrays, pictures, a table, a folder.

        Raises:
            DataError: some of it cannot be read.
        """
        rows = load_rows(data, self._config, verbose=False)["rows"]
        if isinstance(data, Sequence) and not isinstance(data, str) and len(rows) != len(data):
            raise DataError(
                f"{len(data) - len(rows):,} of {len(data):,} values cannot be read. `hf_ssl.load_rows` says which, and why."
            )
        return softmax(self._answerer.logits(self._answerer.task.readable(rows)))

    def predict(self, data: object) -> list[str]:
        """The likeliest class of every row; arguments as for `probabilities`."""
        names = self.classes
        return [names[place] for place in self.probabilities(data).argmax(1)]


def load_answer(
    model: str | Path, *, revision: str | None = None, token: str | None = None, start: str | None = None, **options: object
) -> Answer:  # fmt: skip
    """Load what a run answers with, from its folder or from where `push` published it: for tasks with one class per row.

    Nothing that is loaded can run: safetensors and JSON, checked against each other.

    Args:
        model: Hub id, folder of a published model, or run folder.
        revision: on the Hub.
        token: for the Hub.
        start: folder or Hub id of the checkpoint of its frozen readings, instead of the one that it names.
        options: how data are read, as for `predict`, where the model does not say so.

    Raises:
        ConfigError: its answers are not classes.
        CheckpointError: it is not there, or damaged.

    Example:
        >>> answer = load_answer("me/engine-faults")
        >>> answer.predict([series])
    """
    own = Path(model).expanduser()
    if (own / "run.json").is_file():
        named: dict[str, object] = {"output": str(own)}
    else:
        named = {"model": str(model), **({"revision": revision} if revision else {})}
    config: PredictConfig = resolve("predict", inherited({**named, **options})).config
    source = Source.of(config)
    source.ref = dataclasses.replace(source.ref, token=token)
    task = source.task(config, modality_of(config))
    if (
        task.problem_type != "single_label_classification"
        or kind_of(task.label_kind).shapes_input
        or not task.learns_from_pool
    ):
        raise ConfigError(
            f"{model} answers otherwise than with one class per row. Use hf_ssl.predict(data=..., model=...)."
        )
    return Answer(Answerer.of(task, finished_model(task, source.ref), source, config, start), config)
