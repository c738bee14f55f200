"""A downstream task: labels, head, loss, metrics."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from torch import nn

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.encoder import Batch, Encoder, Features, Processor
from hf_ssl.models.structure import at_work, find_backbone, in_backbone, unwrap_peft
from hf_ssl.tasks.rows import TaskRows
from hf_ssl.training.dropout import set_dropout
from hf_ssl.training.module import LossOutput, SizedDataset, TrainingModule, normalize_loss

if TYPE_CHECKING:
    import datasets
    from peft import PeftModel
    from transformers import PreTrainedModel

    from hf_ssl.modalities.base import Modality
    from hf_ssl.models.reference import CheckpointRef

logger = logging.getLogger(__name__)

EncoderT = TypeVar("EncoderT", bound=Encoder)


class Task(ABC, Generic[EncoderT]):
    """Base class of `classification`, `regression`, `token-classification` … and of your own task.

    Attributes:
        needs: kind of encoder that it works on; where that is any, the kind of data must have a `labeled_class`.
        label_kind: what `load_data` must find: `"class"`, `"multilabel"`, `"regression"`, `"tags"`, `"mask"`, `"identity"`
            or `"transcript"`.
        is_default: whether it is the task of that kind of label when none is named.
        unit: one item of its metrics: a `"row"`, a `"window"` of a series, or a `"pair"` of rows.
        label_column: canonical column of the labels.
        problem_type: what transformers is told; never guessed from a dtype.
        primary_metric: the number that early stopping and the comparison look at.
        greater_is_better: its direction.
        metric_names: what is reported.
        keeps_start: whether the model before the first step is measured on the validation data like any other point, and
            kept where none is better (a warm-started head can be hard to improve on with little data).
        learns_from_pool: whether it has a `soft_loss`, so that the unlabeled pool can take part.

    Args:
        config: an instance of `Config`.
        modality: the kind of data.
    """

    needs: ClassVar[type[Encoder]] = Encoder  # asked for, not made
    label_kind: ClassVar[str]
    is_default: ClassVar[bool] = False
    unit: ClassVar[Literal["row", "window", "pair"]] = "row"
    label_column: ClassVar[str] = "label"
    problem_type: ClassVar[str | None] = None
    primary_metric: ClassVar[str]
    greater_is_better: ClassVar[bool] = True
    metric_names: ClassVar[tuple[str, ...]]
    keeps_start: ClassVar[bool] = False
    learns_from_pool: ClassVar[bool] = False
    training_defaults: ClassVar[dict[str, Any]] = {
        "per_device_train_batch_size": 16, "per_device_eval_batch_size": 64, "weight_decay": 0.01, "warmup_steps": 0.1,
    }  # fmt: skip

    @dataclass
    class Config(Options):
        """Options of a task."""

        max_length: int | None = option(
            None, "Longest input (tokens for text); default: the model's, at most 256.", ge=1
        )
        attention_dropout: float = option(
            0.0,
            (
                "Dropout inside attention while fine-tuning (that of hidden states stays the model's). Above 0 "
                "torch leaves its fused kernel, and a step takes about 1.3 times as long."
            ),
            ge=0,
            lt=1,
        )

    config: Any

    def __init__(self, config: Config, modality: Modality) -> None:
        self.config, self.modality = config, modality
        self.label_names: list[str] = []
        self._said_cut = False

    @classmethod
    def fits(cls, modality: Modality | type[Modality]) -> bool:
        """Whether the encoders of a kind of data offer what it needs."""
        offered = issubclass(modality.encoder_class(), cls.needs)
        return offered and (cls.needs is not Encoder or modality.labeled_class is not None)

    @property
    def pooling(self) -> str | None:
        """How it wants the encoder pooled; None: as the checkpoint says."""
        return None

    @property
    def auto_class(self) -> str:
        """The transformers class that plain users load the result with."""
        return str(self.modality.head_class(self.problem_type))  # None is refused by `fits`

    @property
    def pipeline_tag(self) -> str | None:
        """Name of the transformers pipeline that serves the result, if there is one."""
        return self.modality.pipeline_tag

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        """Learn label names (and weights) from the training split.

        Args:
            train: the training split.
            label_names: names of the columns of a multi-hot label, which a dataset's features cannot carry.

        Raises:
            DataError: the labels cannot be learned from.
        """
        if self.label_column not in train.column_names:
            there = ", ".join(train.column_names)
            raise DataError(f"The training data have no {self.label_column!r} column; columns: {there}.")

    def take_labels(self, names: Sequence[str]) -> None:
        """Know the labels that a fine-tuned model was made for, without its training data: all that answering needs.

        Args:
            names: in the order of the model's outputs.
        """
        self.label_names = list(names)

    def look_at(self, ref: CheckpointRef) -> None:  # noqa: B027  # most labels are what they are
        """Learn what labels depend on of the model that is to answer (the size of masks), before there is one.

        Args:
            ref: a checkpoint that has it.
        """

    def model_options(self) -> dict[str, Any]:
        """Options for `from_pretrained`: number and names of labels, problem type."""
        names = self.label_names
        options: dict[str, Any] = {
            "num_labels": len(names),
            "id2label": dict(enumerate(names)),
            "label2id": {n: i for i, n in enumerate(names)},
        }
        if self.problem_type:
            options["problem_type"] = self.problem_type
        return {**options, **self.modality.head_options(len(names))}

    def inputs(self, dataset: datasets.Dataset) -> list[Any]:
        """Raw inputs of every row."""
        return list(dataset[self.modality.column])

    def encode(self, encoder: EncoderT, dataset: datasets.Dataset) -> list[Features]:
        """Model features with `labels` (when the dataset has them), one dict per row, not padded."""
        limit = self.max_length(encoder)
        features = encoder.preprocess(self.inputs(dataset), limit)
        self._note_cut(encoder, features, limit)
        if self.label_column in dataset.column_names:
            for feature, label in zip(features, dataset[self.label_column], strict=True):
                feature["labels"] = label
        return features

    def encode_unlabeled(self, encoder: EncoderT, dataset: datasets.Dataset) -> list[Features]:
        """Model features of rows whose labels are not asked for, one dict per row."""
        return self.encode(encoder, dataset)

    def readable(self, rows: datasets.Dataset) -> datasets.Dataset:
        """New rows to be answered, in the columns that it reads."""
        return rows

    def _note_cut(self, encoder: EncoderT, features: list[Features], limit: int | None) -> None:
        """Say once that inputs fill the window: what lies beyond it is not read."""
        full = 0 if limit is None else sum(encoder.size(feature) >= limit for feature in features)
        if full and not self._said_cut:
            self._said_cut = True
            logger.info(
                f"  {full:,} of {len(features):,} inputs fill the window of {limit}; what lies beyond is not read. --max_length"
            )

    def max_length(self, encoder: EncoderT) -> int | None:
        """Longest input."""
        limit = getattr(encoder.processor, "model_max_length", None)
        return self.config.max_length or (int(min(limit, 256)) if limit else None)

    def collate_inputs(self, encoder: EncoderT, features: Sequence[Features]) -> Batch:
        """Pad and stack the inputs of a batch."""
        return encoder.collate(features)

    def collate_labels(self, features: Sequence[Features], batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Labels of a batch as a tensor; -100 marks what is not counted."""
        return torch.tensor([feature["labels"] for feature in features])

    @abstractmethod
    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | int]:
        """Sum of the loss terms, and how many there are (entries of `labels` other than -100)."""

    def soft_loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Sum of the loss over examples whose targets are weights of the classes `(batch, classes)`."""
        raise ConfigError(
            f"{type(self).__name__} has no soft_loss, so it cannot learn from the pool (learns_from_pool = False)."
        )

    def forward(self, encoder: EncoderT, inputs: Batch) -> torch.Tensor:
        """Logits of a batch."""
        return encoder.logits(inputs)

    @abstractmethod
    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Every number in `metric_names`, from logits and labels of a whole split."""

    @abstractmethod
    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: EncoderT) -> list[Any]:
        """What is written to predictions.parquet, one entry per row."""

    def answers(
        self, logits: np.ndarray, dataset: datasets.Dataset, encoder: EncoderT, limits: np.ndarray | None = None
    ) -> list[dict[str, Any]]:
        """What `hf-ssl predict` writes, one entry per row (several, where a row is a series).

        Args:
            limits: of `calibration_scores` at the confidence that was asked for; None: nothing is known of errors.
        """
        return self.predictions(logits, dataset, encoder)

    def calibration_scores(self, logits: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
        """How badly each answer on held-out examples fits its truth, `(examples, ...)`, for `evaluation.conformal`; None: no such thing."""
        return None

    @property
    def comparison_metric(self) -> str:
        """Metric of a paired comparison: a name of `evaluation.additive` or `evaluation.scores`."""
        return self.primary_metric

    def comparison_predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: EncoderT) -> Any:
        """What that metric reads as predictions, one entry per row of the dataset."""
        return logits.argmax(-1)

    def comparison_references(self, dataset: datasets.Dataset) -> Any:
        """What that metric reads as the truth, one entry per row of the dataset."""
        return np.asarray(dataset[self.label_column])

    def zero_shot(self, encoder: EncoderT, dataset: datasets.Dataset) -> Any:
        """Answers of a frozen backbone where none has to be learned (how alike two texts are), else None."""
        return None

    def baseline_predictions(self, train: datasets.Dataset, test: datasets.Dataset) -> tuple[str, Any] | None:
        """Name and answers of a cheap baseline without any pretrained model, where `Modality.baseline` does not fit."""
        return None

    def baseline_metrics(self, data: Mapping[str, datasets.Dataset], split: str) -> dict[str, float]:
        """What a cheap method without any network reaches on the same split, to stand beside `metrics`."""
        return {}

    def figures(
        self, logits: np.ndarray, labels: np.ndarray, dataset: datasets.Dataset, encoder: EncoderT
    ) -> dict[str, str]:
        """Names and SVG text of the figures that show the result."""
        return {}

    def saved_processor(self, encoder: EncoderT) -> Processor | None:
        """What is saved beside the model, so that the transformers pipeline of the task finds what it needs."""
        return encoder.processor

    def probe_targets(self, dataset: datasets.Dataset) -> np.ndarray | None:
        """Targets for a frozen probe on one vector per example, or None where that makes no sense."""
        return None

    def warm_start(self, module: TaskModule, rows: TaskRows) -> str | None:
        """Set the new head from a closed-form fit on frozen features; returns what was done, for the log."""
        return None

    def calibrate(self, module: TaskModule, answers: Callable[[], tuple[np.ndarray, np.ndarray]]) -> str | None:
        """After training: put into the model what its answers on validation data settle.

        Args:
            module: trained.
            answers: computes logits and labels of the validation rows.

        Returns:
            what was done, for the log; None where there was nothing to do.
        """
        return None


