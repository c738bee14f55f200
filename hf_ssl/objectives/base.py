"""A self-supervised objective: a model, what is hidden from it, and the loss of not finding it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from hf_ssl.core.fields import Options
from hf_ssl.modalities.rng import example_rng
from hf_ssl.models import structure
from hf_ssl.training.module import TrainingModule

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedModel

    from hf_ssl.modalities.base import Modality


class Rows(Dataset, ABC):
    """What the data loader draws from: a map-style dataset whose random choices depend on (seed, epoch, example) only.

    Args:
        seed: of the run.
        training: False pins the epoch, so that evaluation always sees the same masks and views.
    """

    def __init__(self, seed: int, training: bool) -> None:
        self.seed = seed
        self.training = training
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """New masks and views for a new epoch."""
        self.epoch = epoch

    @property
    def key(self) -> int:
        """The epoch that random choices are keyed on; -1 in evaluation."""
        return self.epoch if self.training else -1

    @abstractmethod
    def __len__(self) -> int:
        """Number of examples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """What `collate` takes of one example."""


# What suits objectives that compare two views of every example with those of the rest of the batch.
PAIR_TRAINING: dict[str, Any] = {
    "learning_rate": 5e-5, "num_train_epochs": 10, "per_device_train_batch_size": 128, "weight_decay": 0.05,
    "max_grad_norm": 1.0, "dataloader_drop_last": True,
}  # fmt: skip


class ViewRows(Rows):
    """Content of every example, kept as views are cut from it, and a generator for each."""

    def __init__(
        self, objective: Objective, dataset: datasets.Dataset, recipe: str, *, seed: int, training: bool
    ) -> None:
        super().__init__(seed, training)
        modality = objective.modality
        keys = dataset["id"] if "id" in dataset.column_names else range(len(dataset))
        self.keys = [str(key) for key in keys]
        self.recipe = recipe
        self.store = modality.view_store(objective.processor, dataset[modality.column], recipe)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> tuple[Any, np.random.Generator]:
        return self.store[index], example_rng(self.seed, self.key, self.keys[index])


class Objective(TrainingModule, ABC):
    """Base class of `mlm`, `simcse`, `tsdae` … and of your own objective.

    A subclass is one file in this folder (or any class, given as `package.module:Class`).

    Attributes:
        modalities: names of the modalities it works on; None: every one that has `views`.
        paper: where it comes from, for the model card.
        auto_class: the transformers class its model is loaded with.
        export_class: the transformers class its result is loaded with (None: `auto_class`).
        Config: dataclass of its own options.
        training_defaults: `TrainingArguments` that suit it, used where the user says nothing.

    Args:
        model: loaded with `auto_class`; may be wrapped by PEFT.
        processor: tokenizer, image processor or feature extractor.
        modality: the kind of data.
        config: an instance of `Config`.
    """

    modalities: ClassVar[frozenset[str] | None] = None
    paper: ClassVar[str]
    auto_class: ClassVar[str] = "AutoModel"
    export_class: ClassVar[str | None] = None
    training_defaults: ClassVar[dict[str, Any]] = {}

    @dataclass
    class Config(Options):
        """This objective has no options of its own."""

    def __init__(self, model: PreTrainedModel, processor: Any, modality: Modality, config: Any) -> None:
        super().__init__()
        self.model = model
        self.processor = processor
        self.modality = modality
        self.config = config
        self.freeze_batchnorm_stats(structure.find_backbone(model)[1])

    @classmethod
    def fits(cls, modality: Modality) -> bool:
        """Whether it works on a kind of data."""
        return modality.has_views if cls.modalities is None else modality.name in cls.modalities

    @abstractmethod
    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> Rows:
        """The examples of the pool as rows to draw batches from."""

    @property
    def backbone(self) -> nn.Module:
        """The encoder that is being adapted, without head (adapters stay in)."""
        return structure.find_backbone(self.model)[1]

    def is_head(self, name: str, missing: frozenset[str]) -> bool:
        """Whether a parameter (name as in `named_parameters`) is part of a new head: warmed up before the rest moves.

        Args:
            name: parameter name.
            missing: tensors of the model that were not in the checkpoint.
        """
        bare = bare_name(name)
        if bare in missing:
            return True
        return not name.startswith("model.")

    def export(self) -> PreTrainedModel:
        """The adapted model as a plain `PreTrainedModel`, adapters merged."""
        from hf_ssl.models import adapters

        merged = adapters.merge(self.model) if hasattr(self.model, "peft_config") else self.model
        return self.modality.finish_model(merged)

    def measures(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Numbers for the monitor, from `LossOutput.scalars` summed over the held-out data (codebook perplexity …)."""
        return {}

    def describe(self, batch: Mapping[str, torch.Tensor]) -> str:
        """One line about a batch, for `hf-ssl check`."""
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in batch.items())
        return f"{int(self.count_units(batch)):,} {self.unit} in a batch: {shapes}"


def bare_name(name: str) -> str:
    """A parameter's name as the checkpoint knows it (without our and PEFT's prefixes)."""
    for prefix in ("model.", "base_model.model."):
        name = name.removeprefix(prefix)
    return name.replace(".base_layer.", ".").replace(".modules_to_save.default.", ".")


@torch.no_grad()
def probe_width(objective: Objective, pooling: str) -> int:
    """Width of the backbone's pooled vector, found by running it once on an example made from its configuration."""
    inputs = structure.example_inputs(objective.model, batch_size=1)
    with structure.evaluating(objective.model):
        vectors = objective.modality.features(objective.backbone, inputs, pooling)
    return int(vectors.shape[-1])


@torch.no_grad()
def map_stride(objective: Objective) -> tuple[torch.Size, int, int]:
    """Shape of an example picture `(1, channels, height, width)`, the map's width in features, and pixels per cell of it."""
    pixels = structure.example_inputs(objective.model, batch_size=1)["pixel_values"]
    with structure.evaluating(objective.model):
        grid = objective.modality.patch_features(objective.backbone, {"pixel_values": pixels})  # type: ignore[attr-defined]
    return pixels.shape, grid.shape[1], max(1, pixels.shape[-1] // grid.shape[-1])


@torch.inference_mode()
def view_pairs(
    objective: Objective, rows: ViewRows, pooling: str, limit: int, bf16: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Features of two random views of the first rows, `(rows, hidden)` each, from the backbone as it is now."""
    device = next(objective.parameters()).device
    backbone = objective.backbone
    pairs: list[list[torch.Tensor]] = [[], []]
    with structure.evaluating(backbone), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for start in range(0, min(limit, len(rows)), 64):
            chosen = [rows[index] for index in range(start, min(start + 64, limit, len(rows)))]
            items, rngs = [item for item, _ in chosen], [rng for _, rng in chosen]
            for side in pairs:  # the same generators go on, so the second view is another one
                views = objective.modality.views(objective.processor, items, rngs, rows.recipe)[0]
                first = {name: tensor[: len(chosen)].to(device) for name, tensor in views.items()}
                side.append(objective.modality.features(backbone, first, pooling).float().cpu())
    one, other = (torch.cat(side).numpy() for side in pairs)
    return one, other
