"""Gradient boosting over all series, with covariates, calendar and what the series are: what wins forecasting contests of shops."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.forecasters.base import Forecaster
from hf_ssl.evaluation.probes.forecast_features import Codes, levels_of, rows_of
from hf_ssl.evaluation.probes.trees import Trees
from hf_ssl.modalities.timeseries.origins import Origins, spread

ROWS, HELD, LEAST = 60_000, 20_000, 100
"""Most rows (a row is one step ahead of one target) to learn from, most to stop by, and the least that teach anything."""
ROUNDS, UNWATCHED = 400, 120
"""Most trees, and how many where no later windows say when to stop."""
AT_ONCE = 5_000_000
"""Windows x steps ahead x steps of history that are looked at together when forecasting."""
SETTINGS = {
    "learning_rate": 0.06, "max_leaf_nodes": 31, "max_depth": 8, "min_samples_leaf": 20, "l2_regularization": 1.0,
    "n_iter_no_change": 15, "tol": 0.0,
}  # fmt: skip


class Boosting(Forecaster):
    """scikit-learn's histogram boosting, one model for all series and steps ahead.

    A row is one step ahead of one window; it sees (`hf_ssl.evaluation.probes.forecast_features`) values one and more seasons before
    that step, the latest ones, covariates known for that step, the calendar there, static columns and which series it is. It gives
    the difference from the window's recent level. It stops when later windows are forecast no better.
    """

    title: ClassVar = "gradient boosting"
    learns: ClassVar = True
    codes: Codes
    trees: Trees
    columns: int
    used: np.ndarray

    def windows(self, horizon: int, targets: int) -> int:
        """See `Forecaster.windows`."""
        return max(20, ROWS // (horizon * targets))

    def learn(self, train: Origins, held: Origins | None, loss: str) -> None:
        """See `Forecaster.learn`."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        train = train.take(np.flatnonzero(~np.isnan(train.future).all(axis=(1, 2))))
        self.codes = Codes.of(train)
        rows, truth = self._pairs(train)
        self.columns = rows.shape[1]
        self.used = np.flatnonzero(~np.isnan(rows).all(axis=0))  # scikit-learn cannot bin what was never observed
        if len(rows) < LEAST:
            raise DataError(f"Gradient boosting needs {LEAST} observed steps to forecast, found {len(rows)}.")
        later = None
        if held is not None and len(held):
            most = max(1, HELD // (held.horizon * held.targets))
            later = self._pairs(held.take(spread(len(held), most)))
        stops = later is not None and len(later[0]) >= LEAST
        watched = {} if later is None or not stops else {"X_val": later[0][:, self.used], "y_val": later[1]}
        categories = np.flatnonzero(self.used < self.codes.count(train.targets))
        model = HistGradientBoostingRegressor(
            loss="absolute_error" if loss == "mae" else "squared_error", categorical_features=categories,
            early_stopping=stops, max_iter=ROUNDS if stops else UNWATCHED, random_state=0, **SETTINGS,
        )  # fmt: skip
        model.fit(rows[:, self.used], truth, **watched)
        self.trees = Trees.of(model, rows[:500, self.used])

    def forecast(self, asked: Origins) -> np.ndarray:
        """See `Forecaster.forecast`."""
        parts, size = [], max(16, AT_ONCE // (asked.horizon * asked.past.shape[1]))
        for first in range(0, len(asked), size):
            some = asked.take(np.arange(first, min(first + size, len(asked))))
            rows = rows_of(some, self.codes)
            if rows.shape[1] != self.columns:
                raise DataError(
                    f"Gradient boosting has learned from other covariates or another context_length: {self.columns} columns, now {rows.shape[1]}."
                )
            apart = self.trees.answers(rows[:, self.used]).reshape(len(some), some.targets, some.horizon)
            parts.append((apart + levels_of(some)[:, :, None]).transpose(0, 2, 1))
        return np.concatenate(parts)

    def _pairs(self, windows: Origins) -> tuple[np.ndarray, np.ndarray]:
        """Rows whose truth was observed, and their difference from the window's level."""
        truth = (windows.future.transpose(0, 2, 1) - levels_of(windows)[:, :, None]).reshape(-1)
        seen = ~np.isnan(truth)
        return rows_of(windows, self.codes)[seen], truth[seen]

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """See `Forecaster.state`."""
        return {**self.codes.to_dict(), "columns": self.columns, "used": self.used.tolist()}, self.trees.arrays()

    def restore(self, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """See `Forecaster.restore`."""
        self.codes, self.trees, self.columns = (
            Codes.from_dict(settings),
            Trees.restored(arrays),
            int(settings["columns"]),
        )
        self.used = np.array(settings["used"], np.int64)
        if self.used.ndim != 1 or not ((self.used >= 0) & (self.used < self.columns)).all():
            raise ValueError("it reads columns that are not there")
        if self.trees.feature.max() >= len(self.used):
            raise ValueError("its trees read columns that are not there")
