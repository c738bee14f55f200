"""Letters of other scripts that look as Latin ones do, and letters whose accents stand apart."""

from __future__ import annotations

import unicodedata

LOOK_ALIKE: dict[int, int | str | None] = dict(
    str.maketrans(
        "АВЕЅІЈКМНОРСТХУаеѕіјорсхуԁԛԝһΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",
        "ABESIJKMHOPCTXYaesijopcxydqwhABEZHIKMNOPTYXo",
    )
)
"""Cyrillic and Greek letters, for `str.translate`."""


def composed(text: str) -> str:
    """A text with its accents composed: some systems write them apart from their letters, in names of files above all."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
