"""Text: documents, sentences, pairs of sentences."""

from __future__ import annotations

import csv
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import yaml

from hf_ssl.core.errors import DataError
from hf_ssl.core.fields import Options, option
from hf_ssl.core.textfiles import MAX_LINE, UnusableFile, encoding_of_file, read_text
from hf_ssl.modalities.base import Modality
from hf_ssl.modalities.text.bare import LEAST_WORDS, bare

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.cheap import CheapFeatures
    from hf_ssl.modalities.text.encoder import TextEncoder

_MARKS = str.maketrans("", "", "#.,;:!?\u2026\"'`\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb")
_BLANKS = re.compile(r"(?<=\S)[^\S\n]+")
_ASCII_WORD = re.compile(r"\w+")
_ASCII_TOKEN = re.compile(r"\n[ \t]+|\w+|[^\w\s,.;:!?]|[,.;:!?](?!\s|$)")


def same_text(text: str, how: str = "light") -> str:
    """What of a text counts when texts are compared.

    Args:
        text: any text.
        how: `"exact"`: every character; `"light"`: as `unicodedata` composes it, runs of blanks inside a line as one, none at
            the ends of lines; `"words"`: words only, without case, accents, HTML tags and links (marks of Indic and other scripts
            are part of them).
    """
    if how == "exact":
        return text
    if how == "words":
        return " ".join(_words().findall(bare(text)))
    plain = text if text.isascii() else unicodedata.normalize("NFC", text)
    if "\n" not in plain:
        return " ".join(plain.split())
    lines = plain.replace("\r\n", "\n").strip("\n \t").split("\n")
    return "\n".join(_BLANKS.sub(" ", line).rstrip() for line in lines)


@lru_cache(maxsize=1)
def _words() -> Any:
    import regex

    return regex.compile(r"[\p{L}\p{M}\p{N}]+")


@lru_cache(maxsize=1)
def _tokens() -> Any:
    import regex

    unsegmented = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]\p{M}*"
    return regex.compile(
        rf"\n[ \t]+|{unsegmented}|(?:(?!{unsegmented})[\p{{L}}\p{{M}}\p{{N}}_])+|(?![,.;:!?](?:\s|$))[^\s\p{{L}}\p{{M}}\p{{N}}_]"
    )


def tokens_of(text: str) -> list[str]:
    """Words, single symbols, indents, and single letters (with their marks) of scripts that are written without blanks.

    Marks that end a clause (`,` and the like before a blank) are none: they double the tokens of prose and tell nothing.
    """
    return (_ASCII_TOKEN if text.isascii() else _tokens()).findall(text)


