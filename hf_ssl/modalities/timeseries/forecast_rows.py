"""Forecasts as a table: one row per step and channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_ssl.modalities.timeseries.grid import times_from


def forecast_rows(
    forecasts: Sequence[Mapping[str, Any]],
    spans: Mapping[str, Mapping[str, Any]],
    width: Mapping[str, np.ndarray] | None,
) -> list[dict[str, Any]]:
    """Rows of forecasts, with dates where the series have some.

    Args:
        forecasts: each with `id`, `step` (the first one, counted from the series' first), `prediction` `[channels][horizon]` and
            perhaps `quantiles` `[channels][horizon][levels]`, in order.
        spans: by id, what is known of a series: `start`, `frequency`.
        width: by id, half of the interval `(horizon, channels)`.
    """
    found = []
    for entry in forecasts:
        name, first = entry["id"], entry["step"]
        horizon = len(entry["prediction"][0])
        times = times_from(spans[name]["start"], spans[name]["frequency"], first, horizon)
        for channel, values in enumerate(entry["prediction"]):
            for ahead, value in enumerate(values):
                row: dict[str, Any] = {"id": name, "step": first + ahead}
                if times is not None:
                    row["date"] = str(np.datetime_as_string(times[ahead], unit="s"))
                row |= {"channel": channel, "prediction": value}
                if width is not None:
                    apart = float(width[name][ahead, channel])
                    row |= {"low": value - apart, "high": value + apart}
                if "quantiles" in entry:
                    row["quantiles"] = entry["quantiles"][channel][ahead]
                found.append(row)
    return found
