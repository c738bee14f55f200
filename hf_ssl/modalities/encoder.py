"""One loaded checkpoint: model, processor, pooling, load report and reference travel as one, and nothing is guessed twice."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias, cast

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from hf_ssl.core.errors import ConfigError, nearest
from hf_ssl.core.run import write_json
from hf_ssl.modalities.batching import batches_by_size
from hf_ssl.models import attention, loading, structure
from hf_ssl.models.embedding import EmbeddingSpec
from hf_ssl.models.load_report import LoadReport
from hf_ssl.models.pooling import LINEAGE, Pooling, saved_pooling
from hf_ssl.models.reference import CheckpointRef

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality
    from hf_ssl.modalities.image.geometry import Geometry
    from hf_ssl.modalities.timeseries.windows import Windows
    from hf_ssl.modalities.views import View, ViewPlan

Batch: TypeAlias = dict[str, torch.Tensor]
"""Inputs of a model, padded and stacked."""
Features: TypeAlias = dict[str, Any]
"""One value ready for a model, not padded: lists of ids, arrays, references to samples."""


class Indexed(Protocol):
    """Entries by number, made when asked for or there already: a list, an array, windows of series."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Processor(Protocol):
    """The tokenizer, image processor or feature extractor of a checkpoint: each kind of data uses more of its own."""

    def save_pretrained(self, folder: str | Path, /) -> object:
        """Write it beside the weights."""


