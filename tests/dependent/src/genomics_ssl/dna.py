"""A kind of data of one's own: DNA sequences in FASTA files, one letter per token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import datasets
import torch
from transformers import PreTrainedTokenizerBase

from hf_ssl import Encoder, Modality

LETTERS = set("ACGTN")


class Dna(Modality):
    """Sequences over A, C, G, T and N."""

    name: ClassVar[str] = "dna"
    column: ClassVar[str] = "sequence"
    aliases: ClassVar[tuple[str, ...]] = ("sequence", "dna", "seq")
    suffixes: ClassVar[tuple[str, ...]] = (".fa", ".fasta")
    default_objective: ClassVar[str] = "genomics_ssl.order:WindowOrder"
    processor: ClassVar[str | None] = "text"
    labeled_class: ClassVar[str | None] = "AutoModelForSequenceClassification"

    @dataclass
    class Config:
        """Options of `dna`."""

        upper: bool = field(default=True, metadata={"help": "Read soft-masked (lower-case) letters as ordinary ones."})

    def read_files(self, files: list[Path], root: Path, quarantine: list[dict[str, str]]) -> datasets.Dataset:
        rows: dict[str, list[str]] = {"sequence": [], "path": []}
        for file in files:
            for record in file.read_text(encoding="ascii").split(">")[1:]:
                _, _, body = record.partition("\n")
                sequence = "".join(body.split())
                rows["sequence"].append(sequence.upper() if self.config.upper else sequence)
                rows["path"].append(str(file.relative_to(root)))
        return datasets.Dataset.from_dict(rows)

    def validate(self, value: Any) -> str | None:
        strange = set(value) - LETTERS
        return f"letters that are no bases: {', '.join(sorted(strange))}" if strange else None if value else "empty"

    def content_key(self, value: Any) -> str:
        return str(value)

    @classmethod
    def encoder_class(cls) -> type[DnaEncoder]:
        return DnaEncoder


class DnaEncoder(Encoder):
    """Any encoder of text, with a blank between two letters."""

    processor: PreTrainedTokenizerBase

    def preprocess(self, values: Sequence[Any], max_length: int | None = None) -> list[dict[str, Any]]:
        spaced = [" ".join(value) for value in values]
        encoded = self.processor(spaced, truncation=True, max_length=max_length or 128, return_attention_mask=False)
        return [{"input_ids": ids} for ids in encoded["input_ids"]]

    def size(self, feature: dict[str, Any]) -> int:
        return len(feature["input_ids"])

    def collate(self, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        padded = self.processor.pad([{"input_ids": feature["input_ids"]} for feature in features], return_tensors="pt")
        return {"input_ids": padded["input_ids"], "attention_mask": padded["attention_mask"]}

    def features(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        hidden: torch.Tensor = self.backbone(**batch).last_hidden_state
        weights = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)
