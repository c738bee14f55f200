"""Pictures of a stream: each is decoded once, when it is shown to the model, and nothing is remembered of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.modalities.image.files import Unreadable, as_reference, dimensions, refuse_bomb
from hf_ssl.modalities.image.image import Image

if TYPE_CHECKING:
    import datasets


class StreamedImage(Image):
    """As `Image`, but a picture is looked at by its header, and told from others by the bytes of its file."""

    def validate(self, value: object) -> str | None:
        try:
            refuse_bomb(*dimensions(value, self.reading), self.reading)
        except Unreadable as error:
            return str(error)
        return None

    def content_key(self, value: object) -> str:
        """Hash of the file as it is: a copy in another format counts as another picture here."""
        reference = as_reference(value)
        content = reference["bytes"] if reference["bytes"] is not None else Path(reference["path"]).read_bytes()
        return hashlib.blake2b(content, digest_size=16).hexdigest()

    def describe(self, dataset: datasets.Dataset) -> dict[str, Any]:
        return {}

    def remarks(self, values: Iterable[Any]) -> list[str]:
        return []
