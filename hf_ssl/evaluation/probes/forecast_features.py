"""What boosting sees of one step ahead: values of seasons before, the latest ones, covariates, calendar, which series it is."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hf_ssl.modalities.timeseries.origins import Origins

SEASONS, LATEST = 4, 3
MOST_CATEGORIES = 200
"""Of one column; a rarer value is one that is not known."""
DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Codes:
    """Numbers for names, as they were met in training.

    Args:
        names: of series, where they are few enough to learn something of each.
        categories: by static column, its values in order; a column that holds numbers alone is not among them.
        numbers: static columns that hold numbers alone.
    """

    names: list[str]
    categories: dict[str, list[str]]
    numbers: list[str]

    @classmethod
    def of(cls, train: Origins) -> Codes:
        """Those of the training windows."""
        names = sorted(set(train.names.tolist()))
        numbers = [name for name, values in train.static.items() if _is_numeric(values)]
        categories = {
            name: sorted(set(values.tolist()))[:MOST_CATEGORIES]
            for name, values in train.static.items()
            if name not in numbers
        }
        return cls(names if 1 < len(names) <= MOST_CATEGORIES else [], categories, numbers)

    def static_rows(self, asked: Origins) -> list[np.ndarray]:
        """One array `(windows,)` per column: codes of the series, of categories, then numbers; NaN for what is not known."""
        found = [_coded(asked.names, self.names)]
        found += [_coded(_column(asked, name), values) for name, values in self.categories.items()]
        return found + [_floats(_column(asked, name)) for name in self.numbers]

    def count(self, targets: int) -> int:
        """How many columns of `rows_of`, the first ones, are categories: of the series, of static columns, of the channel."""
        return 1 + len(self.categories) + (targets > 1)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Codes:
        """What `to_dict` gave.

        Raises:
            TypeError, KeyError, AttributeError: it is something else.
        """
        categories = {str(name): [str(one) for one in values] for name, values in given["categories"].items()}
        if max(map(len, [given["names"], *categories.values()])) > MOST_CATEGORIES:
            raise ValueError("it knows more names than it may")
        return cls([str(name) for name in given["names"]], categories, [str(name) for name in given["numbers"]])


def levels_of(asked: Origins) -> np.ndarray:
    """Where each target has been lately, `(windows, targets)`: what is forecast is the difference from there."""
    recent = max(2 * asked.season, asked.horizon // 2, 4)
    return np.nan_to_num(_mean(asked.past[:, -recent:, : asked.targets].astype(np.float64), 1))


def rows_of(asked: Origins, codes: Codes) -> np.ndarray:
    """`(windows x targets x horizon, columns)`, NaN where something is not known; categories come first."""
    windows, targets, horizon = len(asked), asked.targets, asked.horizon
    shape = (windows, targets, horizon)
    columns: list[np.ndarray] = [np.broadcast_to(one[:, None, None], shape) for one in codes.static_rows(asked)]
    if targets > 1:  # beside the categories of a series that of its channel
        columns.insert(1 + len(codes.categories), np.broadcast_to(np.arange(targets)[None, :, None], shape))
    columns.append(np.broadcast_to(np.arange(horizon)[None, None], shape))
    past = asked.past.astype(np.float64)
    values = past[:, :, :targets].transpose(0, 2, 1) - levels_of(asked)[:, :, None]
    columns += [np.broadcast_to(one[:, :, None], shape) for one in _lately(values, asked.season)]
    places = _places(past.shape[1], horizon, asked.season)
    before = [_at(values, place) for place in places]
    columns += [*before[:SEASONS], _mean(np.stack(before), 0)]
    for channel in range(past.shape[2] - asked.known, past.shape[2]):
        columns += [np.broadcast_to(one, shape) for one in _known(past[:, :, channel], values, places, asked)]
    for channel in range(targets, past.shape[2] - asked.known):
        own = past[:, :, channel]
        columns += [
            np.broadcast_to(one[:, None, None], shape) for one in (own[:, -1], _mean(own[:, -asked.season :], 1))
        ]
    columns += [np.broadcast_to(one[:, None], shape) for one in _calendar(asked.times)]
    return np.stack(columns, axis=-1).reshape(windows * targets * horizon, len(columns)).astype(np.float64)


def _lately(values: np.ndarray, season: int) -> list[np.ndarray]:
    """The latest values, means and spreads of `(windows, targets, context)`, beside the level."""
    length = values.shape[2]
    latest = [values[:, :, -back] for back in range(1, min(LATEST, length) + 1)]
    span = values[:, :, -max(season, 4) :]
    whole, half = _mean(values, 2), length // 2
    return [
        *latest,
        _mean(span, 2),
        whole,
        _spread(span),
        _spread(values),
        _mean(values[:, :, half:], 2) - _mean(values[:, :, :half], 2),
    ]


def _places(context: int, horizon: int, season: int) -> list[np.ndarray]:
    """Places in the history that are one, two ... seasons before each step ahead, `(horizon,)`, negative where it is too short."""
    steps = np.arange(horizon)
    nearest = context + steps - season * -(-(steps + 1) // season)
    return [nearest - season * back for back in range(max(SEASONS, min(context // season, 12)))]


def _at(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values at places of the last axis; NaN before its beginning."""
    found = values[..., places.clip(0)]
    found[..., places < 0] = np.nan
    return found


