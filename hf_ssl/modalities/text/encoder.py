"""Encoders of text: token ids in, one vector per text out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from hf_ssl.core.errors import ConfigError, nearest
from hf_ssl.modalities.encoder import Batch, Encoder, Features
from hf_ssl.modalities.text.padding_free import PaddingFree, describe_padding
from hf_ssl.modalities.text.tokens import Preparation, Tokens, tokens_of
from hf_ssl.models.attention import tried_here
from hf_ssl.models.pooled_head import PooledHead
from hf_ssl.models.pooling import Pooling, write_sentence_transformers
from hf_ssl.models.structure import evaluating, outputs, unwrap_peft

if TYPE_CHECKING:
    import datasets


LAST, SPREAD = 4, 4
"""Layers whose means stand side by side in the readings `last layers`, and at equal distances up to the last one `layers`."""


class TextEncoder(Encoder):
    """A checkpoint and its tokenizer."""

    # The modes of sentence-transformers, under its names.
    poolings = ("mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens")
    joins = True
    reads_states = True
    reads_in_bf16 = True  # probes on such vectors answered as well on development sets
    reading_weights = {"head": 3.0}
    processor: PreTrainedTokenizerBase
    preparation = Preparation()
    head: PooledHead | None = None  # how a new head reads the mean, as long as it is not written into the model

    def tokens(self, dataset: datasets.Dataset) -> Tokens:
        """Token ids of a split's texts, without special ones; of very many, from a file."""
        return tokens_of(dataset, self.modality.column, self.processor, self.preparation)

    @classmethod
    def head_pooling(cls, config: PreTrainedConfig, pooling: Pooling) -> dict[str, Any]:
        """ModernBERT's head can pool by the first token or by the mean."""
        fits = hasattr(config, "classifier_pooling") and pooling.mode in ("cls", "mean") and pooling.layer is None
        return {"classifier_pooling": pooling.mode} if fits else {}

    def adapt_head(self) -> None:
        """`BertForSequenceClassification` reads the first token: of a sentence encoder a third of the quality is lost there.

        Where the family allows it, the new head is trained on the mean, and `plain_model` writes it into the stock class.
        """
        problem = getattr(self.model.config, "problem_type", None)
        if (
            str(self.pooling) == "mean"
            and problem is not None
            and not hasattr(self.model.config, "classifier_pooling")
        ):
            self.head = PooledHead.find(self.model)

    def logits(self, inputs: Batch) -> torch.Tensor:
        if self.head is None:
            return super().logits(inputs)
        states = self.backbone(**inputs).last_hidden_state
        return self.head.logits(unwrap_peft(self.model), states, inputs["attention_mask"])

    @property
    def stands_on_its_start(self) -> bool:
        return self.head is None

    def plain_model(self) -> PreTrainedModel:
        model = super().plain_model()
        if self.head is not None:
            self.head.write(model)
            self.head = None  # from now on the stock class answers the same by itself
        return model

    def preprocess(self, values: Sequence[Any], max_length: int | None = None) -> list[Features]:
        """Token ids of each text (or pair), truncated to the model's window, not padded."""
        limit = max_length or window(self.processor)
        pairs = [value[1] for value in values] if len(values) and isinstance(values[0], (tuple, list)) else None
        texts = [value[0] for value in values] if pairs is not None else list(values)
        encoded = self.processor(
            texts, pairs, truncation=True, max_length=limit, padding=False, return_attention_mask=False
        )
        return [{name: encoded[name][row] for name in encoded} for row in range(len(texts))]

    def size(self, feature: Features) -> int:
        return len(feature["input_ids"])

    def collate(self, features: Sequence[Features]) -> Batch:
        """Pad to the longest of the batch: `input_ids`, `attention_mask` (and `token_type_ids`), `(batch, length)`."""
        names = [str(name) for name in ("input_ids", "token_type_ids") if name in features[0]]
        longest = max(len(feature["input_ids"]) for feature in features)
        padding = {
            "input_ids": self.processor.pad_token_id,
            "token_type_ids": getattr(self.processor, "pad_token_type_id", 0),
        }
        left = self.processor.padding_side == "left"
        shape = (len(features), longest)
        batch: dict[str, np.ndarray] = {name: np.full(shape, padding[name], dtype=np.int64) for name in names}
        batch["attention_mask"] = np.zeros(shape, dtype=np.int64)
        for row, feature in enumerate(features):
            length = len(feature["input_ids"])
            place = slice(longest - length, longest) if left else slice(0, length)
            for name in names:
                batch[name][row, place] = feature[name]
            batch["attention_mask"][row, place] = 1
        made = {name: torch.from_numpy(array) for name, array in batch.items()}
        return made | describe_padding(batch["attention_mask"]) if self.is_padding_free else made

    @property
    def is_padding_free(self) -> bool:
        """Whether the backbone computes on real tokens only."""
        return getattr(self.backbone, "hf_ssl_padding_free", None) is not None

    @torch.no_grad()
    def leave_padding_out(self) -> bool:
        """Compute on the real tokens of a batch only, side by side, wherever the model's family gives the same that way.

        Returns:
            whether it does; where it does not (or has no attention that can be told where a text begins), padding stays.
        """
        if self.is_padding_free:
            return True
        backbone: Any = self.backbone
        device = next(self.model.parameters()).device
        texts = ["a text", "a longer text, which is not padded", "and one"]
        rows = {name: part.to(device) for name, part in self.collate(self.preprocess(texts)).items()}
        mask = rows["attention_mask"]
        with evaluating(self.model), tried_here(backbone):
            padded = outputs(self.model, rows)
            backbone.hf_ssl_padding_free = PaddingFree(backbone)
            more = {name: part.to(device) for name, part in describe_padding(mask.cpu().numpy()).items()}
            try:
                same = all(_alike(*pair, mask) for pair in zip(outputs(self.model, rows | more), padded, strict=True))
            except (AttributeError, RuntimeError, TypeError, ValueError):
                same = False
        if not same:
            backbone.hf_ssl_padding_free.remove()
            del backbone.hf_ssl_padding_free
        return same

    def features(self, batch: Batch) -> torch.Tensor:
        hidden = self.backbone(**batch).last_hidden_state
        vectors = [pool(hidden, batch["attention_mask"], mode) for mode in self.pooling.modes]
        return vectors[0] if len(vectors) == 1 else torch.cat(vectors, dim=-1)

    def readings(self, batch: Batch, states: Sequence[torch.Tensor] = ()) -> dict[str, torch.Tensor]:
        """The first token, and means over the tokens of the last layers and of all, side by side.

        What a task asks for is not always what the checkpoint was trained to put into its last layer, or into its mean.
        """
        if not states:
            return {}
        mask = batch["attention_mask"]
        means = [pool(layer.float(), mask, "mean") for layer in states]
        places = np.unique(np.linspace(0, len(means) - 1, SPREAD + 1).round().astype(int)[1:])
        found = {
            "first token": pool(states[-1], mask, "cls"),
            "last layers": torch.cat(means[-LAST:], dim=-1),
            "layers": torch.cat([means[place] for place in places], dim=-1),
        }
        return found if self._head_reads_mean else {"mean": means[-1], **found}

    @property
    def _head_reads_mean(self) -> bool:
        return self.head is not None or getattr(self.model.config, "classifier_pooling", None) == "mean"

    def example_values(self) -> list[Any]:
        return ["The bridge was closed after the storm.", "A quiet week, they said; then the numbers came in."]

    def write_pooling(self, folder: Path) -> None:
        """As sentence-transformers has it, so that `SentenceTransformer(folder)` gives the same vectors."""
        write_sentence_transformers(folder, self.pooling, self.width // len(self.pooling.modes), self.ref)


def _alike(found: torch.Tensor, expected: torch.Tensor, mask: torch.Tensor) -> bool:
    """Whether two outputs are the same but for rounding, and for states of padding."""
    if found.shape[:2] == mask.shape:
        found, expected = found[mask.bool()], expected[mask.bool()]
    return bool((found - expected).abs().max() <= 1e-3 * expected.abs().max().clamp(min=1e-3))


def pool(hidden: torch.Tensor, mask: torch.Tensor, how: str) -> torch.Tensor:
    """Pool token states into one vector per text.

    Args:
        hidden: `(batch, length, width)`.
        mask: `(batch, length)`, 1 for real tokens.
        how: one of `TextEncoder.poolings`: `"cls"` is the first real token, `"lasttoken"` the last, `"weightedmean"` counts the
            first token once, the second twice and so on (Muennighoff 2022, SGPT, arXiv:2202.08904), and
            `"mean_sqrt_len_tokens"` divides the sum by the square root of the number of tokens.

    Returns:
        `(batch, width)`.
    """
    rows = torch.arange(len(hidden), device=hidden.device)
    if how == "cls":
        return hidden[rows, mask.to(torch.int64).argmax(dim=1)]  # not 0 when padding is on the left
    if how == "lasttoken":
        return hidden[rows, mask.shape[1] - 1 - mask.to(torch.int64).flip(1).argmax(dim=1)]
    if how == "max":
        return hidden.masked_fill(mask.unsqueeze(-1) == 0, torch.finfo(hidden.dtype).min).max(dim=1).values
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    if how == "weightedmean":
        weights = weights * weights.cumsum(dim=1)
    total, count = (hidden * weights).sum(dim=1), weights.sum(dim=1).clamp(min=1)
    if how in ("mean", "weightedmean"):
        return total / count
    if how == "mean_sqrt_len_tokens":
        return total / count.sqrt()
    known = TextEncoder.poolings
    raise ConfigError(f"No pooling is called {how!r}.{nearest(how, known)} Known: {', '.join(known)}.")


def window(tokenizer: PreTrainedTokenizerBase, limit: int = 512) -> int:
    """The tokenizer's longest input, at most `limit` (tokenizers without a limit report 10^30)."""
    return int(min(tokenizer.model_max_length, limit))


@lru_cache(maxsize=8)
def affixes(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Special ids that the tokenizer puts before and after one text, such as `([CLS],)` and `([SEP],)`."""
    with_special = tokenizer("a")["input_ids"]
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    for start in range(len(with_special) - len(plain) + 1):
        if with_special[start : start + len(plain)] == plain:
            return tuple(with_special[:start]), tuple(with_special[start + len(plain) :])
    raise ConfigError(
        f"{type(tokenizer).__name__} changes a text's ids when it adds special tokens; packing needs them kept."
    )
