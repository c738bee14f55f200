"""The last season again."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hf_ssl.evaluation.forecasters.base import Forecaster
from hf_ssl.evaluation.metrics.forecast import seasonal_naive
from hf_ssl.modalities.timeseries.origins import Origins


class SeasonalNaive(Forecaster):
    """What was there one season before; the last value where there is no season."""

    title: ClassVar = "seasonal naive"

    def forecast(self, asked: Origins) -> np.ndarray:
        """See `Forecaster.forecast`."""
        return seasonal_naive(asked.past[:, :, : asked.targets], asked.horizon, asked.season)
