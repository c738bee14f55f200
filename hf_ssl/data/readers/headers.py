"""First lines of a table that are no header: titles, comments, a second header."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from hf_ssl.core.textfiles import UnusableFile

BOM = "\ufeff"
"""Stands in front of a line where files with marks were put together."""
MOST_NAMED = 40
"""Columns whose names a message makes up."""
NAME_OF_FILE = re.compile(r"[^/\\]\.[A-Za-z][A-Za-z0-9]{1,4}$")


def begins_table(rows: list[list[str]]) -> bool:
    """Whether the first of these rows names columns: a column holds numbers below a word, or a name is one of the usual."""
    if any(
        name.strip().lower() in ("text", "label", "date", "time", "timestamp", "id", "value", "path")
        for name in rows[0]
    ):
        return True
    for place, name in enumerate(rows[0]):
        below = [row[place] for row in rows[1:20] if len(row) > place and row[place]]
        if len(below) > 2 and name and not re.search(r"\d", name):
            if all(re.fullmatch(r"[-+]?[\d.,]+", value) for value in below):
                return True
    return False


NUMBER_OR_DATE = re.compile(r"[-+]?\d+([.,]\d+)*$|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b")


def are_values(names: Sequence[str], columns: Sequence[Sequence[str | None]]) -> bool:
    """Whether what should name columns is a row of the table: long texts, numbers, or values that the columns hold again.

    A long text beside words over columns of numbers or of dates is a question of a survey, and names its column.

    Args:
        names: the first line.
        columns: first values of every column below it.
    """
    is_header = any(_names_numbers(name, column) for name, column in zip(names, columns, strict=False))
    for name, column in zip(names, columns, strict=False):
        if not name.strip():
            continue
        if (len(name) > 40 and " " in name or len(name.split()) > 5) and not is_header:
            return True
        if re.fullmatch(r"-?\d+([.,]\d+)?|\d{4}-\d\d-\d\d.*", name.strip()):
            return True
        values = [value for value in column if value is not None]
        if len(names) > 1 and len(values) > 4 and sum(value == name for value in values) >= max(2, 0.05 * len(values)):
            return True
    return False


def _names_numbers(name: str, column: Sequence[str | None]) -> bool:
    """Whether a name with letters stands over numbers or dates and nothing else."""
    values = [value for value in column[:200] if value is not None and value.strip()]
    return (
        len(values) > 2
        and bool(re.match(r"[^\W\d]", name.strip()))
        and all(NUMBER_OR_DATE.match(value.strip()) for value in values)
    )


def names_by_content(
    first: Sequence[str], columns: Sequence[Sequence[str | None]], column: str | None = None
) -> list[str]:
    """Names for the columns of a table that has none: the input (names of files, else the longest texts), the label (few values).

    Args:
        first: the line that would name them.
        columns: first values of every column below it.
        column: what the input is called; None: `path` where a column holds names of files, else `text`.
    """
    values = [[name, *(value or "" for value in own)] for name, own in zip(first, columns, strict=False)]
    files = [sum(bool(NAME_OF_FILE.search(value)) for value in own) / len(own) for own in values]
    lengths = [sum(map(len, own)) / len(own) for own in values]
    places = range(len(values))
    content = max(places, key=lambda place: (column != "text" and files[place] > 0.5, lengths[place]), default=0)
    spoken = [
        place for place in places if sum(len(value.split()) > 2 for value in values[place]) > 0.5 * len(values[place])
    ]
    ids = [place for place in places if place not in spoken and len(set(values[place])) == len(values[place])]
    if column not in (None, "text") and content in spoken and ids:
        content = ids[0]  # names of files without their suffix, as LJSpeech has them
    several = {place: len(set(values[place])) for place in places if place != content}
    labels = [place for place, count in several.items() if 2 <= count <= max(2, min(100, len(values[place]) // 3))]
    label = min(labels, key=lambda place: several[place]) if labels else None
    own = {content: column or ("path" if values and files[content] > 0.5 else "text")} | (
        {} if label is None else {label: "label"}
    )
    if column == "audio" and spoken and content not in spoken:
        own[spoken[-1]] = "transcript"
    return [own.get(place, f"column_{place}") for place in range(len(first))]


NAMES = frozenset(
    (
        "text",
        "label",
        "date",
        "time",
        "timestamp",
        "datetime",
        "datum",
        "zeit",
        "sentence",
        "review",
        "comment",
        "smiles",
        "class",
        "category",
        "filename",
        "path",
    )
)


def later_header(rows: list[list[str]]) -> int | None:
    """The place of a row that names columns, below others of as many fields that do not: `Device:`, `Spectro X`; None: there is none.

    Args:
        rows: the first rows of a table, without empty ones.
    """
    if any(value.strip().lower() in NAMES for value in rows[0]):
        return None
    for place, row in enumerate(rows[1:21], start=1):
        words = [value.strip().lower() for value in row]
        if (
            len(words) > 1
            and all(words)
            and len(set(words)) == len(words)
            and sum(word in NAMES for word in words) * 2 >= len(words)
        ):
            return place
    return None


def is_title(rows: list[list[str]]) -> bool:
    """A first line with names for some columns only, above one that names all: `Reviews,` above `text,label`."""
    first, second = rows[0], rows[1]
    if len(first) != len(second) or len(first) < 2:
        return False
    empty = [place for place, name in enumerate(first) if not name.strip()]
    inner = [place for place in empty if place > 0 and second[place].strip()]
    named = all(re.fullmatch(r"[^\W\d][\w .#-]{0,30}", name.strip()) for name in second)
    return (
        bool(inner) and named and any(second[place].strip() not in {row[place] for row in rows[2:]} for place in inner)
    )


_FORMATS = {
    r"#FORMAT=WebAnno TSV": "WebAnno's own table of words, whose lines are of several kinds: export the project as CoNLL 2002 or CoNLL-U, and "
    "let its name end in .conll or .conllu",
    r"-DOCSTART-|# (?:sent_id|newdoc|newpar|global\.columns)\b": "CoNLL, one word a line: let its name end in .conll (.conllu where columns are "
    "those of Universal Dependencies)",
    r"@relation\b": "ARFF: let its name end in .arff",
    r"%%MatrixMarket\b": "MatrixMarket, a list of cells: convert it to a table with a row per example",
    r"<\?xml\b|<(?:TEI|corpus|dataset)\b": "XML: write its rows as .csv or JSON lines",
}
"""How files of other formats begin, and what to do with those that are called as tables are."""


def refuse_other_format(line: str) -> None:
    """A first line that says that this is no table.

    Raises:
        UnusableFile: with what to do.
    """
    for begins, advice in _FORMATS.items():
        if re.match(begins, line.strip(BOM + " \"'"), re.IGNORECASE):
            raise UnusableFile(f"is no table, but {advice}")


def refuse_levels(names: Sequence[str], rows: Sequence[Sequence[str]], skip: int) -> None:
    """Names of several levels, as pandas writes them: `Price,Close,Close`, `Ticker,AAPL,MSFT`, `Date,,`, and then the rows.

    Args:
        names: the first line.
        rows: those below it.
        skip: lines above the header that the user left out.

    Raises:
        UnusableFile: with one name for each column.
    """
    alone = (
        place for place, row in enumerate(rows[:4])
        if row and re.fullmatch(r"\s*[^\W\d][^\d]*", row[0]) and not any(map(str.strip, row[1:]))
    )  # fmt: skip
    place = next(alone, None)
    if place is None or len(names) < 2 or len(rows) < place + 4:
        return
    levels = [list(names), *map(list, rows[:place])]
    numbers = [
        value for row in rows[place + 1 : place + 20] if len(row) == len(names) for value in row[1:] if value.strip()
    ]
    above = [value for level in levels[1:] for value in level[1:]]
    if not numbers or not all(map(_number_or_date, numbers)) or any(map(_number_or_date, above)):
        return
    telling = [level for level in levels if len(set(level[1:])) > 1] or levels[:1]
    columns = [
        " ".join(value.strip() for value in (level[column] for level in telling) if value.strip())
        for column in range(1, len(names))
    ]
    raise UnusableFile(
        f"has {place + 2} lines of names (line {skip + place + 2} names the first column alone, {rows[place][0]!r}): "
        f"csv_options={{'names': {distinct([rows[place][0].strip(), *columns])}, 'skiprows': {skip + place + 2}}}, in your own words"
    )


def _number_or_date(value: str) -> bool:
    return NUMBER_OR_DATE.match(value.strip()) is not None


def refuse_equal_names(
    names: list[str], below: list[str] | None, is_row: bool, skip: int, columns: Sequence[Sequence[str]]
) -> None:
    """Equal names of columns: nobody can say which is meant; a second line of the header may tell them apart.

    Args:
        names: those of the header; `Unnamed: 0` where it has none.
        below: the next line, where that names columns too.
        is_row: whether the header looks like a row itself.
        skip: lines above the header that the user left out.
        columns: first values of every column below the header.

    Raises:
        UnusableFile: two names are equal.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if not twice:
        return
    if is_row:
        way = (
            f"name its columns with csv_options={{'names': {names_by_content(names, columns)}}}, in your own words"
            if len(names) <= MOST_NAMED
            else f"write a line with the names of its {len(names):,} columns above it"
        )
        raise UnusableFile(f"seems to have no header (two columns would be called {twice[0]!r}): {way}")
    text = f"several columns are called {twice[0]!r}. "
    if below is not None:
        if all(below) and len(set(below)) == len(below):
            text += f"If the names are in the next line: csv_options={{'skiprows': {skip + 1}}}. "
        made, above = [], ""
        for place, (name, second) in enumerate(zip(names, below, strict=False)):
            above = above if name == f"Unnamed: {place}" else name
            made.append(f"{above} {second}".strip())
        text += f"If they go on in the next line: csv_options={{'names': {distinct(made)}, 'skiprows': {skip + 2}}}. "
    more = f", 'skiprows': {skip}" if skip else ""
    all_of = f"{'Else name' if below is not None else 'Name'} all {len(names)} yourself"
    raise UnusableFile(f"{text}{all_of}: csv_options={{'names': {distinct(names)}, 'header': 0{more}}}")


