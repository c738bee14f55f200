"""Files with one word per line and an empty line between sentences (CoNLL-2003, CoNLL-U, IOB)."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets

# CoNLL-U: id, form, lemma, universal tag, ... ; everybody else: word first, tag last.
COLUMNS = {".conllu": (1, 3)}
DEFAULT_COLUMNS = (0, -1)
_COMMENT = re.compile(r"#\s*(id|text|sent|sent_id|newdoc|newpar|global\.columns)\b")
_NEW_DOCUMENT = re.compile(r"-DOCSTART-|#\s*(newdoc)\b")


def read_conll(
    files: list[Path],
    root: Path,
    quarantine: list[dict[str, str]],
    *,
    columns: tuple[int, int] | None = None,
    encoding: str = "utf-8-sig",
) -> datasets.Dataset:
    """Read files into a dataset of sentences.

    Args:
        files: the files, `.gz` allowed.
        root: folder that `path` is relative to.
        quarantine: files that do not parse are appended as `{"path", "reason"}`.
        columns: numbers of the word's and the tag's column, counted from 0, or from -1 at the end of the line.
        encoding: text encoding.

    Returns:
        Columns `tokens` and `tags` (lists of strings), `path`, and `document` (file and number of the document in it,
        where `-DOCSTART-` or `# newdoc` marks documents; else the file).
    """
    import datasets

    rows: dict[str, list[Any]] = {"tokens": [], "tags": [], "document": [], "path": []}
    for file in files:
        relative = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
        suffix = Path(file.stem).suffix if file.suffix == ".gz" else file.suffix
        try:
            opened = gzip.open(file, "rt", encoding=encoding) if file.suffix == ".gz" else file.open(encoding=encoding)
            with opened as stream:
                text = stream.read()
            sentences = parse(text, columns or COLUMNS.get(suffix, DEFAULT_COLUMNS), conllu=suffix == ".conllu")
        except UnicodeDecodeError as error:
            reason = f"not {encoding} at byte {error.start}; name its encoding with `encoding`, such as latin-1"
            quarantine.append({"path": relative, "reason": reason})
        except (ValueError, OSError, EOFError) as error:
            quarantine.append({"path": relative, "reason": str(error)})
        else:
            for tokens, tags, document in sentences:
                rows["tokens"].append(tokens)
                rows["tags"].append(tags)
                rows["document"].append(f"{relative}#{document}")
                rows["path"].append(relative)
    words = datasets.List(datasets.Value("string"))
    text_value = datasets.Value("string")
    features = datasets.Features({"tokens": words, "tags": words, "document": text_value, "path": text_value})
    return datasets.Dataset.from_dict(rows, features=features)


def parse(text: str, columns: tuple[int, int], conllu: bool = False) -> list[tuple[list[str], list[str], int]]:
    """Sentences of one file as `(tokens, tags, document number)`.

    Raises:
        ValueError: a line has too few columns, or another number of them than the lines before it.
    """
    word_column, tag_column = columns
    sentences: list[tuple[list[str], list[str], int]] = []
    tokens: list[str] = []
    tags: list[str] = []
    document, width = 0, 0
    # Not splitlines(): U+2028 and friends occur inside words of crawled text and do not end a line.
    for number, line in enumerate([*text.replace("\r\n", "\n").split("\n"), ""], start=1):
        starts_document = bool(_NEW_DOCUMENT.match(line))
        is_comment = (conllu and line.startswith("#")) or bool(_COMMENT.match(line))
        if not line.strip() or starts_document or is_comment:
            if tokens:
                sentences.append((tokens, tags, document))
                tokens, tags = [], []
            document += starts_document
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        if conllu and not fields[0].isdigit():
            continue  # `1-2` (a contraction spelled out below it) and `1.1` (an empty node) are no words of their own
        width = width or len(fields)
        if len(fields) != width:
            raise ValueError(f"line {number} has {len(fields)} columns, the lines before it have {width}")
        if not (-width <= tag_column < width and -width <= word_column < width) or width < 2:
            raise ValueError(
                f"line {number} has {width} columns; word column {word_column} and tag column {tag_column} need more"
            )
        tokens.append(fields[word_column])
        tags.append(fields[tag_column].strip())
    return sentences
