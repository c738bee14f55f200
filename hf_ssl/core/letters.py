"""Letters of other scripts that look as Latin ones do."""

from __future__ import annotations

LOOK_ALIKE: dict[int, int | str | None] = dict(
    str.maketrans(
        "АВЕЅІЈКМНОРСТХУаеѕіјорсхуԁԛԝһΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",
        "ABESIJKMHOPCTXYaesijopcxydqwhABEZHIKMNOPTYXo",
    )
)
"""Cyrillic and Greek letters, for `str.translate`."""
