"""The linear forecaster that a network has to beat."""

from __future__ import annotations

import numpy as np

from hf_ssl.modalities._windows import Windows, fill

PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)


def ridge(inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Ridge regression, its penalty chosen on the last fifth of the rows (the latest windows of a series).

    Args:
        inputs: `(rows, width)`.
        targets: `(rows, outputs)`.

    Returns:
        weight `(outputs, width)`, bias `(outputs,)`, penalty.
    """
    from sklearn.linear_model import Ridge

    center, scale = inputs.mean(0), inputs.std(0).mean() + 1e-8
    scaled, cut = (inputs - center) / scale, max(1, int(0.8 * len(inputs)))
    errors = []
    for penalty in PENALTIES:
        fitted = Ridge(alpha=penalty).fit(scaled[:cut], targets[:cut])
        errors.append(float(((fitted.predict(scaled[cut:]) - targets[cut:]) ** 2).mean()))
    best = PENALTIES[int(np.argmin(errors))]
    fitted = Ridge(alpha=best).fit(scaled, targets)
    weight = np.atleast_2d(fitted.coef_) / scale  # scikit-learn drops the axis of a single output
    return weight.astype(np.float32), (fitted.intercept_ - weight @ center).astype(np.float32), best


def least_absolute(
    inputs: np.ndarray, targets: np.ndarray, weight: np.ndarray, bias: np.ndarray, penalty: float, rounds: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Go on from a least-squares fit to least absolute errors, by iteratively reweighted least squares.

    Args:
        inputs, targets, weight, bias, penalty: as in and from `ridge`.
        rounds: of reweighting.
    """
    center, scale = inputs.mean(0), inputs.std(0).mean() + 1e-8
    design = np.concatenate([(inputs - center) / scale, np.ones((len(inputs), 1))], axis=1).astype(np.float64)
    solved = np.concatenate([weight * scale, (bias + weight @ center)[:, None]], axis=1).astype(np.float64)
    ridge_term = np.diag(np.append(np.full(inputs.shape[1], penalty), 0.0))
    for _ in range(rounds):
        residual = np.abs(targets - design @ solved.T)
        floor = 1e-3 * residual.mean()
        for output in range(targets.shape[1]):
            importance = 1.0 / np.maximum(residual[:, output], floor)
            importance /= importance.mean()
            weighted = design * importance[:, None]
            solved[output] = np.linalg.solve(weighted.T @ design + ridge_term, weighted.T @ targets[:, output])
    found = solved[:, :-1] / scale
    return found.astype(np.float32), (solved[:, -1] - found @ center).astype(np.float32)


def linear_forecast(train: Windows, test: Windows, most: int = 20_000, loss: str = "mse") -> np.ndarray:
    """DLinear in closed form.

    DLinear (Zeng et al. 2023, arXiv:2205.13504) applies one linear map to the trend of a window and another to the rest.
    Both parts are linear in the window, so the sum is one linear map of it, and its least-squares fit needs no training loop
    (Toner and Darlow 2024, arXiv:2403.14587). Each window's mean is taken off first and put back.

    Args:
        train: windows to fit on; those whose future was not wholly observed are left out, evenly thinned to `most`.
        test: windows to forecast, scaled like `train`.
        most: windows to fit on at most.
        loss: `"mse"`, or `"mae"`, which is what MASE measures.

    Returns:
        `(windows, horizon, channels)`, in the units of the windows.
    """
    rows = np.unique(np.linspace(0, len(train) - 1, min(len(train), most)).astype(int))
    past, future = _flat(train, rows)
    whole = ~np.isnan(future).any(axis=1)
    mean = past.mean(axis=1, keepdims=True)
    known = (past - mean)[whole], (future - mean)[whole]
    weight, bias, penalty = ridge(*known)
    if loss == "mae":
        weight, bias = least_absolute(*known, weight, bias, penalty)
    asked, _ = _flat(test, np.arange(len(test)))
    level = asked.mean(axis=1, keepdims=True)
    answer = (asked - level) @ weight.T + bias + level
    channels = test.series[0].shape[0]
    return answer.reshape(len(test), channels, -1).transpose(0, 2, 1)


def _flat(windows: Windows, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """History and future, one row per window and channel."""
    past, future, _ = windows.batch(list(rows))
    filled, _ = fill(past)
    return tuple(part.transpose(0, 2, 1).reshape(-1, part.shape[1]) for part in (filled, future))  # type: ignore[return-value]
