"""Texts that were read in a wrong encoding, hold codes of programs, or marks of mails; and those that only look so."""

from __future__ import annotations

import csv
import quopri
from collections.abc import Callable
from pathlib import Path

import pytest
from sentences import text

import hf_ssl

GERMAN = "Für das Gerät fehlt nach {n} Wochen noch die Rückzahlung, schöne Grüße übrigens"
FRENCH = "Après {n} semaines, la réparation du vélo n'est toujours pas réussie, très déçu"
TURKISH = "Şemsiye {n} gün içinde geldi ama kırık çıktı, çok üzgünüm ve iade istiyorum"
RUSSIAN = "Отличный принтер, пользуемся уже {n} дней, но бумага застревает каждый вечер"


def table(file: Path, own: Callable[[int], str]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(("text", "label"))
        writer.writerows([(own(row), "ab"[row % 2]) for row in range(60)])
    return file


def warned(file: Path) -> list[str]:
    return hf_ssl.load_data(file, verbose=False, near_duplicates=False).report["warnings"]


WRONG = {
    "cp1251 as Western": lambda n: RUSSIAN.format(n=n).encode("cp1251").decode("latin-1"),
    "KOI8 as cp1251": lambda n: RUSSIAN.format(n=n).encode("koi8-r").decode("cp1251"),
    "Turkish as Western": lambda n: TURKISH.format(n=n).encode("cp1254").decode("latin-1"),
    "Windows as Macintosh": lambda n: FRENCH.format(n=n).encode("cp1252").decode("mac_roman"),
    "question marks": lambda n: GERMAN.format(n=n).encode("ascii", "replace").decode(),
    "control characters": lambda n: f"l\x92appareil {n} ne marche plus",
    "zeros": lambda n: f"Please\x00 cancel my order {n}",
    "colors of a terminal": lambda n: f"\x1b[31mthe order {n} failed\x1b[0m again",
    "quoted-printable": lambda n: quopri.encodestring(GERMAN.format(n=n).encode("latin-1")).decode(),
    "headers of mails": lambda n: f"=?utf-8?Q?We_love_it_{n}?=",
    "hex entities": lambda n: GERMAN.format(n=n).replace("ü", "&#xFC;"),
    "letters apart": lambda n: " ".join(f"Great printer {n} indeed"),
}


@pytest.mark.parametrize("own", WRONG.values(), ids=list(WRONG))
def test_letters_that_a_program_spoiled_are_told(own: Callable[[int], str], tmp_path: Path) -> None:
    told = warned(table(tmp_path / "a.csv", own))
    assert len(told) == 1 and "Export" in told[0]


RIGHT = {
    "German": lambda n: GERMAN.format(n=n), "French": lambda n: FRENCH.format(n=n), "Turkish": lambda n: TURKISH.format(n=n),
    "Russian": lambda n: RUSSIAN.format(n=n), "Russian in capitals": lambda n: RUSSIAN.format(n=n).upper(),
    "French in capitals": lambda n: FRENCH.format(n=n).upper(),
    "Icelandic": lambda n: f"Þetta er mjög góð vara, ég keypti hana fyrir {n} dögum og hún virkar",
    "Czech": lambda n: f"Výborný přístroj, používám ho už {n} dní a líbí se mi",
    "questions": lambda n: f"Does it work? I asked {n} times. Is it https://a.b/c?page={n} or not?",
    "sums": lambda n: f"a=B4, then x=9F and {n} = 12 or f(x)=Ab", "initials": lambda n: f"J R R Tolkien wrote {n} pages",
}  # fmt: skip


@pytest.mark.parametrize("own", RIGHT.values(), ids=list(RIGHT))
def test_right_letters_stay_quiet(own: Callable[[int], str], tmp_path: Path) -> None:
    assert not warned(table(tmp_path / "a.csv", own))


def test_texts_cut_at_a_number_of_bytes_are_told(tmp_path: Path) -> None:
    own = [
        f"{'ü' * (row % 15)} {text(row, 12)} größer {text(row + 100, 12)} schön {text(row + 200, 12)}"
        for row in range(60)
    ]
    told = warned(table(tmp_path / "a.csv", lambda row: own[row].strip().encode()[:150].decode("utf-8", "ignore")))
    assert len(told) == 1 and "bytes" in told[0]


def test_a_file_half_in_utf8_is_no_chinese(tmp_path: Path) -> None:
    lines = [f"{GERMAN.format(n=row).replace(',', '')},{'ab'[row % 2]}\n" for row in range(80)]
    file = tmp_path / "a.csv"
    file.write_bytes(b"text,label\n" + "".join(lines[:40]).encode() + "".join(lines[40:]).encode("cp1252"))
    with pytest.raises(hf_ssl.core.errors.DataError, match="40 of 80") as refused:
        hf_ssl.load_data(file, verbose=False)
    assert "gb18030" not in str(refused.value)
