"""What the time-series families of transformers call things, and how they are built from scratch and pooled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.core.errors import ConfigError, DataError, nearest
from hf_ssl.core.run import write_json

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedConfig

    from hf_ssl.modalities.timeseries.options import SeriesOptions
    from hf_ssl.models.reference import CheckpointRef

FAMILIES = ("patchtst", "patchtsmixer")
MASK_NAMES = {"patchtst": "past_observed_mask", "patchtsmixer": "observed_mask"}


@dataclass
class SeriesProcessor:
    """What a checkpoint expects as input; time-series checkpoints have no processor of their own.

    Args:
        family: `model_type` of the configuration.
        context_length: steps of history.
        channels: number of channels, or None where the model takes one series at a time.
        mask_name: what the model calls the mask of observed values, or None when it has none.
        flexible: whether the number of channels can follow the data.
        patch_length, patch_stride: to find the patches in which nothing was observed.
        architecture: class that the checkpoint was saved from.
        forecasts: steps that the checkpoint's forecasting head gives, or None when it has no such head.
    """

    family: str
    context_length: int
    channels: int | None
    mask_name: str | None
    flexible: bool
    patch_length: int
    patch_stride: int
    forecasts: int | None = None
    architecture: str = ""

    def save_pretrained(self, folder: str | Path) -> None:
        """Write it down beside the weights, for readers; loading reads config.json, which says the same."""
        write_json(Path(folder) / "series_input.json", asdict(self))

    def options_for(self, channels: int, horizon: int | None, auto_class: str) -> dict[str, Any]:
        """Configuration fields that make the checkpoint fit the data and the head.

        Raises:
            DataError: its weights are tied to another number of channels, or its forecast is shorter than the horizon.
        """
        options: dict[str, Any] = {}
        kind = next(
            (k for k in ("Pretraining", "Prediction", "Classification", "Regression") if auto_class.endswith(k)), None
        )
        if kind is not None and not self.architecture.endswith(kind):
            options["expect_new"] = (
                "head",
                "head.*",
            )  # every head of these families has this name, whatever it is for
        if self.channels is not None and self.channels != channels:
            if not self.flexible:
                raise DataError(
                    f"The {self.family} checkpoint mixes {self.channels} channels, the data have {channels}. Choose "
                    f"{self.channels} with target_columns, or a checkpoint that treats channels alike."
                )
            options["num_input_channels"] = channels
        if "Prediction" in auto_class and horizon is not None:
            if self.forecasts is not None and self.forecasts < horizon:
                raise DataError(f"The checkpoint forecasts {self.forecasts} steps, horizon={horizon} asks for more.")
            if self.forecasts is None:
                options["prediction_length"] = horizon
                if self.family == "patchtst":
                    options["pooling_type"] = (
                        None  # a new head reads every patch, as in the paper; a mean forgets their order
                    )
        if "Classification" in auto_class and self.family == "patchtsmixer":
            options["head_aggregation"] = "avg_pool"
        return options


def read_processor(ref: CheckpointRef) -> SeriesProcessor:
    """Read a checkpoint's configuration.

    Raises:
        ConfigError: it is no time-series model of a known family.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        ref.id, revision=ref.revision or "main", token=ref.token, trust_remote_code=False
    )
    family = str(config.model_type)
    if family in ("timesfm", "timesfm2_5"):
        patch = int(config.patch_length)
        return SeriesProcessor(
            family,
            int(config.context_length),
            None,
            None,
            True,
            patch,
            patch,
            int(config.horizon_length),
            "Prediction",
        )
    if family not in FAMILIES:
        known = (*FAMILIES, "timesfm2_5")
        raise ConfigError(
            f"{ref.id} is a {family!r} model; for time series {', '.join(known)} are known.{nearest(family, known)}"
        )
    saved_from = str((config.architectures or [""])[0])
    tied = getattr(config, "channel_attention", False) or not getattr(config, "share_embedding", True)
    tied = tied or getattr(config, "mode", "common_channel") == "mix_channel"
    return SeriesProcessor(
        family, int(config.context_length), int(config.num_input_channels), MASK_NAMES[family], not tied,
        int(config.patch_length), int(config.patch_stride),
        int(config.prediction_length) if "ForPrediction" in saved_from else None, saved_from,
    )  # fmt: skip


