"""Predict what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.fields import Options, option
from hf_ssl.evaluation.metrics.forecast import seasonal_naive, steady
from hf_ssl.modalities.rng import example_rng
from hf_ssl.modalities.timeseries.encoder import TimeSeriesEncoder
from hf_ssl.modalities.timeseries.windows import Windows, fill
from hf_ssl.models import structure
from hf_ssl.objectives.base import Objective, Rows, row_keys
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets


class Forecast(Objective):
    """Future values: the model sees a window of history and says the steps after it.

    Predicts: the `prediction_length` values of the model's configuration, in units of the window's own spread.

    Formula: mean over observed future values of `|y_hat - (y - loc) / scale|^p`, `loc` and `scale` of the history, p = 2 or
    (`loss="mae"`) 1. In the units of the data a few large series would be all of the loss. With `residual` the last season
    takes the place of `loc`: the model says how the future differs from it, as `forecasting` with `residual` does.

    Reference: future values as a self-supervised target: PatchTSMixer (Ekambaram et al. 2023, arXiv:2306.09364); Nie et
    al. 2023 (arXiv:2211.14730).

    Needs: PatchTST or PatchTSMixer, and series longer than one forecast.

    Inputs: `past_values` and its mask `(batch, context, channels)`, missing steps filled with the mean of the others;
    `future_values` and `labels` `(batch, horizon, channels)`, -100 where nothing was observed; with `residual` the
    seasonal-naive forecast as `level`, the same shape. History is shortened at random in training (`shorten`), so that
    short series are not new to the model.

    Example:

        encoder = TimeSeries().load("ibm-granite/granite-timeseries-patchtst", Forecast.auto_class)
        objective = Forecast(encoder, Forecast.Config())
    """

    needs: ClassVar = TimeSeriesEncoder
    paper: ClassVar = "Ekambaram et al. 2023, PatchTSMixer (arXiv:2306.09364)"
    auto_class: ClassVar = "AutoModelForTimeSeriesPrediction"
    unit: ClassVar = "windows"
    # In bfloat16 a step of so narrow a network takes longer, not shorter: 0.30 s for 0.18 s (256 series, width 64, one core).
    training_defaults: ClassVar = {
        "learning_rate": 1e-3, "num_train_epochs": 5, "per_device_train_batch_size": 128, "per_device_eval_batch_size": 256,
        "weight_decay": 0.01, "max_grad_norm": 1.0, "bf16": False,
    }  # fmt: skip

    @dataclass
    class Config(Options):
        """Options of `forecast`."""

        shorten: float = option(0.1, "Share of the windows whose history is cut short.", ge=0, le=1)
        clip: float = option(10.0, "Largest value to predict, in spreads of the window.", gt=0)
        loss: Literal["mse", "mae"] = option(
            "mse", "Squared error (the mean) or absolute error (the median; less ruled by peaks)."
        )
        residual: bool = option(False, "Predict the difference from the seasonal-naive forecast.")
        window_stride: int | None = option(None, "Distance between windows (default: the data's stride).", ge=1)

    encoder: TimeSeriesEncoder
    config: Config

    def __init__(self, encoder: TimeSeriesEncoder, config: Config) -> None:
        super().__init__(encoder, config)
        if encoder.processor.mask_name is None:
            raise ConfigError(f"forecast needs PatchTST or PatchTSMixer, not {encoder.processor.family}.")
        self.mask_name = encoder.processor.mask_name
        self.season = 1
        inner: Any = structure.unwrap_peft(self.model)
        inner.config.seasonal_residual = config.residual  # what a forecast of this model has to be added to

    @property
    def horizon(self) -> int:
        """Steps that the model predicts."""
        inner: Any = structure.unwrap_peft(self.model)
        return int(inner.config.prediction_length)

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> FutureRows:
        windows = self.encoder.windows(dataset, horizon=self.horizon, stride=self.config.window_stride)
        if self.config.residual:
            if "season" not in dataset.column_names:
                raise DataError("residual needs to know the season: load the data with horizon=..., which finds it.")
            self.season = int(dataset["season"][0])
        return FutureRows(windows, row_keys(dataset), self.config.shorten, seed=seed, training=training)

    def collate(self, rows: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, torch.Tensor]:
        shown = np.stack([past for past, _ in rows])
        past, seen = fill(shown)
        future = np.stack([future for _, future in rows])
        observed = ~np.isnan(future) & seen.any(axis=1, keepdims=True)
        batch = {
            "past_values": torch.from_numpy(past), self.mask_name: torch.from_numpy(seen),
            "future_values": torch.from_numpy(np.nan_to_num(future)),
            "labels": torch.from_numpy(np.where(observed, 0, -100).astype(np.int8)),
        }  # fmt: skip
        if self.config.residual:
            batch["level"] = torch.from_numpy(seasonal_naive(shown, self.horizon, self.season).astype(np.float32))
            # `forecasting` takes those steps as they were, whatever the model says.
            batch["labels"][torch.from_numpy(steady(shown, self.horizon, self.season))] = -100
        return batch

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> int:
        return len(batch["past_values"])

    def forward(
        self, past_values: torch.Tensor, future_values: torch.Tensor, labels: torch.Tensor,
        level: torch.Tensor | None = None, num_items_in_batch: torch.Tensor | int | None = None, **mask: torch.Tensor,
    ) -> LossOutput:  # fmt: skip
        inner: Any = structure.unwrap_peft(self.model)
        output = inner.model(past_values=past_values, **mask)
        predicted = inner.head(output.last_hidden_state)
        wanted = (future_values - (output.loc if level is None else level)) / output.scale
        apart = (predicted - wanted.clamp(-self.config.clip, self.config.clip)).float()
        error = apart.abs() if self.config.loss == "mae" else apart**2
        counted = labels != -100
        total = torch.where(counted, error, torch.zeros_like(error)).sum()
        return LossOutput(loss=normalize_loss(total, counted.sum(), num_items_in_batch))


class FutureRows(Rows):
    """History and future of every window; some histories are cut short, others anew each epoch."""

    def __init__(self, windows: Windows, ids: list[str], shorten: float, *, seed: int, training: bool) -> None:
        super().__init__(seed, training)
        self.windows, self.ids, self.shorten = windows, ids, shorten

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        past, future, _ = self.windows.batch([index])
        row, step = self.windows.place(index)
        rng = example_rng(self.seed, self.key, f"{self.ids[row]}/{step}")
        if rng.random() < self.shorten:
            kept = int(rng.integers(max(1, past.shape[1] // 4), past.shape[1] + 1))
            past[0, : past.shape[1] - kept] = np.nan
        return past[0], future[0]
