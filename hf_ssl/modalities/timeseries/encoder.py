"""Encoders of series: windows of numbers in, one vector per window out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.modalities.deferred import DefersViews, Facts
from hf_ssl.modalities.encoder import Batch, Features, SeriesEncoder
from hf_ssl.modalities.timeseries.backbones import SeriesProcessor, pool_patches, read_processor
from hf_ssl.modalities.timeseries.distort import Distortions, described, filled, make
from hf_ssl.modalities.timeseries.split import arrays_of
from hf_ssl.modalities.timeseries.values import as_array, season_and_walk
from hf_ssl.modalities.timeseries.windows import Windows, fill

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality
    from hf_ssl.modalities.timeseries.timeseries import TimeSeries
    from hf_ssl.models.reference import CheckpointRef


class TimeSeriesEncoder(DefersViews, SeriesEncoder):
    """A checkpoint and what its configuration says about its input."""

    # Mean and spread over the patches come first: windows have mean 0, so the mean alone says little before training.
    poolings = ("mean-std", "mean", "max", "last")
    modality: TimeSeries
    processor: SeriesProcessor

    @classmethod
    def data_options(
        cls, modality: Modality, ref: CheckpointRef, dataset: datasets.Dataset, head: str
    ) -> dict[str, Any]:
        """The number of channels follows the data, the length of a new forecast the horizon, pooling the kind of head.

        Raises:
            DataError: the checkpoint cannot follow.
        """
        first = arrays_of(dataset.select(range(1)))[0]
        return read_processor(ref).options_for(first.shape[0], modality.config.horizon, head)

    @property
    def context_length(self) -> int:
        return self.processor.context_length

    def windows(
        self, dataset: datasets.Dataset, context: int | None = None, horizon: int = 0, *, stride: int | None = None
    ) -> Windows:
        return self.modality.windows(dataset, context or self.context_length, horizon, stride=stride)

    def preprocess(self, values: Sequence[Any], max_length: int | None = None) -> list[Features]:
        """`past_values` `(context, channels)` with NaN where nothing was observed; the last steps of a longer series."""
        return [{"past_values": self.modality.window(as_array(value), self.context_length)} for value in values]

    def collate(self, features: Sequence[Features]) -> Batch:
        """`past_values` and its mask, both `(batch, context, channels)`."""
        past = self._checked_channels(np.stack([feature["past_values"] for feature in features]))
        return self._inputs(*(torch.from_numpy(part) for part in fill(past)))

    def _checked_channels(self, past: np.ndarray) -> np.ndarray:
        own = self.processor
        if own.channels is not None and past.shape[2] != own.channels and not own.flexible:
            raise DataError(f"The model takes {own.channels} channels, the series have {past.shape[2]}.")
        return past

    def _inputs(self, past: torch.Tensor, seen: torch.Tensor) -> Batch:
        return {"past_values": past, **({} if self.processor.mask_name is None else {self.processor.mask_name: seen})}

    def features(self, batch: Batch) -> torch.Tensor:
        """Pool over the patches with anything observed in them, channels side by side."""
        return pool_patches(self.backbone, batch, self.pooling.mode)

    def readings(self, batch: Batch, states: Sequence[torch.Tensor] = ()) -> dict[str, torch.Tensor]:
        """Mean and spread over the patches: a head of these classes reads the mean, or what it was made with."""
        return {"mean-std": pool_patches(self.backbone, batch, "mean-std")}

    def logits(self, inputs: Batch) -> torch.Tensor:
        """Each of these models calls its answer something else."""
        output = self.model(**inputs)
        for name in ("logits", "prediction_logits", "regression_outputs", "prediction_outputs"):
            if name in output and output[name] is not None:
                return output[name]
        raise ConfigError(f"{type(output).__name__} has no answer among {', '.join(output)}.")

    def example_values(self) -> list[Any]:
        """For the class itself: there is no pipeline. None for TimesFM, whose class takes lists of single series."""
        return season_and_walk(self.processor) if self.processor.channels is not None else []

    # -- views ------------------------------------------------------------------------------------------------------

    def distorted(
        self, windows: Sequence[np.ndarray], rngs: Sequence[np.random.Generator], how: Distortions, count: int
    ) -> Batch:
        """Random views of windows as the model's inputs, `(count * windows, ...)`: all first ones, then all second ones.

        Args:
            windows: `(context, channels)` each, NaN where missing.
            rngs: one generator per window: all random choices about it come from its own.
            how: how far views go.
            count: views of every window.
        """
        past = self._checked_channels(np.stack(windows))
        places, parts = (torch.from_numpy(part) for part in described(past, how, rngs, count))
        shape = (count * len(past), *past.shape[1:])
        shapes = {name: shape for name in ("past_values", self.processor.mask_name) if name is not None}
        return self.shown(
            {"windows": torch.from_numpy(past)},
            {"places": places, "parts": parts},
            {"stretch": int(how.stretch > 0)},
            shapes,
        )

    def make_views(self, content: Batch, numbers: Batch, facts: Facts) -> Batch:
        return self._inputs(
            *filled(make(content["windows"], numbers["places"], numbers["parts"], bool(facts["stretch"])))
        )
