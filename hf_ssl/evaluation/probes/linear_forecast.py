"""The linear forecaster that a network has to beat."""

from __future__ import annotations

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.timeseries.windows import Windows, fill

LEAST = 8  # windows
PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)


def ridge(
    inputs: np.ndarray, targets: np.ndarray, *, held: tuple[np.ndarray, np.ndarray] | None = None, loss: str = "mse",
    nothing: bool = False,
) -> tuple[np.ndarray, np.ndarray, float]:  # fmt: skip
    """Ridge regression, its penalty chosen on held-out rows.

    Args:
        inputs: `(rows, width)`.
        targets: `(rows, outputs)`.
        held: the same of a later time; without it the last fifth of the rows (the latest windows of a series) choose.
        loss: what they choose by, `"mse"` or `"mae"`.
        nothing: whether to answer 0 throughout is a choice too, as an infinite penalty (where 0 is a good answer: the
            difference from a naive forecast).

    Returns:
        weight `(outputs, width)`, bias `(outputs,)`, penalty.
    """
    from sklearn.linear_model import Ridge

    center, scale = inputs.mean(0), inputs.std(0).mean() + 1e-8
    scaled, cut = (inputs - center) / scale, len(inputs) if held else max(1, int(0.8 * len(inputs)))
    asked, truth = ((held[0] - center) / scale, held[1]) if held else (scaled[cut:], targets[cut:])

    def error(guess: np.ndarray | float) -> float:
        apart = np.abs(guess - truth)
        return float((apart if loss == "mae" else apart**2).mean())

    errors = [error(Ridge(alpha=p).fit(scaled[:cut], targets[:cut]).predict(asked)) for p in PENALTIES]
    if nothing and error(0.0) <= min(errors):
        width, outputs = inputs.shape[1], targets.shape[1]
        return np.zeros((outputs, width), np.float32), np.zeros(outputs, np.float32), float("inf")
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


def linear_forecast(
    train: Windows, test: Windows, most: int = 20_000, loss: str = "mse", held: Windows | None = None
) -> np.ndarray:
    """DLinear in closed form.

    DLinear (Zeng et al. 2023, arXiv:2205.13504) applies one linear map to the trend of a window and another to the rest.
    Both parts are linear in the window, so the sum is one linear map of it, and its least-squares fit needs no training loop
    (Toner and Darlow 2024, arXiv:2403.14587). Each window's mean is taken off first and put back.

    Args:
        train: windows to fit on; those whose future was not wholly observed are left out, evenly thinned to `most`.
        test: windows to forecast, scaled like `train`.
        most: windows to fit on at most.
        loss: `"mse"`, or `"mae"`, which is what MASE measures.
        held: windows of a later time to choose the penalty on (default: the latest of `train`).

    Returns:
        `(windows, horizon, channels)`, in the units of the windows.

    Raises:
        DataError: too few windows to fit.
    """
    known, chooses = _centered(train, most), _centered(held, most) if held is not None and len(held) else None
    if len(known[0]) < LEAST:
        raise DataError(f"A linear forecaster needs {LEAST} windows with a whole future, found {len(known[0])}.")
    if chooses is not None and len(chooses[0]) < LEAST:
        chooses = None
    weight, bias, penalty = ridge(*known, held=chooses, loss=loss)
    if loss == "mae":
        weight, bias = least_absolute(*known, weight, bias, penalty)
    parts = []
    for start in range(0, len(test), 4096):
        asked, _ = _flat(test, np.arange(start, min(start + 4096, len(test))))
        level = asked.mean(axis=1, keepdims=True)
        parts.append((asked - level) @ weight.T + bias + level)
    answer = np.concatenate(parts).reshape(len(test), test.series[0].shape[0], -1)
    return answer.transpose(0, 2, 1)


def _centered(windows: Windows, most: int) -> tuple[np.ndarray, np.ndarray]:
    """At most so many windows, evenly thinned, without their mean and without those whose future has gaps."""
    past, future = _flat(windows, np.unique(np.linspace(0, len(windows) - 1, min(len(windows), most)).astype(int)))
    mean, whole = past.mean(axis=1, keepdims=True), ~np.isnan(future).any(axis=1)
    return (past - mean)[whole], (future - mean)[whole]


def _flat(windows: Windows, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """History and future, one row per window and channel."""
    past, future, _ = windows.batch(list(rows))
    filled, _ = fill(past)
    by_channel = [part.transpose(0, 2, 1).reshape(-1, part.shape[1]) for part in (filled, future)]
    return by_channel[0], by_channel[1]
