"""A text without what a copy gains or loses on its way."""

from __future__ import annotations

import html
import re
import unicodedata

from hf_ssl.core.letters import LOOK_ALIKE

LEAST_WORDS = 5
"""Words of letters from which a text is one of words, whose case and marks are no part of it as those of a formula are."""
_TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)
_LINK = re.compile(r"(?:https?://|www\.)\S+")
_AHEAD = re.compile(
    r"(?:RT @\w+:?|@\w+[:,]?|\(?\d{1,4}[.)]|[-*>\u2022]|(?:[Rr][Ee]|[Ff][Ww][Dd]?|AW):|[\[(]?#?[A-Z]{0,5}[- ]?#?\d{3,}[\])]?[:,-]?"
    r"|(?:[Tt]icket|[Cc]ase|[Oo]rder|[Ii]ncident|ID|Nr\.?|No\.?|Fall|Vorgang)[ #:-]*\d+[:,-]?"
    r"|[\[(]?(?:\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4})(?:[T ,]+\d{1,2}:\d\d(?::\d\d)?)?[\])]?[:,-]?)\s+"
)
"""What stands in front of a copy: the name of who is quoted or answered, a number, a moment, a mark of a list."""
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55\u2764\ufe0f\u20e3]+")
_FACE = re.compile(r"(?:[:;=]['\u2019]?-?[)(\]\[DPpOo|/\\*3]+|<3+|\^_*\^)(?=\s|$)")
_TAGS_BEHIND = re.compile(r"(?:\s+[#@]\w+)+\s*$")
_TAGS_AHEAD = re.compile(r"\s*(?:#\w+\s+)+")
_GREETING = re.compile(
    r"\s*(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings|hallo|guten (?:tag|morgen|abend)|moin|liebe[rs]?|sehr geehrte[rs]?"
    r"|bonjour|bonsoir|salut|chère?s?|hola|buen[oa]s (?:días|tardes|noches)|estimad[oa]s?|querid[oa]s?|ciao|buongiorno|salve|gentile|gentilissim[oai]"
    r"|olá|bom dia|boa tarde|prezad[oa]s?|beste|geachte|goedemorgen|goedendag|hej|hei|szanown[iay]\w*|cześć|привет|здравствуйте|добрый день"
    r"|уважаем\w+)"
    r"\b[^,!:\n.?]{0,40}[,!:\n.]\s*",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:[\n.,!?]\s*|\s(?-i:(?=[A-Z\u0410-\u042f])))(?:(?:with |many |(?:my |our )?(?:kind|kindest|best|warm|warmest) )?(?:regards|wishes)|best"
    r"|all the best|many thanks|thanks"
    r"(?: (?:a lot|again|so much|very much|in advance))?|thank you(?: (?:very much|so much|in advance))?|cheers"
    r"|(?:yours )?(?:sincerely|faithfully|truly)|sincerely yours|take care|(?:mit )?(?:freundlichen?|besten?|herzlichen?|vielen?|lieben?"
    r"|schönen?) grü(?:ß|ss)en?|mfg|lg|vg|gruß"
    r"|danke|vielen dank|(?:bien )?cordialement|bien à vous|merci(?: (?:beaucoup|d'avance))?|(?:un )?(?:cordial )?saludos?(?: cordiales)?|atentamente"
    r"|gracias|(?:cordiali |distinti )?saluti|grazie|atenciosamente|obrigad[oa]|abraços|met vriendelijke groet(?:en)?|groeten|groetjes|bedankt"
    r"|hälsningar"
    r"|mvh|hilsen|pozdrawiam|с уважением|спасибо)"
    r"\s*(?:[,.!\n\u2013-]+[^.,!?\n]{0,40}(?:\n[^.,!?\n]{0,60}){0,3})?[.!\s]*$",
    re.IGNORECASE,
)
_SENT = re.compile(
    r"\s*(?:sent from my|get outlook for|von meinem|gesendet von|envoyé (?:de|depuis) mon|enviado desde mi|inviato da) .{0,40}$",
    re.IGNORECASE,
)
_LONGEST_CLOSING = 160
_IN_CLOSINGS = tuple(
    "regards wishes best thank cheers sincerely faithfully truly take grü grus gruß mfg lg vg dank cordialement vous merci salud atentamente gracias"
    " saluti grazie atenciosamente obrigad abraços groet bedankt hälsningar mvh hilsen pozdrawiam уважением спасибо".split()
)
_IN_SENT = ("sent from", "outlook for", "von", "envoyé d", "desde mi", "inviato da")
"""One of these is in whatever the patterns above find, which take longer."""


def bare(text: str) -> str:
    """A text without HTML tags, links, numbers and names in front, greetings, signatures, hashtags at its ends, emoji, accents and case.

    Letters of other scripts that look as Latin ones do are written as those. What is left of a letter or a message when its ends are
    taken off are `LEAST_WORDS` words or more, or they stay.
    """
    if "<" in text:
        text = _TAG.sub(" ", text)
    if "&" in text:
        text = html.unescape(text)
    if "://" in text or "www." in text:
        text = _LINK.sub(" ", text)
    if not text.isascii():
        text = _EMOJI.sub(" ", _UNSEEN.sub("", text))
    text = text.lstrip()
    while ahead := _AHEAD.match(text):
        text = text[ahead.end() :]
    if ":" in text or ";" in text or "=" in text or "<3" in text or "^" in text:
        text = _FACE.sub(" ", text)
    inner = _inside(text)
    if len(inner) < len(text) and sum(len(word) > 1 for word in inner.split()) >= LEAST_WORDS:
        text = inner
    if text.isascii():
        return text.lower()
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.translate(LOOK_ALIKE)))
    return unicodedata.normalize("NFC", plain).casefold()


def _inside(text: str) -> str:
    """A text without its greeting, closing and signature, and hashtags at its ends."""
    if "#" in text or "@" in text:
        text = _TAGS_BEHIND.sub("", text)
        if ahead := _TAGS_AHEAD.match(text):
            text = text[ahead.end() :]
    if ahead := _GREETING.match(text):
        text = text[ahead.end() :]
    head, tail = text[:-_LONGEST_CLOSING], text[-_LONGEST_CLOSING:]
    low = tail.lower()
    if any(word in low for word in _IN_SENT):
        tail = _SENT.sub("", tail)
    return head + _CLOSING.sub("", tail) if any(word in low for word in _IN_CLOSINGS) else head + tail
