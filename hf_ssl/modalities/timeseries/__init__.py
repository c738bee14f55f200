"""Time series: reading, regular grids, windows, backbones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_ssl.modalities.timeseries.timeseries import TimeSeries as TimeSeries


def __getattr__(name: str) -> object:
    """The class under the shorter path too, loaded when it is asked for."""
    if name != "TimeSeries":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hf_ssl.modalities.timeseries import timeseries

    return timeseries.TimeSeries
