"""What an objective that compares random views says about them, whatever they are views of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """How one view of an example is drawn. Sizes and crops; the rest has a meaning for pictures only.

    Args:
        size: side as a share of the model's input (local crops of multi-crop are smaller).
        scale, ratio: area share and aspect ratio of the random crop.
        flip, flip_vertical, turn: probabilities of a mirror image, an upside-down one, a random quarter turn.
        color: strength of brightness, contrast, saturation, hue.
        color_chance, gray, blur, solarize: probabilities.
        sigma: of the blur in pixels at side 224, scaled with the side.
        cubic: bicubic instead of bilinear resampling.
    """

    size: float = 1.0
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    flip_vertical: float = 0.0
    turn: float = 0.0
    color: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    color_chance: float = 0.8
    gray: float = 0.0
    blur: float = 0.0
    sigma: tuple[float, float] = (0.1, 2.0)
    solarize: float = 0.0
    cubic: bool = False

    @property
    def mixes(self) -> bool:
        """Whether colors change."""
        return any(self.color) or bool(self.gray)


class ViewPlan(tuple[tuple[View, ...], ...]):
    """The views of an objective: `ViewPlan((View(), View(blur=0.1)))`. Views of one group have one shape and one batch.

    An objective owns its plan; the kind of data fits it to what the user says about the data.
    """

    def __new__(cls, *groups: tuple[View, ...]) -> ViewPlan:
        return super().__new__(cls, groups)

    def __getnewargs__(self) -> tuple[tuple[View, ...], ...]:
        return tuple(self)
