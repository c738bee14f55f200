"""AutoTheta of statsforecast, window by window: the best of four Theta models (Fiorucci et al. 2016)."""

from __future__ import annotations

from typing import Any, ClassVar

from hf_ssl.evaluation.forecasters.statsforecast import StatsForecast


class Theta(StatsForecast):
    """See above."""

    title: ClassVar = "AutoTheta"

    def models(self, season: int) -> list[Any]:
        """See `StatsForecast.models`."""
        from statsforecast.models import AutoTheta

        return [AutoTheta(season_length=season)]
