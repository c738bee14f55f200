"""Columns that hold something inside: structures (`review.text` names what is in them), text as bytes, words and tags written as one text."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import replace

import datasets

from hf_ssl.core.one_column import type_of, values_of
from hf_ssl.data.column_names import named, structures
from hf_ssl.data.columns import ColumnSpec
from hf_ssl.data.readers.folders import ReadOptions, SourcePart

SAMPLE = 200


def opened(parts: list[SourcePart], spec: ColumnSpec, how: ReadOptions) -> list[SourcePart]:
    """Columns as the options name them: `input_column="review.text"` is the value `text` in the structures of `review`.

    Args:
        parts: as they were read.
        spec: what the user says about columns.
        how: told what was opened.
    """
    asked = [
        name
        for name in (
            spec.input,
            spec.label,
            spec.group,
            spec.id,
            spec.pair,
            spec.tokens,
            spec.tags,
            *spec.labels,
            *spec.keep,
        )
        if name
    ]
    for value in vars(how.modality.config).values():
        asked += (
            [value]
            if isinstance(value, str)
            else [one for one in value if isinstance(one, str)]
            if isinstance(value, list)
            else []
        )
    done = []
    for part in parts:
        dataset = part.dataset
        while any("." in name and name not in dataset.column_names and _inside(dataset, name) for name in asked):
            dataset = dataset.flatten()
        if how.modality.name == "text":
            dataset = _decoded(dataset, part.origin, how)
            if how.label_kind == "tags" or spec.tags is not None:
                dataset = _split(
                    dataset,
                    [
                        spec.tokens or "tokens",
                        *([spec.tags] if spec.tags else ("tags", "ner_tags", "labels", "label")),
                    ],
                    part.origin,
                    how,
                )
        done.append(part if dataset is part.dataset else replace(part, dataset=dataset))
    return done


def _inside(dataset: datasets.Dataset, name: str) -> bool:
    """Whether a column of structures holds what this name begins with."""
    return any(name.startswith(f"{column}.") for column in structures(dataset))


def _decoded(dataset: datasets.Dataset, origin: str, how: ReadOptions) -> datasets.Dataset:
    for name, feature in dataset.features.items():
        if getattr(feature, "dtype", None) not in ("binary", "large_binary"):
            continue
        try:
            text = [None if value is None else value.decode("utf-8") for value in dataset[name]]
        except UnicodeDecodeError:
            continue
        how.report.decide(f"{origin}: column {name!r} holds bytes: read as UTF-8")
        place = dataset.column_names
        dataset = (
            dataset.remove_columns(name).add_column(name, text, feature=datasets.Value("string")).select_columns(place)
        )
    return dataset


def _split(dataset: datasets.Dataset, names: Sequence[str], origin: str, how: ReadOptions) -> datasets.Dataset:
    """Words and tags in one text each become lists: `"B-PER O O"`, `"['B-PER', 'O', 'O']"`."""
    for wanted in names:
        name = named(wanted, dataset.column_names)
        if name is None or getattr(type_of(dataset, name), "dtype", None) not in ("string", "large_string"):
            continue
        head = [value for value in values_of(dataset, name, SAMPLE) if value]
        lists = bool(head) and all(_list_in(value) is not None for value in head)
        if not lists and not any(len(value.split()) > 1 for value in head):
            continue  # one word per row
        made = [
            None if value is None else (_list_in(value) or value.split()) if lists else value.split()
            for value in dataset[name]
        ]
        what = "lists written as text" if lists else "several words in one text, cut at blanks"
        how.report.warn(
            f"{origin}: column {name!r} holds {what}: {head[0][:40]!r} is {made[0][:3] if made[0] else []} ..."
        )
        place = dataset.column_names
        dataset = (
            dataset.remove_columns(name)
            .add_column(name, made, feature=datasets.List(datasets.Value("string")))
            .select_columns(place)
        )
    return dataset


def _list_in(text: str) -> list[str] | None:
    """`"['a', 'b']"`, `'["a", "b"]'` → the list, None: it is none. numpy writes no commas."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            made = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return [str(value) for value in made] if isinstance(made, list) else None
    return None
