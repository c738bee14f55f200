"""AutoETS of statsforecast, window by window: exponential smoothing, its kind and parameters chosen by likelihood (Hyndman et al. 2008)."""

from __future__ import annotations

from typing import Any, ClassVar

from hf_ssl.evaluation.forecasters.statsforecast import StatsForecast


class AutoEts(StatsForecast):
    """See above."""

    title: ClassVar = "AutoETS"

    def models(self, season: int) -> list[Any]:
        """See `StatsForecast.models`."""
        from statsforecast.models import AutoETS

        return [AutoETS(season_length=season)]