def _known(channel: np.ndarray, values: np.ndarray, places: list[np.ndarray], asked: Origins) -> list[np.ndarray]:
    """Of one covariate known in advance: at the step ahead, just before, one season before, and what the series did when it was so.

    Args:
        channel: `(windows, context)`, moved `horizon` steps to the past.
        values: of the targets, `(windows, targets, context)`.
    """
    context, horizon = channel.shape[1], asked.horizon
    ahead = context - horizon + np.arange(horizon)
    now, earlier = _at(channel, ahead), _at(channel, ahead - 1)
    then = _at(channel, places[0] - horizon)
    seen = channel[:, : max(0, context - horizon)]  # at the steps of the history that are not its first ones
    columns = [one[:, None] for one in (now, earlier, then)]
    if not seen.shape[1]:
        return [*columns, np.full((len(channel), 1, horizon), np.nan)]
    unlike = values[:, :, horizon:] - _by_season(values, asked.season)[:, :, horizon:]
    near = np.abs(now[:, :, None] - seen[:, None]) <= 0.25 * np.nan_to_num(_spread(seen))[:, None, None] + 1e-6
    weight = near[:, None] & ~np.isnan(unlike)[:, :, None]  # (windows, targets, horizon, steps)
    count = weight.sum(axis=3)
    total = np.einsum("wths,wts->wth", weight.astype(np.float32), np.nan_to_num(unlike).astype(np.float32))
    return [*columns, np.where(count > 0, total / np.maximum(count, 1), np.nan)]


def _by_season(values: np.ndarray, season: int) -> np.ndarray:
    """Mean of all values at the same place of the season, at every step of the last axis."""
    found = np.empty_like(values)
    for place in range(season):
        found[..., place::season] = _mean(values[..., place::season], -1)[..., None]
    return found


def _calendar(times: np.ndarray) -> list[np.ndarray]:
    """Hour, day of the week, of the month (from both ends) and of the year of dates `(windows, horizon)`, NaN where there are none."""
    none = np.isnat(times)
    day, month, year = (times.astype(f"datetime64[{unit}]") for unit in "DMY")
    counted = [
        (times - day) / np.timedelta64(1, "h"), (day.astype(np.int64) + 3) % 7, (day - month.astype(day.dtype)) / DAY,
        ((month + 1).astype(day.dtype) - day) / DAY, (day - year.astype(day.dtype)) / DAY,
    ]  # fmt: skip
    return [np.where(none, np.nan, one.astype(np.float64)) for one in counted]


def _coded(values: np.ndarray, known: list[str]) -> np.ndarray:
    place = {name: number for number, name in enumerate(known)}
    return np.array([place.get(value, np.nan) for value in values.tolist()], np.float64)


def _column(asked: Origins, name: str) -> np.ndarray:
    return asked.static.get(name, np.full(len(asked), "", object))


def _is_numeric(values: np.ndarray) -> bool:
    return not np.isnan(_floats(values)).any()


def _floats(values: np.ndarray) -> np.ndarray:
    found = np.full(len(values), np.nan)
    for row, value in enumerate(values.tolist()):
        try:
            found[row] = float(value)
        except ValueError:
            continue
    return found


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing was observed: NaN is the answer
        return np.nanmean(values, axis=axis)


def _spread(values: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanstd(values, axis=-1)
