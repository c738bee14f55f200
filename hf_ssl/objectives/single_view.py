"""What objectives share that see one random view of each example at a time, whatever the kind of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch

from hf_ssl.core.fields import Options
from hf_ssl.modalities.encoder import Batch, Encoder
from hf_ssl.modalities.text.crops import TokenCrops
from hf_ssl.modalities.text.encoder import TextEncoder
from hf_ssl.modalities.timeseries.distort import Mild
from hf_ssl.modalities.timeseries.encoder import TimeSeriesEncoder
from hf_ssl.modalities.timeseries.windows import Windows
from hf_ssl.modalities.views import View, ViewPlan
from hf_ssl.objectives.base import Objective, StoredRows, row_keys

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality


class Item(NamedTuple):
    """One row: number of the example, its content, its generator, and whether it is trained on."""

    number: int
    content: Any
    rng: np.random.Generator
    training: bool


class Pasts:
    """Windows of series by their number, `(context, channels)` each."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.windows.batch([index])[0][0]


class NumberedRows(StoredRows):
    """Content of every example with its number and a generator."""

    def __getitem__(self, index: int) -> Item:
        return Item(index, self.store[index], self.rng(index), self.training)


class SingleViewObjective(Objective):
    """An objective on single views: random crops of pictures, sounds and series by the encoder, of texts by their tokens.

    Attributes:
        views: what is drawn, one group of one view.
        crop: shortest and longest piece of a text, as shares of it.
    """

    unit: ClassVar = "examples"
    views: ClassVar[ViewPlan] = ViewPlan((View(scale=(0.3, 1.0), color=(0.4, 0.4, 0.2, 0.1), blur=0.2),))
    crop: ClassVar[tuple[float, float]] = (0.4, 0.9)

    def __init__(self, encoder: Encoder, config: Options) -> None:
        super().__init__(encoder, config)
        self.crops: TokenCrops | None = None
        if isinstance(encoder, TextEncoder):
            self.crops = TokenCrops(encoder, getattr(config, "max_length", None), *self.crop)

    @classmethod
    def fits(cls, modality: Modality | type[Modality]) -> bool:
        kind = modality.encoder_class()
        return super().fits(modality) and (kind.has_views or issubclass(kind, (TextEncoder, TimeSeriesEncoder)))

    def numbered(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> NumberedRows:
        """Rows of `(number, content, generator)`."""
        keys, values = row_keys(dataset), dataset[self.encoder.modality.column]
        if isinstance(self.encoder, TimeSeriesEncoder):
            windows = self.encoder.windows(dataset)
            keys = [
                "/".join(map(str, (keys[place[0]], place[1]))) for place in map(windows.place, range(len(windows)))
            ]
            return NumberedRows(Pasts(windows), keys, seed=seed, training=training)
        store = self.encoder.view_store(values) if self.crops is None else self.crops.store(dataset)
        return NumberedRows(store, keys, seed=seed, training=training)

    def whole(self, dataset: datasets.Dataset, rows: NumberedRows) -> list[Any]:
        """The whole content of every row, as the kind of data has it: of a series, the window."""
        if isinstance(rows.store, Pasts):
            return [np.ascontiguousarray(rows.store[index].T) for index in range(len(rows))]
        return list(dataset[self.encoder.modality.column])

    def drawn(self, rows: Sequence[Item], views: int = 1) -> Batch:
        """Random views of some rows as the model's inputs, `(views * rows, ...)`: all first ones, then all second ones."""
        items, rngs = [row.content for row in rows], [row.rng for row in rows]
        if self.crops is not None:
            return self.encoder.collate(
                [self.crops.cut(*pair) for _ in range(views) for pair in zip(items, rngs, strict=True)]
            )
        if isinstance(self.encoder, TimeSeriesEncoder):
            return self.encoder.distorted(items, rngs, Mild(), views)
        return self.encoder.views(items, rngs, ViewPlan(self.views[0] * views))[0]

    def random_view(self, items: Sequence[Any], rngs: Sequence[np.random.Generator]) -> Batch:
        return self.drawn([Item(0, item, rng, False) for item, rng in zip(items, rngs, strict=True)])

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> int:
        return len(batch["labels"])
