"""How time series are read, cut and shown to a model: the options of the modality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hf_ssl.core.fields import Options, option


@dataclass
class SeriesOptions(Options):
    """How series are read, cut and shown to a model."""

    # `normalize` says in other modalities what counts as the same content.
    renamed = {"normalize": "standardize"}

    horizon: int | None = option(None, "Steps to forecast; cuts the series in time.", ge=1)
    context_length: int | None = option(None, "Steps of history (default: four horizons, at most 512).", ge=1)
    frequency: str | None = option(None, "Step, such as h, 15min, D, MS (default: found).")
    season: int | None = option(None, "Steps in a season (default: by frequency, 24 for h).", ge=1)
    day_first: bool | None = option(
        None, "Dates such as 05/01/2023 have the day first (asked for where both are possible)."
    )
    timestamp_format: str | None = option(
        None,
        "How time stamps are written, such as %d.%m.%Y %H:%M or %Y%m%d; of numbers also %G%V (201801: ISO weeks) and %Y%q (20181: quarters).",
    )
    timestamp_unit: Literal["s", "ms", "us", "ns", "days", "excel", "julian", "mjd"] | None = option(
        None, "Unit of numeric time stamps since 1970 (excel, julian, mjd: days as they count them)."
    )
    time_column: str | None = option(None, "Column with the time of day, beside the day.")
    max_missing: float = option(
        0.3, "Largest share of steps without a row; more means that stamps are misread.", ge=0, le=1
    )
    timestamp_column: str | None = option(None, "Column with the time.")
    item_column: str | None = option(None, "Column that tells series apart.")
    skip_items: list[str] = option(
        [], "Series that are left out, by their names in item_column: a total of the others."
    )
    channels_last: bool | None = option(
        None, "Arrays are (series, length, channels), not (series, channels, length) (asked for where they may be)."
    )
    label_position: Literal["first", "last", "none"] | None = option(
        None,
        "Which column of lines of numbers without a header is the label (default: found by what the outer two hold).",
    )
    target_columns: list[str] = option([], "Columns to forecast (default: all numbers).")
    past_covariates: list[str] = option([], "Columns known up to now, not forecast.")
    known_covariates: list[str] = option([], "Columns known in advance, not forecast.")
    static_columns: list[str] = option([], "Columns that are constant per series.")
    duplicates: Literal["last", "first", "mean", "fail"] | None = option(
        None, "Which of rows with one stamp (default: the last, while they are few)."
    )
    train_fraction: float = option(1.0, "Train on the latest part of the training span only.", gt=0, le=1)
    cut: Literal["shared", "each"] = option("shared", "One moment cuts all series, or each is cut by its own length.")
    stride: int = option(1, "Distance between training windows; best without a factor of the season.", ge=1)
    standardize: Literal["series", "none"] = option("series", "Scale each example to mean 0, spread 1.")
    rescale: bool = option(True, "A model made from scratch scales whatever it is shown by its own mean and spread.")
    patch_length: int | None = option(None, "Patch of a model made from scratch.", ge=1)
    patch_stride: int | None = option(None, "Step between patches of a model made from scratch.", ge=1)
    width: int = option(64, "Width of a model made from scratch.", ge=1)
    layers: int = option(3, "Layers of a model made from scratch.", ge=1)
    mix_channels: bool | None = option(
        None, "A model made from scratch lets channels see each other (default: where there are covariates)."
    )

    @property
    def mixes(self) -> bool:
        """Covariates are of use only to a model whose channels see each other."""
        covariates = bool(self.past_covariates or self.known_covariates)
        return covariates if self.mix_channels is None else self.mix_channels
