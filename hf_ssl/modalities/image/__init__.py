"""Images: reading, geometry, random views, backbones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_ssl.modalities.image.image import Image as Image


def __getattr__(name: str) -> object:
    """The class under the shorter path too, loaded when it is asked for."""
    if name != "Image":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hf_ssl.modalities.image import image

    return image.Image
