"""Columns that hold something inside: structures (`review.text` names what is in them), text as bytes, words and tags written as one text."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import replace

import datasets

from hf_ssl.core.one_column import type_of, values_of
from hf_ssl.data.annotations import ANNOTATIONS
from hf_ssl.data.column_names import named, plain_name, structures, structures_in_list
from hf_ssl.data.columns import LABEL_ALIASES, TAG_ALIASES, ColumnSpec
from hf_ssl.data.readers.folders import ReadOptions, SourcePart
from hf_ssl.data.readers.tables import quiet
from hf_ssl.data.tags import cut_tags

SAMPLE, MOST_COLUMNS = 200, 500


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
        dataset = _flat(_from_lists(part.dataset, asked), asked, spec.ignore, how)
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


def _flat(
    dataset: datasets.Dataset, asked: Sequence[str], ignore: Sequence[str], how: ReadOptions
) -> datasets.Dataset:
    """Structures as columns (`meta.label`), so that whatever is told of a column is told of what lies in structures, too.

    Those that are used as they are stay: the content, labels (which of their values is meant is asked), what an option names.
    """
    whole = {*LABEL_ALIASES, *TAG_ALIASES, *ANNOTATIONS, how.modality.column, *how.modality.aliases}
    while True:
        opening = [
            name
            for name, inside in ((one, dataset.features[one]) for one in structures(dataset))
            if any(one.startswith(f"{name}.") and one not in dataset.column_names for one in asked)
            or _holds_values(inside)
            and not (plain_name(name) in whole or name in asked or name in ignore)
            and not ({"bytes", "path"} <= set(inside) or "array" in inside)
            and len(dataset.column_names) + len(inside) <= MOST_COLUMNS
        ]
        if not opening:
            return dataset
        place = dataset.column_names
        inner = dataset.select_columns(opening).flatten()
        rest = [name for name in place if name not in opening]
        with quiet():
            made = datasets.concatenate_datasets([dataset.select_columns(rest), inner], axis=1) if rest else inner
        under = {name: [one for one in inner.column_names if one.startswith(f"{name}.")] for name in opening}
        dataset = made.select_columns([one for name in place for one in under.get(name, [name])])


def _holds_values(inside: object) -> bool:
    """Whether a structure holds what could be a column: `{}` in all rows does not, nor does `{"x": {}}`."""
    return any(map(_holds_values, inside.values())) if isinstance(inside, dict) else True


def _from_lists(dataset: datasets.Dataset, asked: Sequence[str]) -> datasets.Dataset:
    """`label_column="labels.name"` for lists of structures: a column of lists of what each calls `name`."""
    for name, feature in list(dataset.features.items()):
        inside = structures_in_list(feature)
        for key in inside:
            new = f"{name}.{key}"
            if new in asked and new not in dataset.column_names:
                values = [
                    None if row is None else [one[key] for one in row if one is not None] for row in dataset[name]
                ]
                with quiet():
                    dataset = dataset.add_column(new, values, feature=datasets.List(inside[key]))
    return dataset


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
        cut = cut_tags if name != named(names[0], dataset.column_names) else str.split
        if not lists and not any(len(cut(value)) > 1 for value in head):
            continue  # one word per row
        made = [
            None if value is None else (_list_in(value) or cut(value)) if lists else cut(value)
            for value in dataset[name]
        ]
        marks = "at blanks" if any(len(value.split()) > 1 for value in head) else "at commas and the like"
        what = "lists written as text" if lists else f"several words in one text, cut {marks}"
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
    text = re.sub(r"(['\"])\s+(?=['\"])", r"\1, ", text)  # Python would join what stands side by side
    for read in (json.loads, ast.literal_eval):
        try:
            made = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return [str(value) for value in made] if isinstance(made, list) else None
    return None
