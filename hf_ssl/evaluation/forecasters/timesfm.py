"""TimesFM 2.5 of transformers as released: nothing of the data is learned."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hf_ssl.core.errors import ConfigError
from hf_ssl.evaluation.forecasters.base import Forecaster
from hf_ssl.modalities.timeseries.backbones import read_processor
from hf_ssl.modalities.timeseries.origins import Origins
from hf_ssl.modalities.timeseries.timesfm import timesfm_forecast
from hf_ssl.modalities.timeseries.windows import fill
from hf_ssl.models.loading import load_model
from hf_ssl.models.reference import CheckpointRef

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TimesFm(Forecaster):
    """Zero-shot forecasts of TimesFM 2.5 (Das et al. 2024, arXiv:2310.10688). Covariates are not read: its released class has none."""

    title: ClassVar = "TimesFM zero-shot"
    few: ClassVar = True
    checkpoint_example: ClassVar = "google/timesfm-2.5-200m-transformers"

    @cached_property
    def model(self) -> PreTrainedModel:
        """The checkpoint.

        Raises:
            CheckpointError, ConfigError: it is not there, or no TimesFM.
        """
        ref = CheckpointRef(str(self.checkpoint))
        processor = read_processor(ref)
        if not processor.family.startswith("timesfm"):
            raise ConfigError(
                f"{self.checkpoint} is a {processor.family} model, no TimesFM. Such as {self.checkpoint_example}."
            )
        model, _ = load_model(str(self.checkpoint), "AutoModelForTimeSeriesPrediction")
        return model.eval()

    def forecast(self, asked: Origins) -> np.ndarray:
        """See `Forecaster.forecast`."""
        import torch

        config: Any = self.model.config
        if asked.horizon > config.horizon_length:
            raise ConfigError(
                f"{self.checkpoint} forecasts {config.horizon_length} steps, horizon={asked.horizon} asks for more."
            )
        found = []
        for first in range(0, len(asked), 128):
            values, seen = fill(asked.past[first : first + 128, -config.context_length :, : asked.targets])
            with torch.inference_mode():
                answer = timesfm_forecast(self.model, torch.from_numpy(values), torch.from_numpy(seen), asked.horizon)
            found.append(answer[..., 0].numpy())
        return np.concatenate(found)
