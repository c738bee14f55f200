"""Tags of words: one word per row put together to sentences, and schemes of span tags told apart and made one (IOB2)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import datasets

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.core.one_column import type_of, values_of
from hf_ssl.data.column_names import plain_name, shown
from hf_ssl.data.readers.folders import SourcePart
from hf_ssl.data.report import DataReport

MOST_ROWS = 500
"""Rows that are looked at."""
SCHEMES = ("IOB2", "IOB1", "BIOES", "BILOU", "IO", "keep")
SENTENCES = (
    "sentence #",
    "sentence_id",
    "sentence",
    "sent_id",
    "sentence_number",
    "sentence_idx",
    "sent",
    "sentence id",
    "doc_id",
)
WORDS = ("token", "word", "tokens", "words", "form")
TAGS = ("tag", "ner_tag", "ner", "tags", "ner_tags", "label", "entity", "pos")
ORDERS = {
    *(f"{what}_{how}" for what in ("token", "tok", "word") for how in ("id", "idx", "index", "number", "no", "nr", "num", "#", "position", "order")),
    "position", "idx", "index", "order", "offset", "start", "begin", "char_start", "start_char", "start_offset", "char_offset",
}  # fmt: skip
"""Columns that say where in its sentence a word stands."""
OUTSIDE = {"-", "0", "_", "o", "", "out", "outside", "none", "null", "nil", "other"}
"""What others write for O, in small letters."""
_PLACES = {
    **{letter: letter for letter in "BIELSUMW"},
    "BEGIN": "B", "BEG": "B", "START": "B", "INSIDE": "I", "IN": "I", "CONT": "I", "MIDDLE": "M", "END": "E", "LAST": "L",
    "SINGLE": "S", "UNIT": "U", "UNIQUE": "U", "WHOLE": "W",
}  # fmt: skip
"""What others write for the place of a word in its span (OpenNLP: `person-start`, `person-cont`)."""
_PLACE = rf"(?P<place>{'|'.join(sorted(_PLACES, key=len, reverse=True))})"
_AHEAD = re.compile(rf"{_PLACE}(?:(?P<mark>[-_/:|.])(?P<kind>.+))?", re.IGNORECASE)
_BEHIND = re.compile(rf"(?P<kind>.+)(?P<mark>[-_/:|.]){_PLACE}", re.IGNORECASE)
_SPAN = re.compile(r"(?:([BIESLUMW])[-_](.+)|([BIESLUMW])|O)")


def detect(sequences: Iterable[Sequence[str]]) -> tuple[str, Counter[str]]:
    """The scheme of span tags, and what speaks for it.

    IOB1 (the original CoNLL-2003): `I-` begins a span, `B-` only one that touches another of its type. IOB2: `B-` begins
    every span. BIOES and BILOU also mark the last word and single ones. IO has no `B-` at all.

    Returns:
        `"IOB2"`, `"IOB1"`, `"BIOES"`, `"BILOU"`, `"IO"` or `"none"` (tags that mark no spans, such as parts of speech), and
        counts: `starts_with_I`, `B_after_same`, `B_alone`.
    """
    seen: Counter[str] = Counter()
    prefixes: set[str] = set()
    for tags in sequences:
        before = ("O", "")
        for tag in tags:
            match = _SPAN.fullmatch(tag)
            if match is None:
                return "none", seen
            prefix, kind = match[1] or match[3] or "O", match[2] or ""
            prefixes.add(prefix)
            same = before[0] != "O" and before[1] == kind
            if prefix == "I" and not same:
                seen["starts_with_I"] += 1
            elif prefix == "B":
                seen["B_after_same" if same else "B_alone"] += 1
            before = (prefix, kind)
    if prefixes <= {"O"}:
        return "none", seen
    if prefixes & {"L", "U"}:
        return "BILOU", seen
    if prefixes & {"E", "S", "M", "W"}:
        return "BIOES", seen
    if "B" not in prefixes:
        return "IO", seen
    return ("IOB1" if seen["starts_with_I"] and not seen["B_alone"] else "IOB2"), seen


def to_iob2(tags: Sequence[str], scheme: str) -> list[str]:
    """Tags of one sentence in IOB2. A word inside that nothing opened opens a span of its own, as `seqeval` reads it."""
    made: list[str] = []
    before = ("O", "")
    for tag in tags:
        match = _SPAN.fullmatch(tag)
        if match is None or tag == "O":
            made.append(tag)
            before = ("O", "")
            continue
        prefix, kind = match[1] or match[3], match[2] or ""
        ended = before[0] in ("O", "E", "L", "S", "U", "W") or before[1] != kind
        begins = prefix in ("B", "S", "U", "W") or ended
        if scheme == "IOB1" and prefix == "B" and ended:
            begins = True
        made.append(("B" if begins else "I") + (f"-{kind}" if kind else ""))
        before = (prefix, kind)
    return made


def one_scheme(rows: list[list[str] | None], given: str | None, report: DataReport) -> list[list[str] | None]:
    """All tags in IOB2, whichever scheme they came in; tags that mark no spans stay.

    Args:
        rows: tags of every sentence.
        given: the user's `tag_scheme`, or None: found out.
        report: told about what was found and changed.

    Raises:
        DataError: there is no such scheme.
    """
    if given is not None and given not in SCHEMES:
        raise DataError(f"tag_scheme={given!r} does not exist.{nearest(given, SCHEMES)} Known: {', '.join(SCHEMES)}.")
    rows = rows if given == "keep" else _usual_marks(rows, report)
    present = [row for row in rows if row]
    scheme, seen = detect(present)
    if given is not None:
        scheme = given
    if scheme in ("keep", "none"):
        return rows
    if scheme == "IOB2" and not seen["starts_with_I"]:
        return rows
    made = [None if row is None else to_iob2(row, scheme) for row in rows]
    first, second = next(((a, b) for a, b in zip(rows, made, strict=True) if a != b), (None, None))
    if first is None or second is None:
        return rows
    place = next(n for n, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)
    changed = sum(
        a != b for row, other in zip(rows, made, strict=True) if row and other for a, b in zip(row, other, strict=True)
    )
    why = (
        "as given"
        if given
        else f"{seen['starts_with_I']:,} spans begin with I-"
        if scheme in ("IOB1", "IO", "IOB2")
        else "by their prefixes"
    )
    report.warn(
        f"tags are in the scheme {scheme} ({why}); {changed:,} of them were written as IOB2, such as {first[place]} as {second[place]}. "
        "tag_scheme=... says otherwise; tag_scheme='keep' leaves them as they are"
    )
    return made


def _usual_marks(rows: list[list[str] | None], report: DataReport) -> list[list[str] | None]:
    """Tags of spans in another spelling (`PER-B`, `B_PER`, `b/per`, `BEGIN-PER`; `-`, `0` or nothing for `O`), rewritten and told."""
    counts = Counter(tag for row in rows for tag in row or ())
    new = _spelled_anew(counts)
    usual = {tag for tag in counts if _SPAN.fullmatch(tag) and tag != "O"}
    odd = set(counts) - usual - {"O"}
    if not new and usual and odd and sum(counts[tag] for tag in usual) > sum(counts[tag] for tag in odd):
        report.warn(
            f"tags such as {sorted(odd)[0]!r} ({sum(counts[tag] for tag in odd):,} words) are none of spans, the "
            f"others are: no spans are counted. Write words "
            "outside of spans as O"
        )
    elif not new:
        _tell_words_alone(counts, report)
    new = {old: tag for old, tag in new.items() if old != tag}
    if new:
        shown = ", ".join(f"{old!r} as {tag!r}" for old, tag in sorted(new.items())[:4])
        report.warn(
            f"tags of {sum(counts[tag] for tag in new):,} words were rewritten: {shown}; tag_scheme='keep' leaves them as they are"
        )
    return [None if row is None else [new.get(tag, tag) for tag in row] for row in rows] if new else rows


def _tell_words_alone(counts: Counter[str], report: DataReport) -> None:
    """Tags that may stand for spans and are not written so: numbers, and words around a tag that looks like O."""
    words = sum(counts.values())
    usual = counts.most_common(1)[0][1] if counts else 0
    outside = next(
        (tag for tag in counts if tag.lower() in OUTSIDE and tag and counts[tag] >= max(usual, 0.25 * words)), None
    )
    other = next((tag for tag in sorted(counts) if tag != outside), None)
    if counts and all(tag.isascii() and tag.isdigit() for tag in counts):
        report.warn(
            f"tags are numbers, such as {min(counts)!r} ({words:,} words): each is a tag of its own, and no spans are counted. If they "
            "stand for names such as B-PER, write the names; tag_scheme='keep' says that they are meant"
        )
    elif outside is not None and other is not None:
        report.warn(
            f"{counts[outside]:,} of {words:,} words have the tag {outside!r}, as words outside of spans have, but tags such as {other!r} "
            "are none of spans: every word is counted by itself. For spans write B- before the tag of their first word, I- before others; "
            "tag_scheme='keep' says that they are meant"
        )


def _spelled_anew(counts: Counter[str]) -> dict[str, str]:
    """Every tag of spans → how it is written here; empty where some tags are none of spans, or none begins one."""
    for pattern in (_AHEAD, _BEHIND):
        read = {tag: match for tag in counts if tag.lower() not in OUTSIDE and (match := pattern.fullmatch(tag))}
        rest = set(counts) - set(read) - {"O"}
        marks = {match["mark"] for match in read.values()} - {None}
        if not read or len(rest) > 1 or not {tag.lower() for tag in rest} <= OUTSIDE or rest and "O" in counts:
            continue
        parts = {tag: (_PLACES[match["place"].upper()], match["kind"] or "") for tag, match in read.items()}
        if len(marks) > 1 and not marks <= {"-", "_"} or not {"B", "I"} & {place for place, _ in parts.values()}:
            continue
        begun = {kind for place, kind in parts.values() if place == "B"}
        if not begun and pattern is _BEHIND or not (rest or "O" in counts) and not any(
            place != "B" and kind in begun for place, kind in parts.values()
        ):  # fmt: skip
            continue
        return {tag: f"{place}-{kind}" if kind else place for tag, (place, kind) in parts.items()} | dict.fromkeys(
            rest, "O"
        )
    return {}


def words_to_sentences(
    dataset: datasets.Dataset,
    sentence: str,
    word: str,
    tag: str,
    report: DataReport | None = None,
    ignored: Sequence[str] = (),
) -> datasets.Dataset:
    """A table with one word per row → one sentence per row: `tokens`, `tags`, and other columns from the first word.

    An empty sentence number means the one above it (as spreadsheets write it). A number that comes again after another one is
    another sentence (`report` is told): tables number sentences anew in every document. Words are put in the order of a column
    that numbers them (`token_id`), unless it is among the `ignored`.

    Raises:
        DataError: the rows of sentences lie scattered.
    """
    numbers, words, tags = list(dataset[sentence]), list(dataset[word]), list(dataset[tag])
    rows: list[tuple[list[str], list[str], int]] = []
    current: Any = None
    begun: set[Any] = set()
    anew = 0
    order = next((name for name in dataset.column_names if name not in ignored and plain_name(name) in ORDERS), None)
    numbered = [_as_number(value) for value in dataset[order]] if order else [None] * len(dataset)
    orders: list[list[int | None]] = []
    for row, (number, one, mark) in enumerate(zip(numbers, words, tags, strict=True)):
        told = number is not None and str(number).strip()
        if not rows or told and number != current:
            current = number if told else current
            anew += current in begun
            begun.add(current)
            rows.append(([], [], row))
            orders.append([])
        if one is not None and mark is not None:
            orders[-1].append(numbered[row])
            rows[-1][0].append(str(one))
            rows[-1][1].append(str(mark))
    if len(rows) > 0.5 * len(numbers) and anew > 0.5 * len(rows):
        raise DataError(
            f"The rows of a sentence do not follow each other in column {sentence!r} ({len(rows):,} changes in {len(numbers):,} rows). Sort "
            "the table, or name another column: sentence_column=..."
        )
    if anew and report is not None:
        report.warn(
            f"{anew:,} of {len(rows):,} sentence numbers in column {sentence!r} occur again further down (numbered anew in every document?): taken "
            "for other sentences"
        )
    turned = 0
    for (own_words, own_tags, _), places in zip(rows, orders, strict=True):
        known = [place for place in places if place is not None]
        if len(set(known)) == len(places) and known != sorted(known):
            turned += 1
            by_place = sorted(range(len(known)), key=known.__getitem__)
            own_words[:], own_tags[:] = [own_words[k] for k in by_place], [own_tags[k] for k in by_place]
    if turned and report is not None:
        report.warn(
            f"words of {turned:,} of {len(rows):,} sentences did not stand in the order of column {order!r}: put in it; "
            f"ignore_columns=[{order!r}] leaves them as they are"
        )
    rest = [name for name in dataset.column_names if name not in (sentence, word, tag, "tokens", "tags")]
    kept = dataset.select([row for _, _, row in rows]).select_columns(rest) if rest else None
    strings = datasets.List(datasets.Value("string"))
    made = datasets.Dataset.from_dict(
        {"tokens": [row[0] for row in rows], "tags": [row[1] for row in rows]},
        features=datasets.Features({"tokens": strings, "tags": strings}),
    )
    return datasets.concatenate_datasets([made, kept], axis=1) if kept is not None else made


def is_words(feature: object) -> bool:
    """Whether the rows of a column are lists of words."""
    return getattr(getattr(feature, "feature", None), "dtype", "") in ("string", "large_string")


def refuse_without_words(part: SourcePart, tokens: str | None, text: str, option: str) -> None:
    """Tags are of words.

    Args:
        part: rows of tags, or the pool beside them.
        tokens: column of words; None: there is none.
        text: column of the content.
        option: what asks for tags.

    Raises:
        DataError: rows of tags have no column of words, or it holds something else.
    """
    if tokens is not None:
        kind = part.dataset.info.features[tokens]
        if not is_words(kind):
            if numbered := [name for name in part.dataset.column_names if "sent" in name.lower()]:
                raise DataError(
                    f"Column {tokens!r} of {part.origin} holds {str(kind)[:60]}, no lists of words. Where it holds one word per row, name "
                    f"the column that numbers the sentences, too: sentence_column={numbered[0]!r}."
                )
            head = values_of(part.dataset, tokens, MOST_ROWS) if isinstance(kind, datasets.Value) else []
            if any(len(str(value).split()) > 1 for value in head):
                raise DataError(
                    f"Column {tokens!r} of {part.origin} holds texts, no lists of words: label_kind='tags' cuts them and the tags at blanks, or "
                    "reads them as lists where they are written so."
                )
            raise DataError(
                f"Column {tokens!r} of {part.origin} holds {str(kind)[:60]}, no lists of words. Write a list of words into each row, or "
                "name the column of words: tokens_column=..."
            )
    elif part.split != "unlabeled":
        raise DataError(
            f"{option} needs a column of words, a tag for each: {part.origin} has none called tokens (its columns: "
            f"{shown(part.dataset.column_names)}). Name it: tokens_column={text!r}, where text is cut at blanks; or leave it out, where "
            "rows have one label each."
        )


def refuse_tags_as_text(columns: Sequence[str], text: str, part: SourcePart) -> None:
    """A column that holds a mark for every word of the text, in a list or in one string (`O O B-LOC O`), is no class and no remark.

    Args:
        columns: those that are not used, and the one of labels.
        text: column of the text.
        part: labeled rows.

    Raises:
        DataError: there is one, and nobody has said that it is a class.
    """
    strings = ("string", "large_string")
    if getattr(type_of(part.dataset, text), "dtype", "") not in strings:
        return
    texts = values_of(part.dataset, text, MOST_ROWS)
    for name in columns:
        kind = type_of(part.dataset, name)
        if getattr(kind, "dtype", "") not in strings and not is_words(kind):
            continue
        column = values_of(part.dataset, name, MOST_ROWS)
        pairs = [
            (words.split(), cut_tags(marks) if isinstance(marks, str) else marks)
            for words, marks in zip(texts, column, strict=True)
            if words and marks
        ]
        several = [(words, marks) for words, marks in pairs if len(words) > 1]
        fits = sum(len(words) == len(marks) for words, marks in several)
        kinds = {mark for _, marks in several for mark in marks}
        words = {word for one, _ in several for word in one}
        if (
            fits < max(5, 0.9 * len(several))
            or not 2 <= len(kinds) <= 0.5 * len(words)
            or len(kinds & words) > 0.5 * len(kinds)
        ):
            continue
        if len({len(one) for one, _ in several}) < 2 and "O" not in kinds and plain_name(name) not in TAGS:
            continue
        example = next(str(value) for value in column if value)
        raise DataError(
            f"Column {name!r} of {part.origin} holds as many words as {text!r} in {fits:,} of the first {len(texts):,} rows, such as "
            f"{example[:40]!r}: a tag for each word? Then label_kind='tags', tokens_column={text!r} and tags_column={name!r}; if not: "
            f"ignore_columns=[{name!r}], or label_column={name!r} and label_kind='class' if each is a class."
        )


def cut_tags(value: str) -> list[str]:
    """`O B-LOC O`, `O,B-LOC,O`, `['O', 'B-LOC', 'O']` → the tags."""
    bare = value.strip()
    if bare.startswith("[") and bare.endswith("]"):
        return [one for one in re.split(r"[\s,'\"]+", bare[1:-1]) if one]
    return bare.split() if len(bare.split()) > 1 else [one.strip() for one in re.split(r"[,;|]", bare)]


def _as_number(value: object) -> int | None:
    text = str(value).strip().removesuffix(".0")
    return int(text) if text.isascii() and text.isdigit() else None


def find_word_table(names: Sequence[str]) -> tuple[str, str, str] | None:
    """Columns of the sentence's number, the word and the tag, when a table has one word per row."""
    lower = {name.strip().lower(): name for name in reversed(names)}
    found = [next((lower[alias] for alias in aliases if alias in lower), None) for aliases in (SENTENCES, WORDS, TAGS)]
    sentence, word, tag = found
    return (sentence, word, tag) if sentence and word and tag else None
