"""How time series are read, cut and shown to a model: the options of the modality."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class SeriesOptions:
    """How series are read, cut and shown to a model."""

    horizon: int | None = field(default=None, metadata={"help": "Steps to forecast; cuts the series in time."})
    context_length: int | None = field(
        default=None, metadata={"help": "Steps of history (default: four horizons, at most 512)."}
    )
    frequency: str | None = field(default=None, metadata={"help": "Step, such as h, 15min, D, MS (default: found)."})
    season: int | None = field(default=None, metadata={"help": "Steps in a season (default: by frequency, 24 for h)."})
    timestamp_column: str | None = field(default=None, metadata={"help": "Column with the time."})
    item_column: str | None = field(default=None, metadata={"help": "Column that tells series apart."})
    target_columns: list[str] = field(
        default_factory=list, metadata={"help": "Columns to forecast (default: all numbers)."}
    )
    past_covariates: list[str] = field(
        default_factory=list, metadata={"help": "Columns known up to now, not forecast."}
    )
    known_covariates: list[str] = field(
        default_factory=list, metadata={"help": "Columns known in advance, not forecast."}
    )
    static_columns: list[str] = field(default_factory=list, metadata={"help": "Columns that are constant per series."})
    duplicates: Literal["last", "first", "mean", "fail"] = field(
        default="last", metadata={"help": "Which of rows with one stamp."}
    )
    train_fraction: float = field(
        default=1.0, metadata={"help": "Train on the latest part of the training span only."}
    )
    cut: Literal["shared", "each"] = field(
        default="shared", metadata={"help": "One moment cuts all series, or each is cut by its own length."}
    )
    stride: int = field(
        default=1, metadata={"help": "Distance between training windows; best without a factor of the season."}
    )
    normalize: Literal["series", "none"] = field(
        default="series", metadata={"help": "Scale each example to mean 0, spread 1."}
    )
    rescale: bool = field(
        default=True,
        metadata={"help": "A model made from scratch scales whatever it is shown by its own mean and spread."},
    )
    patch_length: int | None = field(default=None, metadata={"help": "Patch of a model made from scratch."})
    patch_stride: int | None = field(
        default=None, metadata={"help": "Step between patches of a model made from scratch."}
    )
    width: int = field(default=64, metadata={"help": "Width of a model made from scratch."})
    layers: int = field(default=3, metadata={"help": "Layers of a model made from scratch."})
    mix_channels: bool | None = field(
        default=None,
        metadata={
            "help": "A model made from scratch lets channels see each other (default: where there are covariates)."
        },
    )

    @property
    def mixes(self) -> bool:
        """Covariates are of use only to a model whose channels see each other."""
        covariates = bool(self.past_covariates or self.known_covariates)
        return covariates if self.mix_channels is None else self.mix_channels
