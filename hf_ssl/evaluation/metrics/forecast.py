"""How good forecasts are: on standardized values, and per series in units of the seasonal-naive error.

Definitions: MASE and RMSSE divide by the seasonal-naive error *within the training span* of the same series (Hyndman and
Koehler 2006; Makridakis et al. 2022, M5). They are computed per series and channel over all its windows, then averaged
geometrically: a mean of raw errors would be that of the largest series. Every number is a sum over values, so it does not
depend on the evaluation batch size, and no window is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_ssl.core.errors import DataError


@dataclass(frozen=True)
class Scales:
    """What belongs to each series and channel, all `(series, channels)` and from the training span.

    Args:
        loc, scale: standardized = (value - loc) / scale.
        naive_error: mean absolute seasonal-naive error.
        naive_square: mean squared seasonal-naive error.
    """

    loc: np.ndarray
    scale: np.ndarray
    naive_error: np.ndarray
    naive_square: np.ndarray


def forecast_metrics(
    forecast: np.ndarray, truth: np.ndarray, series: np.ndarray, scales: Scales, *, naive: np.ndarray | None = None
) -> dict[str, float]:
    """Point metrics.

    Args:
        forecast, truth: `(windows, horizon, channels)`, standardized; NaN in `truth` where nothing was observed.
        series: `(windows,)` number of the series.
        scales: of every series.
        naive: seasonal-naive forecast of the same windows, for `mase_naive` and `mase_ratio`.

    Returns:
        `mse`, `mae` (standardized, as in the long-horizon literature), `mase`, `rmsse`, `smape` (percent, 0 to 200), and with `naive`
        `mase_naive` and `mase_ratio` (geometric mean over series of model over naive; below 1 is better).

    Raises:
        DataError: a forecast is not finite, or nothing was observed.
    """
    observed = ~np.isnan(truth)
    if not observed.any():
        raise DataError("No future value was observed: there is nothing to measure forecasts on.")
    if not np.isfinite(forecast[observed]).all():
        raise DataError(f"{int((~np.isfinite(forecast[observed])).sum()):,} forecast values are NaN or infinite.")
    error = np.where(observed, forecast - truth, 0.0).astype(np.float64)
    count = observed.sum()
    absolute, square = _per_series(np.abs(error), observed, series), _per_series(error**2, observed, series)
    mase = _ratio(absolute * scales.scale, scales.naive_error)
    rmsse = np.sqrt(_ratio(square * scales.scale**2, scales.naive_square))
    raw_forecast, raw_truth = (
        values * scales.scale[series][:, None] + scales.loc[series][:, None] for values in (forecast, truth)
    )
    size = np.where(observed, np.abs(raw_forecast) + np.abs(np.nan_to_num(raw_truth)), 0.0)
    shares = 2 * np.abs(error) * scales.scale[series][:, None] / np.where(size > 0, size, 1.0)
    found = {
        "mse": float((error**2).sum() / count), "mae": float(np.abs(error).sum() / count), "mase": gmean(mase), "rmsse": gmean(rmsse),
        "smape": float(100 * shares.sum() / count),
    }  # fmt: skip
    if naive is not None:
        wrong = np.where(observed, np.abs(naive - np.nan_to_num(truth)), 0.0)
        reference = _ratio(_per_series(wrong, observed, series) * scales.scale, scales.naive_error)
        found |= {"mase_naive": gmean(reference), "mase_ratio": gmean(_ratio(mase, reference))}
    return found


def quantile_metrics(
    quantiles: np.ndarray, levels: np.ndarray, truth: np.ndarray, series: np.ndarray, scales: Scales
) -> dict[str, float]:
    """Probabilistic metrics.

    Args:
        quantiles: `(windows, horizon, channels, levels)`, standardized.
        levels: `(levels,)`, rising.
        truth, series, scales: as in `forecast_metrics`.

    Returns:
        `wql`: weighted quantile loss, `2 sum_q pinball_q / sum |y|`, mean over levels (twice the mean pinball loss, which
        approximates CRPS), in the data's own units; `coverage`: share of values between the outermost levels;
        `coverage_nominal`: what it should be.
    """
    observed = ~np.isnan(truth)
    raw = np.nan_to_num(truth) * scales.scale[series][:, None] + scales.loc[series][:, None]
    weight = np.where(observed, np.abs(raw), 0.0).sum()
    difference = np.where(observed[..., None], np.nan_to_num(truth)[..., None] - quantiles, 0.0).astype(np.float64)
    pinball = np.maximum(levels * difference, (levels - 1) * difference) * scales.scale[series][:, None, :, None]
    inside = (truth >= quantiles[..., 0]) & (truth <= quantiles[..., -1]) & observed
    return {
        "wql": float(2 * pinball.sum(axis=(0, 1, 2)).mean() / weight) if weight else float("nan"),
        "coverage": float(inside.sum() / observed.sum()), "coverage_nominal": float(levels[-1] - levels[0]),
    }  # fmt: skip


def error_by_step(forecast: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean absolute standardized error of every step ahead, `(horizon,)`, NaN where nothing was observed."""
    observed = ~np.isnan(truth)
    wrong = np.where(observed, np.abs(forecast - np.nan_to_num(truth)), 0.0)
    with np.errstate(invalid="ignore"):
        return wrong.sum(axis=(0, 2)) / observed.sum(axis=(0, 2))