WARM_ROWS = 1500
"""Most rows that a head's warm start looks at."""


class TaskModule(TrainingModule):
    """A model with its task's loss, for the Trainer."""

    unit = "examples"

    def __init__(self, encoder: Encoder, task: Task[Any]) -> None:
        super().__init__()
        self.encoder, self.task, self.model = encoder, task, encoder.model
        self.missing = frozenset(encoder.report.missing)  # tensors that were not in the checkpoint
        self.held: TaskRows | None = None  # the validation rows, where there are any
        self.freeze_batchnorm_stats(encoder.backbone)
        set_dropout(self.model, task.config.attention_dropout, attention_only=True)

    def wrap(self, model: PreTrainedModel | PeftModel) -> None:
        """Go on with the model inside adapters."""
        self.model = model
        self.encoder = self.encoder.replace(model=model)
        self.freeze_batchnorm_stats(self.encoder.backbone)  # PEFT trains copies of what it saves whole

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> int:
        return len(next(iter(batch.values())))

    def collate(self, features: Sequence[Features]) -> Batch:
        """Pad and stack; `labels` only when the rows have them."""
        targets = ("labels", "soft_labels")
        bare = [{name: value for name, value in feature.items() if name not in targets} for feature in features]
        batch = self.task.collate_inputs(self.encoder, bare)
        if "labels" in features[0]:
            batch["labels"] = self.task.collate_labels(features, batch)
        if "soft_labels" in features[0]:
            batch["soft_labels"] = torch.from_numpy(np.stack([feature["soft_labels"] for feature in features]))
        return batch

    def forward(
        self,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **inputs: torch.Tensor,
    ) -> LossOutput:
        soft = inputs.pop("soft_labels", None)
        logits = self.task.forward(self.encoder, inputs)
        if labels is None:
            return LossOutput(logits=logits)
        if soft is None:
            total, count = self.task.loss(logits.float(), labels)
        else:
            total, count = self.task.soft_loss(logits.float(), soft), len(labels)
        return LossOutput(loss=normalize_loss(total, count, num_items_in_batch), logits=logits)


