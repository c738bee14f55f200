"""Forecasts of TimesFM 2.5, whose class takes one series at a time and must not see padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_ssl.models import structure

if TYPE_CHECKING:
    import torch
    from torch import nn


def timesfm_forecast(model: nn.Module, past: torch.Tensor, seen: torch.Tensor, horizon: int) -> torch.Tensor:
    """Median and quantiles of every channel.

    transformers pads a short history with zeros and takes the mean and spread of zeros and values together, so the same
    series with more padding gets another forecast. Here a row is cut to its own history (whole patches of it), rows of
    equal length go together, and nothing is ever padded unless the history is shorter than one patch.

    Args:
        model: `TimesFm2_5ModelForPrediction`, may be wrapped by PEFT.
        past: `(batch, context, channels)`, missing values filled.
        seen: the same shape, where something was observed; what comes before the first observed step is left out.
        horizon: steps, at most the model's `horizon_length`.

    Returns:
        `(batch, horizon, channels, 1 + quantiles)`, the median first.
    """
    import torch

    config: Any = structure.unwrap_peft(model).config
    batch, context, channels = past.shape
    rows = past.transpose(1, 2).reshape(batch * channels, context)
    first = seen.transpose(1, 2).reshape(batch * channels, context).int().argmax(dim=1)
    patch = config.patch_length
    lengths = torch.clamp((context - first) // patch * patch, min=min(patch, context))
    answer = past.new_empty(batch * channels, horizon, 1 + len(config.quantiles))
    for length in torch.unique(lengths).tolist():
        mine = torch.nonzero(lengths == length).squeeze(1)
        histories = list(rows[mine, context - length :])
        # The values are standardized: they are negative where the data are not, and must not be cut at 0.
        output = model(past_values=histories, forecast_context_len=max(length, patch), truncate_negative=False)
        full = output.full_predictions[:, :horizon]
        answer[mine] = torch.cat([output.mean_predictions[:, :horizon, None], full[..., 1:]], dim=-1).to(answer.dtype)
    return answer.reshape(batch, channels, horizon, -1).transpose(1, 2)