class Encoder(ABC):
    """A checkpoint as it was loaded, with everything that belongs to it. `Modality.load` makes it.

    A kind of data has one subclass, which knows how its values become a batch and how the model's output becomes one
    vector. Objectives, tasks and stages are given an encoder and ask it; none of them pools by itself.

    Attributes:
        poolings: modes of pooling it has; the first is what a checkpoint gets that says nothing.
        joins: whether the vectors of two modes may stand side by side (`cls+mean`).
        layered: modes that can be applied to an earlier layer (`mean@-2`).
        has_views: whether `views` is there (`hf_ssl.modalities.deferred`: made on the device that trains).
        reads_states, reads_in_bf16: whether `readings` wants the states of all layers, and may be computed in bfloat16.
        frozen_share, reading_weights: of its `readings` in a vote with cheap features, before labels move them.
        attn_implementation: one of `hf_ssl.models.attention.CHOICES`, for rows that hold several examples.
        modality: the kind of data, with its options.
        model: of transformers, perhaps within PEFT, perhaps with a head.
        processor: the checkpoint's; None where it has none.
        pooling: how the output becomes one vector; saved beside every model. None: as its family is pooled.
        ref: where it came from. None: where its configuration says.
        report: what was loaded. None: nothing is known of that.

    Raises:
        ConfigError: the checkpoint wants to be pooled in a way that is not known.
    """

    poolings: ClassVar[tuple[str, ...]] = ("mean",)
    joins: ClassVar[bool] = False
    layered: ClassVar[tuple[str, ...]] = ()
    has_views: ClassVar[bool] = False
    reads_states: ClassVar[bool] = False
    reads_in_bf16: ClassVar[bool] = False
    frozen_share: ClassVar[float] = 0.5
    reading_weights: ClassVar[Mapping[str, float]] = {}
    attn_implementation = "auto"

    modality: Modality
    model: PreTrainedModel
    processor: Processor | None

    def __init__(
        self, modality: Modality, model: PreTrainedModel, processor: Processor | None,
        pooling: Pooling | str | None = None, ref: CheckpointRef | None = None, report: LoadReport | None = None,
    ) -> None:  # fmt: skip
        self.modality, self.model, self.processor = modality, model, processor
        self.ref = ref or CheckpointRef(str(model.config._name_or_path))
        self.report = report or LoadReport(self.ref.id, self.ref.revision, None, type(model).__name__)
        self.pooling = self._checked(Pooling.parse(pooling or self.default_pooling(model.config)))
        self._found: tuple[nn.Module, PreTrainedModel] | None = None

    # -- loading ----------------------------------------------------------------------------------------------------

    @classmethod
    def load(
        cls, modality: Modality, ref: CheckpointRef, head: str = "AutoModel", *, dataset: datasets.Dataset | None = None,
        pooling: Pooling | str | None = None, **options: Any,
    ) -> Self:  # fmt: skip
        """See `Modality.load`."""
        attn_implementation = options.pop("attn_implementation", None) or "auto"
        attention.check(attn_implementation)
        options |= attention.loaded_with(attn_implementation)
        if dataset is not None:
            options |= cls.data_options(modality, ref, dataset, head)
        wanted = saved_pooling(ref) if pooling is None else Pooling.parse(pooling)
        if wanted is not None and options.get("new_head"):
            options |= cls.head_pooling(loading.load_config(ref.weights(), token=ref.token), wanted)
        model, report = cls.load_model(modality, ref, head, **options)
        encoder = cls(modality, model, modality.load_processor(ref), wanted, ref, report)
        encoder.attn_implementation = attn_implementation
        encoder.prepare()
        return encoder

    @classmethod
    def load_model(
        cls, modality: Modality, ref: CheckpointRef, head: str, **options: Any
    ) -> tuple[PreTrainedModel, LoadReport]:
        """`hf_ssl.models.loading.load_model`, with what the modality's options ask of the model put into it."""
        return loading.load_model(ref.id, head, revision=ref.revision, token=ref.token, **options)

    @classmethod
    def data_options(
        cls, modality: Modality, ref: CheckpointRef, dataset: datasets.Dataset, head: str
    ) -> dict[str, Any]:
        """Fields of a checkpoint's configuration that must follow the data, such as the number of channels."""
        return {}

    @classmethod
    def pooling_of(cls, ref: CheckpointRef) -> Pooling:
        """See `Modality.pooling`."""
        own = saved_pooling(ref)
        return own or Pooling.parse(cls.default_pooling(loading.load_config(ref.weights(), token=ref.token)))

    @classmethod
    def default_pooling(cls, config: PreTrainedConfig) -> str:
        """How a checkpoint is pooled that says nothing about it."""
        return cls.poolings[0]

    @classmethod
    def head_pooling(cls, config: PreTrainedConfig, pooling: Pooling) -> dict[str, Any]:
        """Fields of the configuration that make the class's own head pool that way; empty where it cannot."""
        return {}

    def prepare(self) -> None:  # noqa: B027  # most have nothing to do
        """Make a freshly loaded model ready to be trained or asked; may change it and the processor in place."""

    def adapt_head(self) -> None:  # noqa: B027  # most heads pool as the encoder does, or cannot
        """Let a new head read what the encoder's pooling gives, where the class's own reads something else."""

    @property
    def fits_head(self) -> bool:
        """Whether there are new layers below the last one that `fit_head` sets."""
        return False

    def fit_head(self, readings: dict[str, np.ndarray], head: str) -> dict[str, np.ndarray]:
        """Set new layers below the last one by `readings`; what these are from then on, `head` of what reaches the last layer."""
        return readings

    def leave_padding_out(self) -> bool:
        """Compute on the real entries of a batch only, where that gives the same; whether it does."""
        raise ConfigError(f"padding_free is for texts; a batch of {self.modality.name} has none, or needs it.")

    @property
    def stands_on_its_start(self) -> bool:
        """Whether an adapter alone, put on the checkpoint that it was trained on, gives this encoder's answers."""
        return True

    def replace(self, *, model: nn.Module | None = None, pooling: Pooling | str | None = None) -> Self:
        """The same encoder around another model, or pooled in another way (None: as it is)."""
        other = copy.copy(self)
        if model is not None:
            other.model = cast(PreTrainedModel, model)  # PEFT's wrapper passes for what it wraps
        if pooling is not None:
            other.pooling = self._checked(Pooling.parse(pooling))
        return other

    def _checked(self, pooling: Pooling) -> Pooling:
        known = ", ".join(self.poolings)
        for mode in pooling.modes:
            if mode not in self.poolings:
                raise ConfigError(
                    f"No pooling of {self.modality.name} is called {mode!r}.{nearest(mode, self.poolings)} Known: {known}. "
                    f"({self.ref.id}; --pooling chooses another.)"
                )
        if len(pooling.modes) > 1 and not self.joins:
            raise ConfigError(f"{self.modality.name} has no joined pooling ({pooling.mode}). Known: {known}.")
        if pooling.layer is not None and pooling.mode not in self.layered:
            works = f" That works for {', '.join(self.layered)}." if self.layered else ""
            raise ConfigError(
                f"{pooling}: {pooling.mode} is not taken of an earlier layer of {self.modality.name}.{works}"
            )
        return pooling

    # -- asking -----------------------------------------------------------------------------------------------------

    @property
    def backbone(self) -> PreTrainedModel:
        """The part without a head (adapters stay in)."""
        if self._found is None or self._found[0] is not self.model:
            self._found = self.model, cast(PreTrainedModel, structure.find_backbone(self.model)[1])
        return self._found[1]

    @property
    @torch.no_grad()
    def width(self) -> int:
        """Numbers in a vector, found by running the backbone once on an example made from its configuration."""
        with structure.evaluating(self.model):
            return int(self.features(structure.example_inputs(self.model, batch_size=1)).shape[-1])

    @abstractmethod
    def preprocess(self, values: Sequence[Any], max_length: int | None = None) -> list[Features]:
        """Turn raw values into model features, one dict per value, not yet padded."""

    def size(self, feature: Features) -> int:
        """Cost of one preprocessed value (tokens, samples, patches): batches are made of equal total size."""
        return 1

    @abstractmethod
    def collate(self, features: Sequence[Features]) -> Batch:
        """Pad preprocessed values into one batch."""

    @abstractmethod
    def features(self, batch: Batch) -> torch.Tensor:
        """One vector per example, `(batch, width)`: the backbone's output, pooled."""

    def readings(self, batch: Batch, states: Sequence[torch.Tensor] = ()) -> dict[str, torch.Tensor]:
        """More ways to read the frozen backbone (or `states`, of all layers) than a head does, by name, `(batch, width)` each."""
        return {}

    def logits(self, inputs: Batch) -> torch.Tensor:
        """The head's answers, `(batch, labels)`."""
        return self.model(**inputs).logits

    def embed(
        self, values: Sequence[Any], *, max_length: int | None = None, batch_size: int = 16_384, bf16: bool = False
    ) -> np.ndarray:
        """Vectors of the backbone as it is, in the order of `values`.

        Values are sorted by size and batched to about `batch_size` of it, so that almost nothing is padding.

        Returns:
            float32 array `(len(values), width)`.
        """
        features = self.preprocess(values, max_length)
        vectors: np.ndarray | None = None
        with (
            structure.at_work(self.model) as device, structure.evaluating(self.backbone), torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=bf16),
        ):  # fmt: skip
            for rows in batches_by_size([self.size(feature) for feature in features], batch_size):
                batch = self.collate([features[row] for row in rows])
                pooled = self.features({name: one.to(device) for name, one in batch.items()}).float().cpu().numpy()
                if vectors is None:
                    vectors = np.empty((len(values), pooled.shape[1]), dtype=np.float32)
                vectors[rows] = pooled
        if vectors is None:
            raise ValueError("nothing to embed")
        return vectors

    def spec(
        self, *, normalized: bool = False, max_length: int | None = None, dimensions: int | None = None
    ) -> EmbeddingSpec:
        """What says of vectors that they are this encoder's; `dimensions` where they are known, else the backbone runs once."""
        return EmbeddingSpec(
            self.ref.id, self.report.revision, self.report.weights_sha, self.modality.name, str(self.pooling), normalized,
            max_length, dimensions or self.width,
        )  # fmt: skip

    def example_values(self) -> list[Any]:
        """A few made-up raw values (nobody's data), always the same: what a published model is tried on.

        Returns:
            Strings, PIL images, or float arrays, as the modality's transformers pipeline takes them, or the class where
            there is no pipeline. Empty where neither takes such values: the model is then tried on tensors alone.
        """
        return []

    # -- saving -----------------------------------------------------------------------------------------------------

    def plain_model(self) -> PreTrainedModel:
        """What plain transformers loads: adapters merged, and undone what `prepare` did only for training."""
        from hf_ssl.models import adapters

        return adapters.merge(self.model) if hasattr(self.model, "peft_config") else self.model

    def save(
        self, folder: Path, *, model: PreTrainedModel | None = None, processor: Processor | None = None,
        carried: dict[str, torch.Tensor] | None = None, **facts: object,
    ) -> Path:  # fmt: skip
        """A plain transformers folder (safetensors, config, processor) that also says how it is pooled.

        Args:
            model: instead of `plain_model()`: what an objective exports.
            processor: instead of its own: what a task's pipeline needs.
            carried: tensors that go into the file beside the model's.
            facts: more for `hf_ssl.json`, such as what the model descends from.
        """
        model = self.plain_model() if model is None else model
        with loading.quiet():
            model.save_pretrained(folder, state_dict={**model.state_dict(), **carried} if carried else None)
        processor = processor or self.processor
        if processor is not None:
            processor.save_pretrained(folder)
        write_json(folder / LINEAGE, {**facts, "pooling": str(self.pooling)})
        self.write_pooling(folder)
        return folder

    def write_pooling(self, folder: Path) -> None:  # noqa: B027  # most have no such files
        """Say in the files of other libraries how the model is pooled, where they have such files."""

    # -- random views, for objectives that compare them -------------------------------------------------------------

    def view_store(self, values: Sequence[Any]) -> Indexed:
        """Content of every value, read once, in the form that views are cut from."""
        raise self.modality.lacks("view_store", "random views")

    def views(
        self, items: Sequence[Any], rngs: Sequence[np.random.Generator], plan: ViewPlan, multiple: int = 1
    ) -> list[Batch]:
        """Random views of items of `view_store`.

        Args:
            rngs: one generator per item: all random choices about an item come from its own.
            plan: of the objective, whose habits the views follow.
            multiple: lengths (sides) of views are multiples of it, such as a patch size.

        Returns:
            One batch of model inputs per group of views that have one shape, each `(views * items, ...)`: all first
            views, then all second ones. Contrastive objectives use the first group.
        """
        raise self.modality.lacks("views", "random views")


