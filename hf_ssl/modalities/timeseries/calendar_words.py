"""What the parts of a calendar are called in the languages of western and northern Europe: months, days, and columns of them."""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Sequence

MONTHS = ("jan ene gen janvier", "feb fev fevr", "mar mrz mrt maa maerz", "apr abr avr", "may mai mag mei maj", "jun giu juin",
          "jul lug juil", "aug ago aou", "sep set", "oct okt ott out", "nov", "dec dic dez des")  # fmt: skip
"""How the names of months begin in English, German, Dutch, French, Spanish, Italian, Portuguese and the north."""
DAYS = ("mon mo lun maa ma", "tue di mar tirs", "wed mi mer mie woe", "thu do jeu jue gio", "fri fr ven vie vri", "sat sa sam sab zat",
        "sun so dim dom zon")  # fmt: skip
COLUMNS = {
    "year": ("year", "yr", "yyyy", "iso year", "week year", "jahr", "iso jahr", "ano", "annee", "an", "anno", "jaar", "ar", "vuosi", "rok"),
    "quarter": ("quarter", "qtr", "qtr no", "q", "quartal", "trimestre", "trim", "kwartaal", "kvartal", "kwartal", "vuosineljannes"),
    "month": ("month", "mon", "mo", "mm", "mnth", "month no", "month number", "monat", "mes", "mois", "mese", "maand", "manad", "maned",
              "kuukausi", "miesiac"),
    "week": ("week", "wk", "kw", "cw", "iso week", "week no", "week nr", "week number", "week of year", "weekofyear", "calendar week", "woche",
             "kalenderwoche", "semaine", "sem", "semana", "settimana", "sett", "uke", "uge", "vecka", "v", "viikko", "tydzien"),
    "day": ("day", "dy", "dd", "dom", "mday", "day of month", "dayofmonth", "tag", "jour", "dia", "giorno", "dag", "paiva", "dzien"),
    "day of the year": ("doy", "day of year", "dayofyear", "day of the year", "yday", "jday", "julian day", "tag des jahres", "jahrestag",
                        "jour de l'annee", "jour annee", "dia del ano", "dia do ano", "giorno dell'anno", "dag van het jaar"),
    "hour": ("hour", "hr", "hh", "hour of day", "stunde", "std", "hora", "heure", "ora", "uur", "timme", "tunti"),
    "minute": ("minute", "minutes", "min", "mi", "mn", "minuto", "minuut", "minuutti"),
    "second": ("second", "seconds", "sec", "ss", "sekunde", "seconde", "segundo", "secondo"),
}  # fmt: skip
"""What columns with one part of a time stamp are called, as `plain` writes it."""


def plain(name: str) -> str:
    """A name in lower case, without accents, with blanks for what joins words: `ISO_Week.` → `iso week`."""
    text = unicodedata.normalize("NFKD", name.strip().lower())
    return re.sub(r"[\s_.-]+", " ", "".join(letter for letter in text if not unicodedata.combining(letter))).strip()


def place_among(words: Sequence[str], name: str) -> int | None:
    """Which month (or day of the week) a word names, from 1; None: it is none, or may be several."""
    text = plain(name)
    if not re.fullmatch(r"[a-z]{2,10}", text):
        return None
    hits = [
        place
        for place, begins in enumerate(words, start=1)
        if any(text == word or len(word) > 2 and text.startswith(word) for word in begins.split())
    ]
    return hits[0] if len(hits) == 1 else None


def english_month(text: str) -> str | None:
    """`4. Mrz 21`, `février 2021` → with the month as English shortens it; None: it holds no name of a month, or more words than that."""
    words = re.findall(r"[^\W\d_]{3,}", text)
    place = place_among(MONTHS, words[0]) if len(words) == 1 else None
    return None if place is None else re.sub(rf"{words[0]}\.?", calendar.month_abbr[place], text)
