"""AutoARIMA of statsforecast, window by window: ARIMA with season, its orders chosen step by step (Hyndman and Khandakar 2008)."""

from __future__ import annotations

from typing import Any, ClassVar

from hf_ssl.evaluation.forecasters.statsforecast import StatsForecast


class AutoArima(StatsForecast):
    """See above."""

    title: ClassVar = "AutoARIMA"

    def models(self, season: int) -> list[Any]:
        """See `StatsForecast.models`."""
        from statsforecast.models import AutoARIMA

        return [AutoARIMA(season_length=season)]
