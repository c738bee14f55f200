"""One column per label: which words mean yes, which no, and what is asked where that is open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hf_ssl.core.errors import DataError
from hf_ssl.data.label_words import EMPTY, NO, UNSAID, YES, shares
from hf_ssl.data.missing_words import perhaps_missing
from hf_ssl.data.report import DataReport

PAIRS = (
    ("ja", "nein"), ("j", "n"), ("wahr", "falsch"), ("oui", "non"), ("o", "n"), ("vrai", "faux"), ("si", "no"), ("sí", "no"), ("sì", "no"),
    ("s", "n"), ("verdadero", "falso"), ("vero", "falso"), ("sim", "não"), ("sim", "nao"), ("verdadeiro", "falso"), ("ja", "nee"),
    ("waar", "onwaar"), ("ja", "nej"), ("sant", "falskt"), ("sand", "falsk"), ("ja", "nei"), ("kyllä", "ei"), ("tak", "nie"), ("t", "n"),
    ("prawda", "fałsz"), ("ano", "ne"), ("pravda", "nepravda"), ("igen", "nem"), ("igaz", "hamis"), ("da", "nu"), ("da", "ne"), ("evet", "hayır"),
    ("doğru", "yanlış"), ("да", "нет"), ("истина", "ложь"), ("так", "ні"), ("ναι", "όχι"), ("כן", "לא"), ("نعم", "لا"), ("हाँ", "नहीं"),
    ("はい", "いいえ"), ("有", "無"), ("有", "无"), ("是", "否"), ("예", "아니오"), ("네", "아니요"), ("ya", "tidak"), ("có", "không"),
    ("t", "f"), ("on", "off"),
    ("checked", "unchecked"), ("selected", "not selected"), ("present", "absent"), ("quoted", "not quoted"), ("ticked", "unticked"),
    ("applies", "does not apply"), ("ausgewählt", "nicht ausgewählt"), ("gewählt", "nicht gewählt"), ("genannt", "nicht genannt"),
)  # fmt: skip
"""Words for yes and no that leave nothing open where both are met, and no third."""


def labels_of_columns(
    columns: dict[str, list[Any]], given: Sequence[str], report: DataReport, yes: Sequence[str] = ()
) -> list[Any]:
    """One column of 0 and 1 per label → the names of each row's labels; a row of nothing but -1 or nothing has no label.

    Args:
        columns: values of every label's column.
        given: the user's `na_values`: a row that holds one of them has no label.
        report: warned about labels that no row has, and about -1 and empty fields between 0 and 1, which are taken for 0.
        yes: the user's `yes_values`: these mean that a row has the label, and every other word that it has not.

    Raises:
        DataError: a value is no yes or no.
    """
    texts = {
        name: ["" if value is None or value != value else str(value).strip().lower() for value in values]
        for name, values in columns.items()
    }
    absent = {"" if word == EMPTY else word.strip().lower() for word in given}
    said = {text for values in texts.values() for text in values} - UNSAID - absent
    wanted, refused = _words(said, yes, texts, report)
    marked = not refused & said  # nobody says no: `x` or nothing
    rows: list[Any] = []
    unsaid: Counter[tuple[str, str]] = Counter()
    nothing: Counter[str] = Counter()
    for row in zip(*texts.values(), strict=True):
        empty = all(text in UNSAID for text in row)
        if absent & set(row) or empty and not marked:
            nothing.update(() if absent & set(row) else set(row) - {""})
            rows.append(None)
            continue
        for name, text in zip(texts, row, strict=True):
            if text not in wanted | refused | UNSAID and text != name.strip().lower():
                _refuse(name, text, columns, texts, absent)
            unsaid[name, text] += text in UNSAID and not (marked and not text)
        rows.append(
            [name for name, text in zip(texts, row, strict=True) if text in wanted or text == name.strip().lower()]
        )
    if nothing:
        word, count = nothing.most_common(1)[0]
        report.warn(
            f"{count:,} of {len(rows):,} rows hold nothing but {word} in the label columns: taken for unlabeled; na_values=[{word!r}] says so"
        )
    for (name, text), count in unsaid.items():
        if count:
            report.warn(
                f"{count:,} of {len(rows):,} values of label column {name!r} are {text or EMPTY}: taken for 0 (not {name!r}); "
                f"na_values=[{text or EMPTY!r}] takes their rows for unlabeled"
            )
    for name, values in texts.items():
        if rows and not (wanted | {name.strip().lower()}).intersection(values):
            report.warn(
                f"no row has the label {name!r}: its column holds no 1, so that nothing can be learned of it; leave it out of "
                "label_columns=... if that is meant"
            )
    return rows


def _words(
    said: set[str], given: Sequence[str], texts: dict[str, list[str]], report: DataReport
) -> tuple[frozenset[str], frozenset[str]]:
    """Words for yes and for no among those that are met."""
    if given:
        wanted = frozenset(word.strip().lower() for word in given)
        others = Counter(text for values in texts.values() for text in values if text in said - wanted)
        if missing := wanted - said:
            raise DataError(
                f"yes_values={sorted(missing)}: no label column holds that; they hold {', '.join(sorted(said)[:8])}."
            )
        shown = ", ".join(f"{word!r} ({count:,})" for word, count in others.most_common(6))
        (report.warn if len(others) > 1 else report.decide)(
            f"yes_values={sorted(wanted)}: other words of the label columns are taken for no: {shown or 'there are none'}"
        )
        return wanted, frozenset(others)
    for yes, no in PAIRS:
        if {yes, no} <= said and not (said - {yes, no}) & (YES | NO):
            report.decide(f"label columns: {yes!r} is 1 and {no!r} is 0")
            return frozenset({yes}), frozenset({no})
    return YES, NO


def _refuse(
    name: str, text: str, columns: dict[str, list[Any]], texts: dict[str, list[str]], absent: set[str]
) -> None:
    """What to do about a value that is no yes and no no.

    Raises:
        DataError: always.
    """
    if shares(columns[name]) and not all(value in ("1", "2", "1.0", "2.0") for value in _said(texts, absent)):
        raise DataError(
            f"label_columns: column {name!r} holds shares or scores such as {text!r}; one column per label holds 0 or 1: write 1 "
            f"where the share is large enough (df[{name!r}] >= 0.5). One column of numbers is learned without label_columns: "
            f"label_column={name!r} and label_kind='regression'."
        )
    said = _said(texts, absent)
    odd = [word for word in said if word not in YES | NO]
    known = any({yes, no} <= said.keys() for yes, no in (*PAIRS, *((one, other) for one in YES for other in NO)))
    few = known and sum(said[word] for word in odd) < 0.5 * said.total()
    if few or perhaps_missing(text):
        raise DataError(
            f"label_columns: column {name!r} holds {text!r}; one column per label holds 0 or 1. If rows with it have no "
            f"label: na_values=[{text!r}]."
        )
    words = [word for word, _ in said.most_common(4)]
    raise DataError(
        f"label_columns: the columns hold {', '.join(f'{word!r} ({count:,})' for word, count in said.most_common(4))}, and one column per label "
        f"holds 0 or 1. Which of them means that a row has the label? {' or '.join(f'yes_values={[word]}' for word in words)}; the others then "
        "mean that it has not."
    )


def _said(texts: dict[str, list[str]], absent: set[str]) -> Counter[str]:
    return Counter(text for values in texts.values() for text in values if text not in UNSAID | absent)