def distinct(names: list[str]) -> list[str]:
    """Names with a number behind where they come again."""
    made: list[str] = []
    for name in names:
        count = next(
            count for count in range(1, len(names) + 2) if (name if count == 1 else f"{name}_{count}") not in made
        )
        made.append(name if count == 1 else f"{name}_{count}")
    return made


def as_many(names: list[str], count: int) -> list[str]:
    """So many names: made-up ones behind, or fewer."""
    return distinct([*names, *(f"column_{place}" for place in range(len(names), count))])[:count]


def or_one_column(rows: list[list[str]], separator: str, skip: int) -> str:
    """What else a line of one word above rows of two values may be: the name of the first, or of their only column."""
    mark = next(
        (mark for mark in "\t|;" if mark != separator and not any(mark in value for row in rows for value in row)),
        None,
    )
    if len(rows[0]) > 1 or len(rows[1]) < 2 or mark is None:
        return ""
    return (
        f"; or name the columns: csv_options={{'names': {as_many([rows[0][0]], len(rows[1]))}, 'skiprows': {1 + skip}}}; or, if it names "
        f"the only column, and its values hold {separator!r} without quotes: csv_options={{'sep': {mark!r}}}"
    )


def named_by(comment: str, row: list[str], separator: str) -> str:
    """The option that takes the names of columns from the last comment above them, where it has as many fields as the rows."""
    names = [name.strip() for name in comment.lstrip("# ").strip().split(separator)]
    return f", 'names': {names}" if len(names) == len(row) > 1 and all(names) else ""
