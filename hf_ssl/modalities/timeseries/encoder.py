"""Encoders of series: windows of numbers in, one vector per window out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.modalities.encoder import Batch, Features, SeriesEncoder
from hf_ssl.modalities.timeseries.backbones import SeriesProcessor, pool_patches, read_processor
from hf_ssl.modalities.timeseries.split import arrays_of
from hf_ssl.modalities.timeseries.values import as_array, season_and_walk
from hf_ssl.modalities.timeseries.windows import Windows, fill

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality
    from hf_ssl.modalities.timeseries.timeseries import TimeSeries
    from hf_ssl.models.reference import CheckpointRef


class TimeSeriesEncoder(SeriesEncoder):
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
        past, own = np.stack([feature["past_values"] for feature in features]), self.processor
        if own.channels is not None and past.shape[2] != own.channels and not own.flexible:
            raise DataError(f"The model takes {own.channels} channels, the series have {past.shape[2]}.")
        filled, seen = fill(past)
        batch = {"past_values": torch.from_numpy(filled)}
        if own.mask_name is not None:
            batch[own.mask_name] = torch.from_numpy(seen)
        return batch

    def features(self, batch: Batch) -> torch.Tensor:
        """Pool over the patches with anything observed in them, channels side by side."""
        return pool_patches(self.backbone, batch, self.pooling.mode)

    def readings(self, batch: Batch) -> dict[str, torch.Tensor]:
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
