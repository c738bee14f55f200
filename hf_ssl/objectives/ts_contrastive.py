"""Contrastive learning of series vectors without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.encoder import Batch
from hf_ssl.modalities.rng import example_rng
from hf_ssl.modalities.timeseries.encoder import TimeSeriesEncoder
from hf_ssl.modalities.timeseries.random_kernels import RandomKernels
from hf_ssl.modalities.timeseries.windows import Windows
from hf_ssl.objectives import losses
from hf_ssl.objectives.base import Objective, ViewRows, row_keys
from hf_ssl.training.gather import gathered
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets


KERNELS = 256


class SeriesContrastive(Objective):
    """Contrastive learning: two distorted crops of a series are closer to each other than to other series.

    Predicts: which vector of the batch is the other view of the same series; and, from each view, the power spectrum of
    the whole series and the responses of random convolution kernels to it.

    Formula: NT-Xent, `-log exp(cos(a_i, b_i) / t) / sum_{v != a_i} exp(cos(a_i, v) / t)` over both views of the batch,
    plus `spectrum` times the mean squared error of the predicted log spectrum and `kernels` times that of the predicted
    responses (share of positive values and maximum of each of 256 kernels), both standardized over the batch.

    Reference: NT-Xent: Chen et al. 2020 (SimCLR, arXiv:2002.05709). Overlapping crops of series as views: Yue et al.
    2022 (TS2Vec, arXiv:2106.10466); distortions: Eldele et al. 2021 (TS-TCC, arXiv:2106.14112). Hand-made statistics
    of the input as targets: Wei et al. 2022 (MaskFeat, arXiv:2112.09133); the kernels: Dempster et al. 2020 (Rocket,
    arXiv:1910.13051). The reflected crop, and kernels as targets, are ours.

    Needs: PatchTST, PatchTSMixer or TimesFM; a batch of some dozens of different series.

    Inputs: `past_values` and its mask `(2 x series, context, channels)`, the two views of series `i` at `i` and
    `i + series`; `spectra` `(series, channels x bins)`; `responses` `(series, 512)`; `labels` `(series,)`, which only counts the loss terms.

    A crop is brought to the model's length by reflecting it at its ends, which keeps its frequencies, or by stretching
    it (`stretch`), which keeps its shape. Negatives are the other series of the
    micro-batch on all processes: accumulation gives no more of them.

    Example:

        objective = SeriesContrastive(TimeSeries().load("ibm-granite/granite-timeseries-patchtst"), SeriesContrastive.Config())
    """

    needs: ClassVar = TimeSeriesEncoder
    paper: ClassVar = "Chen et al. 2020, SimCLR (arXiv:2002.05709); Yue et al. 2022, TS2Vec (arXiv:2106.10466)"
    unit: ClassVar = "series"
    # In bfloat16 a step of so narrow a network takes longer, not shorter: 0.30 s for 0.18 s (256 series, width 64, one core).
    training_defaults: ClassVar = {
        "learning_rate": 1e-3, "num_train_epochs": 40, "per_device_train_batch_size": 128, "per_device_eval_batch_size": 256,
        "weight_decay": 1e-4, "max_grad_norm": 1.0, "bf16": False, "dataloader_drop_last": True,
    }  # fmt: skip

    @dataclass
    class Config(Options):
        """Options of `ts-contrastive`."""

        renamed = {"hide": "mask_ratio", "flip": "sign_flip", "kernels": "kernel_weight"}

        temperature: float = option(0.1, "Temperature of the softmax over cosines.", gt=0)
        crop: float = option(0.4, "Shortest crop, as a share of the series.", gt=0, le=1)
        stretch: float = option(0.0, "Chance that a crop is stretched to full length, not reflected.", ge=0, le=1)
        mask_ratio: float = option(0.3, "Largest share of the steps that is hidden, in spans.", ge=0, lt=1)
        noise: float = option(0.2, "Largest spread of added noise, in spreads of the series.", ge=0)
        warp: float = option(0.0, "Spread of a smooth random gain over time.", ge=0)
        sign_flip: bool = option(True, "Turn half of the views upside down.")
        spectrum: float = option(0.0, "Weight of predicting the spectrum of the whole series.", ge=0)
        kernel_weight: float = option(0.0, "Weight of predicting random kernels' responses to the whole series.", ge=0)
        pooling: Literal["mean", "mean-std", "max", "last"] = option("mean", "How patches become one vector.")
        projection: int = option(64, "Width of the space in which views are compared.", ge=1)

    encoder: TimeSeriesEncoder
    config: Config

    def __init__(self, encoder: TimeSeriesEncoder, config: Config) -> None:
        super().__init__(encoder, config)
        # Compared are the views pooled as the objective says; what is kept stays pooled as the checkpoint is.
        self.compared = encoder.replace(pooling=config.pooling)
        own: Any = encoder.backbone.config
        channels = 1 if encoder.processor.channels is None else int(own.num_input_channels)
        width = int(own.hidden_size) * channels * (2 if config.pooling == "mean-std" else 1)
        self.projector = nn.Sequential(
            nn.Linear(width, 2 * config.projection, bias=False), nn.BatchNorm1d(2 * config.projection), nn.ReLU(),
            nn.Linear(2 * config.projection, config.projection),
        )  # fmt: skip
        self.frame = max(4, min(64, encoder.context_length // 2))
        bins = channels * (self.frame // 2 + 1)
        self.spectrum = nn.Linear(width, bins) if config.spectrum else None
        self.kernels = RandomKernels(channels, encoder.context_length, KERNELS) if config.kernel_weight else None
        self.response = nn.Linear(width, 2 * KERNELS) if config.kernel_weight else None

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> ViewRows:
        return WindowRows(self.encoder.windows(dataset), row_keys(dataset), seed=seed, training=training)

    def random_view(self, items: Sequence[np.ndarray], rngs: Sequence[np.random.Generator]) -> Batch:
        return self.encoder.distorted(items, rngs, self.config, 1)

    def collate(self, rows: Sequence[tuple[np.ndarray, np.random.Generator]]) -> Batch:
        batch = self.encoder.distorted([values for values, _ in rows], [rng for _, rng in rows], self.config, 2)
        whole = torch.from_numpy(np.stack([np.nan_to_num(values).T for values, _ in rows]))
        if self.spectrum is not None:
            batch["spectra"] = log_spectrum(whole, self.frame).flatten(1)
        if self.kernels is not None:
            batch["responses"] = self.kernels(whole)
        return {**batch, "labels": torch.arange(len(rows))}

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> int:
        return len(batch["labels"])

    def forward(
        self, past_values: torch.Tensor, labels: torch.Tensor, spectra: torch.Tensor | None = None,
        responses: torch.Tensor | None = None, num_items_in_batch: torch.Tensor | int | None = None, **mask: torch.Tensor,
    ) -> LossOutput:  # fmt: skip
        vectors = self.compared.features({"past_values": past_values, **mask})
        first, second = self.projector(vectors).float().chunk(2)
        contrast = losses.nt_xent(first, second, self.config.temperature) / len(labels)
        scalars, loss = {"contrast": contrast.detach()}, contrast
        for name, layer, target, weight in (
            ("spectrum", self.spectrum, spectra, self.config.spectrum),
            ("kernels", self.response, responses, self.config.kernel_weight),
        ):
            if layer is None or target is None:
                continue
            everything = gathered(target)[0]  # the scale is that of the whole batch, on any number of processes
            target = (target - everything.mean(dim=0)) / (everything.std(dim=0, correction=0) + 1e-3)
            guessed = functional.mse_loss(layer(vectors).float(), target.repeat(2, 1))
            scalars[name] = guessed.detach()
            loss = loss + weight * guessed
        return LossOutput(loss=normalize_loss(loss * len(labels), len(labels), num_items_in_batch), scalars=scalars)


def log_spectrum(values: torch.Tensor, frame: int) -> torch.Tensor:
    """Welch's estimate of the power spectrum: mean over half-overlapping Hann frames, then the logarithm.

    Args:
        values: `(batch, channels, length)`.
        frame: steps per frame, at most `length`.

    Returns:
        `(batch, channels, frame // 2 + 1)`.
    """
    pieces = values.unfold(2, frame, max(1, frame // 4)) * torch.hann_window(frame)
    return torch.log((torch.fft.rfft(pieces).abs() ** 2).mean(dim=2) + 1e-2)


class WindowRows(ViewRows):
    """Windows of series; a window's random choices depend on its series and its place in it."""

    def __init__(self, windows: Windows, keys: Sequence[str], *, seed: int, training: bool) -> None:
        super().__init__(range(len(windows)), keys, seed=seed, training=training)
        self.windows = windows

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.random.Generator]:
        past, _, _ = self.windows.batch([index])
        row, step = self.windows.place(index)
        return past[0], example_rng(self.seed, self.key, f"{self.keys[row]}/{step}")
