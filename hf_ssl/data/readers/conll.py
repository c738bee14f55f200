"""Files with one word per line and an empty line between sentences (CoNLL-2003, CoNLL-U, IOB)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.core.paths import suffix
from hf_ssl.core.textfiles import DEFAULT_ENCODING, UnusableFile, encoding_of_file, open_bytes, read_text
from hf_ssl.data.report import DataReport

if TYPE_CHECKING:
    import datasets

# CoNLL-U: id, form, lemma, universal tag, ... ; everybody else: word first, tag last.
COLUMNS = {".conllu": (1, 3)}
DEFAULT_COLUMNS = (0, -1)
LONGEST_ALONE = 150
"""Words of the only sentence of the only file."""
BAD_SENTENCES = "sentences with a line of another number of columns"
_COMMENT = re.compile(r"#\s*(id|text|sent|sent_id|newdoc|newpar|global\.columns)\b")
_TAG = re.compile(r"O|[BIESLUMW][-_/:|.]\S+", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d*\.\d+(e-?\d+)?|1|0", re.IGNORECASE)
_NEW_DOCUMENT = re.compile(r"-DOCSTART-|#\s*(newdoc)\b")


@dataclass
class Sentences:
    """Sentences of one file: `(tokens, tags, document number)`; how many were left out, and where the first is."""

    rows: list[tuple[list[str], list[str], int]] = field(default_factory=list)
    bad: int = 0
    example: str = ""


def is_conll(file: Path) -> bool:
    """Whether a file that is called a table of tabs holds words and tags of spans, with empty lines between sentences and no header."""
    try:
        with open_bytes(file) as stream:
            lines = stream.read(1 << 16).decode("utf-8", errors="ignore").replace("\r\n", "\n").split("\n")[:-1]
    except (OSError, EOFError, ValueError):
        return False
    rows = [line.split("\t") for line in lines if line.strip()]
    if len(rows) < 10 or len(rows) == len("\n".join(lines).strip().split("\n")):
        return False
    tags = {row[-1].strip() for row in rows}
    same = len({len(row) for row in rows}) == 1 and len(rows[0]) > 1
    return same and len(tags) > 1 and all(map(_TAG.fullmatch, tags)) and any(tag != "O" for tag in tags)


def read_conll(
    files: list[Path],
    root: Path,
    report: DataReport,
    *,
    columns: tuple[int, int] | None = None,
    encoding: str = DEFAULT_ENCODING,
) -> datasets.Dataset:
    """Read files into a dataset of sentences.

    Args:
        files: the files, `.gz` allowed.
        root: folder that `path` is relative to.
        report: files that do not parse go into its quarantine, sentences that do not into its account.
        columns: numbers of the word's and the tag's column, counted from 0, or from -1 at the end of the line.
        encoding: text encoding.

    Returns:
        Columns `tokens` and `tags` (lists of strings), `path`, and `document` (file and number of the document in it,
        where `-DOCSTART-` or `# newdoc` marks documents; else the file).
    """
    import datasets

    rows: dict[str, list[Any]] = {"tokens": [], "tags": [], "document": [], "path": []}
    bad, example, total = 0, "", 0
    for file in files:
        relative = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
        kind = suffix(file)
        try:
            found = encoding_of_file(file, encoding)
            text = read_text(file, found.name)
            if columns is None and kind != ".conllu":
                refuse_other_order(text)
            sentences = parse(text, columns or COLUMNS.get(kind, DEFAULT_COLUMNS), conllu=kind == ".conllu")
            if len(files) == 1:
                _refuse_one_sentence(sentences)
        except (ValueError, OSError, EOFError) as error:
            report.quarantined.append({"path": relative, "reason": str(error)})
            continue
        if found.note:
            report.warn(f"{relative}: {found.note}")
        total += len(sentences.rows) + sentences.bad
        if sentences.bad:
            bad, example = bad + sentences.bad, example or f"{relative}, {sentences.example}"
        for tokens, tags, document in sentences.rows:
            rows["tokens"].append(tokens)
            rows["tags"].append(tags)
            rows["document"].append(f"{relative}#{document}")
            rows["path"].append(relative)
    if bad:
        report.account("rows").found += bad
        report.leave_out("rows", BAD_SENTENCES, bad, total, example=example)
    words = datasets.List(datasets.Value("string"))
    text_value = datasets.Value("string")
    features = datasets.Features({"tokens": words, "tags": words, "document": text_value, "path": text_value})
    return datasets.Dataset.from_dict(rows, features=features)


def _refuse_one_sentence(sentences: Sentences) -> None:
    """A file without an empty line would be one sentence, of which a model reads the beginning.

    Raises:
        UnusableFile: it is longer than a sentence can be.
    """
    if len(sentences.rows) == 1 and not sentences.bad and len(sentences.rows[0][0]) > LONGEST_ALONE:
        raise UnusableFile(
            f"no empty line in {len(sentences.rows[0][0]):,} lines of a word each, so that all would be one sentence: write an empty line after "
            "each sentence"
        )


def parse(text: str, columns: tuple[int, int], conllu: bool = False) -> Sentences:
    """Sentences of one file.

    Words may begin with `#`: a line is a comment only where it has not the shape of the others, or no tag of theirs.

    Raises:
        UnusableFile: the lines have too few columns, or most of them another number than the rest.
    """
    word_column, tag_column = columns
    made = Sentences()
    # Not splitlines(): U+2028 and friends occur inside words of crawled text and do not end a line.
    lines = text.replace("\r\n", "\n").split("\n")
    width, known = _usual(lines, columns, conllu)
    tokens: list[str] = []
    tags: list[str] = []
    document, broken = 0, False
    for number, line in enumerate([*lines, ""], start=1):
        starts_document = bool(_NEW_DOCUMENT.match(line))
        if line.startswith("#") and not starts_document:
            fields = _fields(line)
            is_word = not conllu and len(fields) == width and fields[tag_column].strip() in known
            is_comment = not is_word and (conllu or bool(_COMMENT.match(line)) or len(fields) != width)
        else:
            is_comment = False
        if not line.strip() or starts_document or is_comment:
            if broken:
                made.bad += 1
            elif tokens:
                made.rows.append((tokens, tags, document))
            tokens, tags, broken = [], [], False
            document += starts_document
            continue
        fields = _fields(line)
        if conllu and not fields[0].isdigit():
            continue  # `1-2` (a contraction spelled out below it) and `1.1` (an empty node) are no words of their own
        if len(fields) != width:
            broken = True
            made.example = made.example or f"line {number} has {len(fields)} columns, the other lines have {width}"
            continue
        tokens.append(fields[word_column])
        tags.append(fields[tag_column].strip())
    if not made.rows and made.bad:
        raise UnusableFile(made.example)
    return made


def refuse_other_order(text: str) -> None:
    """Lines that do not begin with the word, or do not end with the tag, where nobody has said which columns are meant.

    Raises:
        UnusableFile: numbers of words come first, or the tag does; with the option for each reading.
    """
    rows = [_fields(line) for line in text.replace("\r\n", "\n").split("\n")[:20_000] if line.strip()]
    rows = [row for row in rows if not row[0].startswith(("#", "-DOCSTART-"))]
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    rows = [row for row in rows if len(row) == width]
    if width < 2 or len(rows) < 10:
        return
    first, last = (Counter(row[place].strip() for row in rows) for place in (0, -1))
    spans = [
        sum(count for mark, count in marks.items() if _TAG.fullmatch(mark)) / len(rows) for marks in (first, last)
    ]
    if width > 2 and all(_NUMBER.fullmatch(mark) for mark in last):
        spanned = [place for place in range(1, width - 1) if all(_TAG.fullmatch(row[place].strip()) for row in rows)]
        tag = (spanned or [width - 2])[-1]
        raise UnusableFile(
            f"the last column holds numbers ({', '.join(list(last)[:3])} ...), how sure a program was? conll_columns=[0, {tag}] takes column "
            f"{tag} for the tag ({rows[0][tag]} ...), conll_columns=[0, -1] the numbers"
        )
    numbered = width > 2 and all(mark.isdigit() for mark in first)
    swapped = len(last) > 10 and len(last) > 2 * len(first) or spans[0] == 1 and spans[1] < 0.5 and len(first) > 1
    if numbered or swapped:
        shown = f"{', '.join(list(first)[:3])} ...; the last {', '.join(list(last)[:3])} ..."
        likely = [1, width - 1] if numbered else [1, 0]
        raise UnusableFile(
            f"the first column holds {shown}: is the word in another one? conll_columns={likely} says so, conll_columns=[0, -1] that the word "
            "comes first and the tag last"
        )


def _fields(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _usual(lines: list[str], columns: tuple[int, int], conllu: bool) -> tuple[int, set[str]]:
    """Columns of most lines, and the tags there.

    Raises:
        UnusableFile: there are no such columns, or they are one.
    """
    word_column, tag_column = columns
    rows = [_fields(line) for line in lines if line.strip() and not line.startswith(("#", "-DOCSTART-"))]
    if conllu:
        rows = [row for row in rows if row[0].isdigit()]
    if not rows:
        raise UnusableFile("no rows")
    width = Counter(map(len, rows)).most_common(1)[0][0]
    there = all(-width <= column < width for column in columns)
    if width < 2 or not there or word_column % width == tag_column % width:
        number = next(n for n, line in enumerate(lines, 1) if line.strip() and len(_fields(line)) == width)
        ways = f"conll_columns={[0, width - 1]}" if width > 1 else "conll_columns=..."
        raise UnusableFile(
            f"line {number} has {width} columns; a word's and a tag's are needed, from 0 or from the end (-1): {ways} says which, here it is "
            f"{[word_column, tag_column]}"
        )
    return width, {row[tag_column].strip() for row in rows if len(row) == width}
