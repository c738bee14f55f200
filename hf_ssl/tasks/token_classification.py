"""A tag for every word: named entities, parts of speech."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch.nn import functional

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.fields import option
from hf_ssl.evaluation.metrics import metrics
from hf_ssl.modalities.text.encoder import TextEncoder, affixes
from hf_ssl.tasks.base import Task

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.encoder import Features

logger = logging.getLogger(__name__)


class TokenClassification(Task[TextEncoder]):
    """Tagging words: NER (span tags such as `B-PER`) or one tag per word (parts of speech).

    Labels are aligned by `word_ids()`: the first subword carries the word's tag (or all of them do). Sentences longer
    than the window are cut between words into windows, so no tag is dropped. Loss: cross-entropy over labeled tokens.
    Spans are scored strictly (IOB2): `seqeval`'s default mode would accept `I-PER I-PER` for `B-PER I-PER`.
    """

    needs: ClassVar = TextEncoder
    label_kind: ClassVar = "tags"
    is_default: ClassVar = True
    label_column: ClassVar = "tags"
    primary_metric: ClassVar = "f1"
    metric_names: ClassVar = ("accuracy", "f1_macro")

    @dataclass
    class Config(Task.Config):
        """Options of `token-classification`."""

        subwords: Literal["first", "all"] = option("first", "Which subwords of a word carry its tag.")

    config: Config

    @property
    def auto_class(self) -> str:
        return "AutoModelForTokenClassification"

    @property
    def pipeline_tag(self) -> str:
        return "token-classification"

    @property
    def spans(self) -> bool:
        """Whether tags mark spans (IOB) rather than single words."""
        bare = {"B", "I"} <= set(self.label_names) <= {"B", "I", "O"}  # spans of one type, which has no name
        return bare or any(name[:2] in ("B-", "I-") for name in self.label_names)

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        super().fit_labels(train)
        self.label_names = list(train.features[self.label_column].feature.names)
        if len(self.label_names) < 2:
            raise DataError(f"The training tags are all {self.label_names}; two are needed to learn.")

    def encode(self, encoder: TextEncoder, dataset: datasets.Dataset) -> list[dict[str, Any]]:
        if not getattr(encoder.processor, "is_fast", False):
            raise ConfigError("Tagging words needs a fast tokenizer (with word_ids); this checkpoint has none.")
        tags = dataset[self.label_column] if self.label_column in dataset.column_names else [None] * len(dataset)
        before, after = affixes(encoder.processor)
        room = (self.max_length(encoder) or 256) - len(before) - len(after)
        features = []
        for row, (words, labels) in enumerate(zip(dataset["tokens"], tags, strict=True)):
            encoded = encoder.processor(
                list(words),
                is_split_into_words=True,
                add_special_tokens=False,
                return_attention_mask=False,
                verbose=False,
            )
            for start, end in _windows(encoded.word_ids(), room):
                numbers = [None] * len(before) + encoded.word_ids()[start:end] + [None] * len(after)
                feature = {
                    "input_ids": [*before, *encoded["input_ids"][start:end], *after],
                    "words": numbers,
                    "row": row,
                }
                if labels is not None:
                    feature["labels"] = self._align(numbers, labels)
                features.append(feature)
        return features

    def inputs(self, dataset: datasets.Dataset) -> list[Any]:
        if self.modality.column in dataset.column_names:
            return super().inputs(dataset)
        return [" ".join(words) for words in dataset["tokens"]]

    def encode_unlabeled(self, encoder: TextEncoder, dataset: datasets.Dataset) -> list[Features]:
        return encoder.preprocess(self.inputs(dataset), self.max_length(encoder))

    def readable(self, rows: datasets.Dataset) -> datasets.Dataset:
        """Texts as lists of words, where the data have none."""
        if "tokens" in rows.column_names:
            return rows
        logger.warning("the texts are split into words at blanks: give --tokens_column for words of your own")
        return rows.map(lambda row: {"tokens": row["text"].split()})

    def _align(self, words: Sequence[int | None], tags: Sequence[int]) -> list[int]:
        aligned, previous = [], None
        for word in words:
            if word is None or (word == previous and self.config.subwords == "first"):
                aligned.append(-100)
            elif word == previous:
                aligned.append(self._inside(tags[word]))
            else:
                aligned.append(tags[word])
            previous = word
        return aligned

    def _inside(self, tag: int) -> int:
        """Later subwords of a word that begins a span are inside it."""
        name = self.label_names[tag]
        inside = f"I-{name[2:]}"
        return self.label_names.index(inside) if name.startswith("B-") and inside in self.label_names else tag

    def collate_labels(self, features: Sequence[dict[str, Any]], batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        shape = batch["input_ids"].shape
        labels = np.full(shape, -100, dtype=np.int64)
        for row, feature in enumerate(features):
            place = batch["attention_mask"][row].bool().numpy()
            labels[row, place] = feature["labels"]
        return torch.from_numpy(labels)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=-100)
        return total, (labels != -100).sum()

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Accuracy over words; for span tags strict span F1, else macro F1 over tags (also as `f1`)."""
        guesses = logits.argmax(-1)
        counted = labels != -100
        flat = metrics.compute(self.metric_names, predictions=guesses[counted], references=labels[counted])
        if not self.spans:
            return {**flat, "f1": flat["f1_macro"]}
        names = np.array(self.label_names)
        said = [names[row[keep]].tolist() for row, keep in zip(guesses, counted, strict=True)]
        true = [names[row[keep]].tolist() for row, keep in zip(labels, counted, strict=True)]
        spans = metrics.compute(["span_f1"], predictions=said, references=true)
        return {**flat, **spans, "f1": spans["span_f1"]}

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: TextEncoder) -> list[Any]:
        """One list of tags per row, one tag per word."""
        tags: list[list[str]] = [
            ["O" if "O" in self.label_names else self.label_names[0]] * len(words) for words in dataset["tokens"]
        ]
        for feature, row in zip(self.encode(encoder, dataset), logits.argmax(-1), strict=True):
            offset = row.shape[0] - len(feature["words"]) if encoder.processor.padding_side == "left" else 0
            seen: set[int] = set()
            for position, word in enumerate(feature["words"]):
                if word is not None and word not in seen:
                    seen.add(word)
                    tags[feature["row"]][word] = self.label_names[int(row[offset + position])]
        return [{"prediction": row} for row in tags]

    @property
    def comparison_metric(self) -> str:
        return "span_f1" if self.spans else "word_f1_macro"

    def comparison_predictions(
        self, logits: np.ndarray, dataset: datasets.Dataset, encoder: TextEncoder
    ) -> list[list[str]]:
        return [row["prediction"] for row in self.predictions(logits, dataset, encoder)]

    def comparison_references(self, dataset: datasets.Dataset) -> list[list[str]]:
        return [[self.label_names[tag] for tag in row] for row in dataset[self.label_column]]

    def baseline_predictions(self, train: datasets.Dataset, test: datasets.Dataset) -> tuple[str, list[list[str]]]:
        """Each word's commonest tag in the training part; the commonest of all for a word not seen there."""
        counts: dict[str, Counter[int]] = defaultdict(Counter)
        for words, tags in zip(train["tokens"], train[self.label_column], strict=True):
            for word, tag in zip(words, tags, strict=True):
                counts[word.lower()][tag] += 1
        anything = sum(counts.values(), Counter()).most_common(1)[0][0]
        usual = {word: found.most_common(1)[0][0] for word, found in counts.items()}
        answers = [[self.label_names[usual.get(word.lower(), anything)] for word in words] for words in test["tokens"]]
        return "usual tag", answers


def _windows(words: Sequence[int | None], room: int) -> list[tuple[int, int]]:
    """Cut a long sentence between words (a word longer than the window is cut inside)."""
    cuts, start = [], 0
    while len(words) - start > room:
        end = start + room
        while end > start and words[end] == words[end - 1]:
            end -= 1
        end = end if end > start else start + room
        cuts.append((start, end))
        start = end
    cuts.append((start, len(words)))
    return cuts
