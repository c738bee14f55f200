"""Text: documents, sentences, pairs of sentences."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hf_ssl.core.errors import ConfigError, nearest
from hf_ssl.core.fields import Options, option
from hf_ssl.core.textfiles import UnusableFile, encoding_of_file, read_text
from hf_ssl.modalities.base import Modality

if TYPE_CHECKING:
    import datasets
    import torch
    from torch import nn

POOLINGS = ("mean", "cls", "max")
_BLANKS = re.compile(r"(?<=\S)[^\S\n]+")
_ASCII_WORD = re.compile(r"\w+")
_ASCII_TOKEN = re.compile(r"\n[ \t]+|\w+|[^\w\s,.;:!?]|[,.;:!?](?!\s|$)")


def same_text(text: str, how: str = "light") -> str:
    """What of a text counts when texts are compared.

    Args:
        text: any text.
        how: `"exact"`: every character; `"light"`: as `unicodedata` composes it, runs of blanks inside a line as one, none at
            the ends of lines; `"words"`: words only, without case (marks of Indic and other scripts are part of them).
    """
    if how == "exact":
        return text
    if how == "words":
        return " ".join(_words().findall(unicodedata.normalize("NFKC", text).casefold()))
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


def words_of(text: str) -> list[str]:
    """Words with the marks that belong to them, and emoji; other symbols separate."""
    return _ASCII_WORD.findall(text) if text.isascii() else _words_and_emoji().findall(text)


@lru_cache(maxsize=1)
def _words_and_emoji() -> Any:
    import regex

    return regex.compile(r"[\p{L}\p{M}\p{N}_]+|\p{So}[\p{M}\u200d\p{So}\p{Sk}]*")


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
            "What counts as the same text: exact (every character), light (blanks and accent composition aside), words (case "
            "and symbols aside too).",
        )

    config: Config

    def read_files(self, files: list[Path], root: Path, quarantine: list[dict[str, str]]) -> datasets.Dataset:
        """One row per file, or per line with `txt="lines"`; see `hf_ssl.core.textfiles` for encodings and limits."""
        import datasets

        rows: dict[str, list[str]] = {"text": [], "path": []}
        for file in files:
            try:
                found = encoding_of_file(file, self.config.encoding)
                content = read_text(file, found.name)
            except UnusableFile as error:
                quarantine.append({"path": str(file), "reason": str(error)})
                continue
            relative = str(file.relative_to(root)) if file.is_relative_to(root) else file.name
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

    def validate(self, value: Any) -> str | None:
        if not isinstance(value, str):
            return f"not text but {type(value).__name__}"
        return None if value.strip() else "empty text"

    def content_key(self, value: Any) -> str:
        """Two texts with one key are the same text, by `normalize`.

        `light`, the default, keeps every symbol, mark and the case: an emoji, a stereo mark of a molecule or an indent of a
        program makes another text, runs of blanks and the composition of accents do not.
        """
        return same_text(value, self.config.normalize)

    def shingles(self, value: Any) -> set[str]:
        """Runs of five tokens (the whole text when it is shorter): words, single symbols, and single letters of scripts that
        are written without blanks."""
        tokens = tokens_of(self.content_key(value))
        if len(tokens) < 5:
            return {" ".join(tokens)} if tokens else set()
        return {" ".join(tokens[i : i + 5]) for i in range(len(tokens) - 4)}

    def describe(self, dataset: datasets.Dataset) -> dict[str, Any]:
        """Words per text: median, 95th percentile, longest, total."""
        batches = dataset.select_columns(["text"]).iter(batch_size=10_000)
        counts = np.array([len(text.split()) for batch in batches for text in batch["text"]] or [0])
        return {
            "words_median": int(np.median(counts)), "words_p95": int(np.percentile(counts, 95)),
            "words_max": int(counts.max()), "words_total": int(counts.sum()),
        }  # fmt: skip

    def example_values(self, processor: Any = None) -> list[Any]:
        return ["The bridge was closed after the storm.", "A quiet week, they said; then the numbers came in."]

    def self_training_features(self, values: Sequence[Any]) -> Any:
        """TF-IDF of words."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(sublinear_tf=True, token_pattern=None, tokenizer=words_of).fit_transform(list(values))

    def encode(self, processor: Any, values: Sequence[Any], max_length: int | None = None) -> list[dict[str, Any]]:
        """Token ids of each text (or pair), truncated to the model's window, not padded."""
        limit = max_length or window(processor)
        pairs = [value[1] for value in values] if values and isinstance(values[0], (tuple, list)) else None
        texts = [value[0] for value in values] if pairs is not None else list(values)
        encoded = processor(
            texts, pairs, truncation=True, max_length=limit, padding=False, return_attention_mask=False
        )
        return [{name: encoded[name][row] for name in encoded} for row in range(len(texts))]

    def size(self, feature: dict[str, Any]) -> int:
        return len(feature["input_ids"])

    def collate(self, processor: Any, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Pad to the longest of the batch: `input_ids`, `attention_mask` (and `token_type_ids`), `(batch, length)`."""
        import torch

        names = [str(name) for name in ("input_ids", "token_type_ids") if name in features[0]]
        longest = max(len(feature["input_ids"]) for feature in features)
        fill = {"input_ids": processor.pad_token_id, "token_type_ids": getattr(processor, "pad_token_type_id", 0)}
        left = processor.padding_side == "left"
        shape = (len(features), longest)
        batch: dict[str, np.ndarray] = {name: np.full(shape, fill[name], dtype=np.int64) for name in names}
        batch["attention_mask"] = np.zeros(shape, dtype=np.int64)
        for row, feature in enumerate(features):
            length = len(feature["input_ids"])
            place = slice(longest - length, longest) if left else slice(0, length)
            for name in names:
                batch[name][row, place] = feature[name]
            batch["attention_mask"][row, place] = 1
        return {name: torch.from_numpy(array) for name, array in batch.items()}

    def features(self, backbone: nn.Module, batch: dict[str, torch.Tensor], pooling: str) -> torch.Tensor:
        hidden = backbone(**batch).last_hidden_state
        return pool(hidden, batch["attention_mask"], pooling)

    def default_pooling(self, model_id: str) -> str:
        """Read from a sentence-transformers folder (`1_Pooling/config.json`) when the checkpoint is one, else mean."""
        config = Path(model_id) / "1_Pooling" / "config.json"
        if config.is_file():
            modes = json.loads(config.read_text(encoding="utf-8"))
            if modes.get("pooling_mode_cls_token"):
                return "cls"
            if modes.get("pooling_mode_max_tokens"):
                return "max"
        return "mean"


def pool(hidden: torch.Tensor, mask: torch.Tensor, how: str) -> torch.Tensor:
    """Pool token states into one vector per text.

    Args:
        hidden: `(batch, length, width)`.
        mask: `(batch, length)`, 1 for real tokens.
        how: `"mean"`, `"cls"` (the first real token) or `"max"`.

    Returns:
        `(batch, width)`.
    """
    import torch

    if how == "cls":
        first = mask.to(torch.int64).argmax(dim=1)  # not 0 when padding is on the left
        return hidden[torch.arange(len(hidden), device=hidden.device), first]
    if how == "max":
        return hidden.masked_fill(mask.unsqueeze(-1) == 0, torch.finfo(hidden.dtype).min).max(dim=1).values
    if how == "mean":
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
    raise ConfigError(f"No pooling is called {how!r}.{nearest(how, POOLINGS)} Known: {', '.join(POOLINGS)}.")


def window(processor: Any, limit: int = 512) -> int:
    """The tokenizer's longest input, at most `limit` (tokenizers without a limit report 10^30)."""
    return int(min(processor.model_max_length, limit))


@lru_cache(maxsize=8)
def affixes(processor: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Special ids that the tokenizer puts before and after one text, such as `([CLS],)` and `([SEP],)`."""
    with_special = processor("a")["input_ids"]
    plain = processor("a", add_special_tokens=False)["input_ids"]
    for start in range(len(with_special) - len(plain) + 1):
        if with_special[start : start + len(plain)] == plain:
            return tuple(with_special[:start]), tuple(with_special[start + len(plain) :])
    raise ConfigError(
        f"{type(processor).__name__} changes a text's ids when it adds special tokens; packing needs them kept."
    )
