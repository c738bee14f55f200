"""How the lines of a table are cut: what separates columns, what quotes are, what stands above the header."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from hf_ssl.core.paths import suffix
from hf_ssl.core.textfiles import MAX_LINE, SAMPLE, UnusableFile, open_text
from hf_ssl.data.readers.headers import NAMES as KNOWN_NAMES
from hf_ssl.data.readers.headers import (
    begins_table,
    is_title,
    later_header,
    named_by,
    or_one_column,
    refuse_other_format,
)
from hf_ssl.data.readers.rows import SNIFFED, Rows, joined, with_backslashes, with_doubled, without_blank
from hf_ssl.data.readers.second_lines import refuse_second_header
from hf_ssl.data.readers.strays import refuse_questions

SEPARATORS = {".tsv": "\t", ".tab": "\t"}
OTHERS = (",", ";", "\t", "|")
RARE = ("\x1f", "\x01", "^", "~", "¦", "§", "，", "；", "｜", "þ", "¬", "‖", "•")  # noqa: RUF001
"""Single marks that separate columns only where every line holds as many of them."""
LONG = ("::", "||", "~|~", "@@", "##", "\\t")
LITERAL = "\x1f"  # what stands for a separator of several characters
REGULAR = 0.95
USUAL = {
    "sep": ",",
    "delimiter": ",",
    "quoting": 0,
    "quotechar": '"',
    "escapechar": "\\",
    "doublequote": True,
    "skiprows": 0,
}
"""What to give in place of values of `csv_options` that cannot be."""
NAME = re.compile(r"[^\W\d][\w .#-]{0,30}")
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "|"}


@dataclass
class Table:
    """What one file holds.

    Attributes:
        data: every column as text (None: empty).
        notes: what the user should be told (each becomes a warning, with the file's name before it).
        facts: what was found out beyond doubt (each becomes a line "decided").
        rows: records found, headers and blank lines not counted.
        bad: reason → how many of them are not in `data`; `example` → where the first is.
    """

    data: pa.Table
    notes: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    rows: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    example: str = ""

    def without_blank(self, data: Rows) -> Rows:
        """Rows that hold something; the others are counted as blank lines."""
        kept = without_blank(data)
        if blank := len(data) - len(kept):
            self.rows -= blank
            self.facts.append(f"{blank:,} rows hold nothing but separators: blank lines")
        return kept


@dataclass
class Shape:
    """How the lines of a file are to be cut."""

    separator: str
    quoting: int = csv.QUOTE_MINIMAL
    quotes_given: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    skip: int = 0
    skip_lines: frozenset[int] = frozenset()
    names: list[str] | None = None
    header: bool = True
    literal: str | None = None
    """A separator of several characters, which lines are freed of before they are cut."""
    lone_returns: bool = False
    """Lines end with a line feed, and carriage returns without one are parts of values."""
    escaped: str = ""
    """What a backslash in front makes an ordinary character; every other backslash is part of its value."""
    inner: bool = False
    """Quotes inside of values that quotes enclose are not doubled."""
    missing: list[str] = field(default_factory=list)
    """Words for nothing, beside the empty field."""
    missing_in: dict[str, list[str]] = field(default_factory=dict)
    """Those of single columns."""

    def reader(self, lines: Iterable[str], *, strict: bool = True, quoting: int | None = None) -> Any:
        csv.field_size_limit(MAX_LINE)
        if self.literal is not None:
            literal = self.literal
            lines = (line.replace(literal, LITERAL) for line in lines)
        lines = joined(lines) if self.lone_returns else lines
        lines = (with_backslashes(line, self.escaped) for line in lines) if self.escaped else lines
        lines = (
            (with_doubled(line, self.separator, self.extra.get("quotechar", '"')) for line in lines)
            if self.inner
            else lines
        )
        rules: dict[str, Any] = {"quoting": self.quoting if quoting is None else quoting, **self.extra}
        return csv.reader(lines, delimiter=self.separator, strict=strict, **rules)

    @classmethod
    def given(cls, path: Path, options: dict[str, Any]) -> Shape:
        """What the suffix and the user say.

        Raises:
            UnusableFile: an option has a value that it cannot have.
        """
        try:
            shape = cls._given(path, options)
            next(shape.reader(["a"]), None)
        except UnusableFile:
            raise
        except (TypeError, ValueError, OverflowError, csv.Error) as error:
            usual = {name: USUAL[name] for name in options if name in USUAL}
            hint = f". Usual: csv_options={usual}" if usual else "; leave out what does not fit"
            raise UnusableFile(f"cannot be read, because csv_options holds {options}: {error}{hint}") from error
        return shape

    @classmethod
    def _given(cls, path: Path, options: dict[str, Any]) -> Shape:
        kind = suffix(path)
        given = options.get("sep", options.get("delimiter"))
        if given == "":
            raise UnusableFile("sep='' separates nothing; give the character between columns")
        literal = given if given is not None and len(given) > 1 else None
        given = LITERAL if literal is not None else given
        extra = {name: options[name] for name in ("quotechar", "escapechar", "doublequote", "skipinitialspace")
                 if options.get(name) is not None}  # fmt: skip
        quoting = int(options.get("quoting", csv.QUOTE_MINIMAL))
        shape = cls(given or SEPARATORS.get(kind, ","), quoting, "quoting" in options, extra, literal=literal)
        for name in ("decimal", "thousands"):
            if options.get(name) is not None and (not isinstance(options[name], str) or len(options[name]) != 1):
                raise UnusableFile(f"csv_options={{{name!r}: {options[name]!r}}} is no single mark, such as ','")
        skipped = options.get("skiprows") or 0
        if isinstance(skipped, int):
            shape.skip = skipped
            if skipped < 0:
                raise UnusableFile(f"csv_options={{'skiprows': {skipped}}} is no number of lines above the table")
        else:
            shape.skip_lines = frozenset(int(line) for line in skipped)
        words = options.get("na_values") or []
        if isinstance(words, dict):
            shape.missing_in = {str(name): _spelled(own) for name, own in words.items()}
        else:
            shape.missing = _spelled(words)
        if options.get("names") is not None:
            if isinstance(options["names"], str):
                raise UnusableFile(
                    f"csv_options={{'names': {options['names']!r}}} is no list of names; write ['text', 'label']"
                )
            shape.names = [str(name) for name in options["names"]]
            shape.header = options.get("header", None) in (0, "infer")
        elif "header" in options and options["header"] is None:
            shape.header = False
        return shape

    @classmethod
    def of(cls, path: Path, encoding: str, options: dict[str, Any], made: Table) -> Shape:
        shape = cls.given(path, options)
        given, extra = options.get("sep", options.get("delimiter")), shape.extra
        with open_text(path, encoding) as stream:
            head = stream.read(SAMPLE)
        lone = len(re.findall(r"\r(?=[^\n])", head))  # the last one may be half of a line end that was cut
        if lone and head.count("\n") > lone:
            shape.lone_returns = True
            made.notes.append(f"{lone:,} carriage returns stand within lines, and end none: kept in their values")
        lines = head.splitlines(keepends=True)
        lines = [line for number, line in enumerate(lines) if number >= shape.skip and number not in shape.skip_lines]
        if len(head) == SAMPLE and len(lines) > 1:
            lines.pop()  # cut in the middle
        if lines and (declared := re.fullmatch(r'"?sep=(.)"?[,;\s]*', lines[0].strip("\r\n"), re.IGNORECASE)):
            shape.skip += 1  # Excel's own way to say it
            lines = lines[1:]
            if given is None:
                shape.separator, given = declared[1], declared[1]
        if given is None:
            below = list(itertools.dropwhile(lambda line: line.startswith("#"), lines))
            shape.separator = _separator(shape, below or lines, made)
            _refuse_long_separators(shape, lines)
        if "quotechar" not in extra and "quoting" not in options:
            _single_quotes(shape, lines, made)
        if "skipinitialspace" not in extra:
            _blanks_before_quotes(shape, lines, made)
        shape.refuse_preamble(lines)
        return shape

    def refuse_preamble(self, lines: list[str]) -> None:
        """A title, a comment or a second header above the table would become its header."""
        rows = [row for row in itertools.islice(self.reader(lines, strict=False), SNIFFED) if row]
        widths = [len(row) for row in rows]
        if len(widths) < 4 or self.names is not None or not self.header:
            return
        refuse_other_format(lines[0])
        refuse_second_header(rows, self.skip)
        comments = sum(1 for _ in itertools.takewhile(lambda line: line.startswith("#"), lines))
        if comments > 1 or comments == 1 and len(rows[0]) != len(rows[1]):
            below = [row for row in self.reader(lines[comments:], strict=False) if row]
            names = "" if begins_table(below) else named_by(lines[comments - 1], rows[-1], self.separator)
            raise UnusableFile(
                f"begins with {comments} comments ({lines[0].strip()[:40]!r} ...); leave them out with "
                f"csv_options={{'skiprows': {comments + self.skip}{names}}}"
            )
        refuse_questions(rows, self.skip)
        if is_title(rows):
            raise UnusableFile(
                f"begins with a line ({lines[0].strip()[:40]!r}) that is a title and no header; leave it out with "
                f"csv_options={{'skiprows': {self.skip + 1}}}"
            )
        filled = [number for number, line in enumerate(lines) if line.strip()]
        if (later := later_header(rows)) is not None:
            place = filled[later]
            raise UnusableFile(
                f"begins with {place} lines of facts ({lines[0].strip()[:40]!r} ...) above the names of its "
                f"columns ({', '.join(rows[later])[:60]}); leave "
                f"them out with csv_options={{'skiprows': {place + self.skip}}}"
            )
        usual, count = Counter(widths[1:]).most_common(1)[0]
        first = next((place for place, width in enumerate(widths) if width == usual), 0)
        narrow = 2 * widths[0] <= usual and not KNOWN_NAMES.intersection(name.strip().lower() for name in rows[0])
        titled = widths[0] == 1 or narrow or widths[0] != usual and begins_table(rows[first:])
        if titled and usual > 1 and first and count >= REGULAR * (len(widths) - first):
            raise UnusableFile(
                f"begins with {filled[first]} lines ({lines[0].strip()[:40]!r} ...) before its {usual} columns; leave them out with "
                f"csv_options={{'skiprows': {filled[first] + self.skip}}}"
                + or_one_column(rows, self.separator, self.skip)
            )


def _spelled(words: Any) -> list[str]:
    """Values of `na_values` as a file may spell them: -999 is -999.00 too."""
    several = [words] if isinstance(words, (str, int, float)) else words
    numbers = [word for word in several if isinstance(word, (int, float))]
    return [str(word) for word in several] + [
        form % word for word in numbers for form in ("%g", "%.1f", "%.2f", "%.3f", "%.4f")
    ]


def _single_quotes(shape: Shape, lines: list[str], made: Table) -> None:
    """`'a, b','c'`: lines that begin and end with a single quote are enclosed by it."""
    body = [line.strip("\r\n") for line in lines[1 if shape.header else 0 :] if line.strip()][:SNIFFED]
    pattern = re.compile(rf"'.*'(?:{re.escape(shape.separator)}'.*')*")
    if len(body) > 3 and sum(bool(pattern.fullmatch(line)) for line in body) >= REGULAR * len(body):
        if any('"' in line for line in body):
            return
        shape.extra["quotechar"] = "'"
        made.notes.append(
            "values are enclosed in single quotes: taken off; csv_options={'quotechar': '\"'} leaves them"
        )


def _blanks_before_quotes(shape: Shape, lines: list[str], made: Table) -> None:
    """`a, "b, c"`: a blank before a quote makes it an ordinary character, and its commas separate."""
    quote = shape.extra.get("quotechar", '"')
    body = [line for line in lines if line.strip() and not line.startswith("#")][:SNIFFED]
    marked = sum(f"{shape.separator} {quote}" in line for line in body)
    if len(body) < 4 or marked < 0.5 * len(body):
        return
    other = Shape(
        shape.separator, shape.quoting, extra={**shape.extra, "skipinitialspace": True}, literal=shape.literal
    )
    widths = Counter(len(row) for row in other.reader(body, strict=False) if row)
    if widths.most_common(1)[0][1] >= REGULAR * len(body):
        shape.extra["skipinitialspace"] = True
        made.facts.append("blanks after separators are left away, because quotes follow them")


def _refuse_long_separators(shape: Shape, lines: list[str]) -> None:
    """One column whose every line holds `::` or the like is several columns.

    Raises:
        UnusableFile: with the option.
    """
    body = [line.strip("\r\n") for line in lines if line.strip()][:SNIFFED]
    whole = [re.fullmatch(r'"([^"]*)"', line) for line in body]
    if len(body) > 3 and all(whole) and any(mark in body[0] for mark in OTHERS):
        raise UnusableFile(
            "every line is enclosed in quotes as a whole, so that nothing separates columns; take the outer quotes off"
        )
    blanks = re.compile(r'(?:"[^"]*"|[^\s"]+)(?: (?:"[^"]*"|[^\s"]+))+')
    if len(body) > 3 and '"' in body[0] and shape.separator not in body[0] and all(map(blanks.fullmatch, body)):
        raise UnusableFile("columns seem to be separated by blanks: csv_options={'sep': ' '}")
    if len(body) < 4 or any(shape.separator in line for line in body[:20]):
        return
    if re.search(r"\S {2,}\S", body[0]) and sum(bool(re.search(r"\S {2,}\S", line)) for line in body) > 0.5 * len(
        body
    ):
        raise UnusableFile(
            "columns seem to be of fixed width, with blanks between; save the table with commas or tabs between columns"
        )
    for mark in LONG:
        counts = {line.count(mark) for line in body}
        if len(counts) == 1 and counts != {0}:
            raise UnusableFile(f"columns seem to be separated by {mark!r}: csv_options={{'sep': {mark!r}}}")


def _separator(shape: Shape, lines: list[str], made: Table) -> str:
    """The suffix's own separator unless it does not cut the lines evenly and another one does."""
    usual = shape.separator
    fits: dict[str, tuple[float, int]] = {}
    for candidate in dict.fromkeys((usual, *OTHERS)):
        rows = Shape(candidate, shape.quoting, extra=shape.extra).reader(lines, strict=False)
        cut = [row for row in itertools.islice(rows, SNIFFED) if row]
        widths = [max(_filled(row), min(len(row), len(cut[0]))) for row in cut]  # separators at the end say nothing
        if widths:
            same = sum(width in (widths[0], widths[0] + 1) for width in widths) / len(widths)
            fits[candidate] = (same, widths[0])
    if not fits:
        return usual
    even, width = fits[usual]
    if width >= 2 and even >= REGULAR:
        return usual
    better = [name for name, (same, wide) in fits.items() if name != usual and wide >= 2 and same >= REGULAR]
    better = better or _below_title(shape, lines)
    if not better and width < 2:
        rare = [mark for mark in RARE if len({line.count(mark) for line in lines if line.strip()} - {0}) == 1
                and all(mark in line for line in lines if line.strip())]  # fmt: skip
        if len(rare) == 1 and len(lines) > 3:
            made.notes.append(f"columns are separated by {rare[0]!r}; csv_options={{'sep': ','}} says otherwise")
            return rare[0]
        rows = [len(row) for row in Shape(usual, shape.quoting, extra=shape.extra).reader(lines, strict=False) if row]
        uneven = len(set(rows[1:])) > 1 and max(rows) > 1
        if shape.header and rows and rows[0] == 1 < max(rows) and (uneven or _is_prose(lines, usual)):
            made.notes.append(
                "has one column, whose values hold commas without quotes: every line is read as one value; "
                f"csv_options={{'sep': {usual!r}}} cuts them"
            )
            return LITERAL
    if not better or (width >= 2 and len(better) > 1):
        return usual
    best = max(better, key=lambda name: (fits[name][0], fits[name][1]))
    made.facts.append(f"columns are separated by {_NAMES[best]}")
    return best


def _is_prose(lines: list[str], mark: str) -> bool:
    """Whether the commas of all lines below the name of one column stand in sentences, a blank behind each."""
    head, *body = [line.strip() for line in lines if line.strip()] or [""]
    if (
        mark not in ",;"
        or not NAME.fullmatch(head.strip('"'))
        or len(head.split()) > 2
        or not any(mark in line for line in body)
    ):
        return False
    marks = sum(line.count(mark) for line in body)
    return sum(line.count(f"{mark} ") for line in body) >= 0.95 * marks


def _filled(row: list[str]) -> int:
    """Fields up to the last one that holds something."""
    return next((place for place in range(len(row), 0, -1) if row[place - 1].strip()), 0)


def _below_title(shape: Shape, lines: list[str]) -> list[str]:
    """What separates columns below a line or two of title, which is of no width of theirs; [] where no title stands there."""
    body = [line.strip("\r\n") for line in lines]
    filled = [place for place, line in enumerate(body) if line.strip()][:SNIFFED]
    for above in range(1, 7):
        if len(filled) < above + 4:
            break
        names, *rest = (body[place] for place in filled[above:])
        for mark in OTHERS:
            title = [body[place].count(mark) for place in filled[:above]]
            header = [name.strip().strip('"') for name in names.rstrip(f" {mark}").split(mark)]
            if len(header) - 1 in title and min(title) > 0 or len(header) < 2 or not all(map(NAME.fullmatch, header)):
                continue
            if body[filled[0]].strip().lower() in KNOWN_NAMES or not begins_table(
                [header, *(line.split(mark) for line in rest)]
            ):
                continue
            rows = Shape(mark, shape.quoting, extra=shape.extra).reader([f"{line}\n" for line in rest], strict=False)
            widths = Counter(len(row) for row in rows if row)
            if sum(
                count for width, count in widths.items() if width in (len(header), len(header) + 1)
            ) >= REGULAR * sum(widths.values()):
                return [mark]
    return []
