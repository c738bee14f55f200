"""Dropout of a model, set in place."""

from __future__ import annotations

from torch import nn

_ATTENTION_DROPOUTS = (
    "dropout", "attention_dropout", "attn_dropout", "attn_drop", "dropout_prob", "attention_probs_dropout_prob",
)  # fmt: skip


def set_dropout(model: nn.Module, probability: float, *, attention_only: bool = False) -> None:
    """Set every dropout of a loaded model; its configuration, and so what is saved, stays as it was.

    Attention without dropout also lets `scaled_dot_product_attention` take its fused kernel, which on a CPU is most of
    the speed of a short step.

    Args:
        model: changed in place.
        probability: the new one.
        attention_only: leave the dropouts of hidden states alone.
    """
    for module in model.modules():
        if attention_only:
            if "Attention" in type(module).__name__:
                _set(module, _ATTENTION_DROPOUTS, probability)
            continue
        if isinstance(module, nn.Dropout):
            module.p = probability
        _set(module, (*_ATTENTION_DROPOUTS, "activation_dropout"), probability)


def _set(module: nn.Module, names: tuple[str, ...], probability: float) -> None:
    for name in names:
        found = getattr(module, name, None)
        if isinstance(found, nn.Dropout):
            found.p = probability
        elif isinstance(found, float):
            setattr(module, name, probability)
