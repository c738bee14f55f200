"""Columns that annotation tools write beside an input: verdicts, spans, boxes, what is said. They are read by no name, and told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.core.one_column import type_of
from hf_ssl.data.column_names import WORDS_AND_TAGS, plain_name, words_of_name
from hf_ssl.data.readers.files import ANSWERS_OF
from hf_ssl.data.report import DataReport

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import SourcePart

TRANSCRIPT_ALIASES = ("transcript", "transcription", "sentence", "normalized_text", "text")
ANNOTATIONS = {
    "spans",
    "entities",
    "annotations",
    "ents",
    "relations",
    "accept",
    "choices",
    "shapes",
    "completions",
    "predictions",
}
OUTLINES = re.compile(
    r"(?:.*_)?(?:bbox(?:es)?|box|boxes|polygons?|segmentations?|rle|encoded_pixels|keypoints?|landmarks|contours?|region_shape_attributes|region_attributes)"
)
CORNERS = (
    {"xmin", "ymin", "xmax", "ymax"},
    {"x1", "y1", "x2", "y2"},
    {"x", "y", "w", "h"},
    {"x", "y", "width", "height"},
    {"left", "top", "right", "bottom"},
)
"""What boxes and outlines of things in pictures are called."""


def refuse_annotations(ignored: list[str], part: SourcePart) -> None:
    """Spans and the like that annotation tools write beside a text, and that are not read.

    Raises:
        DataError: there are some.
    """
    for name in ignored:
        feature = type_of(part.dataset, name)
        if plain_name(name) in ANNOTATIONS and not isinstance(feature, (datasets.Value, datasets.ClassLabel)):
            raise DataError(
                f"Column {name!r} of {part.origin} holds annotations inside ({str(feature)[:60]}), which are "
                f"not read. {WORDS_AND_TAGS}. If they are not meant: ignore_columns=[{name!r}]."
            )


def tell_outlines(ignored: list[str], label: str | None, part: SourcePart, report: DataReport) -> None:
    """Boxes and outlines of things in pictures, which are not read: what is in a box is not the class of the whole picture.

    Raises:
        DataError: there is no label beside them.
    """
    plain = {name: "_".join(words_of_name(name.rpartition(".")[2])) for name in ignored}
    outlines = [name for name, words in plain.items() if OUTLINES.fullmatch(words)]
    for corners in CORNERS:
        found = [name for name, words in plain.items() if words.replace("_", "").removeprefix("bbox") in corners]
        outlines += [name for name in found if len(found) == len(corners) and name not in outlines]
    around = {name.rpartition(".")[0] for name in outlines} - {""}
    outlines += [name for name in ignored if name.rpartition(".")[0] in around and name not in outlines]
    if not outlines:
        return
    what = f"columns {', '.join(outlines[:6])} of {part.origin} say where something is in a picture, and are not read"
    if label is None:
        raise DataError(
            f"{what[0].upper()}{what[1:]}: pictures would have no label. For classes of whole pictures write a column of them, for masks one of "
            f"paths to masks (label_column=...); if none is meant: ignore_columns={outlines}."
        )
    report.warn(
        f"{what}: {label!r} is taken for the class of the whole picture. If it is that of a part, cut the parts out, one file each; "
        f"ignore_columns={outlines} says that whole pictures are meant"
    )


def tell_transcripts(said: list[str], part: SourcePart, report: DataReport) -> None:
    """A column of recordings that is called as transcripts are."""
    for name in said[:1] if part.split in (None, "train") else ():
        report.warn(
            f"column {name!r} of {part.origin} may be what is said, and is not used: label_kind='transcript' takes it as the answer, "
            f"ignore_columns=[{name!r}] says that it is not wanted"
        )


def tell_second_files(ignored: list[str], used: str, modality: str, part: SourcePart, report: DataReport) -> None:
    """Columns of files that are not used, beside the one that is: the second of a pair of pictures, masks, another camera."""
    for name in ignored:
        feature = part.dataset.features[name] if name != "path" else None
        if type(feature).__name__.lower() != modality:
            continue
        mask = not ANSWERS_OF.isdisjoint(words_of_name(name))
        other = (
            f"label_column={name!r} with label_kind='mask' takes it for the answer"
            if mask
            else f"input_column={name!r} reads it instead"
        )
        report.warn(
            f"{part.origin}: column {name!r} names {modality} files, too, and is not used, as a row has one ({used!r}): {other}, "
            f"ignore_columns=[{name!r}] says that this is meant"
        )
