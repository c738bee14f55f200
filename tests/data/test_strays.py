"""Lines that are no rows of their table, and encodings that look like plain text: what the made-up files do not ask."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_kinds import labels, texts
from follow import hints

from hf_ssl.core.errors import DataError
from hf_ssl.core.textfiles import encoding_of_file
from hf_ssl.data import load_data

ROWS = [f"{text},{label}\n" for text, label in zip(texts(40), labels(40), strict=True)]


def told(at: Path, content: str, **options: object) -> str:
    (at / "a.csv").write_text(content, encoding="utf-8")
    return " ".join(load_data(at, verbose=False, **options).report["warnings"])


@pytest.mark.parametrize(
    "plain", ["~{}", "a ~{b c} d", "x+y=z", "+4930123456 +4930123457 +4930123458", "\x1b(B\x1b[m", "+AOk"]
)
def test_plain_text_is_no_encoding_of_seven_bits(tmp_path: Path, plain: str) -> None:
    (tmp_path / "a.txt").write_text(f"{plain}\n" * 2)
    assert encoding_of_file(tmp_path / "a.txt", "utf-8-sig").name == "utf-8-sig"


def test_what_follows_long_after_the_head_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"plain\n" * 400_000 + "\u6771\u4eac\n".encode("iso2022_jp"))
    assert encoding_of_file(tmp_path / "a.txt", "utf-8-sig").name == "iso2022_jp_2"


def test_the_whole_table_can_be_read_as_it_is(tmp_path: Path) -> None:
    asked = "text,label\nOpen-Ended Response,Response\n" + "".join(ROWS)
    below = "text,label\n" + "".join(ROWS) + "\nlabel,count\ngood,20\nbad,20\n"
    for content, rows in ((asked, 41), (below, 43)):
        (tmp_path / "a.csv").write_text(content)
        with pytest.raises(DataError) as error:
            load_data(tmp_path, verbose=False)
        whole = next(hint for hint in hints(str(error.value)) if "engine" in hint["csv_options"])
        data = load_data(tmp_path, verbose=False, dedup=False, **whole)
        assert data.report["accounts"]["rows"]["found"] == rows


def test_a_rare_class_first_is_no_question(tmp_path: Path) -> None:
    assert "skiprows" not in told(tmp_path, "text,label\n" + f"{texts(41)[40]},unclear\n" + "".join(ROWS))


def test_numbers_among_texts_are_no_shift(tmp_path: Path) -> None:
    rows = [f"{'' if n % 9 == 0 else n},{n if n % 9 == 0 else f'text {n} of many'},{n % 3}\n" for n in range(90)]
    (tmp_path / "a.csv").write_text("id,text,label\n" + "".join(rows))
    assert load_data(tmp_path, verbose=False, dedup=False).report["accounts"]["rows"]["used"] == 90


def test_an_index_column_stays_a_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(ROWS))
    data = load_data(tmp_path, verbose=False, csv_options={"index_col": 0})
    assert {row["text"] for split in ("train", "validation", "test") for row in data[split]} == set(texts(40))


@pytest.mark.parametrize("last", ["Summe,,\n", "Total,,\n", "Total: 40,,\n", "Page 1 of 1,,\n"])
def test_a_sum_in_a_column_of_numbers_is_no_shifted_row(tmp_path: Path, last: str) -> None:
    content = "id,text,label\n" + "".join(f"{n},{row}" for n, row in enumerate(ROWS)) + last
    (tmp_path / "a.csv").write_text(content)
    data = load_data(tmp_path, verbose=False)
    assert data.report["accounts"]["rows"]["left_out"] == {"no text": 1}
    way = next(one for text in data.report["warnings"] for one in hints(text) if "csv_options" in one)
    assert load_data(tmp_path, verbose=False, **way).report["accounts"]["rows"]["found"] == 40
