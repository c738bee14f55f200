"""Images and their classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hf_ssl.hub.pipelines.base import Classification, save_picture

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


class ImageClassification(Classification):
    """Shown on `photo.png`."""

    tag: ClassVar[str] = "image-classification"
    example: ClassVar[str] = "photo.png"
    component: ClassVar[str | None] = 'gr.Image(type="pil", label="Image")'
    requirements: ClassVar[tuple[str, ...]] = ("pillow",)

    def write_example(self, value: Picture, rate: int | None) -> None:
        save_picture(value)
