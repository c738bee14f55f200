"""Images and the class of every pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hf_ssl.hub.pipelines.base import ANSWERS, ServedPipeline, Serving, difference, logits_of, save_picture

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


class ImageSegmentation(ServedPipeline):
    """Scores of the model, and the areas that the pipeline makes of them."""

    tag: ClassVar[str] = "image-segmentation"

    def compare(self, serve: Serving, value: Picture, expected: np.ndarray) -> dict[str, float]:
        got = logits_of(serve.model, serve.image_processor(value))
        areas = {row["label"]: np.asarray(row["mask"]) > 0 for row in serve(value, subtask="semantic")}
        return {
            "areas": _unlike(areas, expected, serve.model.config.id2label),
            ANSWERS: difference(got, expected),
        }

    def usage(self, repo: str, rate: int | None) -> str:
        return (
            "from transformers import pipeline\n"
            f'segment = pipeline("{self.tag}", model="{repo}")\n'
            'print([area["label"] for area in segment("photo.png")])'
        )

    def write_example(self, value: Picture, rate: int | None) -> None:
        save_picture(value)


def _unlike(areas: dict[str, np.ndarray], scores: np.ndarray, names: dict[int, str]) -> float:
    """Fraction of an image's pixels that a segmentation gives to another class than `scores` `(classes, rows, columns)`."""
    import torch

    size = next(iter(areas.values())).shape
    fine = torch.nn.functional.interpolate(torch.from_numpy(scores)[None], size, mode="bilinear", align_corners=False)
    best = fine[0].argmax(0).numpy()
    none = np.zeros(size, dtype=bool)
    right = sum(int((areas.get(names[number], none) & (best == number)).sum()) for number in range(len(scores)))
    return 1 - right / best.size
