"""Linear maps in closed form, for forecasts."""

from __future__ import annotations

import numpy as np

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
