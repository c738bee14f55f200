"""Images and the vectors of their patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hf_ssl.hub.pipelines.base import ANSWERS, ServedPipeline, Serving, difference, save_picture

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


class ImageFeatureExtraction(ServedPipeline):
    """The last hidden states."""

    tag: ClassVar[str] = "image-feature-extraction"

    def compare(self, serve: Serving, value: Picture, expected: np.ndarray) -> dict[str, float]:
        return {ANSWERS: difference(np.asarray(serve(value)[0], dtype=np.float32), expected)}

    def usage(self, repo: str, rate: int | None) -> str:
        return (
            "from transformers import pipeline\n"
            f'extract = pipeline("{self.tag}", model="{repo}")\n'
            'print(len(extract("photo.png")[0]))'
        )

    def write_example(self, value: Picture, rate: int | None) -> None:
        save_picture(value)
