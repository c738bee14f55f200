"""What a forecasting run answers with: the network, and forecasts without it, mixed as the validation span says.

The simple forecasters (`hf_ssl.evaluation.forecasters`) learn from the training span, and forecast the same validation windows as the
fine-tuned network. Shares are chosen there, so that the answer is never worse on them than the best of all.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError

from hf_ssl.core import distributed
from hf_ssl.core.errors import CheckpointError, ConfigError, DataError
from hf_ssl.core.run import write_json
from hf_ssl.evaluation.forecasters.base import Forecaster, forecaster, is_forecaster
from hf_ssl.evaluation.metrics.forecast import seasonal_naive
from hf_ssl.evaluation.probes.ensemble_selection import shares_of
from hf_ssl.modalities.timeseries.origins import Origins, origins_of, spread
from hf_ssl.modalities.timeseries.windows import MISSING
from hf_ssl.stages.teacher import SETTINGS, UNREADABLE, WEIGHTS, read_files
from hf_ssl.tasks.forecasting import Forecasting

if TYPE_CHECKING:
    import datasets

    from hf_ssl.data import DomainData
    from hf_ssl.tasks.base import Task

logger = logging.getLogger(__name__)

MODEL, KIND = "fine-tuned model", "forecast"
MOST, FEW = 4000, 150
"""Validation windows that shares are chosen on: of quick forecasters, and where one takes long for each."""


VALUES = 20_000_000


@dataclass
class Mixture:
    """Forecasts of several kinds and how much each counts.

    Args:
        forecasters: those with a share, as they have learned.
        shares: of each, by name; with the model's they sum to 1.
        model_share: of the fine-tuned network.
        apart: errors of the mixture on the validation span `(horizon, targets, levels)`, standardized: at the levels' quantiles.
        levels: of the quantiles that it answers with.
        season: steps of a season, when it learned.
    """

    forecasters: list[Forecaster]
    shares: dict[str, float]
    model_share: float
    apart: np.ndarray
    levels: list[float]
    season: int
    name: str = "mixture"

    def summary(self) -> dict[str, Any]:
        """For people: what it consists of."""
        return {"name": self.name, "shares": {name: round(share, 3) for name, share in self._all_shares().items()}}

    def _all_shares(self) -> dict[str, float]:
        return {**({MODEL: self.model_share} if self.model_share > 0 else {}), **self.shares}

    def told(self) -> str:
        """Who answers, for people."""
        shares = self._all_shares()
        if len(shares) == 1:
            return f"{next(iter(shares))} alone"
        return "a mixture of " + ", ".join(f"{name} ({share:.0%})" for name, share in shares.items())

    def point(self, asked: Origins) -> np.ndarray:
        """The forecasters' part of the answer, `(windows, horizon, targets)`: their shares alone."""
        total = np.zeros(asked.future.shape)
        for one in self.forecasters:
            total += self.shares[one.name] * one.forecast(asked)
        return total

    def answers(self, task: Task[Any], dataset: datasets.Dataset) -> np.ndarray:
        """The forecasters' part in the shape of the task's answers, `(windows, 2 x horizon + 1, targets, 1 + levels)`; see `together`.

        Raises:
            CheckpointError: it was made for another task, horizon, or other targets.
        """
        if not isinstance(task, Forecasting):
            raise CheckpointError(
                "The run's answer is one of forecasting, and another task was asked for. Omit --task."
            )
        context, stride = task.modality.context(), task.config.eval_stride
        count = len(task.modality.windows(dataset, context, task.horizon, stride=stride))
        size = at_once(context, len(dataset["loc"][0]))
        parts = []
        for first in range(0, count, size):
            rows = np.arange(first, min(first + size, count))
            asked = origins_of(task.modality, dataset, task.horizon, stride=stride, rows=rows)
            parts.append(self._part(task, replace(asked, season=self.season)))
        return np.concatenate(parts)

    def _part(self, task: Forecasting, asked: Origins) -> np.ndarray:
        if self.apart.shape[:2] != asked.future.shape[1:]:
            raise CheckpointError(
                f"The run's answer is for {self.apart.shape[0]} steps of {self.apart.shape[1]} channels, the data ask for "
                f"{asked.horizon} of {asked.targets}. Give the run's horizon and target_columns, or run finetune again."
            )
        naive = seasonal_naive(asked.past[:, :, : asked.targets], asked.horizon, asked.season)
        numbers = np.array([task.numbers[name] for name in asked.names.tolist()], np.float64)
        beside = np.broadcast_to(numbers[:, None, None], (len(asked), 1, asked.targets))
        whole = np.concatenate([self.point(asked), naive, beside], axis=1)
        return np.repeat(whole[..., None], 1 + len(self.levels), axis=3)

    def together(self, logits: np.ndarray | None, own: np.ndarray) -> np.ndarray:
        """The run's answer.

        Args:
            logits: of the fine-tuned model; None: the answer without it.
            own: this mixture's `answers` for the same windows.

        Raises:
            CheckpointError: the model answers for other windows.
        """
        horizon, targets = self.apart.shape[:2]
        found = own.copy()
        point = own[:, :horizon, :, 0]
        if logits is None or self.model_share == 0:
            point = point / sum(self.shares.values())
        else:
            if len(logits) != len(own):
                raise CheckpointError(
                    f"The model answers for {len(logits):,} windows, the forecasters beside it for {len(own):,}. Give --context_length the model's."
                )
            point = point + self.model_share * logits[:, :horizon, :targets, 0]
        found[:, :horizon, :, 0] = point
        found[:, :horizon, :, 1:] = point[..., None] + self.apart
        return found

    def save(self, folder: Path) -> None:
        """Write it: JSON and safetensors."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        states = [one.state() for one in self.forecasters]
        arrays = {f"{number}.{name}": array for number, (_, own) in enumerate(states) for name, array in own.items()}
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(array))
            for name, array in {**arrays, "apart": self.apart}.items()
        }
        save_file(tensors, folder / WEIGHTS)
        write_json(
            folder / SETTINGS,
            {
                "kind": KIND, "name": self.name, "model_share": self.model_share, "levels": self.levels, "season": self.season,
                "checkpoint": {"id": "", "revision": ""},
                "forecasters": [
                    {"name": one.name, "share": self.shares[one.name], "state": settings}
                    for one, (settings, _) in zip(self.forecasters, states, strict=True)
                ],
            },
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> Mixture:
        """What `save` wrote.

        Raises:
            CheckpointError: files are missing, damaged, or do not fit together.
            MissingExtraError: a forecaster is not installed.
        """
        try:
            return cls._of(*read_files(folder))
        except (*UNREADABLE, SafetensorError) as error:
            raise CheckpointError(
                f"The forecasts in {folder} cannot be read ({error}). Run finetune again."
            ) from error

    @classmethod
    def _of(cls, settings: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Mixture:
        found, shares = [], {}
        for number, said in enumerate(settings["forecasters"]):
            name, share = str(said["name"]), float(said["share"])
            if not is_forecaster(name) or not 0 < share <= 1:
                raise ValueError(f"it names the forecaster {name[:80]!r} with the share {share}")
            one = forecaster(name)
            one.check()
            mine = f"{number}."
            one.restore(
                said["state"],
                {key.removeprefix(mine): own.numpy() for key, own in tensors.items() if key.startswith(mine)},
            )
            found.append(one)
            shares[name] = share
        apart, levels, model = (
            tensors["apart"].numpy(),
            [float(one) for one in settings["levels"]],
            float(settings["model_share"]),
        )
        if (
            apart.ndim != 3
            or apart.shape[2] != len(levels)
            or not np.isfinite(apart).all()
            or (np.diff(apart) < 0).any()
        ):
            raise ValueError("its quantiles are not in order")
        if not 0 <= model <= 1 or not found or abs(sum(shares.values()) + model - 1) > 1e-3:
            raise ValueError("its shares do not sum to 1")
        return cls(found, shares, model, apart, levels, max(1, int(settings["season"])), str(settings["name"]))


@dataclass
class ForecastFindings:
    """What the forecasters' comparison leaves behind; beside `hf_ssl.stages.candidates.Findings`, which is for classes.

    Args:
        ways: by name, the mean absolute standardized error on the validation windows.
        teacher: the mixture.
        teacher_ahead: whether it is anything but the network alone.
        reason: why, in a sentence.
        compared: with what it is ahead of, and where.
    """

    ways: dict[str, dict[str, float]]
    teacher: Mixture
    teacher_ahead: bool
    reason: str
    compared: str = "the network on the validation span"

    def to_dict(self) -> dict[str, Any]:
        """What `candidates.json` and the run's ledger hold."""
        return {
            "start": MODEL, "reason": self.reason, "candidates": self.ways, "teacher": self.teacher.summary(),
            "teacher_ahead": self.teacher_ahead, "answer": self.teacher.name if self.teacher_ahead else MODEL,
        }  # fmt: skip