def default_config(family: str, context: int, channels: int, options: SeriesOptions) -> PreTrainedConfig:
    """A configuration fit for a laptop: the paper's patches where the context has room for them.

    Raises:
        ConfigError: unknown family.
        DataError: the context is shorter than two patches.
    """
    from transformers import AutoConfig

    if family not in FAMILIES:
        raise ConfigError(
            f"A model from scratch is one of {', '.join(FAMILIES)}, not {family!r}.{nearest(family, FAMILIES)} "
            "Leave --from_config out to start from a checkpoint."
        )
    # 16 steps with half of each shared by the next (Nie et al. 2023); shorter where that would leave few patches.
    patch = options.patch_length or max(2, min(16, context // 8))
    stride = options.patch_stride or max(1, patch // 2)
    if context <= patch:
        raise DataError(
            f"The context of {context} steps is not longer than one patch of {patch}. Give a larger context_length or a "
            "smaller patch_length."
        )
    shared: dict[str, Any] = {
        "num_input_channels": channels, "context_length": context, "patch_length": patch, "patch_stride": stride,
        "d_model": options.width, "scaling": "std" if options.rescale else None,
        "prediction_length": options.horizon or 24,
    }  # fmt: skip
    if family == "patchtst":
        # pooling None: the forecasting head reads all patches, as in the paper; the default mean forgets their order.
        return AutoConfig.for_model(
            family, **shared, num_hidden_layers=options.layers, num_attention_heads=max(1, options.width // 16), ffn_dim=2 * options.width,
            do_mask_input=False, attention_dropout=0.0, channel_attention=options.mixes,
        )  # fmt: skip
    mode = "mix_channel" if options.mixes else "common_channel"
    return AutoConfig.for_model(family, **shared, num_layers=options.layers, dropout=0.1, head_dropout=0.1, mode=mode)


@contextmanager
def shown(model: nn.Module) -> Iterator[None]:
    """Switch the model's own random masking off: it stays on in eval mode wherever `do_mask_input` was saved as true."""
    from torch import nn as torch_nn

    found = [m for m in model.modules() if isinstance(getattr(m, "masking", None), torch_nn.Module)]
    before = [module.masking for module in found]
    try:
        for module in found:
            module.masking = _shown_class()() if not isinstance(module.masking, torch_nn.Identity) else module.masking
        yield
    finally:
        for module, masking in zip(found, before, strict=True):
            module.masking = masking


@cache
def _shown_class() -> type[nn.Module]:
    import torch
    from torch import nn as torch_nn

    class Shown(torch_nn.Module):
        """In place of the model's masking: everything is shown as it comes."""

        def forward(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return patches, torch.zeros(patches.shape[:3], dtype=torch.bool, device=patches.device)

    return Shown


def pool_patches(backbone: nn.Module, batch: dict[str, torch.Tensor], pooling: str) -> torch.Tensor:
    """Hidden states of the patches → one vector per series.

    Args:
        backbone: PatchTST, PatchTSMixer or TimesFM 2.5.
        batch: as `TimeSeries.collate` makes it.
        pooling: `"mean"`, `"mean-std"`, `"max"` or `"last"`, over patches in which something was observed.

    Returns:
        `(batch, channels x width)` (twice that for `"mean-std"`).
    """
    import torch

    config: Any = backbone.config
    if config.model_type in ("timesfm", "timesfm2_5"):
        return _pool_timesfm(backbone, batch["past_values"], pooling)
    with shown(backbone):
        hidden = backbone(**batch).last_hidden_state  # (batch, channels, patches, width)
    if getattr(config, "use_cls_token", False):
        hidden = hidden[:, :, 1:]
    mask = batch.get(MASK_NAMES[config.model_type])
    if mask is None:
        seen = torch.ones(hidden.shape[:3], device=hidden.device)
    else:
        first = mask.shape[1] - (config.patch_length + config.patch_stride * (hidden.shape[2] - 1))
        pieces = mask[:, first:].unfold(
            1, config.patch_length, config.patch_stride
        )  # (batch, patches, channels, patch)
        seen = pieces.any(dim=-1).transpose(1, 2).to(hidden.dtype)
        seen = torch.where(seen.sum(dim=2, keepdim=True) > 0, seen, torch.ones_like(seen))
    return pool(hidden, seen, pooling).flatten(1)


def pool(hidden: torch.Tensor, seen: torch.Tensor, how: str) -> torch.Tensor:
    """Pool the third axis of `(batch, channels, patches, width)`, weighted by `seen` `(batch, channels, patches)`."""
    import torch

    weight = seen.unsqueeze(-1).to(hidden.dtype)
    if how == "max":
        return hidden.masked_fill(weight == 0, torch.finfo(hidden.dtype).min).max(dim=2).values
    if how == "last":
        return hidden[:, :, -1]
    count = weight.sum(dim=2).clamp(min=1)
    mean = (hidden * weight).sum(dim=2) / count
    if how == "mean":
        return mean
    variance = ((hidden - mean.unsqueeze(2)) ** 2 * weight).sum(dim=2) / count
    return torch.cat([mean, torch.sqrt(variance + 1e-6)], dim=-1)


def _pool_timesfm(backbone: nn.Module, past: torch.Tensor, pooling: str) -> torch.Tensor:
    import torch

    batch, length, channels = past.shape
    config: Any = backbone.config
    patch = int(config.patch_length)
    length -= length % patch
    flat = past[:, -length:].transpose(1, 2).reshape(batch * channels, length)
    scaled = (flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True).clamp(min=1e-6)
    hidden = backbone(past_values=scaled).last_hidden_state
    hidden = hidden.reshape(batch, channels, *hidden.shape[1:])
    return pool(hidden, torch.ones(hidden.shape[:3], device=hidden.device), pooling).flatten(1)
