"""The next steps of a series."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.fields import option
from hf_ssl.evaluation.figures import error_by_step_figure, forecast_fan
from hf_ssl.evaluation.forecasters.linear import Linear
from hf_ssl.evaluation.metrics.forecast import (
    Scales,
    error_by_step,
    forecast_metrics,
    quantile_metrics,
    seasonal_naive,
    steady,
)
from hf_ssl.evaluation.probes.linear_forecast import ridge
from hf_ssl.modalities.encoder import Batch, Features
from hf_ssl.modalities.timeseries.encoder import TimeSeriesEncoder
from hf_ssl.modalities.timeseries.forecast_rows import forecast_rows
from hf_ssl.modalities.timeseries.grid import times_from
from hf_ssl.modalities.timeseries.origins import origins_of
from hf_ssl.modalities.timeseries.timesfm import timesfm_forecast
from hf_ssl.modalities.timeseries.windows import MISSING, WindowFeatures
from hf_ssl.models import structure
from hf_ssl.tasks.base import Task, TaskModule, TaskRows, last_linear
from hf_ssl.tasks.heads import forecast_pairs

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedConfig

    from hf_ssl.modalities.timeseries.timeseries import TimeSeries

logger = logging.getLogger(__name__)


class Forecasting(Task[TimeSeriesEncoder]):
    """Point and quantile forecasts of every target channel.

    Loss: absolute (or squared) error of values standardized by the training span's mean and spread, so that no series
    outweighs the others; with `forecast_type="normal"` the negative log likelihood of a normal distribution; TimesFM, whose head has
    quantiles, adds their pinball loss. Missing values and covariates are not counted.

    Metrics: see `hf_ssl.evaluation.metrics.forecast`; the seasonal-naive forecast of the same windows is always beside them, and DLinear's
    when the test split is opened.

    With `residual` the model says how the future differs from the last season: a new head that knows nothing then forecasts the
    last season, not a constant. What was the same in every season of the history (`hf_ssl.evaluation.metrics.forecast.steady`) is
    forecast as it was. The saved model is as plain as ever, but its answer minus its `loc` is that difference;
    `seasonal_residual` in its configuration says so. The untrained start is measured too, and kept if nothing is better.
    After training the difference is shrunk to the share of it that has the least error on the validation span (as
    forecasts averaged with a naive one are: Clemen 1989); the share is multiplied into the head.

    The answer of a window is `(2 x horizon + 1, channels, 1 + quantiles)`: the forecast, the seasonal-naive forecast, and
    the number of the series. The Trainer hands nothing else through from a batch to the metrics.
    """

    needs: ClassVar = TimeSeriesEncoder
    label_kind: ClassVar = "future"
    unit: ClassVar = "window"
    is_default: ClassVar = True
    label_column: ClassVar = "series"
    primary_metric: ClassVar = "mae"
    greater_is_better: ClassVar = False
    keeps_start: ClassVar = True
    metric_names: ClassVar = ("mse", "mae", "mase", "rmsse", "smape", "mase_naive", "mase_ratio")
    training_defaults: ClassVar = {
        **Task.training_defaults, "per_device_train_batch_size": 64, "per_device_eval_batch_size": 256, "learning_rate": 1e-3, "bf16": False,
        "num_train_epochs": 10,
    }  # fmt: skip

    @dataclass
    class Config(Task.Config):
        """Options of `forecasting`."""

        forecast_type: Literal["point", "normal"] = option(
            "point", "A number per step, or a normal distribution with quantiles."
        )
        loss: Literal["mae", "mse"] = option(
            "mae", "Absolute error (the median; what MASE measures) or squared error (the mean)."
        )
        residual: bool = option(False, "The model gives the difference from the seasonal-naive forecast.")
        quantiles: list[float] = option([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], "Levels to report.", gt=0, lt=1)
        eval_stride: int = option(1, "Distance between evaluation windows.", ge=1)
        forecasters: list[str] = option(
            ["seasonal-naive", "smoothing", "linear", "boosting"],
            "Forecasts without the network that finetune mixes with it, by their errors on the validation span; others: auto-ets, "
            "auto-theta, auto-arima, timesfm@CHECKPOINT, chronos@CHECKPOINT; empty: the network alone.",
        )

        def problems(self) -> list[str]:
            falls = sorted(set(self.quantiles)) != list(self.quantiles)
            return [*super().problems(), *([f"quantiles: they must rise, found {self.quantiles}."] if falls else [])]

    config: Config
    modality: TimeSeries

    def __init__(self, config: Config, modality: TimeSeries) -> None:
        super().__init__(config, modality)
        self.numbers: dict[str, int] = {}
        self.scales: Scales | None = None
        self.season, self.targets, self.horizon = 1, 1, int(modality.config.horizon or 0)

    @property
    def auto_class(self) -> str:
        return "AutoModelForTimeSeriesPrediction"

    def _levels(self, count: int) -> np.ndarray:
        """Levels of so many quantiles: those of the configuration, or TimesFM's nine."""
        own = self.config.quantiles
        return np.array(own) if len(own) == count else np.linspace(0.1, 0.9, count)

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        """Remember every series' number and scales."""
        needed = {"loc", "scale", "naive_error", "naive_square", "history"}
        if not needed <= set(train.column_names):
            raise DataError("Forecasting needs series that were cut in time: load the data with horizon=...")
        self.numbers = {name: number for number, name in enumerate(train["id"])}
        columns = (np.array(train[name], np.float64) for name in ("loc", "scale", "naive_error", "naive_square"))
        self.scales = Scales(*columns)
        self.season, self.targets = int(train["season"][0]), int(train["targets"][0])

    def model_options(self) -> dict[str, Any]:
        if self.config.forecast_type == "normal":
            return {"loss": "nll", "distribution_output": "normal"}
        return {}

    def encode(self, encoder: TimeSeriesEncoder, dataset: datasets.Dataset) -> WindowFeatures:  # type: ignore[override]
        """Windows of a split, made when asked for."""
        if encoder.processor.family.startswith("timesfm") and (
            self.config.forecast_type != "point" or self.config.residual
        ):
            raise ConfigError("TimesFM has a quantile head of its own; leave forecast_type=point and residual=false.")
        training = max(dataset["history"], default=0) == 0
        context = encoder.context_length
        if encoder.processor.family.startswith("timesfm"):  # its context is a limit, not a length
            patch = encoder.processor.patch_length
            context = max(patch, min(context, self.modality.context()) // patch * patch)
        stride = self.modality.config.stride if training else self.config.eval_stride
        windows = self.modality.windows(dataset, context, self.horizon, stride=stride)
        if not len(windows):
            raise DataError(
                f"No window of history and {self.horizon} steps of future fits into {len(dataset)} series of at most "
                f"{max(item.shape[1] for item in windows.series)} steps. Give a smaller horizon."
            )
        return WindowFeatures(
            windows,
            [self.numbers[name] for name in dataset["id"]],
            list(dataset["id"]),
            list(dataset["offset"]),
            self.targets,
        )

    def collate_inputs(self, encoder: TimeSeriesEncoder, features: Sequence[Features]) -> Batch:
        past = np.stack([feature["past_values"] for feature in features])
        batch = encoder.collate(features)
        if encoder.processor.family.startswith("timesfm"):
            batch["past_observed_mask"] = torch.from_numpy(~np.isnan(past))
        naive = seasonal_naive(past, self.horizon, self.season).astype(np.float32)
        batch |= {"naive": torch.from_numpy(naive), "series": torch.tensor([f["series"] for f in features])}
        if self.config.residual and self.config.forecast_type == "point":  # a distribution must not shrink to a point
            batch["steady"] = torch.from_numpy(steady(past, self.horizon, self.season))
        return batch

    def collate_labels(self, features: Sequence[dict[str, Any]], batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.from_numpy(np.stack([feature["labels"] for feature in features]))

    def forward(self, encoder: TimeSeriesEncoder, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        inputs = dict(inputs)
        naive, series, same = inputs.pop("naive"), inputs.pop("series"), inputs.pop("steady", None)
        answer = self._answer(encoder.model, inputs)[:, : self.horizon]
        if same is not None:
            answer = answer.masked_fill(same.unsqueeze(-1), 0.0)
        if self.config.residual:
            answer = answer + naive.to(answer.dtype).unsqueeze(-1)
        width = answer.shape[3]
        beside = naive.to(answer.dtype).unsqueeze(-1).expand(-1, -1, -1, width)
        number = series.to(answer.dtype).view(-1, 1, 1, 1).expand(-1, 1, answer.shape[2], width)
        return torch.cat([answer, beside, number], dim=1)

    def _answer(self, model: nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """`(batch, horizon, channels, 1 + quantiles)`, standardized; the point forecast comes first."""
        config: Any = structure.unwrap_peft(model).config
        if config.model_type.startswith("timesfm"):
            return timesfm_forecast(model, inputs["past_values"], inputs["past_observed_mask"], self.horizon)
        self._agree(config)
        output = model(**inputs)
        level = output.loc if self.config.residual else torch.zeros_like(output.loc)
        if self.config.forecast_type == "point":
            return (output.prediction_outputs - level).unsqueeze(-1)
        mean, spread = output.prediction_outputs
        mean, spread = mean * output.scale + output.loc - level, spread * output.scale
        points = [torch.zeros_like(mean)] + [
            torch.full_like(mean, NormalDist().inv_cdf(q)) for q in self.config.quantiles
        ]
        return torch.stack([mean + spread * point for point in points], dim=-1)

    def _agree(self, config: PreTrainedConfig) -> None:
        """Whether the model gives differences from the last season is written into its configuration.

        Raises:
            ConfigError: it was trained to give what is not asked for now.
        """
        known = getattr(config, "seasonal_residual", None)
        if known is None:
            config.seasonal_residual = self.config.residual
        elif known != self.config.residual:
            gives = "the difference from the seasonal-naive forecast" if known else "the forecast itself"
            raise ConfigError(f"This checkpoint was trained to give {gives}; set residual={str(known).lower()}.")

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        counted = labels != MISSING
        answer, truth = logits[:, : self.horizon], torch.where(counted, labels, torch.zeros_like(labels))
        if self.config.forecast_type == "normal":
            last = NormalDist().inv_cdf(self.config.quantiles[-1])
            spread = ((answer[..., -1] - answer[..., 0]) / last).clamp(min=1e-4)
            terms = 0.5 * ((truth - answer[..., 0]) / spread) ** 2 + torch.log(spread) + 0.9189385  # half log 2 pi
        else:
            apart = answer[..., 0] - truth
            terms = apart.abs() if self.config.loss == "mae" else apart**2
            if answer.shape[3] > 1:
                level = torch.linspace(0.1, 0.9, answer.shape[3] - 1, device=answer.device)
                apart = truth.unsqueeze(-1) - answer[..., 1:]
                terms = terms + torch.maximum(level * apart, (level - 1) * apart).mean(dim=-1)
        return torch.where(counted, terms, torch.zeros_like(terms)).sum(), counted.sum()

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        assert self.scales is not None, "fit_labels comes first"
        answer, naive, series = self._parts(logits)
        truth = np.where(labels == MISSING, np.nan, labels)[:, :, : self.targets]
        scales = self._target_scales()
        found = forecast_metrics(answer[..., 0], truth, series, scales, naive=naive)
        if answer.shape[3] > 1:
            found |= quantile_metrics(answer[..., 1:], self._levels(answer.shape[3] - 1), truth, series, scales)
        return found

    def baseline_metrics(self, data: Mapping[str, datasets.Dataset], split: str) -> dict[str, float]:
        """MASE and standardized MAE of DLinear, fitted to the same training windows in closed form."""
        assert self.scales is not None, "fit_labels comes first"
        if "train" not in data:
            return {}
        linear, origins = Linear(), partial(origins_of, self.modality, horizon=self.horizon)
        asked = origins(data[split], stride=self.config.eval_stride)
        try:
            most = linear.windows(self.horizon, self.targets)
            held = origins(data["validation"], most=most) if "validation" in data else None
            linear.learn(origins(data["train"], most=most), held, "mse")
        except DataError as error:
            logger.info(f"  no DLinear beside it: {error}")
            return {}
        series = np.array([self.numbers[name] for name in asked.names.tolist()])
        found = forecast_metrics(linear.forecast(asked), asked.future, series, self._target_scales())
        return {"mase_linear": found["mase"], "mae_linear": found["mae"]}

    def _target_scales(self) -> Scales:
        """Scales of what is forecast; covariates come after the targets."""
        names = ("loc", "scale", "naive_error", "naive_square")
        return Scales(*(getattr(self.scales, name)[:, : self.targets] for name in names))

    def _parts(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Forecast `(windows, horizon, targets, 1 + quantiles)`, seasonal-naive forecast, number of the series."""
        h, targets = self.horizon, self.targets
        answer = logits[:, :h, :targets]
        # A network's quantiles may cross; put in order they are never worse (Chernozhukov et al. 2010, Econometrica 78(3)).
        answer = np.concatenate([answer[..., :1], np.sort(answer[..., 1:], axis=-1)], axis=-1)
        return answer, logits[:, h : 2 * h, :targets, 0], logits[:, 2 * h, 0, 0].round().astype(int)

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: TimeSeriesEncoder) -> list[Any]:
        """Forecasts in the data's own units, with the step (counted from the series' first) at which they begin."""
        assert self.scales is not None, "fit_labels comes first"
        windows = self.encode(encoder, dataset)
        answer, _, series = self._parts(logits)
        loc, scale = (values[series][:, None, : self.targets, None] for values in (self.scales.loc, self.scales.scale))
        raw = answer * scale + loc
        found = []
        for row in range(len(raw)):
            owner, step = windows.windows.place(row)
            entry = {
                "id": windows.names[owner],
                "step": windows.offsets[owner] + step,
                "prediction": raw[row, :, :, 0].T.tolist(),
            }
            if raw.shape[3] > 1:
                entry["quantiles"] = raw[row, :, :, 1:].transpose(1, 0, 2).tolist()
            found.append(entry)
        return found

    def answers(
        self,
        logits: np.ndarray,
        dataset: datasets.Dataset,
        encoder: TimeSeriesEncoder,
        limits: np.ndarray | None = None,
    ) -> list[dict[str, Any]]:
        """One entry per step and channel, with its date where the series has dates; `limits` are in spreads of the series."""
        entries, spans = self.predictions(logits, dataset, encoder), dataset.remove_columns(["series"])
        width = None
        if limits is not None and self.scales is not None:
            width = {name: limits * self.scales.scale[number, : self.targets] for name, number in self.numbers.items()}
        return forecast_rows(entries, {row["id"]: row for row in spans}, width)

    def calibration_scores(self, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Absolute errors of standardized values, `(windows, horizon, targets)`."""
        answer, _, _ = self._parts(logits)
        truth = np.where(labels == MISSING, np.nan, labels)[:, :, : self.targets]
        return np.abs(answer[..., 0] - truth)

    def figures(
        self, logits: np.ndarray, labels: np.ndarray, dataset: datasets.Dataset, encoder: TimeSeriesEncoder
    ) -> dict[str, str]:
        """The error of every step ahead beside seasonal naive's, and the forecast of the middle window."""
        answer, naive, _ = self._parts(logits)
        truth = np.where(labels == MISSING, np.nan, labels)[:, :, : self.targets]
        errors = {"model": error_by_step(answer[..., 0], truth), "seasonal naive": error_by_step(naive, truth)}
        return {
            "error_by_step": error_by_step_figure(errors),
            "forecast": self._middle_forecast(answer, truth, self.encode(encoder, dataset), dataset),
        }

    def _middle_forecast(
        self, answer: np.ndarray, truth: np.ndarray, features: WindowFeatures, dataset: datasets.Dataset
    ) -> str:
        """The forecast of the middle window, in the data's own units and with its dates where it has some."""
        assert self.scales is not None, "fit_labels comes first"
        middle = len(truth) // 2
        owner, step = features.windows.place(middle)
        loc, scale = (float(values[features.numbers[owner], 0]) for values in (self.scales.loc, self.scales.scale))
        past = features.windows.batch([middle])[0][0, -4 * self.horizon :, 0]
        row, first = dataset[owner], features.offsets[owner] + step - len(past)
        fan = answer[middle, :, 0, 1:] if answer.shape[3] > 1 else None
        return forecast_fan(
            past * scale + loc, truth[middle, :, 0] * scale + loc, answer[middle, :, 0, 0] * scale + loc,
            None if fan is None else fan * scale + loc, f"Forecast of {features.names[owner]}",
            times=times_from(row.get("start", ""), row.get("frequency", ""), first, len(past) + self.horizon),
        )  # fmt: skip

    def warm_start(self, module: TaskModule, rows: TaskRows) -> str | None:
        """Ridge regression from frozen features to the future, as weights of the new head."""
        layer = last_linear(module.model)
        if layer is None or layer.bias is None or self.config.forecast_type != "point" or not self._new_head(module):
            return None
        inputs, targets = forecast_pairs(module, layer, rows, 4096, self.config.residual)
        held = (
            forecast_pairs(module, layer, module.held, 1024, self.config.residual) if module.held is not None else None
        )
        if len(inputs) < 8 or (held is not None and len(held[0]) < 8):
            return None
        weight, bias, penalty = ridge(inputs, targets, held=held, loss=self.config.loss, nothing=self.config.residual)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
        if np.isinf(penalty):
            return "head starts from 0, the seasonal-naive forecast: no ridge regression on frozen windows was better"
        return f"head starts from ridge regression (penalty {penalty:g}) on {len(inputs):,} frozen windows"

    def calibrate(self, module: TaskModule, answers: Callable[[], tuple[np.ndarray, np.ndarray]]) -> str | None:
        """Shrink the difference from the last season to the share that errs least on the validation span."""
        inner: Any = structure.unwrap_peft(module.model)
        shrinkable = inner.config.model_type in ("patchtst", "patchtsmixer") and self.config.forecast_type == "point"
        if not self.config.residual or not shrinkable:
            return None
        logits, labels = answers()
        answer, naive, _ = self._parts(logits)
        truth = np.where(labels == MISSING, np.nan, labels)[:, :, : self.targets]
        apart, change = truth - naive, answer[..., 0] - naive
        shares = np.linspace(1, 0, 11)  # of equal ones the first is taken: a head that gives 0 stays as it is
        share = float(shares[np.argmin([np.nanmean(np.abs(apart - share * change)) for share in shares])])
        if share == 1:
            return None
        inside = structure.in_backbone(inner)
        with torch.no_grad():
            for name, layer in inner.named_modules():
                if isinstance(layer, nn.Linear) and not inside(name):  # these heads are one layer deep
                    layer.weight.mul_(share)
                    layer.bias.mul_(share)
        return f"the difference from the last season is shrunk to {share:.0%}: that errs least on the validation span"

    def _new_head(self, module: TaskModule) -> bool:
        """A head that forecasts already is not fitted anew."""
        config = module.model.config
        fits = config.model_type in ("patchtst", "patchtsmixer") and config.prediction_length == self.horizon
        return fits and any(name.startswith("head.") for name in module.missing)
