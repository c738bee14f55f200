"""Predict the hidden patches of a series from the visible ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.rng import example_rng
from hf_ssl.modalities.timeseries.backbones import shown
from hf_ssl.modalities.timeseries.encoder import TimeSeriesEncoder
from hf_ssl.modalities.timeseries.windows import Windows, fill
from hf_ssl.models import structure
from hf_ssl.objectives.base import Objective, Rows, row_keys
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedModel


class MaskedPatch(Objective):
    """Masked patches: some steps of a window are hidden, and the model says what they were.

    Predicts: the values of hidden patches, in units of the window's own spread.

    Formula: mean over hidden and observed values of `(x_hat - (x - loc) / scale)^2`, with `loc` and `scale` of what the
    model was shown. Missing values are neither shown nor counted.

    Reference: Nie et al. 2023 (PatchTST, arXiv:2211.14730, section 3.2), with their 40 % of patches.

    Needs: PatchTST or PatchTSMixer.

    Inputs: `past_values` `(batch, context, channels)`, hidden and missing steps filled with the mean of the others; the mask of what is
    shown, under the model's own name; `truth`, the values as they were; `labels` `(batch, channels, patches, patch)`,
    -100 where nothing is predicted.

    Hidden steps are passed on as missing ones. So with overlapping patches nothing hidden can be seen in a neighbor,
    and the window's mean and spread do not give it away. The masks are drawn per example (transformers draws them on
    the device, so that neither a resumed run nor an evaluation would repeat them), and the model's own masking is off.

    Example:

        encoder = TimeSeries().load("ibm-granite/granite-timeseries-patchtst", MaskedPatch.auto_class)
        objective = MaskedPatch(encoder, MaskedPatch.Config(mask_ratio=0.4))
    """

    needs: ClassVar = TimeSeriesEncoder
    paper: ClassVar = "Nie et al. 2023, PatchTST (arXiv:2211.14730)"
    auto_class: ClassVar = "AutoModelForTimeSeriesPretraining"
    unit: ClassVar = "windows"
    # In bfloat16 a step of so narrow a network takes longer, not shorter: 0.30 s for 0.18 s (256 series, width 64, one core).
    training_defaults: ClassVar = {
        "learning_rate": 1e-3, "num_train_epochs": 10, "per_device_train_batch_size": 128, "per_device_eval_batch_size": 256,
        "weight_decay": 0.01, "max_grad_norm": 1.0, "bf16": False,
    }  # fmt: skip

    @dataclass
    class Config(Options):
        """Options of `masked-patch`."""

        mask_ratio: float = option(0.4, "Share of the patches that is hidden.", gt=0, lt=1)
        span: int = option(1, "Hidden patches come in runs of so many.", ge=1)
        clip: float = option(10.0, "Largest value to predict, in spreads of the window.", gt=0)
        window_stride: int | None = option(None, "Distance between windows (default: the data's stride).", ge=1)

    encoder: TimeSeriesEncoder
    config: Config

    def __init__(self, encoder: TimeSeriesEncoder, config: Config) -> None:
        super().__init__(encoder, config)
        if encoder.processor.mask_name is None:
            raise ConfigError(f"masked-patch needs PatchTST or PatchTSMixer, not {encoder.processor.family}.")
        self.mask_name = encoder.processor.mask_name

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> HiddenRows:
        windows = self.encoder.windows(dataset, stride=self.config.window_stride)
        return HiddenRows(windows, row_keys(dataset), self, seed=seed, training=training)

    def collate(self, rows: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, torch.Tensor]:
        truth = np.stack([past for past, _ in rows])  # (batch, context, channels), NaN where missing
        masks = np.stack([mask for _, mask in rows])  # (batch, channels, patches)
        length, step, patches = (
            self.encoder.processor.patch_length,
            self.encoder.processor.patch_stride,
            masks.shape[2],
        )
        start = truth.shape[1] - (length + step * (patches - 1))
        index = start + step * np.arange(patches)[:, None] + np.arange(length)  # (patches, patch)
        hidden = np.zeros((len(truth), truth.shape[2], truth.shape[1]), bool)  # (batch, channels, context)
        for patch in range(patches):
            hidden[:, :, index[patch]] |= masks[:, :, patch, None]
        shown, seen = fill(np.where(hidden.transpose(0, 2, 1), np.nan, truth))
        observed = ~np.isnan(truth).transpose(0, 2, 1)[:, :, index]  # (batch, channels, patches, patch)
        counted = observed & masks[..., None]
        batch = {"past_values": torch.from_numpy(shown), "truth": torch.from_numpy(np.nan_to_num(truth))}
        batch[self.mask_name] = torch.from_numpy(seen)
        batch["labels"] = torch.from_numpy(np.where(counted, 0, -100).astype(np.int8))
        return batch

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> int:
        return len(batch["past_values"])

    def forward(
        self, past_values: torch.Tensor, truth: torch.Tensor, labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None, **mask: torch.Tensor,
    ) -> LossOutput:  # fmt: skip
        inner: Any = structure.unwrap_peft(self.model)
        with shown(inner):
            output = inner.model(past_values=past_values, **mask)
        predicted = inner.head(output.last_hidden_state)
        patches = labels.shape[2]
        start = truth.shape[1] - (
            self.encoder.processor.patch_length + self.encoder.processor.patch_stride * (patches - 1)
        )
        scaled = (truth - output.loc) / output.scale
        wanted = (
            scaled[:, start:]
            .unfold(1, self.encoder.processor.patch_length, self.encoder.processor.patch_stride)
            .transpose(1, 2)
        )
        counted = labels != -100
        error = (predicted - wanted.clamp(-self.config.clip, self.config.clip)).float() ** 2
        total = torch.where(counted, error, torch.zeros_like(error)).sum()
        return LossOutput(loss=normalize_loss(total, counted.sum(), num_items_in_batch))

    def export(self) -> PreTrainedModel:
        """The model with `do_mask_input` off, so that an encoder loaded from it never masks."""
        exported = super().export()
        if hasattr(exported.config, "do_mask_input"):
            exported.config.do_mask_input = False
        return exported


class HiddenRows(Rows):
    """A window and which of its patches are hidden, drawn anew each epoch."""

    def __init__(self, windows: Windows, ids: list[str], objective: MaskedPatch, *, seed: int, training: bool) -> None:
        super().__init__(seed, training)
        self.windows, self.ids, self.config = windows, ids, objective.config
        processor = objective.encoder.processor
        self.length, self.step = processor.patch_length, processor.patch_stride
        self.patches = (processor.context_length - self.length) // self.step + 1

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        past, _, owner = self.windows.batch([index])
        row, step = self.windows.place(index)
        rng = example_rng(self.seed, self.key, f"{self.ids[row]}/{step}")
        mask = np.stack([self._draw(rng, channel) for channel in past[0].T])
        return past[0], mask

    def _draw(self, rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
        """Hide exactly `mask_ratio` of the patches in which something was observed, at least one, never all."""
        start = len(values) - (self.length + self.step * (self.patches - 1))
        pieces = np.lib.stride_tricks.sliding_window_view(values[start:], self.length)[:: self.step]
        usable = np.flatnonzero(~np.isnan(pieces).all(axis=1))
        mask = np.zeros(self.patches, bool)
        if len(usable) < 2:
            return mask
        wanted = min(len(usable) - 1, max(1, round(self.config.mask_ratio * len(usable))))
        span = max(1, min(self.config.span, wanted))
        if span == 1:
            mask[rng.choice(usable, wanted, replace=False)] = True
            return mask
        order = rng.permutation(-(-len(usable) // span))
        chosen = np.concatenate([usable[block * span : (block + 1) * span] for block in order])[:wanted]
        mask[chosen] = True
        return mask