def made_of_words(texts: Sequence[str]) -> bool:
    """Whether blanks separate words in these texts, and symbols are few: not so in Thai, molecules, formulae and code."""
    sample = "\n".join(str(text) for text in texts[:: max(1, len(texts) // 200)][:200])
    pieces = sample.split()
    if not pieces:
        return True
    letters = sum(len(word) for word in _ASCII_WORD.findall(sample))
    symbols = sum(not letter.isalnum() and not letter.isspace() for letter in sample)
    plain = sum(letter in ",.;:!?'\"()-" for letter in sample)
    long = sum(len(piece) > 25 for piece in pieces)
    segmented = letters < 15 * len(pieces) and long < 0.2 * len(pieces)
    return segmented and symbols - plain < 0.08 * max(1, len(sample))


_RULE = re.compile(r"[-+=|: ]*[-+=][-+=|: ]*|\(\d+ rows?\)")


def looks_like_table(content: str) -> str | None:
    """What to tell about a text file whose lines are words with tags, or rows of a table; None: it looks like text."""
    lines = [line for line in content[:20_000].split("\n")[:-1] if line.strip()][:200]
    if len(lines) < 10:
        return None
    if all(line.strip()[:1] == "{" and line.strip()[-1:] == "}" and '":' in line for line in lines):
        return "looks like JSON lines and is read as text; call it .jsonl to read it as a table"
    if lines[0].lstrip()[:1] in "[{" and re.match(r'\s*\[?\s*\{\s*"[^"\n]+"\s*:', content):
        return "looks like JSON and is read as text; call it .json to read it as a table"
    lines = [line for line in lines if not _RULE.fullmatch(line.strip())]  # psql's lines, and what it writes below
    fields = [line.split() for line in lines]
    marks = [row[-1] for row in fields if len(row) in (2, 3, 4, 5)]
    spans = sum(bool(re.fullmatch(r"O|[BIESLU]-[A-Za-z_]+", mark)) for mark in marks)
    if spans > 0.9 * len(lines) and any(mark != "O" for mark in marks):
        return "looks like words with tags and is read as text; label_kind='tags' reads the tags"
    for mark in ("\t", "|", ";", ","):
        if mark == "," and not all(
            re.fullmatch(r'"?[A-Za-z_]\w{0,20}"?', name.strip()) for name in lines[0].split(",")
        ):
            continue
        counts = (
            Counter(len(row) - 1 for row in csv.reader(lines))
            if mark == ","
            else Counter(line.count(mark) for line in lines)
        )
        usual, often = counts.most_common(1)[0]
        above = next(place for place, line in enumerate(lines) if mark == "," or line.count(mark) == usual)
        if usual and (
            often == len(lines) or mark in "\t|" and often == len(lines) - above and above <= 5
        ):  # below a title
            return f"looks like a table (columns separated by {mark!r}) and is read as text; call it .tsv or .csv to read it as a table"
    return None


_WORD_AND_TAG = re.compile(r"\S+[/_|](?:[A-Z][A-Z0-9$.-]{0,11}|O|[BIESLUMW]-[A-Za-z_]+|``|''|[.,:])")


def tagged_inside(text: str) -> bool:
    """Whether nearly every word has its tag behind it: `payment/NN arrived/VBD`."""
    words = text.split()[:200]
    return len(words) > 3 and sum(_WORD_AND_TAG.fullmatch(word) is not None for word in words) > 0.8 * len(words)


def words_of(text: str) -> list[str]:
    """Words with the marks that belong to them, and emoji; other symbols separate."""
    return _ASCII_WORD.findall(text) if text.isascii() else _words_and_emoji().findall(text)


@lru_cache(maxsize=1)
def _words_and_emoji() -> Any:
    import regex

    return regex.compile(r"[\p{L}\p{M}\p{N}_]+|\p{So}[\p{M}\u200d\p{So}\p{Sk}]*")


def too_long(file: Path) -> str | None:
    """What to say of a file that would be one document as long as whole corpora are; None: it is not."""
    size = file.stat().st_size
    return f"would be one document of {size >> 20:,} MB. One per line: txt=lines." if size > MAX_LINE else None


class Text(Modality):
    """Documents of any length, as strings."""

    name = "text"
    column = "text"
    aliases = (
        "text",
        "sentence",
        "sentence1",
        "content",
        "document",
        "body",
        "review",
        "comment",
        "message",
        "abstract",
    )
    suffixes = (".txt", ".text", ".md")
    default_objective = "mlm"
    processor = "text"
    labeled_class = "AutoModelForSequenceClassification"
    pipeline_tag = "text-classification"
    feature_pipeline = "feature-extraction"
    baseline = "TF-IDF"

    @dataclass
    class Config(Options):
        """How text files are read, and what counts as the same text."""

        encoding: str = option("utf-8-sig", "Text encoding of the files.")
        txt: Literal["file", "lines"] = option("file", "A .txt file is one document, or one per line.")
        normalize: Literal["exact", "light", "words"] = option(
            "light",
            "What counts as the same text: exact (every character), light (blanks and accent composition aside), words (case, "
            "accents, symbols, HTML tags and links aside too).",
        )

    config: Config

    def read_files(self, files: list[Path], root: Path, quarantine: list[dict[str, str]]) -> datasets.Dataset:
        """One row per file, or per line with `txt="lines"`; see `hf_ssl.core.textfiles` for encodings and limits."""
        import datasets

        rows: dict[str, list[str]] = {"text": [], "path": []}
        for file in files:
            try:
                if self.config.txt == "file" and (huge := too_long(file)):
                    raise UnusableFile(huge)
                found = encoding_of_file(file, self.config.encoding)
                content = read_text(file, found.name)
            except UnusableFile as error:
                quarantine.append({"path": str(file), "reason": str(error)})
                continue
            relative = str(file.relative_to(root)) if file.is_relative_to(root) else file.name
            if told := looks_like_table(content):
                self._pending.append(f"{relative} {told}")
            if found.note:
                self._pending.append(f"{relative}: {found.note}")
            # Not splitlines(): it also cuts at U+2028, form feeds and the like, which are characters of a line.
            documents = re.split(r"\r?\n", content) if self.config.txt == "lines" else [content]
            for document in documents:
                if document.strip():
                    rows["text"].append(document)
                    rows["path"].append(relative)
            if not content.strip():
                quarantine.append({"path": str(file), "reason": "empty file"})
        return datasets.Dataset.from_dict(
            rows, features=datasets.Features({key: datasets.Value("string") for key in rows})
        )

    def stream_file(self, file: Path, root: Path) -> Iterator[dict[str, Any]]:
        """A document.

        Raises:
            DataError: it is as long as whole corpora are.
        """
        if huge := too_long(file):
            raise DataError(f"{file.name} {huge}")
        yield from super().stream_file(file, root)

    def validate(self, value: object) -> str | None:
        if not isinstance(value, str):
            return f"not text but {type(value).__name__}"
        if len(value) > MAX_LINE:
            return f"a text of {len(value):,} characters"
        return None if value.strip() else "empty text"

    def content_key(self, value: object) -> str:
        """Two texts with one key are the same text, by `normalize`.

        `light`, the default, keeps every symbol, mark and the case: an emoji, a stereo mark of a molecule or an indent of a
        program makes another text, runs of blanks and the composition of accents do not.
        """
        return same_text(str(value), self.config.normalize)

    def loose_key(self, value: object) -> str | None:
        """The text without case, accents, HTML tags, links and marks of sentences; None: it is no text of words, or `normalize` is given."""
        if self.config.normalize != "light":
            return None
        words = bare(str(value)).translate(_MARKS).split()
        return " ".join(words) if sum(len(word) > 1 and word.isalpha() for word in words) >= LEAST_WORDS else None

    def shingles(self, value: object) -> set[str]:
        """Runs of five tokens (the whole text when it is shorter): words, single symbols, and single letters of scripts that
        are written without blanks."""
        key = self.content_key(value)
        tokens = tokens_of(key)
        if len(tokens) < 5:  # so short that every mark counts: `done?` is not `done!`
            return {key} if tokens else set()
        return {" ".join(tokens[i : i + 5]) for i in range(len(tokens) - 4)}

    def describe(self, dataset: datasets.Dataset) -> dict[str, Any]:
        """Words per text: median, 95th percentile, longest, total."""
        batches = dataset.select_columns(["text"]).iter(batch_size=10_000)
        counts = np.array([len(text.split()) for batch in batches for text in batch["text"]] or [0])
        return {
            "words_median": int(np.median(counts)), "words_p95": int(np.percentile(counts, 95)),
            "words_max": int(counts.max()), "words_total": int(counts.sum()),
        }  # fmt: skip

    def remarks(self, values: Iterable[Any]) -> list[str]:
        """Texts of words with their tags, which are no text that anybody writes."""
        first = [str(value) for value in itertools.islice(values, 500)]
        inside = [text for text in first if tagged_inside(text)]
        if len(inside) < 3 and len(inside) < len(first) or not inside or len(inside) < 0.2 * len(first):
            return []
        example = inside[0].split()[0][:30]
        return [
            f"{len(inside):,} of the first {len(first):,} texts hold a tag behind each word ({example} ...), which is read as "
            "part of the text. For tags write a word, a tab and its tag in each line, and a blank line between sentences "
            "(.conll); for texts take the tags off"
        ]

    def cheap_features(self) -> list[CheapFeatures]:
        """TF-IDF of words, and of runs of characters."""
        from hf_ssl.modalities.text.ngrams import Ngrams

        return [Ngrams("words"), Ngrams("characters")]

    def common_sample(self) -> tuple[str, list[Any]]:
        """Short pieces of plain English prose."""
        file = Path(__file__).with_name("plain_english.yaml")
        return "plain English", list(yaml.safe_load(file.read_text(encoding="utf-8")))

    @classmethod
    def encoder_class(cls) -> type[TextEncoder]:
        from hf_ssl.modalities.text.encoder import TextEncoder

        return TextEncoder
