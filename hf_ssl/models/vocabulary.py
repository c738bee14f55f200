"""Give a domain its own words: find those a tokenizer shatters, and add them with sensible first vectors.

A word that costs five pieces wastes sequence length and is hard to mask as a whole. Adding it helps only when training
follows, because its vector starts as the mean of its pieces (Gee et al. 2022, "Fast Vocabulary Transfer").
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from tokenizers import AddedToken
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_ssl.core.errors import ConfigError
from hf_ssl.models.loading import check_vocabulary, quiet
from hf_ssl.models.structure import unwrap_peft


@dataclass(frozen=True)
class Candidate:
    """A word worth adding.

    Attributes:
        word: as the tokenizer sees it, lower-cased if it lower-cases.
        count: occurrences in the corpus.
        pieces: how many tokens it costs now.
    """

    word: str
    count: int
    pieces: int

    @property
    def saved(self) -> int:
        """Tokens of the corpus that adding the word saves."""
        return self.count * (self.pieces - 1)


@dataclass(frozen=True)
class Extension:
    """What `extend` did: the words added, their ids, and the piece ids each vector was averaged from.

    `tokens_per_word` is the fertility before and after, where it was measured.
    """

    words: tuple[str, ...]
    ids: tuple[int, ...]
    pieces: tuple[tuple[int, ...], ...]
    tokens_per_word: tuple[float, float] | None = None


_NO_WORD, _NO_PART = re.compile(r"[^\w'-]|_"), re.compile(r"[^\w]|_")


def _needs_space(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Does the tokenizer mark a word by the space before it (byte-level BPE, SentencePiece)?"""
    description = json.dumps(json.loads(tokenizer.backend_tokenizer.to_str()).get("pre_tokenizer"))
    return "ByteLevel" in description or "Metaspace" in description


def _words(text: str, normalizer: Any, whole: bool) -> list[str]:
    """Words of a text after the tokenizer's own normalization: runs of letters, digits, hyphens and apostrophes."""
    if normalizer is not None:
        text = normalizer.normalize_str(text).replace("▁", " ")
    # BERT-like tokenizers cut at every hyphen, so a hyphenated word could never be one token there.
    words = (_NO_WORD if whole else _NO_PART).sub(" ", text).split()
    return [word.strip("-'") for word in words]


