"""Text that is older than UTF-8: which encodings it may be in, what it says in each, and whether one of them is beyond doubt."""

from __future__ import annotations

import re
import unicodedata

SHOWN = 8
LEGACY = ("cp1252", "cp1250", "cp1251", "cp1254", "cp1253", "cp1257", "cp1255", "cp1256", "cp1258", "cp874", "iso8859_15",
          "iso8859_2", "koi8_r", "koi8_u", "iso8859_5", "cp850", "cp437", "cp852", "cp866", "mac_roman", "mac_latin2",
          "mac_cyrillic", "shift_jis", "gb18030", "euc_jp", "big5", "euc_kr")  # fmt: skip
"""By how common they are."""
WIDE = {"shift_jis", "gb18030", "euc_jp", "big5", "euc_kr"}
"""Two bytes a letter: they make something of nearly any bytes, and are tried where nothing else fits or half of the bytes are high."""

USUAL = frozenset(
    "éèàçêùâîôûëïœüöäßñáíóúãõåøæ¿¡«»“”„’–—…€£°§"  # Western
    "ąęłńśźżćčěřšžýůďťňőűăîșțşţđľĺŕ"  # Central Europe
    "ığşİçöü" "āēīūģķļņšžėįųõ"  # Turkish, Baltic
    "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэёіїєґ" "ατοιενσρκπυμλης ίόάέήύώγδθφχβωξζψ"
    "יוהלאמרבתשנכדקחעפגטסזצםןךףץ" "اليمونتربةعدسفكحقجشهطأخصضىئزغثظءذآإ"
    "กขคงจชซญณดตถทธนบปผพภมยรลวศสหอะาำิีึืุูเแโใไ่้็์"
    "のにはをたがでてとしれさいるなかこもりすくつうけまきよんらどだあえおじみそせめわちやょっアイウエオカキクケコサシスセソタチツテトナニノハフヘホマミムメモヤラリルレロワンー、。"
    "的一是不了在人有我他这这個个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去能对小多然于心学么之都好看起发当没成只如事把还用第样道想作种开美总从无情己面最女但现前些所同日手又行意动方期它头经长儿回位分爱老因很给名法間這個們來時為說國著裡後會過對學麼發當沒還樣種開總從無動經長兒愛給本店良"
    "이다는을에의가고를은로하지한기도사어리서시자아대니그요인나정들일해수만있부상스주장과여전보라게"
)  # fmt: skip
"""Letters that make up most of what people write in each language; what a wrong encoding makes of them mostly is none of these."""
_INSIDE = "²³¹º°ªµ½¼¾€’‘'·‧-‑‐״׳ー・"


def readings(content: bytes) -> list[tuple[str, str]]:
    """`(encoding, text)` of every different text that these bytes may be, the most likely first; [] when no encoding fits.

    Args:
        content: lines that hold bytes above 127.
    """
    high = sum(byte > 127 for byte in content)
    western = high < 0.2 * len(content)  # of bytes that take two, half would be
    found: dict[str, str] = {}
    for wide in (False, True):
        _read(content, [name for name in LEGACY if (name in WIDE) == wide], found)
        if western and any(likelihood(text) > 0.5 and _is_latin(text) for text in found):
            break
    if not found:
        from charset_normalizer import from_bytes

        _read(content, [match.encoding for match in from_bytes(content)], found)
    return sorted(((name, text) for text, name in found.items()), key=lambda item: -likelihood(item[1]))


def _is_latin(text: str) -> bool:
    """Two bytes that are one Korean letter read as two of another small alphabet, but hardly ever as Latin ones."""
    return not any(ord(letter) > 0x24F and letter.isalpha() for letter in text)


def _read(content: bytes, names: list[str], found: dict[str, str]) -> None:
    for name in names:
        try:
            text = content.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
        if _plausible(text):
            found.setdefault(text, name)


def only_one(found: list[tuple[str, str]]) -> bool:
    """Whether the first reading is beyond doubt: it reads well, and every other one badly."""
    first, *rest = (likelihood(text) for _, text in found)
    return first >= 0.5 and all(first - other >= 0.4 for other in rest)


def likelihood(text: str) -> float:
    """Share of letters beyond ASCII that are usual in a language; capitals count where words begin, and among capitals."""
    worth, count = 0.0, 0
    before = " "
    for letter in text:
        if ord(letter) > 127:
            count += 1
            if letter in USUAL or unicodedata.category(letter) == "Zs":
                worth += 1
            elif letter.lower() in USUAL:
                worth += 0.9 if not before.isalpha() else 0.6 if before.isupper() else 0.0
        before = letter
    if not count:
        return 0.0
    if any(len(set(run)) > 2 for run in re.findall(r"[^\w\s\x00-\x7f]{3,}", text)):
        worth *= 0.5  # three different symbols in a row
    return worth / count


