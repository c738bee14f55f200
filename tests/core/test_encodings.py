"""Files in encodings older than UTF-8: the right one is read, or is among those that the message shows, whatever the language."""

# ruff: noqa: E501
from __future__ import annotations

import re
from pathlib import Path

import pytest

from hf_ssl.core.errors import DataError
from hf_ssl.data import load_data

# Written by hand; every line as somebody would type it.
LANGUAGES = {
    "German": ["Die Lieferung kam früh und die Tür passt", "Schöne Größe, aber zu heiß gewaschen", "Übrigens kostet das Öl mehr", "Müller hätte lieber Käse"],
    "French": ["Très déçu du café, il était froid", "La livraison a été rapide, merci à l’équipe", "Où est passé mon garçon ?", "Élève sérieux, noël arrivé tôt"],
    "Spanish": ["El niño comió mañana en España", "¿Cuándo llegará el camión?", "La atención fue pésima, señor", "Muchísimas gracias, llegó rápido"],
    "Portuguese": ["Não gostei da atenção do João", "O pão é ótimo e a manhã também", "Preço bom, coração feliz", "Ação rápida às três horas"],
    "Polish": ["Bardzo dobry sklep, dziękuję za szybką wysyłkę", "Źle zapakowane, żółta łódź pęknięta", "Książka śmieszna, świetna", "Proszę o zwrot pieniędzy"],
    "Czech": ["Příliš žluťoučký kůň úpěl ďábelské ódy", "Děkuji, zboží přišlo včas", "Špatná kvalita, šálek byl rozbitý", "Kůže je měkká"],
    "Hungarian": ["Nagyon jó bolt, köszönöm a gyors szállítást", "Árvíztűrő tükörfúrógép", "Őszintén szólva rossz volt", "Későn érkezett"],
    "Russian": ["Очень хороший магазин, спасибо", "Товар пришёл вовремя", "Плохое качество, верните деньги", "Ёлка стоит в углу"],
    "Ukrainian": ["Дуже гарний магазин, дякую", "Їжак приїхав учора", "Погана якість, поверніть гроші", "Це не моє замовлення"],
    "Greek": ["Πολύ καλό κατάστημα, ευχαριστώ", "Το προϊόν ήρθε σπασμένο", "Κακή ποιότητα και ακριβό", "Άργησε πολύ η αποστολή"],
    "Hebrew": ["חנות טובה מאוד, תודה רבה", "המשלוח הגיע מאוחר", "איכות גרועה, החזירו לי את הכסף", "שירות אדיב ומהיר"],
    "Arabic": ["المتجر جيد جدا وشكرا لكم", "وصلت البضاعة متأخرة", "الجودة سيئة وأريد استرداد المال", "خدمة سريعة ولطيفة"],
    "Turkish": ["Çok güzel bir dükkan, teşekkürler", "Ürün kırık geldi, ışığı yanmıyor", "İade istiyorum, ağır çalışıyor", "Kargo hızlıydı"],
    "Lithuanian": ["Labai gera parduotuvė, ačiū", "Prekė atėjo sudužusi, grąžinkite pinigus", "Žąsis plaukė upėje", "Šįryt gavau siuntą"],
    "Thai": ["ร้านดีมาก ขอบคุณครับ", "สินค้าแตกเสียหาย", "คุณภาพไม่ดี ขอเงินคืน", "ส่งเร็วมาก"],
    "Japanese": ["この店はとても良いです", "商品が壊れていました", "品質が悪いので返金してください", "配達が早くて助かりました"],
    "Chinese": ["这个商店很好，谢谢", "商品坏了，请退款", "质量很差，不会再买", "送货很快，我很满意"],
    "Taiwan": ["這個商店很好，謝謝", "商品壞了，請退款", "品質很差，不會再買", "送貨很快，我很滿意"],
    "Korean": ["이 가게는 정말 좋아요", "상품이 깨져서 왔어요", "품질이 나빠서 환불해 주세요", "배송이 아주 빨랐습니다"],
}  # fmt: skip
WRITTEN = {
    "German": ("cp1252", "cp850", "mac_roman"), "French": ("cp1252", "cp850", "mac_roman"), "Spanish": ("cp1252", "latin_1", "cp437"), "Portuguese": ("cp1252", "cp850"),
    "Polish": ("cp1250", "iso8859_2", "cp852"), "Czech": ("cp1250", "iso8859_2", "mac_latin2"), "Hungarian": ("cp1250", "cp852"), "Russian": ("cp1251", "koi8_r", "cp866", "mac_cyrillic", "iso8859_5"),
    "Ukrainian": ("cp1251", "koi8_u"), "Greek": ("cp1253",), "Hebrew": ("cp1255",), "Arabic": ("cp1256",), "Turkish": ("cp1254",), "Lithuanian": ("cp1257",), "Thai": ("cp874",),
    "Japanese": ("shift_jis", "euc_jp"), "Chinese": ("gb18030",), "Taiwan": ("big5",), "Korean": ("euc_kr",),
}  # fmt: skip


