"""Chronos-2 as released, where its package is installed: nothing of the data is learned, but covariates are read."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from hf_ssl.core.errors import CheckpointError
from hf_ssl.evaluation.forecasters.base import Forecaster
from hf_ssl.modalities.timeseries.origins import Origins


class Chronos(Forecaster):
    """Zero-shot medians of Chronos-2 (Ansari et al. 2025, arXiv:2510.15821), with covariates known up to now and in advance."""

    title: ClassVar = "Chronos-2 zero-shot"
    modules: ClassVar = ("chronos",)
    pip: ClassVar = '"chronos-forecasting>=2"'
    few: ClassVar = True
    checkpoint_example: ClassVar = "amazon/chronos-2"

    @cached_property
    def pipeline(self) -> Any:
        """Of the package.

        Raises:
            CheckpointError: the checkpoint cannot be loaded.
        """
        from chronos import Chronos2Pipeline

        try:
            return Chronos2Pipeline.from_pretrained(self.checkpoint, device_map="cpu")
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"Chronos-2 cannot be loaded from {self.checkpoint}: {error}. Give a folder or a Hub id: chronos@{self.checkpoint_example}"
            ) from error

    def forecast(self, asked: Origins) -> np.ndarray:
        """See `Forecaster.forecast`."""
        answers = self.pipeline.predict(
            [self._input(row, asked) for row in range(len(asked))], prediction_length=asked.horizon
        )
        middle = int(np.argmin(np.abs(np.asarray(self.pipeline.quantiles) - 0.5)))
        return np.stack([np.asarray(answer)[:, middle].T for answer in answers])

    @staticmethod
    def _input(row: int, asked: Origins) -> dict[str, Any]:
        """A window in its words. What is known in advance lies `horizon` steps too early, so that the first steps of it are lacking."""
        past, first = asked.past[row].T, asked.past.shape[2] - asked.known
        shift = asked.horizon if asked.known else 0
        given: dict[str, Any] = {"target": past[: asked.targets, shift:]}
        before = {f"past {number}": past[number, shift:] for number in range(asked.targets, first)}
        known = {f"known {number}": past[number] for number in range(first, len(past))}
        length = past.shape[1] - shift
        before |= {name: values[:length] for name, values in known.items()}
        ahead = {name: values[length:] for name, values in known.items()}
        return (
            given | ({"past_covariates": before} if before else {}) | ({"future_covariates": ahead} if ahead else {})
        )
