"""What stands in and below a table and is no example: sums of the rows above, and notes about the table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hf_ssl.data.label_words import as_float

MOST_BELOW = 5
_TOTAL = (
    r"(?:grand|sub)[ -]?totals?|totals?|total g[eé]n[eé]ral|sum|summe|zwischensumme|gesamt(?:summe|ergebnis)?|insgesamt|ergebnis|sous-total"
    r"|subtotales|somme|suma|totale(?: parziale)?|totaal|subtotaal|razem|suma częściowa|celkem|összesen|toplam|yhteensä|summa|i alt|totalt|итого"
    r"|всего|разом"
    r"|σ|∑|合計|小計|総計|合计|小计|总计|總計|합계|소계|总和"
)
_MEAN = "mean|average|avg|median|std|stdev|mittelwert|durchschnitt|moyenne|promedio|среднее|平均"
_SUM = re.compile(
    rf"(?:{_TOTAL}|{_MEAN}|sd|min|max|count|anzahl|media)(?!\w)[^.!?]{{0,30}}",
    re.IGNORECASE,
)
_NOTE = re.compile(
    r"(grand |sub)?(totals?|gesamt|summe|total général)\b.{0,60}$|(exported|generated|created|downloaded|printed|compiled|prepared|produced|"
    r"extracted|exportiert|erstellt|erzeugt|gedruckt|exporté|généré|exportado|generado|gerado|esportato|generato)\b.{0,80}$|"
    r"(sources?|data sources?|quellen?|fuentes?|fontes?|fonti?|bron|źródło|kaynak|källa|kilde|источник|出典|出所|来源|资料来源|"
    r"notes?|footnotes?|hinweis|anmerkung(en)?|remarque|nota|disclaimer|legend|legende|filters?( applied)?|applied filters|"
    r"stand|as of|last updated?|user|report( id)?|signed|contact|author)\s*[:：]|"
    r"(data as of|as of|last updated?)\s+\S{1,30}$|see also\b.{0,80}$|"
    r"(page|seite|página|pagina|strona|страница|side|sida)\s+\d+(\s*(/|of|von|de|sur|di|van|z|из)\s*\d+)?\s*$|"
    r"(confidential|strictly confidential|vertraulich|confidentiel|confidencial|riservato|internal use only|for internal use|all rights reserved)\b|"
    r"(©|\(c\)|copyright)\s|(-+|\*+|=+)?\s*(end of (report|file|data|table|list|export)|ende der (liste|daten|tabelle)|eof)\b|"
    r"\(?\d[\d,. ]* (rows?|records?|entries|results|zeilen|datensätze|einträge|lignes|filas|registros|righe)\b.{0,20}$|"
    r"([*†‡§]+|[¹²³⁴⁵]|\d\)|[a-c]\))\s?=?\s?[^\W\d].{0,60}$|n ?= ?\d[\d,. ]*$|\(?(continued|fortsetzung|suite)\)?\s*$",
    re.IGNORECASE,
)
"""What programs and people write below a table, about it."""
_SIGNED = re.compile(
    r"(?:checked|approved|reviewed|signed|verified|geprüft|freigegeben|gezeichnet|vérifié|approuvé|signé|revisado|aprobado|firmado|controllato|firmato)"
    r"(?:\s*[:：]| (?:by|von|durch|par|por|da)\b).{1,40}",
    re.IGNORECASE,
)
"""The same of who signed; beside other columns such a line is told with headings."""
_BETWEEN = rf"^[\s*_=-]*(?:(?:{_TOTAL})(?:[\s:*].{{0,30}})?|(?:{_MEAN})[\s*_:=-]*|.{{1,30}}\s(?:sub-?total|total|summe|ergebnis))\s*:?\s*$"
_BARE = re.compile(
    rf"\W*(?:(?:{_TOTAL}|{_MEAN})\W*|(?:(?:sub|grand)[ -]?total|zwischensumme|sous-total)\b.{{0,30}})", re.IGNORECASE
)


def sums_below(rows: Sequence[Sequence[object]]) -> list[str]:
    """The last rows of a table that sum it up (`Total,`, `Average length,12`) or tell of it (`Source: ...,`, `Page 1 of 1,`), as text.

    Returns:
        []: there are none, or others begin so, too.
    """
    filled = [[value.strip() for value in row if isinstance(value, str) and value.strip()] for row in rows]
    alone = (
        sum(len(present) == 1 for present in filled) <= MOST_BELOW
    )  # as a rule rows have something in other columns
    ends = [present[-1] for present in filled if len(present) == 2]
    again = {value for value in ends if ends.count(value) > 1}
    few = len(again) <= 0.2 * len(ends)  # a second column of classes
    lengths = sorted(len(present[0].split()) for present in filled if present)
    single = bool(rows) and all(len(row) == 1 for row in rows)
    short = lengths[len(lengths) // 2] // 2 if single and lengths else 0

    def is_below(present: list[str]) -> bool:
        if not present:
            return False
        cut = len(present) == 2 and few and ends.count(present[1]) == 1 and as_float(present[1]) is None
        if (alone and len(present) == 1 or cut) and _NOTE.match(present[0]):
            return True
        if single and len(present[0].split()) <= short and (_NOTE.match(present[0]) or _SIGNED.fullmatch(present[0])):
            return True
        sums = [value for value in present if _SUM.fullmatch(value)]
        rest = [value for value in present if value not in sums]
        return present[0] in sums or bool(sums and rest) and all(as_float(value) is not None for value in rest)

    found: list[str] = []
    for present in reversed(filled):
        if len(found) == MOST_BELOW or not is_below(present):
            break
        found.append(", ".join(present)[:40])
    others = [present for present in filled[: len(rows) - len(found)] if is_below(present)]
    return [] if others or len(rows) < len(found) + 5 else found[::-1]


def sums_between(data: pa.Table, file: Path) -> str:
    """What to tell of rows in the middle of a table that sum up those above (`Subtotal pos,,30`); "": there are none.

    Args:
        data: all rows, as text.
        file: where they stand.
    """
    texts = [
        name for name, kind in zip(data.column_names, data.schema.types, strict=True) if pa.types.is_string(kind)
    ][:4]
    if data.num_columns < 2 or len(data) < 10:
        return ""
    held = {
        name: pc.match_substring_regex(data.column(name), _BETWEEN, ignore_case=True).to_pylist() for name in texts
    }
    rows = [place for place in range(len(data)) if any(found[place] for found in held.values())]
    if not rows or len(rows) > len(data) // 3 or rows[0] == len(data) - len(rows):
        return ""
    said = next(name for name, found in held.items() if found[rows[0]])
    others = [name for name in data.column_names if name != said]
    lacking = [name for name in others if 1 < len(rows) <= 0.2 * len(data) and _lacks(data.column(name), rows)]
    why = lacking or [name for name in others if _add_up(data.column(name), rows)]
    if not why and not (len(rows) > 1 and _among_texts(data.column(said), rows)):
        return ""
    numbers = [row + 1 for row in rows]
    way = (
        f"csv_options={{'skiprows': {numbers}}} leaves them out"
        if len(rows) <= 20 and lines_of(file) == len(data) + 1
        else "take them out of the file"
    )
    example = str(data.column(said)[rows[0]].as_py())[:40]
    several = f"{len(rows)} rows, such as {example!r} (row {rows[0]}), look like sums of those above"
    return f"{several}, by what they have in {(why or [said])[0]!r}, and are read as rows: {way}"


def _lacks(column: pa.ChunkedArray, rows: Sequence[int]) -> bool:
    """Whether rows have nothing in a column, or a number, where nearly all others have something, or words."""
    inside = column.take(pa.array(rows)).to_pylist()
    filled = [value for value in column.to_pylist() if value is not None]
    numbers = sum(as_float(str(value)) is not None for value in filled)
    if all(value is None for value in inside):
        return len(filled) >= 0.9 * (len(column) - len(rows))
    return all(value is not None and as_float(str(value)) is not None for value in inside) and numbers <= len(
        rows
    ) + 0.05 * len(filled)


def _add_up(column: pa.ChunkedArray, rows: Sequence[int]) -> bool:
    """Whether most of these rows hold the sum of the numbers above them, back to the one before, or of all others."""
    values = [as_float(str(value)) for value in column.to_pylist()]
    if sum(value is not None for value in values) < 0.9 * len(values):
        return False
    others = sum(value or 0.0 for row, value in enumerate(values) if row not in set(rows))
    right, start = 0, 0
    for row in rows:
        block, said = [value or 0.0 for value in values[start:row]], values[row]
        made = [others] + ([sum(block)] if len(block) > 1 else [])
        right += said is not None and said != 0 and any(abs(said - one) <= 0.005 * abs(said) for one in made)
        start = row + 1
    return right > 0.5 * len(rows)


def _among_texts(column: pa.ChunkedArray, rows: Sequence[int]) -> bool:
    """Whether a bare word for a sum stands again and again in a column whose other values are texts, nearly all different."""
    inside = [str(column[row].as_py()) for row in rows]
    gone = set(rows)
    texts = [str(value) for row, value in enumerate(column.to_pylist()) if row not in gone and value is not None]
    long = sum(len(value.split()) > 2 for value in texts)
    return all(map(_BARE.fullmatch, inside)) and len(set(texts)) >= 0.9 * len(texts) and long > 0.5 * len(texts)


def lines_of(file: Path) -> int:
    """Lines of a small file of text that are not empty; 0: it is packed or large, or some are."""
    if file.suffix.lower() == ".gz" or file.stat().st_size > 1 << 24:
        return 0
    lines = file.read_bytes().splitlines()
    return len(lines) if all(line.strip() for line in lines) else 0
