"""What the models of a comparison are asked: truth, groups, cheap baselines, and the columns of saved predictions."""

from __future__ import annotations

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
from hf_ssl.evaluation.metrics.forecast import seasonal_naive
from hf_ssl.evaluation.peers.base import Series
from hf_ssl.evaluation.probes.linear_forecast import linear_forecast
from hf_ssl.modalities.timeseries.split import arrays_of, latest
from hf_ssl.stages.cells import Cell, CellStore

if TYPE_CHECKING:
    import datasets

    from hf_ssl.data import DomainData
    from hf_ssl.modalities.encoder import Encoder
    from hf_ssl.modalities.timeseries.windows import Windows
    from hf_ssl.tasks.base import Task
    from hf_ssl.tasks.forecasting import Forecasting

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

    def baselines(self, cells: Sequence[Cell], *, without_labels: bool) -> list[ResultRow]:
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
    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        """History `(windows, context, channels)` and future of the targets `(windows, horizon x targets)`."""
        past, future, _ = self.windows.batch(range(len(self.windows)))
        return past, future[:, :, : self.task.targets].reshape(len(future), -1)

    @cached_property
    def references(self) -> np.ndarray:
        return self._parts[1]

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

    def baselines(self, cells: Sequence[Cell], *, without_labels: bool) -> list[ResultRow]:
        """The last season again, and a linear map of the history, fitted in closed form on the same series."""
        task, found = self.task, []
        past, _ = self._parts
        for cell in cells:
            began = time.monotonic()
            naive = seasonal_naive(past, task.horizon, task.season)[:, :, : task.targets].reshape(len(past), -1)
            found.append(self._baseline("seasonal naive", cell, naive, began))
            began = time.monotonic()
            known = task.modality.windows(self.labeled(cell), task.modality.context(), task.horizon, stride=1)
            try:
                linear = linear_forecast(known, self.windows, 8000, "mae")[:, :, : task.targets].reshape(len(past), -1)
            except DataError:  # too few windows: there is no such baseline
                continue
            found.append(self._baseline("DLinear", cell, linear, began))
        return found

    def peers(self, names: Sequence[str], cells: Sequence[Cell], store: CellStore) -> list[ResultRow]:
        found: list[ResultRow] = []
        for name in names:
            peer = plugins.find("peers", name)()
            peer.check(self.task.modality.name, self.task.label_kind)
            once = Cell(
                name, "peer", NO_LABELS, 0, store.key(name, "peer")
            )  # it learns from no labels: one answer for all
            row = store.find(once)
            if row is None:
                began, past = time.monotonic(), self._looked_back()
                answer = peer.forecast(Series(past, self.task.horizon, self.task.season)).reshape(len(past), -1)
                row = store.keep(
                    once, ResultRow(name, NO_LABELS, 0, answer, "peer", None, time.monotonic() - began, 0)
                )
            found += [replace(row, budget=cell.budget, seed=cell.seed) for cell in cells]
        return found

    def _looked_back(self) -> np.ndarray:
        """What a tool of its own would look back at: `SEASONS` seasons before every window, `(windows, steps, targets)`, standardized.

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
        ids, offsets, targets = list(self.test["id"]), list(self.test["offset"]), self.task.targets
        loc, scale = (np.array(self.test[name], np.float32)[:, :targets, None] for name in ("loc", "scale"))
        steps = max(self.windows.context, SEASONS * max(self.task.season, self.task.horizon))
        past = np.full((len(self.windows), steps, targets), np.nan, np.float32)
        for window in range(len(self.windows)):
            owner, step = self.windows.place(window)
            end = offsets[owner] + step
            seen = known[ids[owner]][:targets, max(0, end - steps) : end]
            past[window, steps - seen.shape[1] :] = ((seen - loc[owner]) / scale[owner]).T
        return past

    @staticmethod
    def _baseline(name: str, cell: Cell, answer: np.ndarray, began: float) -> ResultRow:
        return ResultRow(name, cell.budget, cell.seed, answer, "baseline", None, time.monotonic() - began)

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
