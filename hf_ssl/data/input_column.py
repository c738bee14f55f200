"""Which column holds the content, and what to say where none is known to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import datasets

from hf_ssl.core.by_name import ByName
from hf_ssl.core.errors import DataError
from hf_ssl.core.one_column import type_of, values_of
from hf_ssl.data.column_names import (
    called_as_label,
    existing,
    named,
    pair_of,
    plain_name,
    shown,
    structures_in_list,
)
from hf_ssl.data.label_words import as_float
from hf_ssl.data.readers.folders import ReadOptions, SourcePart
from hf_ssl.data.readers.headers import NAME_OF_FILE, are_values, names_by_content
from hf_ssl.data.tags import TAGS, WORDS, find_word_table, is_words

NAME_OF_TEXT = re.compile(r"\S(?:.*\S)?\.(?:txt|text|md|html?|xml|json|pdf|docx?|rtf)", re.IGNORECASE)

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality


def input_column(modality: Modality, given: str | None, part: SourcePart) -> str:
    """Name of the column that holds the content: the one given, else the first known name, else the pool's only column.

    Raises:
        DataError: there is none.
    """
    there = part.dataset.column_names
    lower = {name.strip().lower() for name in there}
    if given is not None:
        return _of_texts(existing(given, there, "input_column", part), modality, part)
    found = [name for alias in (modality.column, *modality.aliases) if (name := named(alias, there))]
    typed = _of_its_kind(part, modality)
    if not found and len(typed) > 1:
        raise DataError(
            f"{len(typed)} columns of {part.origin} name {modality.name} files, and a row has one: "
            f"{' or '.join(f'input_column={name!r}' for name in typed[:5])}."
        )
    if not found and len(typed) == 1:  # the files that its values name are there, or it came so
        if NAME_OF_FILE.search(typed[0]):
            _refuse_no_header(modality, part)
        found = typed
    if not found and len(there) == 1 and part.split == "unlabeled" and not are_values(there, _texts(part)):
        found = list(there)
    if not found:
        if are_values(there, _texts(part)):
            _refuse_no_header(modality, part)
        rows = [name for name in there if modality.name == "text" and is_words(type_of(part.dataset, name))]
        if named_words := next((name for name in rows if plain_name(name) in WORDS), None):
            raise DataError(
                f"{part.origin} has no column of texts, but lists of words: {_as_words(named_words, part)}."
            )
        table = find_word_table(there) if modality.name == "text" and {"word", "token", "form"} & lower else None
        if table or (
            modality.name == "text"
            and {"word", "token", "words"} & lower
            and {"tag", "tags", "ner", "pos", "ner_tag"} & lower
        ):
            if table:
                raise DataError(
                    f"{part.origin} has words and tags ({shown(there)}), one word a row: label_kind='tags' reads them as sentences, by column "
                    f"{table[0]!r} (sentence_column={table[0]!r}; an empty cell means the sentence above)."
                )
            raise DataError(
                f"{part.origin} has words and tags ({shown(there)}), one word a row, and no column that says which sentence a word is of. Number "
                "the sentences in a column and name it: sentence_column=..., or write the table as CoNLL: a "
                "word and its tag in a line, a blank line between sentences."
            )
        _refuse_conversations(part)
        if len(there) == 1 and (mark := next((mark for mark in "\t;|," if mark in there[0].strip()), None)):
            raise DataError(
                f"{part.origin} has one column, {there[0]!r}, whose name holds {mark!r}: if that separates columns: csv_options={{'sep': {mark!r}}}; "
                f"else input_column={there[0]!r}."
            )
        _refuse_texts_inside(part)
        _refuse_pixels(part, modality.name)
        raise DataError(
            f"No column of {part.origin} is known to hold the {modality.name}. "
            f"Its columns: {shown(there)}. Say which one: {_likely_input(modality, part)}."
        )
    return _of_texts(found[0], modality, part)


def _refuse_no_header(modality: Modality, part: SourcePart) -> NoReturn:
    """The first line of a table is a row.

    Raises:
        DataError: with names to give.
    """
    there = part.dataset.column_names
    raise DataError(
        f"{part.origin} seems to have no header: its columns would be called {shown(there)}. Name them: "
        + (
            "csv_options={'names': [...]} (for all files); or add one to those that have none."
            if ", " in part.origin
            else f"csv_options={{'names': {names_by_content(there, _texts(part), modality.column)}}}, in your own words; or, if that "
            f"line does name them: {_likely_input(modality, part)}."
        )
    )


def _refuse_texts_inside(part: SourcePart) -> None:
    """Several texts in each row, in lists of structures, as SQuAD has paragraphs and questions.

    Raises:
        DataError: how to write them.
    """
    for name in part.dataset.column_names:
        inside = structures_in_list(type_of(part.dataset, name))
        texts = [key for key, kind in inside.items() if getattr(kind, "dtype", "") in ("string", "large_string")]
        if not texts:
            continue
        asked = (
            " (for questions, a row per question: question, context and the label)"
            if {"qas", "question"} & inside.keys()
            else ""
        )
        raise DataError(
            f"Column {name!r} of {part.origin} holds several texts in each row ({', '.join(inside)}), which are not read. Write each into a row of "
            f"its own, as JSON lines or a table with a column {texts[0]!r}{asked}, and give input_column={texts[0]!r}."
        )


MANY_NUMBERS = 49


def _refuse_pixels(part: SourcePart, kind: str) -> None:
    """A row of very many numbers is a picture or a series written out, which no column holds.

    Raises:
        DataError: nearly all columns are numbers, or one holds lists of them; what to do with such.
    """
    there = part.dataset.column_names
    texts = _texts(part)
    listed = next((name for name, values in zip(there, texts, strict=True) if _are_lists_of_numbers(values)), None)
    if listed is not None:
        many = len(re.findall(r"[^\s,;]+", next(value for value in texts[there.index(listed)] if value)))
        what = f"Column {listed!r} of {part.origin} holds {many:,} numbers a row"
    else:
        columns = [
            name
            for name, values in zip(there, texts, strict=True)
            if values and all(value is not None and as_float(value) is not None for value in values[:50])
        ]
        if len(columns) < max(MANY_NUMBERS, 0.8 * len(there)):
            return
        many = len(columns) - sum(map(called_as_label, columns))
        what = (
            f"{len(columns):,} of {len(there):,} columns of {part.origin} are numbers ({columns[0]}, {columns[1]} ...)"
        )
    found = [(side, depth) for depth in (1, 3, 4) if (side := round((many / depth) ** 0.5)) ** 2 * depth == many]
    shape = f", as {found[0][0]} x {found[0][0]} pixels have" + " in colors" * (found[0][1] > 1) if found else ""
    raise DataError(
        f"{what}{shape}, and none holds the {kind}. Pictures are read from files: write each row as one (PIL.Image.fromarray), in a folder per class "
        "or with a table of columns path and label. If a row is a series, write it as lists in JSON lines, and read it with modality='timeseries'."
    )


def _are_lists_of_numbers(values: Sequence[str | None]) -> bool:
    head = [value for value in values[:20] if value]
    plain = all(re.fullmatch(r"[-\d\s.,;\[\]]+", value) for value in head)
    return bool(head) and plain and all(len(re.findall(r"\d+(?:\.\d+)?", value)) >= MANY_NUMBERS for value in head)


def _of_texts(name: str, modality: Modality, part: SourcePart) -> str:
    """The column, unless it holds lists of words.

    Raises:
        DataError: it does.
    """
    if modality.name == "text" and is_words(type_of(part.dataset, name)):
        raise DataError(
            f"Column {name!r} of {part.origin} holds lists of words, no texts: {_as_words(name, part)}, or join each list to one text."
        )
    return name


def _as_words(name: str, part: SourcePart) -> str:
    """What reads a column of lists of words, with their tags where another holds lists, too."""
    others = [one for one in part.dataset.column_names if one != name and is_words(type_of(part.dataset, one))]
    tags = next((one for one in others if plain_name(one) in TAGS), others[0] if others else None)
    known = f"label_kind='tags' and tokens_column={name!r}"
    return (
        f"{known} and tags_column={tags!r} where a tag belongs to each word"
        if tags
        else f"{known} where a tag belongs to each word"
    )


def _refuse_conversations(part: SourcePart) -> None:
    """Lists of who says what (`messages: [{role, content}]`) are no texts.

    Raises:
        DataError: there are such, and what to write instead.
    """
    for name in part.dataset.column_names:
        inside = structures_in_list(type_of(part.dataset, name))
        who = next((key for key in ("role", "from", "speaker", "author") if key in inside), None)
        said = next((key for key in ("content", "value", "text", "message", "utterance") if key in inside), None)
        if who and said:
            raise DataError(
                f"Column {name!r} of {part.origin} holds conversations (lists of {who} and {said}), which are not read. Write what is to be read "
                f'into a column of text and the answer into one of labels, a line each: {{"text": "...", "label": "..."}}, such as the {said} of '
                "the last two messages."
            )


def refuse_names_of_texts(values: Sequence[object], column: str, part: SourcePart) -> None:
    """Names of text files are no texts: nobody opens them.

    Raises:
        DataError: nearly all are names of files that are there.
    """
    head = [value for value in values[:200] if isinstance(value, str)]
    if not head or sum(bool(NAME_OF_TEXT.fullmatch(value)) for value in head) < 0.9 * len(head):
        return
    folders = [folder for folder in (part.root, *part.folders, Path()) if folder is not None]
    there = next(
        (value for value in head if any((folder / value.replace("\\", "/")).is_file() for folder in folders)), None
    )
    if there is not None:
        raise DataError(
            f"Column {column!r} of {part.origin} holds names of text files ({there!r} is there), not texts, and names are not opened in tables. "
            "Give the folder of the files, with a folder per class; or write the texts into the table."
        )


def _texts(part: SourcePart) -> list[list[str | None]]:
    """First values of every column, as text."""
    head = part.dataset[:2000]
    plain = [isinstance(feature, datasets.Value) for feature in part.dataset.features.values()]
    return [
        [None if value is None else str(value) for value in head[name]] if is_plain else []
        for name, is_plain in zip(part.dataset.column_names, plain, strict=True)
    ]


def without_answers(
    parts: list[SourcePart], modality: Modality, given: str | None, how: ReadOptions
) -> list[SourcePart]:
    """Parts without tables that hold no texts beside others that do: `sample_submission.csv`, `y_train.csv`.

    Raises:
        DataError: they are too many of the rows.
    """
    names = [given] if given else [modality.column, *modality.aliases]

    def has_text(part: SourcePart) -> bool:
        there = part.dataset.column_names
        if "tokens" in there or any(named(name, there) for name in names) or not given and text_inside(part):
            return True
        return not given and any(_long(part, name) for name in there)

    holding = [part for part in parts if has_text(part)]
    if modality.name != "text" or not holding or len(holding) == len(parts):
        return parts
    total = sum(len(part.dataset) for part in parts)
    for part in parts:
        if part in holding:
            continue
        twin = next((one for one in holding if len(one.dataset) == len(part.dataset)), None)
        hint = (
            f"If row by row they say more about {twin.origin}, write their columns into that table"
            if twin
            else "If ids tell what they are of, write their columns into the table of texts"
        )
        how.report.leave_out(
            "rows", f"of {part.origin}, which has no column of texts ({shown(part.dataset.column_names)})", len(part.dataset), total, hint=hint
        )  # fmt: skip
    return holding


def _long(part: SourcePart, name: str) -> bool:
    """Whether a column holds values of several words, or most of them different and long."""
    if getattr(type_of(part.dataset, name), "dtype", "") not in ("string", "large_string"):
        return False
    values = [str(value) for value in values_of(part.dataset, name, 200) if value]
    return bool(values) and sum(len(value.split()) > 2 or len(value) > 25 for value in values) > 0.3 * len(values)


def text_inside(part: SourcePart) -> list[str]:
    """Text in the structures of columns, the longest first: `data.text`."""
    found: dict[str, int] = {}
    for name, feature in part.dataset.features.items():
        if isinstance(feature, dict):
            head = [value or {} for value in part.dataset[:50][name]]
            for key, value in feature.items():
                if getattr(value, "dtype", "") in ("string", "large_string"):
                    found[f"{name}.{key}"] = sum(len(row.get(key) or "") for row in head)
    return sorted(found, key=lambda name: -found[name])


def other_columns(modality: str, part: SourcePart, tried: Sequence[str], used: Mapping[str, str]) -> str:
    """` Another: input_column=...`: what else may be the content, also inside the structures of a column."""
    inside = text_inside(part)
    text = [
        name
        for name, value in part.dataset.features.items()
        if getattr(value, "dtype", "") in ("string", "large_string")
    ]
    others = [*inside, *(name for name in text if name not in {*tried, *used.values()})][:5]
    return (
        f" Another: {' or '.join(f'input_column={name!r}' for name in others)}."
        if others
        else " Write text into it, or name another: input_column=..."
        if modality == "text"
        else f" Write paths of {modality} files into it, as they lie below the data's folder, or name another: input_column=..."
    )


def _of_its_kind(part: SourcePart, modality: Modality) -> list[str]:
    """Columns that hold what the modality reads, by their type: pictures, sounds."""
    return [name for name, kind in part.dataset.features.items() if type(kind).__name__.lower() == modality.name]


def _has_sentences(part: SourcePart) -> bool:
    """Whether a column of text holds several words a row."""
    head = [value for values in _texts(part) for value in values[:50] if value]
    return sum(len(value.split()) > 3 for value in head) > 0.2 * len(head) if head else False


def _likely_input(modality: Modality, part: SourcePart) -> str:
    """What to type where no column is known: the two of a pair, else the column of the longest values (of most different ones for files)."""
    there = part.dataset.column_names
    if modality.name == "text" and (pair := pair_of(there)):
        return f"input_column={pair[0]!r} and text_pair_column={pair[1]!r}"
    if inside := text_inside(part):
        return " or ".join(f"input_column={name!r}" for name in inside[:5])
    if typed := _of_its_kind(part, modality):
        return f"input_column={typed[0]!r}"
    lists = [name for name in there if is_words(type_of(part.dataset, name))]
    if modality.name == "text" and lists and not _has_sentences(part):
        return f"tokens_column={lists[0]!r} with label_kind='tags', where its rows are lists of words"
    head = part.dataset[:50]
    texts = [name for name in there if getattr(type_of(part.dataset, name), "dtype", "") in ("string", "large_string")]
    if modality.name != "text":  # names of files differ from row to row, classes do not, and are no numbers
        files = {name: sum(bool(NAME_OF_FILE.search(str(value or ""))) for value in head[name]) for name in texts}
        words = {name: sum(as_float(value or "0") is None for value in head[name]) for name in texts}
        by_name = ByName(part.root)
        there_are = {
            name: sum(value is not None and bool(by_name.candidates(str(value))) for value in head[name])
            for name in texts
        }
        best = max(
            texts,
            key=lambda name: (there_are[name], files[name], bool(words[name]), len(set(head[name]))),
            default=there[0],
        )
        return f"input_column={best!r}"
    named_files = [name for name in texts if all(NAME_OF_TEXT.fullmatch(value or "") for value in head[name])]
    if named_files and len(named_files) == len(texts) - sum(
        len(set(head[name])) < len(head[name]) / 3 for name in texts
    ):
        return f"{named_files[0]!r} holds names of text files, which are not opened: give the folder of the files, or write their texts in"
    longest = max(texts, key=lambda name: sum(len(value or "") for value in head[name]), default=there[0])
    return f"input_column={longest!r}"
