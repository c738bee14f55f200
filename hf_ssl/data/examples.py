"""A few examples per split and class, for a person to see that the data are what they are taken for.

They hold content, so they are never part of the report (which may be published) but of a page beside it, which is not.
A modality says how a value is shown with `preview(value) -> (text, png or None)`; anything else is shown as text.
"""

from __future__ import annotations

import base64
import html
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import datasets

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality

SHOWN = 3
CLASSES = 20
MOST = 12  # of a part, in a terminal
HEAD = 160
STYLE = "body{font:14px sans-serif;margin:2em}td{padding:4px 12px;vertical-align:top;border-top:1px solid #ddd}img{image-rendering:pixelated}"


@dataclass(frozen=True)
class Example:
    """One row as a person sees it: a line of text, and a thumbnail (PNG) where there is one."""

    split: str
    label: str
    id: str
    text: str
    picture: bytes | None = None


def examples_of(splits: Mapping[str, datasets.Dataset], modality: Modality, count: int = SHOWN) -> Iterator[Example]:
    """The first rows of every split and class.

    Args:
        splits: canonical splits.
        modality: how its values are shown.
        count: rows of every class, at most; of at most 20 classes.
    """
    for split, dataset in splits.items():
        chosen: dict[str, list[int]] = defaultdict(list)
        for row, label in enumerate(_labels(dataset)):
            if label in chosen or len(chosen) < CLASSES:
                chosen[label].append(row)
        for label in sorted(chosen):
            for row in dataset.select(chosen[label][:count]):
                value = row.get(modality.column, row.get("tokens"))
                text, picture = preview_of(modality, value)
                yield Example(split, label, str(row.get("id", "")), text, picture)


def _labels(dataset: datasets.Dataset) -> list[str]:
    feature = dataset.features.get("label")
    if isinstance(feature, datasets.ClassLabel):
        return [feature.names[label] for label in dataset["label"]]
    return [""] * len(dataset)


def preview_of(modality: Modality, value: object) -> tuple[str, bytes | None]:
    """A value as a person sees it: a line of text, and a thumbnail (PNG) where there is one."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        value = " ".join(value)
    if hasattr(modality, "preview") and not isinstance(value, str):
        return modality.preview(value)
    text = " ".join(str(value).split())
    return (text if len(text) <= HEAD else text[:HEAD] + " ..."), None


def as_text(examples: list[Example], most: int = MOST) -> str:
    """Lines for a terminal: of every part at most so many, one of each class before a second of any."""
    lines = []
    for split in dict.fromkeys(one.split for one in examples):
        own = [one for one in examples if one.split == split]
        seen: Counter[str] = Counter()
        turns = []
        for one in own:
            turns.append((seen[one.label], one))
            seen[one.label] += 1
        shown = [one for _, one in sorted(turns, key=lambda turn: turn[0])[:most]]
        lines += [
            f"  {one.split:<12} {one.label:<12} {one.text}" if one.label else f"  {one.split:<12} {one.text}"
            for one in shown
        ]
        if len(own) > len(shown):
            lines.append(
                f"  {split:<12} ... and {len(own) - len(shown)} more: hf-ssl data SOURCE --save FOLDER writes a page of them"
            )
    return "\n".join(lines)


def as_json(examples: list[Example]) -> str:
    """For the run's own page: what `Example` has, pictures in base64."""
    rows = [
        {
            "split": one.split, "label": one.label, "id": one.id, "text": one.text,
            "picture": None if one.picture is None else base64.b64encode(one.picture).decode(),
        }
        for one in examples
    ]  # fmt: skip
    return json.dumps(rows, ensure_ascii=False)


def as_page(examples: list[Example], title: str) -> str:
    """A page of its own; whatever the data hold is escaped."""
    rows = []
    for one in examples:
        picture = ""
        if one.picture is not None:
            picture = f'<img width="96" src="data:image/png;base64,{base64.b64encode(one.picture).decode()}" alt="">'
        cells = [
            html.escape(one.split),
            html.escape(one.label),
            picture + " " + html.escape(one.text),
            html.escape(one.id),
        ]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style></head><body>'
        f"<h1>{name}</h1><p>Examples of every split and class. This page holds rows of the data; it is never published.</p>"
        "<table><tr><th>split</th><th>class</th><th>example</th><th>id</th></tr>"
        + "\n".join(rows)
        + "</table></body></html>\n"
    )
