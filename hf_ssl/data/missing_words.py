"""Words that people and programs write where a value is missing, in the languages that tables come in; each might be meant, too."""

from __future__ import annotations

import re

NA_PERHAPS = frozenset({"NA", "N/A", "n/a", "null", "NULL", "Null", "None", "none", "-", "--", "?", ".", "missing", "Missing",
                         "not available", "no data"})  # fmt: skip
"""What may be a missing value or a word (Namibia, "none of these"), in just this spelling."""
_OTHERS = frozenset("""
    blank|empty|void|nil|n.a.|n.a|n/d|n.d.|n.d|n.r.|n/k|n.k.|not applicable|not reported|not recorded|not specified|not stated|not provided
    not given|unspecified|no answer|no response|no reply|no value|none given|don't know|dont know|do not know|prefer not to say
    refused|declined to answer|missing value|not known|no info|no information|not asked|unavailable|nodata|no-data|na/na
    k.a.|k. a.|k.a|k/a|keine angabe|keine angaben|keine antwort|keine daten|ohne angabe|fehlt|fehlend|unbekannt|weiß nicht|weiss nicht
    nicht verfügbar|nicht angegeben|nicht vorhanden|nicht bekannt|nicht zutreffend|entfällt|leer|n.v.|fehlender wert|#nv|#nv!
    non renseigné|non renseignée|non disponible|non précisé|non applicable|n.c.|inconnu|inconnue|sans réponse|pas de réponse|manquant
    manquante|aucune donnée|pas de données|ne sait pas|ne se prononce pas|nsp|vide|#n/d
    sin datos|sin dato|no disponible|s/d|s.d.|desconocido|desconocida|no contesta|no sabe|ns/nc|ns / nc|no aplica|no procede|vacío
    sin respuesta|no informado|no especificado|faltante|sin información
    sem dados|sem resposta|sem informação|não disponível|não informado|não se aplica|não sabe|desconhecido|desconhecida|ignorado|vazio|#n/disp
    nessun dato|dato mancante|non specificato|sconosciuto|sconosciuta|mancante|non risponde|non so|vuoto|non pervenuto
    geen gegevens|geen antwoord|geen data|onbekend|niet beschikbaar|niet ingevuld|ontbreekt|n.v.t.|nvt|weet niet|leeg|#n/b
    brak danych|brak|brak odpowiedzi|nie dotyczy|nie wiem|nieznany|nieznana|nieznane|b.d.|b/d
    saknas|uppgift saknas|okänd|okänt|vet ej|ej angivet|ukendt|ukjent|ikke oplyst|ikke oppgitt|vet ikke|mangler|ei tietoa|puuttuu
    neuvedeno|neznámé|neznámý|chybí|není k dispozici|ismeretlen|nincs adat|necunoscut|fără date|bilinmiyor|veri yok|belirtilmemiş|boş
    нет данных|неизвестно|н/д|н.д.|не указано|не указан|не указана|нет ответа|не знаю|отсутствует|пропуск|пусто|немає даних|невідомо|#н/д
    няма данни|άγνωστο|δ/υ|δεν υπάρχει|לא ידוע|אין נתונים|غير معروف|غير متوفر|لا يوجد|अज्ञात|उपलब्ध नहीं|ไม่ทราบ|ไม่มีข้อมูล
    không có|không rõ|tidak diketahui|tidak ada
    不明|なし|無し|該当なし|未記入|未回答|無回答|欠損|欠測|データなし|わからない|未知|不详|不詳|无|無|缺失|无数据|無資料|暂无|暂缺|未填写|未填|不适用|不適用|不清楚|空
    없음|미상|무응답|모름|알 수 없음|해당 없음|해당없음|결측|결측치
""".strip().replace("\n", "|").replace("    ", "").split("|"))  # fmt: skip
"""In lower case."""
_CODE = re.compile(r"\.[a-z]|#[^\W\d_¡¿]*[¡¿]?[\w/ ]{2,12}[!?]", re.IGNORECASE)
"""Stata's `.a` to `.z`; Excel's errors in its languages: `#WERT!`, `#¡VALOR!`, `#ИМЯ?`."""
_BRACKETS = re.compile(r"[(\[<{*_~-]+(.*?)[)\]>}*_~-]+")


def perhaps_missing(text: str) -> bool:
    """Whether a text may say that there is no value: `n/a`, `(blank)`, `keine Angabe`, `.a`, `нет данных`."""
    plain = text.strip()
    if plain in NA_PERHAPS or len(plain) < 30 and _CODE.fullmatch(plain):
        return True
    folded = " ".join(plain.casefold().replace("_", " ").replace("’", "'").split())
    if folded in _FOLDED:
        return True
    inside = _BRACKETS.fullmatch(plain)
    return inside is not None and (inside[1].strip().casefold() in _INSIDE)


_TAKEN_AWAY = frozenset(
    """
    deleted|removed|redacted|censored|anonymized|anonymised|inaudible|unintelligible|illegible|unleserlich|gelöscht|deleted by user|deleted by author
    removed by moderator|removed by reddit|message deleted|this message was deleted|you deleted this message|media omitted|image omitted
    video omitted|audio omitted|sticker omitted|document omitted|photo|sticker|no text|no comment|no comments|no remarks|no text available
    content unavailable|content removed|diese nachricht wurde gelöscht|medien ausgeschlossen|supprimé|eliminado
""".strip()
    .replace("\n", "|")
    .replace("    ", "")
    .split("|")
)
"""What stands in place of a text that is no longer there, or never was, in lower case."""


def says_nothing(text: str) -> bool:
    """Whether a whole text only says that there is none: a word for a missing value, `[deleted]`, `<Media omitted>`."""
    plain = text.strip().strip("\u200e\u200f")
    inside = _BRACKETS.fullmatch(plain)
    words = " ".join((inside[1] if inside else plain).casefold().split()).rstrip(".!")
    return perhaps_missing(plain) or words in _TAKEN_AWAY


_FOLDED = frozenset(word.strip().casefold() for word in _OTHERS)
_INSIDE = _FOLDED | {word.lower() for word in NA_PERHAPS} | {"", "nan"}