def _piece_ids(words: list[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    # Within a sentence a word has a space before it; without one, byte-level BPE splits it differently.
    spaced = [f" {word}" for word in words] if _needs_space(tokenizer) else words
    return tokenizer(spaced, add_special_tokens=False)["input_ids"] if words else []


def fertility(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> float:
    """Mean number of tokens per word (Rust et al. 2021): near 1 for the domain a tokenizer was made for."""
    return _fertility(_counts(texts, tokenizer), tokenizer)


def _counts(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> Counter[str]:
    normalizer, whole = tokenizer.backend_tokenizer.normalizer, _needs_space(tokenizer)
    return Counter(word for text in texts for word in _words(text, normalizer, whole) if word)


def _fertility(counts: Counter[str], tokenizer: PreTrainedTokenizerBase) -> float:
    pieces = _piece_ids(list(counts), tokenizer)
    total = sum(counts.values())
    return sum(count * len(ids) for count, ids in zip(counts.values(), pieces, strict=True)) / total if total else 0.0


def candidates(
    texts: Iterable[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    top: int = 200,
    min_count: int = 10,
    min_pieces: int = 3,
) -> list[Candidate]:
    """The words whose addition would save most tokens, best first.

    Args:
        texts: the unlabeled corpus (never the test split).
        top: at most this many.
        min_count: rarer words could not learn a vector.
        min_pieces: words that cost fewer tokens are represented well enough. Words with characters the tokenizer does
            not know are left out, because no mean of pieces exists for them.
    """
    return _candidates(_counts(texts, tokenizer), tokenizer, top, min_count, min_pieces)


def _candidates(
    counts: Counter[str], tokenizer: PreTrainedTokenizerBase, top: int, min_count: int, min_pieces: int = 3
) -> list[Candidate]:
    frequent = [
        word
        for word, count in counts.items()
        if count >= min_count and len(word) > 2 and any(c.isalpha() for c in word)
    ]
    pieces = _piece_ids(frequent, tokenizer)
    found = [
        Candidate(word, counts[word], len(ids))
        for word, ids in zip(frequent, pieces, strict=True)
        if len(ids) >= min_pieces and tokenizer.unk_token_id not in ids
    ]
    return sorted(found, key=lambda candidate: (-candidate.saved, candidate.word))[:top]


def extend(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, words: Iterable[str]) -> Extension:
    """Add whole words to tokenizer and model, in place. Save both afterwards.

    A new row of the input embedding is the mean of the rows of the word's pieces; so are the row and the bias of an
    untied output embedding. Tied embeddings stay tied.

    The words are matched as whole words only, so "cardio" does not cut "cardiology". Where the tokenizer marks words
    by the space before them (byte-level BPE, SentencePiece), the new token takes that space in, so that no lone space
    token is left; `decode` then shows the word without it.

    Args:
        model: any with token embeddings, not wrapped by PEFT.
        tokenizer: a fast tokenizer that fits the model.
        words: plain words; those that are one token already are skipped.

    Returns:
        What was added.

    Raises:
        ConfigError: an empty word, one with white space, or one the tokenizer cannot split into known pieces.
        CheckpointError: tokenizer and model do not belong together.
    """
    check_vocabulary(model, tokenizer)
    new = list(dict.fromkeys(words))
    bad = [word for word in new if not word or word != word.strip() or len(word.split()) != 1]
    if bad:
        raise ConfigError(f"New vocabulary entries are single words without white space, not {bad[:5]}.")
    split = list(zip(new, _piece_ids(new, tokenizer), strict=True))
    unknown = [word for word, ids in split if not ids or tokenizer.unk_token_id in ids]
    if unknown:
        raise ConfigError(
            f"These words have characters the tokenizer does not know, so no mean exists: {unknown[:5]}."
        )
    pairs = [(word, ids) for word, ids in split if len(ids) > 1]
    if not pairs:
        return Extension((), (), ())
    space = _needs_space(tokenizer)
    tokenizer.add_tokens(
        [AddedToken(word, single_word=True, lstrip=space, normalized=True, special=False) for word, _ in pairs]
    )
    vocabulary = tokenizer.get_vocab()
    ids = [vocabulary[word] for word, _ in pairs]
    _grow(model, max(max(ids) + 1, len(tokenizer)))
    _average(model, ids, [pieces for _, pieces in pairs])
    return Extension(tuple(word for word, _ in pairs), tuple(ids), tuple(tuple(pieces) for _, pieces in pairs))


def adopt(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], count: int, min_count: int = 10
) -> Extension:
    """Add the words of a domain that its texts would save most tokens by: `candidates`, then `extend`.

    Args:
        model, tokenizer: changed in place.
        texts: the unlabeled pool.
        count: at most so many words.
        min_count: a word must occur so often to be added.

    Raises:
        ConfigError: the tokenizer is not a fast one, or no word is worth adding.
    """
    if count < 1:
        raise ConfigError(f"new_words must be a positive number, found {count}.")
    if not getattr(tokenizer, "is_fast", False):
        raise ConfigError("New words need a fast tokenizer; this checkpoint has none. Leave new_words out.")
    counts = _counts(texts, tokenizer)  # once: the pool may be large
    before = _fertility(counts, tokenizer)
    words = [found.word for found in _candidates(counts, tokenizer, count, min_count)]
    if not words:
        raise ConfigError(
            f"No word of the pool occurs {min_count} times and costs 3 tokens or more ({before:.2f} tokens per word): "
            "this tokenizer knows the domain. Leave new_words out."
        )
    added = extend(model, tokenizer, words)
    return replace(added, tokens_per_word=(round(before, 3), round(_fertility(counts, tokenizer), 3)))


def new_rows(model: torch.nn.Module, ids: Sequence[int]) -> dict[str, list[int]]:
    """Parameter name -> its rows that belong to new tokens: the input embedding, and the output's where it is untied."""
    inner: Any = unwrap_peft(model)
    tables = [table for table in (inner.get_input_embeddings(), inner.get_output_embeddings()) if table is not None]
    # Under an adapter the table that is trained is a copy; only it gets gradients.
    weights = {id(p) for table in tables for p in table.parameters() if p.requires_grad and p.ndim == 2}
    return {name: list(ids) for name, parameter in model.named_parameters() if id(parameter) in weights}


def _grow(model: PreTrainedModel, size: int) -> None:
    embedding: Any = model.get_input_embeddings()
    rows = embedding.weight.shape[0]
    if size > rows:  # some checkpoints have spare rows for padding to a multiple of 64
        with quiet():
            model.resize_token_embeddings(size, mean_resizing=False)


def _average(model: PreTrainedModel, ids: list[int], pieces: list[list[int]]) -> None:
    embedding: Any
    output: Any
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    tables = [embedding.weight]
    if output is not None:
        tables += [] if output.weight is embedding.weight else [output.weight]
        tables += [] if output.bias is None else [output.bias]
    with torch.no_grad():
        for table in tables:
            means = [table[torch.tensor(row, device=table.device)].float().mean(0) for row in pieces]
            table[torch.tensor(ids, device=table.device)] = torch.stack(means).to(table.dtype)