class VisionEncoder(Encoder):
    """An encoder of pictures: what it gives is a map."""

    @property
    @abstractmethod
    def shape(self) -> Geometry:
        """What the processor does to a picture: size, mean, spread."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """Channels of the model's input."""

    @abstractmethod
    def tokens_and_map(self, batch: Batch, **inputs: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """All tokens `(batch, tokens, width)`, None for a network without; and the map, as in `patch_features`.

        `inputs` are more inputs of the model, such as `bool_masked_pos`.
        """

    def patch_features(self, batch: Batch, **inputs: torch.Tensor) -> torch.Tensor:
        """The backbone's last map, `(batch, width, rows, columns)`, special tokens taken away."""
        return self.tokens_and_map(batch, **inputs)[1]

    @abstractmethod
    def view_groups(self, plan: ViewPlan) -> tuple[tuple[View, ...], ...]:
        """The views of an objective, fitted to the kind of picture: groups of views that have one shape."""

    @torch.no_grad()
    def map_stride(self) -> tuple[torch.Size, int, int]:
        """Shape of an example picture `(1, channels, height, width)`, the map's width in features, and pixels per cell."""
        pixels = structure.example_inputs(self.model, batch_size=1)["pixel_values"]
        with structure.evaluating(self.model):
            grid = self.patch_features({"pixel_values": pixels})
        return pixels.shape, grid.shape[1], max(1, pixels.shape[-1] // grid.shape[-1])


class SeriesEncoder(Encoder):
    """An encoder of series: what it sees is a window."""

    @property
    @abstractmethod
    def context_length(self) -> int:
        """Steps of history that the model takes."""

    @abstractmethod
    def windows(
        self, dataset: datasets.Dataset, context: int | None = None, horizon: int = 0, *, stride: int | None = None
    ) -> Windows:
        """Windows over a split, scaled.

        Args:
            context: steps of history (default: the model's).
            horizon: steps of future.
            stride: distance between windows (default: the data's).
        """
