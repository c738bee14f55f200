"""Tokenizers from the vocabularies that lie beside TensorFlow's models: WordPiece lists and SentencePiece models."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, normalizers
from transformers import AlbertTokenizer, BertTokenizer, PreTrainedTokenizerFast

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.tensorflow.sources import Source
from hf_ssl.models.tensorflow.wire import fields

_LARGEST = 64 * 2**20  # bytes of a vocabulary
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class WordPieces:
    """A WordPiece vocabulary.

    Attributes:
        ids: of every piece.
        lower: whether text is lower-cased, and accents are taken off, before it is cut.
        notes: what the user should know.
    """

    ids: dict[str, int]
    lower: bool
    notes: tuple[str, ...] = ()

    def id_of(self, piece: str) -> int:
        """Number of a piece."""
        return self.ids[piece]

    def save(self, folder: Path, longest: int) -> None:
        """Write the tokenizer of transformers."""
        BertTokenizer(vocab=self.ids, do_lower_case=self.lower, model_max_length=longest).save_pretrained(folder)


def word_pieces(source: Source, rows: int, lower: bool | None) -> WordPieces:
    """The vocabulary beside a checkpoint.

    Args:
        rows: of the embedding.
        lower: whether text is lower-cased, when it is known; else the vocabulary tells: one that is has no capitals.

    Raises:
        CheckpointError: there is none, or it belongs to another model.
    """
    path = source.file(r".*vocab.*\.txt", usual="vocab.txt")
    if path is None:
        raise CheckpointError(
            f"{source.given} has no vocabulary (vocab.txt): without it no text can be cut into the model's pieces. Put the one it "
            "was trained with beside the checkpoint."
        )
    # A line ends with a line feed only: separators that Unicode knows are pieces of some vocabularies. Of a piece that stands
    # there twice the later number counts, and what surrounds it does not, as in the program (load_vocab of
    # google-research/bert, tokenization.py).
    lines = [line.strip() for line in _read(path).decode("utf-8-sig", errors="replace").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    ids = {line: number for number, line in enumerate(lines)}
    notes = _check(path, len(lines), rows, [piece for piece in _SPECIAL if piece not in ids])
    if lower is None:
        ordinary = (piece for piece in ids if not (piece.startswith("[") and piece.endswith("]")))
        lower = not any(character.isupper() for piece in ordinary for character in piece)
    return WordPieces(ids, lower, notes)


@dataclass(frozen=True)
class Pieces:
    """A SentencePiece vocabulary of the unigram kind.

    Attributes:
        scored: every piece with its log probability, in the order of the ids.
        characters: the map that normalizes characters, as SentencePiece keeps it; empty for none.
        lower: whether text is lower-cased.
        file: the model it was read from.
        notes: what the user should know.
    """

    scored: list[tuple[str, float]]
    characters: bytes
    lower: bool
    file: Path
    notes: tuple[str, ...] = ()

    def id_of(self, piece: str) -> int:
        """Number of a piece."""
        return next(number for number, (text, _) in enumerate(self.scored) if text == piece)

    def save(self, folder: Path, longest: int) -> None:
        """Write the tokenizer of transformers; it cuts as the program that trained ALBERT does.

        That one (official/nlp/tools/tokenization.py, `encode_pieces`) cuts a comma off a digit, although there are pieces
        such as "2,": here these are made too unlikely to be used. It does not turn `` and '' into quotation marks, as
        transformers' own ALBERT does.
        """
        least = min(score for _, score in self.scored) - 100.0
        scored = [(text, least if re.search(r"\d,$", text) else score) for text, score in self.scored]
        made = AlbertTokenizer(vocab=scored, do_lower_case=self.lower, keep_accents=False, model_max_length=longest)
        steps: list[normalizers.Normalizer] = [normalizers.NFKD(), normalizers.StripAccents()]
        steps += [normalizers.Lowercase()] if self.lower else []
        steps += [normalizers.Precompiled(self.characters)] if self.characters else []
        steps += [normalizers.Replace(Regex(r"\s+"), " ")]
        made.backend_tokenizer.normalizer = normalizers.Sequence(steps)
        # A plain fast tokenizer is read back from tokenizer.json as it is; ALBERT's own class would be made anew.
        plain = PreTrainedTokenizerFast(
            tokenizer_object=made.backend_tokenizer, model_max_length=longest, padding_side="right",
            model_input_names=["input_ids", "token_type_ids", "attention_mask"],
            **{name: str(getattr(made, name)) for name in ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                                                           "cls_token", "mask_token")},
        )  # fmt: skip
        plain.save_pretrained(folder)


def pieces(source: Source, rows: int, lower: bool) -> Pieces:
    """The SentencePiece model beside a checkpoint.

    Format: sentencepiece_model.proto of google/sentencepiece.

    Raises:
        CheckpointError: there is none, it is damaged, of another kind, or belongs to another model.
    """
    path = source.file(r".*\.model", usual="30k-clean.model") or source.file(r".*spiece.*|.*sentencepiece.*")
    if path is None:
        raise CheckpointError(
            f"{source.given} has no SentencePiece vocabulary (30k-clean.model or spiece.model): without it no text can be cut "
            "into the model's pieces. Put the one it was trained with beside the checkpoint."
        )
    scored: list[tuple[str, float]] = []
    characters, kind, content = b"", 1, memoryview(_read(path))
    try:
        for item in fields(content):
            if item.number == 1:
                scored.append(_piece(item.message))
            elif item.number == 2:
                kind = next((inner.integer for inner in fields(item.message) if inner.number == 3), kind)
            elif item.number == 3:
                characters = next((bytes(inner.message) for inner in fields(item.message) if inner.number == 2), b"")
    except CheckpointError as error:
        raise CheckpointError(f"{path} is damaged or no SentencePiece model: {error}.") from error
    if kind != 1:
        raise CheckpointError(f"{path} is a SentencePiece model of another kind than unigram, which ALBERT has.")
    texts = [text for text, _ in scored]
    notes = _check(
        path,
        len(texts),
        rows,
        [piece for piece in ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]") if piece not in texts],
    )
    if texts[1] != "<unk>":
        raise CheckpointError(f"{path} has {texts[1]!r} where ALBERT has <unk>.")
    return Pieces(scored, characters, lower, path, notes)


def _piece(data: memoryview) -> tuple[str, float]:
    text, score = "", 0.0
    for item in fields(data):
        if item.number == 1:
            text = item.text
        elif item.number == 2:
            if item.integer >> 32:
                raise CheckpointError("the score of a piece is no number of 32 bits")
            score = struct.unpack("<f", item.integer.to_bytes(4, "little"))[0]
    return text, score


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise CheckpointError(f"{path} is larger than any vocabulary.")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def _check(path: Path, size: int, rows: int, absent: list[str]) -> tuple[str, ...]:
    """Raise when a vocabulary is another model's; say what is odd about one that may be right."""
    if size > rows:
        raise CheckpointError(
            f"{path} has {size:,} pieces, the model has {rows:,} rows: it is another model's vocabulary."
        )
    if absent:
        raise CheckpointError(f"{path} has no {', '.join(absent)}: it is no vocabulary of such a model.")
    if size == rows:
        return ()
    return (
        f"{path.name} has {size:,} pieces, the model {rows:,} rows: the last {rows - size:,} stand for none, or it was cut off",
    )
