"""How recordings are read, cut and varied: the options of the modality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hf_ssl.core.fields import Options, option


@dataclass
class AudioOptions(Options):
    """How recordings are read and cut."""

    sampling_rate: int = option(16_000, "Samples per second of the decoded copy.", ge=1)
    max_seconds: float = option(20.0, "Longer recordings are cut into equal pieces, which stay in one split.", gt=0)
    min_seconds: float = option(0.1, "Shorter recordings are quarantined.", ge=0)
    silence_db: float = option(-70.0, "Below this level (of full scale) it is silence and quarantined.", le=0)
    max_clipped: float = option(0.05, "Largest share of samples at the limit; more is quarantined.", ge=0, le=1)
    audio_root: str | None = option(None, "Folder of the paths in tables (default: the table's, then the current).")
    start_column: str | None = option(
        None, "Column with the beginning of a row's part of a recording (default: start, onset ...)."
    )
    end_column: str | None = option(None, "Column with its end (default: end, stop ...).")
    duration_column: str | None = option(None, "Column with its length (default: duration).")
    time_unit: Literal["s", "ms", "us", "min", "samples"] | None = option(
        None, "Unit of those columns (default: by their names, else seconds)."
    )
    full_scale: float = option(
        1.0, "Value of full scale in files of floating-point samples (32768: of 16 bits).", gt=0
    )
    window: float | None = option(
        None, "Seconds that a fixed-window encoder (Whisper: 30) is cut down to; the shorter, the faster.", gt=0
    )
    view_share: float = option(0.6, "Smallest share of a clip that a random view may be (simclr, vicreg).", gt=0, le=1)
    view_speed: float = option(0.1, "Largest change of speed and pitch in a view (0.1: 10 % up or down).", ge=0, lt=1)
    view_noise: float = option(5.0, "Decibels that the strongest noise in a view lies below the clip.")
    view_gap: float = option(0.2, "Largest share of a view that is silenced.", ge=0, lt=1)
    layer_sum: bool | None = option(
        None,
        "The task's head reads a learned mixture of all layers, not the last one (default: for classes, where it can).",
    )
