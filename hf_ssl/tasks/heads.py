"""New heads that start where a closed-form fit on frozen features ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from hf_ssl.core.threads import one_blas_thread
from hf_ssl.evaluation.probes.probes import fixed_c
from hf_ssl.modalities.timeseries.windows import MISSING
from hf_ssl.models.structure import at_work, in_backbone, unwrap_peft
from hf_ssl.tasks.base import TaskModule, TaskRows, head_inputs, last_linear


def set_head(module: TaskModule, rows: TaskRows, classes: int) -> str | None:
    """Start the last linear layer from logistic regression on frozen features.

    Returns:
        What was done; None where there is no such layer, or two whose answers are averaged (a distilled DeiT).
    """
    layer = last_linear(module.model)
    if layer is None or layer.bias is None or layer.out_features != classes:
        return None
    inside = in_backbone(unwrap_peft(module.model))
    named = unwrap_peft(module.model).named_modules()
    heads = [m for name, m in named if isinstance(m, nn.Linear) and m.out_features == classes and not inside(name)]
    if len(heads) > 1:
        return None
    inputs, labels = head_inputs(module, rows)
    weight, bias, note = fit_head(inputs, labels, classes)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
    return note


@one_blas_thread()
def fit_head(inputs: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Multinomial logistic regression as weights of a linear layer; classes without examples get a low bias.

    Returns:
        weight `(classes, width)`, bias `(classes,)`, and a note.
    """
    from sklearn.linear_model import LogisticRegression

    # With a weaker penalty than a probe's, more features than examples fit the labels so well that the loss is 0, and
    # fine-tuning has nothing left to learn from: EfficientNet-Lite0 on 640 labeled pictures started at .002.
    # Inputs that hardly differ (a network with random weights) would need weights so large that the first step of
    # training throws every answer over: below a fiftieth of their size, differences count as noise.
    mean = inputs.mean(0)
    spread = max(inputs.std(0).mean(), 0.02 * np.sqrt(np.square(inputs).mean()), 1e-8)
    fitted = LogisticRegression(C=fixed_c(inputs.shape[1]), max_iter=500).fit((inputs - mean) / spread, labels)
    weight = np.zeros((classes, inputs.shape[1]), dtype=np.float32)
    bias = np.full(classes, -10.0, dtype=np.float32)
    present = fitted.classes_
    if len(present) == 2:  # scikit-learn keeps one row for two classes
        rows, offsets = (
            np.concatenate([-fitted.coef_, fitted.coef_]) / 2,
            np.concatenate([-fitted.intercept_, fitted.intercept_]) / 2,
        )
    else:
        rows, offsets = fitted.coef_, fitted.intercept_
    weight[present] = rows / spread
    bias[present] = offsets - (rows / spread) @ mean
    return weight, bias, f"head starts from logistic regression on {len(labels)} frozen examples"


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True), dtype=np.float64)
    return shifted / shifted.sum(-1, keepdims=True)


def by_class(names: Sequence[str], chances: np.ndarray) -> dict[str, float]:
    """Probability of every class (or label) of one example, by name."""
    return {str(name): float(chance) for name, chance in zip(names, chances, strict=True)}


def forecast_pairs(
    module: TaskModule, layer: nn.Module, rows: TaskRows, most: int, residual: bool
) -> tuple[np.ndarray, np.ndarray]:
    """What reaches the head of a forecasting model and what it should answer, for wholly observed futures.

    Args:
        most: windows that are looked at.
        residual: the head gives the difference from the seasonal-naive forecast.

    Returns:
        `(windows x channels, width)` and `(windows x channels, horizon)`, in spreads of the window.
    """
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int))
    features = [rows[int(row)] for row in chosen]
    caught: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda m, args, out: caught.append(args[0].float().cpu()))
    inputs, targets = [], []
    was_training = module.training
    module.eval()
    try:
        with at_work(module) as device:
            for start in range(0, len(features), 256):
                batch = {k: v.to(device) for k, v in module.collate(features[start : start + 256]).items()}
                labels, naive, _ = batch.pop("labels"), batch.pop("naive"), batch.pop("series")
                batch.pop("steady", None)
                caught.clear()
                with torch.inference_mode():
                    output = module.model(**batch)
                level = naive if residual else output.loc
                scaled = ((labels - level) / output.scale).clamp(-10, 10).transpose(1, 2).cpu()
                whole = (labels != MISSING).all(dim=1).cpu()
                inputs.append(caught[0].reshape(*whole.shape, -1)[whole].numpy())
                targets.append(scaled[whole].numpy())
    finally:
        handle.remove()
        module.train(was_training)
    return np.concatenate(inputs), np.concatenate(targets)
