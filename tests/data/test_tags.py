"""Tags of spans in the spellings that people use: all become B-, I- and O, and are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_ssl import load_data
from hf_ssl.core.errors import DataError
from hf_ssl.data.domain import DomainData

WORDS = "Olaf Berg visits Oslo Bern today".split()
TAGS = "B-PER I-PER O B-LOC B-LOC O".split()
LONG = {"B": "BEGIN", "I": "INSIDE"}
SPELLINGS: dict[str, Callable[[str, str], str]] = {
    **{f"B{mark}PER": lambda place, kind, mark=mark: f"{place}{mark}{kind}" for mark in "_/:|."},  # type: ignore[misc]
    "b-PER": lambda place, kind: f"{place.lower()}-{kind}",
    "BEGIN-PER": lambda place, kind: f"{LONG[place]}-{kind}",
    "PER/B": lambda place, kind: f"{kind}/{place}",
    "PER-begin": lambda place, kind: f"{kind}-{LONG[place].lower()}",
}


def sentences(tags: list[str]) -> list[dict[str, list[str]]]:
    return [{"tokens": [*WORDS[:-1], f"w{number}"], "tags": tags} for number in range(40)]


def first(data: DomainData) -> list[str]:
    names = data["train"].features["tags"].feature.names
    return [names[tag] for tag in data["train"][0]["tags"]]


def spelled(tags: list[str], how: Callable[[str, str], str], outside: str = "O") -> list[str]:
    return [outside if tag == "O" else how(tag[0], tag[2:]) for tag in tags]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("outside", ["O", "o", "other", "NONE"])
def test_spans_in_another_spelling_are_spans(spelling: str, outside: str) -> None:
    tags = spelled(TAGS, SPELLINGS[spelling], outside)
    data = load_data(sentences(tags), label_kind="tags", verbose=False)
    assert first(data) == TAGS
    assert any(repr(tags[0]) in warning and "'B-PER'" in warning for warning in data.report["warnings"])
    kept = load_data(sentences(tags), label_kind="tags", tag_scheme="keep", verbose=False)
    assert first(kept) == tags and not kept.report["warnings"]


def test_a_scheme_that_is_given_is_read_in_another_spelling() -> None:
    tags = ["B/PER", "L/PER", "O", "U/LOC", "U/LOC", "O"]
    assert first(load_data(sentences(tags), label_kind="tags", tag_scheme="BILOU", verbose=False)) == TAGS


@pytest.mark.parametrize(
    "tags",
    [TAGS, ["B", "I", "O", "B", "B", "O"], ["NN", "IN", "VB", "DT", "B", "O"], ["N.B", "N.PL", "V.PST", "ADJ", "IN", "O"]],
    ids=["IOB2", "no types", "parts of speech", "features"],
)  # fmt: skip
def test_other_tags_stay_in_silence(tags: list[str]) -> None:
    data = load_data(sentences(tags), label_kind="tags", verbose=False)
    assert first(data) == tags and not data.report["warnings"]


@pytest.mark.parametrize(
    "tags",
    [["1", "2", "0", "3", "3", "0"], ["PER", "PER", "O", "LOC", "LOC", "O"], ["B(PER)", "I(PER)", "O", "B(LOC)", "B(LOC)", "O"],
     ["B-PER", "I-PER", "O", "MISC", "O", "O"], ["B/PER", "I/PER", "O", "MISC", "O", "O"]],
    ids=["numbers", "no places", "brackets", "one without", "slashes and one without"],
)  # fmt: skip
def test_tags_that_count_no_spans_are_told(tags: list[str]) -> None:
    data = load_data(sentences(tags), label_kind="tags", verbose=False)
    assert first(data) == tags and any("spans" in warning for warning in data.report["warnings"])
    assert not load_data(sentences(tags), label_kind="tags", tag_scheme="keep", verbose=False).report["warnings"]


@pytest.mark.parametrize("options", [{"label_kind": "tags"}, {}])
def test_words_and_tags_in_a_tsv_without_a_header_are_sentences(tmp_path: Path, options: dict[str, str]) -> None:
    file = tmp_path / "a.tsv"
    blocks = (
        "".join(f"{word}\t{tag}\n" for word, tag in zip(row["tokens"], TAGS, strict=True)) for row in sentences(TAGS)
    )
    file.write_text("\n".join(blocks))
    data = load_data(str(file), verbose=False, **options)
    assert sum(len(data[split]) for split in ("train", "validation", "test")) == 40 and first(data) == TAGS


def test_the_advice_for_lists_of_words_in_another_column_works(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps({"words": row["tokens"], "labels": TAGS}) + "\n" for row in sentences(TAGS)))
    with pytest.raises(DataError, match="tokens_column='words'"):
        load_data(str(file), label_kind="tags", verbose=False)
    assert first(load_data(str(file), label_kind="tags", tokens_column="words", verbose=False)) == TAGS