def at_once(context: int, channels: int) -> int:
    """Windows that are held in memory together."""
    return max(100, VALUES // (context * channels))


def asked_for(task: Task[Any]) -> list[Forecaster]:
    """The forecasters that the options of forecasting name, before anything is trained.

    Raises:
        ConfigError: one is not known, does not come with hf_ssl, or lacks its checkpoint.
        MissingExtraError: one is not installed.
    """
    found = []
    for name in dict.fromkeys(task.config.forecasters if isinstance(task, Forecasting) else ()):
        if ":" in name.partition("@")[0]:
            raise ConfigError(
                f"{name} cannot be a part of the run's answer, only of a comparison: --peers {name}. Leave it out of forecasters."
            )
        found.append(forecaster(name))
        found[-1].check()
    return found


def mixed_forecasts(
    task: Task[Any], data: DomainData, train: datasets.Dataset, logits: np.ndarray, labels: np.ndarray
) -> ForecastFindings | None:
    """Let the forecasters learn, and choose shares on the validation span; None where there are none, and of other tasks.

    Args:
        train: the part of the training span that the network learned from.
        logits, labels: of the network on the validation split.
    """
    if not isinstance(task, Forecasting):
        return None
    found = _mixed(task, data, train, logits, labels) if distributed.is_main() else None
    return distributed.broadcast(found)


def _mixed(
    task: Forecasting, data: DomainData, train: datasets.Dataset, logits: np.ndarray, labels: np.ndarray
) -> ForecastFindings | None:
    candidates = asked_for(task)
    if not candidates or "validation" not in data:
        return None
    horizon, stride = task.horizon, task.config.eval_stride
    most = min(FEW if any(one.few for one in candidates) else MOST, at_once(task.modality.context(), labels.shape[2]))
    rows = spread(len(logits), most)
    if len(task.modality.windows(data["validation"], task.modality.context(), horizon, stride=stride)) != len(logits):
        logger.warning(
            "  no forecasts beside the network: its history is another one. Give --context_length the model's"
        )
        return None
    held = origins_of(task.modality, data["validation"], horizon, stride=stride, rows=rows)
    truth = np.where(labels[rows] == MISSING, np.nan, labels[rows])[:, :, : task.targets]
    forecasts = {MODEL: np.asarray(logits[rows, :horizon, : task.targets, 0], np.float64)}
    for one in candidates:
        try:
            if one.learns:
                known = origins_of(task.modality, train, horizon, most=one.windows(horizon, task.targets))
                one.learn(known, held, task.config.loss)
            forecasts[one.name] = np.asarray(one.forecast(held), np.float64)
        except DataError as error:
            logger.info(f"  {one.title} is left out: {error}")
    ways = {name: {"mae": float(np.nanmean(np.abs(ahead - truth)))} for name, ahead in forecasts.items()}
    for name, way in ways.items():
        logger.info(f"  {name:<20} mae {way['mae']:.4f}")
    shares = shares_of(forecasts, truth)
    model = shares.pop(MODEL, 0.0)
    total = sum((share * forecasts[name] for name, share in {**shares, MODEL: model}.items()), np.zeros(truth.shape))
    ways["mixture"] = {"mae": float(np.nanmean(np.abs(total - truth)))}
    levels = [float(level) for level in task.config.quantiles]
    kept = [one for one in candidates if one.name in shares]
    mixture = Mixture(kept, shares, model, _apart(truth - total, levels), levels, held.season)
    best = min(forecasts, key=lambda name: ways[name]["mae"])
    reason = (
        f"on {len(rows):,} validation windows the mixture errs by {ways['mixture']['mae']:.4f}, the network by {ways[MODEL]['mae']:.4f}, the best "
        f"single forecast ({best}) by {ways[best]['mae']:.4f}"
    )
    return ForecastFindings(ways, mixture, bool(shares), reason)


def _apart(errors: np.ndarray, levels: list[float]) -> np.ndarray:
    """Quantiles of errors `(windows, horizon, targets)` at every step ahead, `(horizon, targets, levels)`; a step never observed has those of all."""
    whole = np.nanquantile(errors, levels, axis=(0, 1))
    found = np.empty((*errors.shape[1:], len(levels)))
    for step in range(errors.shape[1]):
        for target in range(errors.shape[2]):
            own = errors[:, step, target]
            own = own[~np.isnan(own)]
            found[step, target] = np.quantile(own, levels) if len(own) else whole[:, target]
    return np.sort(np.nan_to_num(found), axis=2)
