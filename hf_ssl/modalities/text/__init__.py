"""Text: reading, tokenizing, packing, pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_ssl.modalities.text.text import Text as Text


def __getattr__(name: str) -> object:
    """The class under the shorter path too, loaded when it is asked for."""
    if name != "Text":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hf_ssl.modalities.text import text

    return text.Text
