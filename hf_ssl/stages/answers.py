"""What the models of a comparison are asked: truth, groups, cheap baselines, and the columns of saved predictions."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.data.budgets import ALL, Budget, budget_rows, budget_size, share_of
from hf_ssl.data.label_kinds import kind_of
from hf_ssl.evaluation.comparison.results import NO_LABELS, ResultRow
from hf_ssl.evaluation.forecasters.base import Forecaster, forecaster
from hf_ssl.modalities.timeseries.origins import Origins, origins_of
from hf_ssl.modalities.timeseries.split import arrays_of, latest
from hf_ssl.stages.cells import Cell, CellStore

if TYPE_CHECKING:
    import datasets

    from hf_ssl.data import DomainData
    from hf_ssl.modalities.encoder import Encoder
    from hf_ssl.modalities.timeseries.windows import Windows
    from hf_ssl.tasks.base import Task
    from hf_ssl.tasks.forecasting import Forecasting

logger = logging.getLogger(__name__)

BASELINES = ("seasonal-naive", "smoothing", "linear", "boosting")
"""Forecasts that stand beside the arms without being asked for."""
SEASONS = 10
"""That a statistical forecast looks back at, or as many horizons."""
FEW_SERIES = 10
"""With fewer series than that, blocks of time are resampled instead of whole series."""


class Answers:
    """Labels of independent examples.

    Args:
        task: labels learned.
        data: all splits.
        test: the examples that are asked.
    """

    counted: str = "labeled examples"

    def __init__(self, task: Task[Any], data: DomainData, test: datasets.Dataset) -> None:
        self.task, self.data, self.test = task, data, test
        if kind_of(task.label_kind).in_classes:
            self.counted = "labels per class"

    @property
    def metric(self) -> str:
        """Name of the metric that models are compared by."""
        return self.task.comparison_metric

    @cached_property
    def usual(self) -> Sequence[Budget] | None:
        """Numbers of labels to compare with; None where they are those that `hf_ssl.data.budgets` finds."""
        return None

    def rows(self, budget: Budget, seed: int) -> list[int]:
        """Rows of train that a budget draws from."""
        return budget_rows(self.data["train"], budget, seed)

    def labeled(self, cell: Cell) -> datasets.Dataset:
        """What a cell learns from."""
        return self.data["train"].select(list(cell.rows))

    def size(self, budget: Budget) -> float:
        """Of a budget, in what `counted` says."""
        return budget_size(self.data["train"], budget)

    @cached_property
    def references(self) -> Any:
        """The truth, one entry per item."""
        return self.task.comparison_references(self.test)

    @cached_property
    def groups(self) -> list[Any] | None:
        """What is resampled together; None where items are independent, as far as is known."""
        groups = list(self.test["group"]) if "group" in self.test.column_names else None
        return groups if groups is not None and len(set(groups)) > 1 else None

    def predictions(self, logits: np.ndarray, encoder: Encoder) -> Any:
        """What the metric reads, one entry per item."""
        return self.task.comparison_predictions(logits, self.test, encoder)

    def probabilities(self, logits: np.ndarray) -> np.ndarray | None:
        """`(items, classes)` where labels are classes, `(items, labels)` where they are several."""
        if self.task.problem_type == "single_label_classification" and np.ndim(logits) == 2:
            apart = np.exp(logits - logits.max(axis=-1, keepdims=True))
            return apart / apart.sum(axis=-1, keepdims=True)
        if self.task.problem_type == "multi_label_classification":
            return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
        return None

    def baselines(self, cells: Sequence[Cell], store: CellStore, *, without_labels: bool) -> list[ResultRow]:
        """The task's own baseline on every subset, or once, where nothing has labels to learn from."""
        found = []
        for cell in cells[:1] if without_labels else cells:
            began = time.monotonic()
            part = self.data["train"] if without_labels else self.labeled(cell)
            cheap = self.task.baseline_predictions(part, self.test)
            if cheap is not None:
                budget, seed = (NO_LABELS, 0) if without_labels else (cell.budget, cell.seed)
                found.append(ResultRow(cheap[0], budget, seed, cheap[1], "baseline", None, time.monotonic() - began))
        return found

    def peers(self, names: Sequence[str], cells: Sequence[Cell], store: CellStore) -> list[ResultRow]:
        """Peers that answer without vectors or labels; here none do."""
        return []

    def columns(self) -> dict[str, list[Any]]:
        """What says which item a prediction belongs to: id, path (or row), truth."""
        found: dict[str, list[Any]] = {}
        if "id" in self.test.column_names:
            found["id"] = list(self.test["id"])
        if "path" in self.test.column_names:
            found["path"] = [place.get("path") if isinstance(place, dict) else place for place in self.test["path"]]
        else:
            found["row"] = list(range(len(self.test)))
        return {**found, "truth": self.readable(self.references)}

    def readable(self, values: Any) -> list[Any]:
        """Predictions or truth as a person reads them: names of classes, of labels, amounts, tags."""
        names, kind = self.task.label_names, self.task.problem_type
        if kind == "single_label_classification" and names and np.ndim(values) == 1:
            return [names[int(value)] for value in values]
        if kind == "multi_label_classification":
            return [[name for name, there in zip(names, row, strict=True) if there] for row in np.asarray(values)]
        if isinstance(values, np.ndarray) and values.ndim > 2:  # a class per pixel: which classes occur, and how often
            return [np.bincount(row[row >= 0].ravel().astype(int), minlength=len(names)).tolist() for row in values]
        return (
            np.asarray(values).tolist()
            if isinstance(values, np.ndarray)
            else [list(row) if isinstance(row, tuple) else row for row in values]
        )


