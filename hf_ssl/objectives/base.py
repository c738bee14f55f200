"""A self-supervised objective: a model, what is hidden from it, and the loss of not finding it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from hf_ssl.core.fields import Options
from hf_ssl.modalities.deferred import DefersViews
from hf_ssl.modalities.encoder import Batch, Encoder, Indexed
from hf_ssl.modalities.rng import example_rng
from hf_ssl.modalities.views import ViewPlan
from hf_ssl.models import structure
from hf_ssl.training.module import SizedDataset, TrainingModule

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedModel

    from hf_ssl.modalities.base import Modality


class Rows(SizedDataset, ABC):
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


class StoredRows(Rows):
    """Content of every example, and a generator for each.

    Args:
        store: what views are cut from, one entry per example.
        keys: a stable name of every example, which its random choices depend on.
    """

    def __init__(self, store: Indexed, keys: Sequence[str], *, seed: int, training: bool) -> None:
        super().__init__(seed, training)
        self.store, self.keys = store, keys

    def __len__(self) -> int:
        return len(self.store)

    def rng(self, index: int) -> np.random.Generator:
        """The generator of an example in this epoch."""
        return example_rng(self.seed, self.key, self.keys[index])


class ViewRows(StoredRows):
    """Content as views are cut from it, with a generator for each."""

    def __getitem__(self, index: int) -> tuple[Any, np.random.Generator]:
        return self.store[index], self.rng(index)


def row_keys(dataset: datasets.Dataset) -> list[str]:
    """A name of every row: its id, else its place."""
    return [str(key) for key in (dataset["id"] if "id" in dataset.column_names else range(len(dataset)))]


class Objective(TrainingModule, ABC):
    """Base class of `mlm`, `simcse`, `tsdae` … and of your own objective.

    A subclass is one file in this folder (or any class, given as `package.module:Class`). Nothing about it is written
    anywhere else.

    Attributes:
        needs: kind of encoder that it works on.
        paper: where it comes from, for the model card.
        auto_class: the transformers class its model is loaded with.
        export_class: the transformers class its result is loaded with (None: `auto_class`).
        Config: dataclass of its own options.
        training_defaults: `TrainingArguments` that suit it, used where the user says nothing.

    Args:
        encoder: loaded with `auto_class`; its model may be wrapped by PEFT.
        config: an instance of `Config`.
    """

    needs: ClassVar[type[Encoder]] = Encoder  # asked for, not made
    paper: ClassVar[str]
    auto_class: ClassVar[str] = "AutoModel"
    export_class: ClassVar[str | None] = None
    training_defaults: ClassVar[dict[str, Any]] = {}

    encoder: Encoder
    config: Any

    @dataclass
    class Config(Options):
        """This objective has no options of its own."""

    def __init__(self, encoder: Encoder, config: object) -> None:
        super().__init__()
        self.encoder = encoder
        self.model = encoder.model
        self.config = config
        self._defers = False  # its views could be made later
        self.freeze_batchnorm_stats(encoder.backbone)

    @classmethod
    def fits(cls, modality: Modality | type[Modality]) -> bool:
        """Whether the encoders of a kind of data offer what it needs."""
        return issubclass(modality.encoder_class(), cls.needs)

    @abstractmethod
    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> Rows:
        """The examples of the pool as rows to draw batches from."""

    def needs_whole_pool(self) -> str | None:
        """Why it cannot be trained on a stream, whose rows come block by block (`rows` sees the first one before the others); None: it can."""
        return None

    def training_batch(self, rows: Sequence[Any]) -> Batch:
        encoder = self.encoder
        if not (self.views_on_device and isinstance(encoder, DefersViews) and encoder.defers):
            return self.collate(rows)
        spare = None if self._defers else copy.deepcopy(rows)  # generators go on: another try needs its own
        try:
            with encoder.deferring() as later:
                batch = later.packed(self.collate(rows))
        except (RuntimeError, TypeError):
            batch = None
        if batch is None:  # it computes with views where it collates
            assert spare is not None, "what could be deferred once can be deferred always"
            self.views_on_device = False
            return self.collate(spare)
        self._defers = True
        return batch

    def on_device(self, batch: Batch) -> Batch:
        return self.encoder.rendered(batch) if isinstance(self.encoder, DefersViews) else batch

    @property
    def adapted(self) -> Encoder:
        """The encoder that is measured, kept and saved (a teacher, where that is the better one)."""
        return self.encoder

    @property
    def backbone(self) -> PreTrainedModel:
        """The network that is being adapted, without head (adapters stay in)."""
        return self.adapted.backbone

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
        return self.adapted.plain_model()

    def random_view(self, items: Sequence[Any], rngs: Sequence[np.random.Generator]) -> Batch | None:
        """One view of each item of its `ViewRows`, as the encoder's inputs, for the measure of how alike two are.

        None: it has no views, or views that only training tells apart (dropout).
        """
        return None

    def measures(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Numbers for the monitor, from `LossOutput.scalars` summed over the held-out data (codebook perplexity …)."""
        return {}

    def describe(self, batch: Mapping[str, torch.Tensor]) -> str:
        """One line about a batch, for `hf-ssl check`."""
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in batch.items())
        return f"{int(self.count_units(batch)):,} {self.unit} in a batch: {shapes}"


class ViewObjective(Objective):
    """An objective that draws random views; it owns the plan of them.

    Attributes:
        views: what is drawn.
    """

    views: ClassVar[ViewPlan]

    @classmethod
    def fits(cls, modality: Modality | type[Modality]) -> bool:
        return super().fits(modality) and modality.encoder_class().has_views

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> ViewRows:
        store = self.encoder.view_store(dataset[self.encoder.modality.column])
        return ViewRows(store, row_keys(dataset), seed=seed, training=training)

    def drawn(self, rows: Sequence[tuple[Any, np.random.Generator]], multiple: int = 1) -> list[Batch]:
        """The views of some rows, one batch per group of the plan; see `Encoder.views`."""
        return self.encoder.views([item for item, _ in rows], [rng for _, rng in rows], self.views, multiple)

    def random_view(self, items: Sequence[Any], rngs: Sequence[np.random.Generator]) -> Batch:
        first = self.encoder.views(items, rngs, self.views)[0]
        return {name: tensor[: len(items)] for name, tensor in first.items()}

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> int:
        return len(batch["labels"])


def bare_name(name: str) -> str:
    """A parameter's name as the checkpoint knows it (without our and PEFT's prefixes)."""
    for prefix in ("model.", "base_model.model."):
        name = name.removeprefix(prefix)
    return name.replace(".base_layer.", ".").replace(".modules_to_save.default.", ".")


@torch.inference_mode()
def view_pairs(objective: Objective, rows: ViewRows, limit: int, bf16: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Vectors of two random views of the first rows, `(rows, width)` each, from the encoder as it is now; None: no views."""
    device, encoder = next(objective.parameters()).device, objective.adapted
    pairs: list[list[torch.Tensor]] = [[], []]
    with structure.evaluating(encoder.backbone), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for start in range(0, min(limit, len(rows)), 64):
            chosen = [rows[index] for index in range(start, min(start + 64, limit, len(rows)))]
            items, rngs = [item for item, _ in chosen], [rng for _, rng in chosen]
            for side in pairs:  # the same generators go on, so the second view is another one
                view = objective.random_view(items, rngs)
                if view is None:
                    return None
                side.append(encoder.features({name: part.to(device) for name, part in view.items()}).float().cpu())
    one, other = (torch.cat(side).numpy() for side in pairs)
    return one, other
