"""Sounds and their classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hf_ssl.hub.pipelines.base import Classification, listening, save_clip

if TYPE_CHECKING:
    import numpy as np


class AudioClassification(Classification):
    """Shown on the samples of `clip.wav`."""

    tag: ClassVar[str] = "audio-classification"
    component: ClassVar[str | None] = 'gr.Audio(type="filepath", label="Sound")'
    requirements: ClassVar[tuple[str, ...]] = ("librosa",)

    def usage(self, repo: str, rate: int | None) -> str:
        return listening("classify", self.tag, repo, rate)

    def write_example(self, value: np.ndarray, rate: int | None) -> None:
        save_clip(value, rate)