class ForecastAnswers(Answers):
    """Windows of series: neighbors in time share most of their future, so blocks of them, or whole series, are resampled.

    A share of the labels is the latest part of every series, as if recording had begun later.
    """

    metric = "observed_mae"
    counted = "% of the training span"
    task: Forecasting

    @cached_property
    def usual(self) -> Sequence[Budget]:
        longest = max(part.shape[1] for part in arrays_of(self.data["train"]))
        return ["10%", ALL] if longest / 10 >= self._least else [ALL]

    @property
    def _least(self) -> int:
        """Steps that a span needs: something to look back at, and two seasons or horizons to learn from."""
        return 2 * max(self.task.horizon, self.task.season)

    def rows(self, budget: Budget, seed: int) -> list[int]:
        train = self.data["train"]
        return list(range(len(train))) if isinstance(budget, str) else super().rows(budget, seed)

    def labeled(self, cell: Cell) -> datasets.Dataset:
        found = super().labeled(cell)
        if not isinstance(cell.budget, str) or share_of(cell.budget) == 1:
            return found
        return latest(found, share_of(cell.budget), self._least)

    def size(self, budget: Budget) -> float:
        return 100 * (share_of(budget) if isinstance(budget, str) else budget / len(self.data["train"]))

    @cached_property
    def windows(self) -> Windows:
        """Of the test split, as the models see them."""
        task = self.task
        context, stride = task.modality.context(), task.config.eval_stride
        return task.modality.windows(self.test, context, task.horizon, stride=stride)

    @cached_property
    def asked(self) -> Origins:
        """The same windows with covariates and dates."""
        return origins_of(self.task.modality, self.test, self.task.horizon, stride=self.task.config.eval_stride)

    @cached_property
    def references(self) -> np.ndarray:
        """The truth, `(windows, horizon x targets)`."""
        return self.asked.future.reshape(len(self.asked), -1)

    @cached_property
    def groups(self) -> list[Any]:
        places = [self.windows.place(row) for row in range(len(self.windows))]
        if len({owner for owner, _ in places}) >= FEW_SERIES:
            return [owner for owner, _ in places]
        span = max(self.task.horizon, self.task.season)
        return [f"{owner} {step // span}" for owner, step in places]

    def predictions(self, logits: np.ndarray, encoder: Encoder) -> np.ndarray:
        found = np.asarray(logits)[:, : self.task.horizon, : self.task.targets, 0].reshape(len(logits), -1)
        if len(found) != len(self.references):
            raise DataError(
                f"The model answers for {len(found)} windows, the baselines for {len(self.references)}: its history is shorter than "
                "that of the data. Give --context_length the model's."
            )
        return found

    def probabilities(self, logits: np.ndarray) -> None:
        return None

    def baselines(self, cells: Sequence[Cell], store: CellStore, *, without_labels: bool) -> list[ResultRow]:
        """What needs no network: the last season again, exponential smoothing, a linear map, boosting with all covariates."""
        return [row for name in BASELINES for row in self._forecast(name, cells, store, "baseline")]

    def peers(self, names: Sequence[str], cells: Sequence[Cell], store: CellStore) -> list[ResultRow]:
        """Other forecasters; their names are checked before any of them runs."""
        for name in names:
            if name in plugins.names("peers"):  # of another kind: it says so
                plugins.find("peers", name)().check(self.task.modality.name, self.task.label_kind)
            forecaster(name).check()
        return [row for name in names for row in self._forecast(name, cells, store, "peer")]

    def _forecast(self, name: str, cells: Sequence[Cell], store: CellStore, protocol: str) -> list[ResultRow]:
        """One row per cell; what learns nothing is asked once, and looks back further."""
        one, found = forecaster(name), []
        title = one.title if protocol == "baseline" else name
        for cell in cells:
            of = (cell.budget, cell.seed, cell.rows) if one.learns else (NO_LABELS, 0)
            mine = replace(cell, arm=title, protocol=protocol, key=store.key(name, "forecaster", *of))
            row = store.find(mine)
            if row is None:
                began = time.monotonic()
                try:
                    answer = self._answered(one, cell)
                except DataError as error:  # too few windows: there is no such forecast
                    logger.info(f"  no {title} for {cell.budget}: {error}")
                    continue
                seconds = time.monotonic() - began
                row = store.keep(mine, ResultRow(title, cell.budget, cell.seed, answer, protocol, None, seconds, None))
            found.append(row)
        return found

    def _answered(self, one: Forecaster, cell: Cell) -> np.ndarray:
        task = self.task
        if not one.learns:
            return one.forecast(self._looked_back).reshape(len(self.asked), -1)
        most = one.windows(task.horizon, task.targets)
        known = origins_of(task.modality, self.labeled(cell), task.horizon, most=most)
        one.learn(known, self._held, task.config.loss)
        return one.forecast(self.asked).reshape(len(self.asked), -1)

    @cached_property
    def _held(self) -> Origins | None:
        """Later windows than those that are learned from, to choose settings by."""
        if "validation" not in self.data:
            return None
        return origins_of(self.task.modality, self.data["validation"], self.task.horizon, most=2000)

    @cached_property
    def _looked_back(self) -> Origins:
        """What a tool of its own would look back at: `SEASONS` seasons before every window.

        Models see the steps of their context; a season that comes twice in it is not one for a statistical model.
        """
        splits = [self.data[name] for name in ("unlabeled", "train", "validation") if name in self.data] + [self.test]
        known: dict[str, np.ndarray] = {}
        for split in splits:
            for name, offset, values in zip(split["id"], split["offset"], arrays_of(split), strict=True):
                row = known.get(name, np.empty((len(values), 0), np.float32))
                missing = np.full((len(values), max(0, offset + values.shape[1] - row.shape[1])), np.nan, np.float32)
                known[name] = np.hstack([row, missing])
                known[name][:, offset : offset + values.shape[1]] = values
        ids, offsets = list(self.test["id"]), list(self.test["offset"])
        loc, scale = (np.array(self.test[name], np.float32)[:, :, None] for name in ("loc", "scale"))
        steps = max(self.windows.context, SEASONS * max(self.task.season, self.task.horizon))
        past = np.full((len(self.windows), steps, loc.shape[1]), np.nan, np.float32)
        for window in range(len(self.windows)):
            owner, step = self.windows.place(window)
            end = offsets[owner] + step
            seen = known[ids[owner]][:, max(0, end - steps) : end]
            past[window, steps - seen.shape[1] :] = ((seen - loc[owner]) / scale[owner]).T
        return replace(self.asked, past=past)

    def columns(self) -> dict[str, list[Any]]:
        places = [self.windows.place(row) for row in range(len(self.windows))]
        ids, offsets = list(self.test["id"]), list(self.test["offset"])
        return {
            "id": [ids[owner] for owner, _ in places], "step": [offsets[owner] + step for owner, step in places],
            "truth": self.references.tolist(),
        }  # fmt: skip

    def readable(self, values: Any) -> list[Any]:
        return np.asarray(values).tolist()


def answers_of(task: Task[Any], data: DomainData, test: datasets.Dataset) -> Answers:
    """What is asked in a comparison for a task.

    Raises:
        ConfigError: its answers are about pairs of examples, which cannot be resampled one by one.
    """
    if task.unit == "pair":
        raise ConfigError(
            "compare resamples test examples, and verification is measured on pairs of them. Run `hf-ssl evaluate` for the start "
            "and for the adapted model instead."
        )
    return ForecastAnswers(task, data, test) if task.unit == "window" else Answers(task, data, test)