def as_float_labels(amounts: Sequence[float]) -> torch.Tensor:
    """Amounts as float32 labels that are all counted as loss terms.

    -100 is how transformers marks what is not counted. A target that happens to be exactly that becomes the next
    float32 above it, 0.000008 away.
    """
    values = torch.tensor(amounts, dtype=torch.float32)
    return torch.where(values == -100, torch.nextafter(values, torch.zeros(())), values)


def last_linear(model: nn.Module) -> nn.Linear | None:
    """The linear layer that produces the logits: the last one outside the backbone."""
    inner: Any = unwrap_peft(model)
    inside = in_backbone(inner)
    named = [(name, module) for name, module in inner.named_modules() if isinstance(module, nn.Linear)]
    found = [module for name, module in named if not inside(name)]
    if not found and find_backbone(inner)[1] is inner:  # nothing but a backbone, as far as can be seen
        found = [module for _, module in named]
    return found[-1] if found else None


@torch.inference_mode()
def head_inputs(module: TaskModule, rows: SizedDataset, batch_size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """What reaches the last linear layer, `(rows, width)`, and the labels, with everything frozen and no dropout.

    Of many rows a random `WARM_ROWS`: a linear head gains nothing from more, and this pass would take as long as an epoch.
    """
    layer = last_linear(module.model)
    if layer is None:
        raise ConfigError(f"{type(module.model).__name__} has no linear output layer to warm-start.")
    caught: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda m, args, out: caught.append(args[0].float().cpu()))
    was_training = module.training
    module.eval()
    labels = []
    drawn = np.random.default_rng(0).permutation(len(rows))[:WARM_ROWS].tolist()
    taken = sorted((rows[i] for i in drawn), key=lambda row: len(row.get("input_ids", ())))  # little padding
    try:
        with at_work(module) as device:
            for start in range(0, len(taken), batch_size):
                batch = module.collate(taken[start : start + batch_size])
                labels.append(batch["labels"].numpy())
                module(**{name: tensor.to(device) for name, tensor in batch.items()})
                del caught[len(labels) :]  # an answer averaged over several views: the first is the example itself
    finally:
        handle.remove()
        module.train(was_training)
    return torch.cat(caught).numpy(), np.concatenate(labels)
