"""Audio: reading, resampling, random views, spectrograms, backbones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_ssl.modalities.audio.audio import Audio as Audio


def __getattr__(name: str) -> object:
    """The class under the shorter path too, loaded when it is asked for."""
    if name != "Audio":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hf_ssl.modalities.audio import audio

    return audio.Audio