def seasonal_naive(past: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The last season again and again; a missing value is replaced by the one a season before, else the last observed.

    Args:
        past: `(windows, context, channels)`, NaN where missing.

    Returns:
        `(windows, horizon, channels)`.
    """
    season = max(1, min(season, past.shape[1]))
    last = past[:, -season:].copy()
    for back in range(2, past.shape[1] // season + 1):
        if not np.isnan(last).any():
            break
        earlier = past[:, -back * season : -(back - 1) * season]
        last = np.where(np.isnan(last), earlier, last)
    if np.isnan(last).any():
        last = np.where(np.isnan(last), _last_observed(past)[:, None], last)
    return np.take(last, np.arange(horizon) % season, axis=1)


def steady(past: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Steps ahead whose place in the season had one and the same value in every season of the history (a solar plant's
    nights, a shop's Sundays), two of them at least.

    Args:
        past: `(windows, context, channels)`, NaN where missing.

    Returns:
        bool `(windows, horizon, channels)`.
    """
    windows, context, channels = past.shape
    seasons = context // max(1, season)
    if seasons < 2 or season < 2:
        return np.zeros((windows, horizon, channels), bool)
    folded = past[:, context - seasons * season :].reshape(windows, seasons, season, channels)
    missing = np.isnan(folded)
    low, high = (np.where(missing, bound, folded) for bound in (np.inf, -np.inf))
    same = (low.min(axis=1) == high.max(axis=1)) & ((~missing).sum(axis=1) > 1)
    return np.take(same, np.arange(horizon) % season, axis=1)


def _last_observed(past: np.ndarray) -> np.ndarray:
    seen = ~np.isnan(past)
    place = past.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
    found = np.take_along_axis(past, place[:, None], axis=1)[:, 0]
    return np.where(seen.any(axis=1), found, 0.0)


def gmean(values: np.ndarray) -> float:
    """Geometric mean of the finite positive values (a constant series has no naive error to divide by); NaN without any."""
    usable = values[np.isfinite(values) & (values > 0)]
    return float(np.exp(np.log(usable).mean())) if len(usable) else float("nan")


def _per_series(values: np.ndarray, observed: np.ndarray, series: np.ndarray) -> np.ndarray:
    """Mean per series and channel, NaN where a series has no window."""
    total, count = (
        np.zeros((int(series.max()) + 1, values.shape[2])),
        np.zeros((int(series.max()) + 1, values.shape[2])),
    )
    np.add.at(total, series, values.sum(axis=1))
    np.add.at(count, series, observed.sum(axis=1))
    with np.errstate(invalid="ignore"):
        return total / count


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    below = below[: len(above)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)