@pytest.mark.parametrize(("language", "encoding"), [(one, name) for one, names in WRITTEN.items() for name in names])
@pytest.mark.parametrize("plain", [False, True], ids=["all in it", "one line of many"])
def test_the_right_encoding_is_read_or_shown(language: str, encoding: str, plain: bool, tmp_path: Path) -> None:
    """Every encoding that is offered can be given, and the text that it was shown by is what is then read."""
    words = [
        text.replace("’", "'") if encoding in ("cp850", "cp437", "latin_1") else text for text in LANGUAGES[language]
    ]
    rows = [
        f"{words[n % 4]} {n}" if not plain or n == 30 else f"An order without any accent, number {n}"
        for n in range(40)
    ]
    path = tmp_path / "a.csv"
    path.write_bytes(
        ("text,label\n" + "".join(f'"{text}",{"ab"[n % 2]}\n' for n, text in enumerate(rows))).encode(encoding)
    )
    try:
        data = load_data(path, verbose=False)
    except DataError as error:
        offered = re.findall(r"encoding='(\w+)': '(.*?)'(?:;|$)", str(error))
        right = [
            (name, shown)
            for name, shown in offered
            if any(shown in f'"{text}",a' or shown in f'"{text}",b' for text in rows)
        ]
        assert right, (encoding, offered)
        data = load_data(path, encoding=right[0][0], verbose=False)
    assert {row["text"] for split in ("train", "validation", "test") for row in data[split]} == set(rows)


@pytest.mark.parametrize(
    ("language", "other"),
    [("French", "cp1252"), ("Polish", "cp1250"), ("Russian", "cp1251"), ("Japanese", "shift_jis")],
)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("given", ["utf-8-sig", "utf-8"])
def test_a_few_lines_of_another_encoding_are_left_out_and_told(
    tmp_path: Path, language: str, other: str, suffix: str, given: str
) -> None:
    texts = [f"{LANGUAGES[language][number % 4]} {number}" for number in range(60)]
    rows = [
        f'{{"text": "{text}", "label": "c{number % 2}"}}' if suffix == "jsonl" else f'"{text}",c{number % 2}'
        for number, text in enumerate(texts)
    ]
    lines = [row.encode(other if number in (7, 31) else "utf-8") + b"\n" for number, row in enumerate(rows)]
    (tmp_path / f"a.{suffix}").write_bytes(b"".join([b"text,label\n"] * (suffix == "csv") + lines))
    data = load_data(tmp_path, encoding=given, near_duplicates=False, verbose=False)
    found = {row["text"] for split in ("train", "validation", "test") for row in data[split]}
    assert found == {text for number, text in enumerate(texts) if number not in (7, 31)}
    assert any("2 of 60 rows" in warning and "UTF-8" in warning for warning in data.report["warnings"])


def test_many_lines_of_another_encoding_are_an_error_and_so_are_those_of_files_that_are_no_tables(
    tmp_path: Path,
) -> None:
    texts = [f"{LANGUAGES['French'][number % 4]} {number}" for number in range(60)]
    lines = [
        f'"{text}",c{number % 2}\n'.encode("cp1252" if number % 3 == 1 else "utf-8")
        for number, text in enumerate(texts)
    ]
    (tmp_path / "a.csv").write_bytes(b"".join([b"text,label\n", *lines]))
    with pytest.raises(DataError, match="20 of 60 rows.*max_left_out"):
        load_data(tmp_path, near_duplicates=False, verbose=False)
    words = [
        f"{word}\tO\n".encode("cp1252" if text == texts[1] else "utf-8")
        for text in texts
        for word in [*text.split(), ""]
    ]
    (tmp_path / "b.conll").write_bytes(b"".join(word if len(word) > 3 else b"\n" for word in words))
    with pytest.raises(DataError, match="mend those lines"):
        load_data(tmp_path / "b.conll", verbose=False)