def shown(content: bytes, found: list[tuple[str, str]]) -> str:
    """`encoding='cp1252': 'für Müller'; ...`: one line of the file as each encoding reads it, to choose from.

    Args:
        content: lines that hold bytes above 127.
        found: as `readings` gives it.
    """
    line = max(content.split(b"\n")[:200], key=lambda one: sum(byte > 127 for byte in one[:400]))
    place = next((place for place, byte in enumerate(line) if byte > 127), 0)
    start = line.rfind(b" ", 0, max(0, place - 10)) + 1
    return "; ".join(f"encoding={name!r}: {_piece(line[start:], name)!r}" for name, _ in found[:SHOWN])


def _piece(line: bytes, name: str) -> str:
    return line.decode(name, "replace")[:40].strip()


def example(text: str) -> str:
    """A few letters around the first one beyond ASCII."""
    place = next((place for place, letter in enumerate(text) if ord(letter) > 127), 0)
    return text[max(0, place - 12) : place + 12].replace("\n", " ").strip()


def _plausible(text: str) -> bool:
    """Whether words are made of letters of one script: what a wrong encoding makes of accents hardly ever is."""
    return "\ufffd" not in text and all(
        _is_word(word) for word in set(re.findall(r'[^\s,;|"]*[^\x00-\x7f,;|"\s][^\s,;|"]*', text))
    )


def _is_word(word: str) -> bool:
    scripts = set()
    for place, letter in enumerate(word):
        kind = unicodedata.category(letter)
        if kind in ("Cc", "Cn", "Co", "Cs"):
            return False
        inside = 0 < place < len(word) - 1 and word[place - 1].isalpha() and word[place + 1].isalpha()
        if (
            ord(letter) > 127
            and kind in ("So", "Sm", "Sk", "No", "Lm", "Sc")
            and letter not in _INSIDE
            and (inside or any(map(str.isalpha, word)) and kind != "Sc")
        ):
            return False
        if (
            ord(letter) > 127
            and kind[0] == "P"
            and letter not in _INSIDE
            and inside
            and not _east(word[place - 1])
            and not _east(word[place + 1])
        ):
            return False
        if kind[0] == "L" or kind == "Mn":
            scripts.add(unicodedata.name(letter, "?").split()[0])
        if kind == "Lu" and ord(letter) > 127 and place and word[place - 1].islower():
            return False
    together = {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "LATIN", "FULLWIDTH", "HALFWIDTH"}
    return len(scripts - {"FEMININE", "MASCULINE", "COMBINING", "MICRO"}) <= 1 or scripts <= together


def _east(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in ("W", "F")


_SHIFTS = (
    ("iso2022_jp_2", b"\x1b", re.compile(rb"\x1b\$(?:[@B]|\([DO])")),
    ("iso2022_kr", b"\x1b", re.compile(rb"\x1b\$\)C")),
    ("hz", b"~", re.compile(rb"~\{(?:[!-w][!-~])+~\}")),
)
"""Encodings that write other letters by plain ones, and the marks where those begin, and their first byte, which is found a hundred times as fast."""
_BASE64 = re.compile(rb"\+([A-Za-z0-9/]{3,})(?![A-Za-z0-9+/])")


def seven_bit(content: bytes) -> tuple[str, bool] | None:
    """The encoding in which these bytes, all below 128, are more than they seem, and whether that is beyond doubt; None: they are not.

    Args:
        content: whole lines.
    """
    for name, first, mark in _SHIFTS:
        if first in content and mark.search(content):
            for more in (name, "iso2022_jp_ext") if name == "iso2022_jp_2" else (name,):
                try:
                    return (more, True) if not content.decode(more).isascii() else None
                except UnicodeDecodeError:
                    continue
    groups = _BASE64.findall(content)
    letters = [text for group in groups if (text := _of_base64(group)) is not None]
    usual = sum(letter.lower() in USUAL for letter in "".join(letters))
    sure = len(letters) >= max(3, len(groups) // 2) and usual >= 0.5 * len("".join(letters))
    return ("utf-7", False) if sure else None


def _of_base64(group: bytes) -> str | None:
    """What follows the `+` of UTF-7; None: no letters beyond ASCII."""
    try:
        text = (b"+" + group + b"-").decode("utf-7")
    except UnicodeDecodeError:
        return None
    return text if text and all(ord(letter) > 127 and letter.isprintable() for letter in text) else None
