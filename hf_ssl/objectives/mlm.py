"""Masked language modeling: hide some words, predict them from the rest."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch.nn import functional

from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.batching import Asked
from hf_ssl.modalities.rng import example_rng
from hf_ssl.modalities.text.encoder import TextEncoder, window
from hf_ssl.modalities.text.last_block import LastBlock
from hf_ssl.modalities.text.packing import Pieces, best_fit, collate_rows, isolated, position_offset
from hf_ssl.models.attention import MASK, SEQUENCES, packed_way, tried_here
from hf_ssl.models.structure import evaluating
from hf_ssl.objectives.base import Objective, Rows, row_keys
from hf_ssl.training.dropout import set_dropout
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets
    from torch import nn
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


class MaskedLanguageModeling(Objective):
    """Masked language modeling on packed rows.

    Predicts: the original tokens at masked positions.

    Formula: mean over masked positions `m` of `-log p(x_m | x_masked)`; of the chosen tokens 80 % become `[MASK]`,
    10 % a random ordinary token, 10 % stay.

    Reference: Devlin et al. 2019 (BERT); whole words: the authors' 2019 release; spans: Joshi et al. 2020 (SpanBERT,
    geometric lengths p = 0.2, at most 10 words); packing: Krell et al. 2021.

    Needs: a tokenizer with a mask token, and a model that `AutoModelForMaskedLM` can load.

    Inputs: `input_ids`, `labels`, `position_ids`, `document`, each `(batch, row length)`; `asked` and `kept`, where something
    is predicted (`hf_ssl.modalities.batching.Asked`); `cu_seq_lens`, where documents begin, for attention by sequences.

    the same, the vocabulary-sized matrix product and softmax are six times smaller.

    Example:

        encoder = Text().load("answerdotai/ModernBERT-base", "AutoModelForMaskedLM")
        objective = MaskedLanguageModeling(encoder, MaskedLanguageModeling.Config(mask="word"))
    """

    needs: ClassVar = TextEncoder
    paper: ClassVar = "Devlin et al. 2019, BERT (arXiv:1810.04805)"
    auto_class: ClassVar = "AutoModelForMaskedLM"
    frees_at_once: ClassVar = True
    training_defaults: ClassVar = {
        "learning_rate": 5e-5, "num_train_epochs": 1, "per_device_train_batch_size": 8, "weight_decay": 0.01,
        "max_grad_norm": 1.0,
    }  # fmt: skip

    @dataclass
    class Config(Options):
        """Options of `mlm`."""

        mask: Literal["token", "word", "span"] = option("word", "What is hidden together.")
        mask_ratio: float = option(0.15, "Share of the tokens that is predicted.", gt=0, lt=1)
        max_length: int | None = option(
            None, "Longest piece of a document, in tokens (default: the model's window, at most 256).", ge=1
        )
        dropout: float = option(
            0.0, "Dropout while pre-training; one pass over a corpus does not overfit.", ge=0, lt=1
        )
        packed: bool = option(True, "Several documents in one row, isolated, no padding.")

    encoder: TextEncoder
    config: Config

    def __init__(self, encoder: TextEncoder, config: Config) -> None:
        super().__init__(encoder, config)
        if encoder.processor.mask_token_id is None:
            raise ConfigError(
                "This tokenizer has no mask token, so there is nothing to hide words with. "
                "Take a BERT-like checkpoint, or --objective simcse or tsdae."
            )
        self.max_length = config.max_length or window(encoder.processor, 256)
        set_dropout(self.model, config.dropout)
        wanted = packed_way(encoder.attn_implementation)
        found = [way for way in dict.fromkeys((wanted, MASK)) if self._isolates(way)]
        self.way: str | None = found[0] if found else None
        self.packed = config.packed and self.way is not None
        if config.packed and found and self.way != wanted:
            logger.info(f"{type(self.backbone).__name__} takes no {wanted} attention: rows are kept apart by a mask.")
        if config.packed and not self.packed:
            logger.info(
                f"{type(self.backbone).__name__} cannot keep documents of one row apart: every row holds one, with padding."
            )
        self.last_block = LastBlock(self.backbone)
        self._asked: Asked | None = None
        self.backbone.register_forward_hook(self._keep_predicted, with_kwargs=False)

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> MaskedRows:
        pieces = Pieces(self.encoder.tokens(dataset), row_keys(dataset), self.encoder.processor, self.max_length)
        return MaskedRows(pieces, self, seed=seed, training=training)

    def collate(self, rows: Sequence[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
        fixed = next(self.parameters()).device.type != "cpu"  # compiled code and CUDA graphs want few shapes
        return collate_rows(
            rows, self.encoder.processor.pad_token_id, fixed=fixed, with_sequences=self.way == SEQUENCES
        )

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return (batch["document"] >= 0).sum()

    def forward(
        self,
        input_ids: torch.Tensor,
        labels: torch.Tensor,
        position_ids: torch.Tensor,
        document: torch.Tensor,
        asked: torch.Tensor,
        kept: torch.Tensor,
        cu_seq_lens: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> LossOutput:
        places = Asked(asked, kept)
        inputs = self._inputs(self.way, input_ids, document, position_ids, cu_seq_lens)
        if self.last_block.block is not None:
            with self.last_block.only(places):
                logits = self.model(**inputs).logits
        else:
            self._asked = places
            try:
                logits = self.model(**inputs).logits
            finally:
                self._asked = None
        loss = functional.cross_entropy(logits.squeeze(0).float(), places.labels(labels), reduction="sum")
        count = (labels != -100).sum()
        return LossOutput(loss=normalize_loss(loss, count, num_items_in_batch), scalars={"predicted": count.detach()})

    def states_kept(self, states: torch.Tensor, batch: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor | None]:
        places = Asked(batch["asked"], batch["kept"])
        return places.taken(states), places.real

    def kept_as_written(self) -> list[nn.Module]:
        return [self.last_block.block] if self.last_block.block is not None else []

    def metrics(self, loss: float) -> dict[str, float]:
        return {"perplexity": math.exp(min(loss, 50.0))}

    def _inputs(
        self, way: str | None, input_ids: torch.Tensor, document: torch.Tensor, position_ids: torch.Tensor,
        cu_seq_lens: torch.Tensor | None,
    ) -> dict[str, Any]:  # fmt: skip
        if way is None:
            return {"input_ids": input_ids, "attention_mask": (document >= 0).long()}
        inputs = {"input_ids": input_ids, **isolated(self.backbone, way, document, position_ids, cu_seq_lens)}
        if "position_ids" in self._accepted:
            inputs["position_ids"] = position_ids + position_offset(self.backbone.config)
        return inputs

    @torch.no_grad()
    def _isolates(self, way: str) -> bool:
        """Whether a document has the same states behind another one as alone (DeBERTa takes no mask of pairs, for one)."""
        some = torch.from_numpy(np.resize(ordinary_ids(self.encoder.processor), 9)).unsqueeze(0)
        document, places = torch.tensor([[0] * 5 + [1] * 4]), torch.tensor([[*range(5), *range(4)]])
        begins = torch.tensor([0, 5, 9], dtype=torch.int32)
        device = next(self.model.parameters()).device
        try:
            with evaluating(self.model), tried_here(self.backbone):
                row = self._inputs(way, *(part.to(device) for part in (some, document, places, begins)))
                behind = self.backbone(**row).last_hidden_state[:, 5:].float()
                alone = self.backbone(some[:, 5:].to(device)).last_hidden_state.float()
        except (RuntimeError, TypeError, ValueError):
            return False
        tolerance = 1e-3 if self.backbone.dtype == torch.float32 else 0.05
        return bool((behind - alone).abs().max() <= tolerance * alone.abs().max())

    @property
    def _accepted(self) -> frozenset[str]:
        import inspect

        return frozenset(inspect.signature(type(self.backbone).forward).parameters)

    def _keep_predicted(self, module: nn.Module, args: tuple[object, ...], output: Any) -> Any:
        """Between encoder and head: keep the states of the positions that are predicted, `(1, predicted, width)`."""
        if self._asked is None:
            return output
        output.last_hidden_state = self._asked.taken(output.last_hidden_state).unsqueeze(0)
        return output


class MaskedRows(Rows):
    """Packed rows of pieces, masked anew each epoch, the same in every evaluation."""

    def __init__(self, pieces: Pieces, objective: MaskedLanguageModeling, *, seed: int, training: bool) -> None:
        super().__init__(seed, training)
        self.pieces = pieces
        self.masker = Masker(objective.encoder.processor, objective.config.mask, objective.config.mask_ratio)
        lengths = pieces.lengths
        self.layout = (
            best_fit(lengths, objective.max_length) if objective.packed else [[i] for i in range(len(pieces))]
        )

    def __len__(self) -> int:
        return len(self.layout)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        parts = []
        for document, number in enumerate(self.layout[index]):
            ids, words = self.pieces.piece(number)
            inputs, labels = self.masker(ids, words, example_rng(self.seed, self.key, self.pieces.key(number)))
            positions = np.arange(len(ids))
            parts.append((inputs, labels, positions, np.full(len(ids), document)))
        names = ("input_ids", "labels", "position_ids", "document")
        return {name: np.concatenate(column) for name, column in zip(names, zip(*parts, strict=True), strict=True)}


class Masker:
    """Chooses what to hide, and with what.

    Args:
        tokenizer: gives the mask token and the ids that may stand in for a token: never a special one.
        mask: `"token"`, `"word"` (all tokens of a word together) or `"span"` (neighboring words together).
        ratio: share of a piece's tokens that is predicted. The number is rounded up or down at random, so that it is
            right on average for short texts too.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, mask: str, ratio: float) -> None:
        self.mask = mask
        self.ratio = ratio
        self.mask_id = tokenizer.mask_token_id
        self.special = np.array(tokenizer.all_special_ids)
        self.ordinary = ordinary_ids(tokenizer)

    def __call__(self, ids: np.ndarray, words: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Returns masked ids and labels (-100 where nothing is predicted), each as long as `ids`."""
        # A text may spell a special token out, or hold what the tokenizer does not know: nothing to learn there.
        chosen = self._choose(np.where(np.isin(ids, self.special), -1, words), rng)
        labels = np.full(len(ids), -100, dtype=np.int64)
        labels[chosen] = ids[chosen]
        masked = ids.astype(np.int64)
        fate = rng.random(len(chosen))
        masked[chosen[fate < 0.8]] = self.mask_id
        swapped = chosen[(fate >= 0.8) & (fate < 0.9)]
        masked[swapped] = rng.choice(self.ordinary, size=len(swapped))
        return masked, labels

    def _choose(self, words: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        candidates = np.flatnonzero(words >= 0)
        if not len(candidates):
            return candidates
        wanted = int(self.ratio * len(candidates) + rng.random())
        if not wanted:
            return candidates[:0]
        if self.mask == "token":
            return rng.choice(candidates, size=wanted, replace=False)
        starts = np.flatnonzero(np.diff(words[candidates], prepend=-2) != 0)
        sizes = np.diff(np.append(starts, len(candidates)))
        groups = self._order(len(starts), rng)
        taken = np.cumsum(sizes[groups])
        # Stop at the word that reaches the wanted number; take that word with the chance that makes the mean right.
        last = int(np.searchsorted(taken, wanted))
        if last < len(groups) and taken[last] > wanted and rng.random() < (taken[last] - wanted) / sizes[groups[last]]:
            last -= 1
        picked = groups[: last + 1]
        return (
            np.concatenate([candidates[starts[g] : starts[g] + sizes[g]] for g in picked])
            if len(picked)
            else candidates[:0]
        )

    def _order(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Words in the order in which they are hidden: any order, or neighbors together (spans)."""
        if self.mask == "word":
            return rng.permutation(count)
        seen = np.zeros(count, dtype=bool)
        order: list[int] = []
        for start in rng.permutation(count).tolist():
            length = min(int(rng.geometric(0.2)), 10)
            for word in range(start, min(start + length, count)):
                if not seen[word]:
                    seen[word] = True
                    order.append(word)
        return np.array(order)


def ordinary_ids(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Ids that may replace a token at random: no special ones, no `[unused…]` places."""
    special = set(tokenizer.all_special_ids)
    unused = re.compile(r"^\[unused\d+\]$|^madeupword\d+$")
    vocabulary = tokenizer.get_vocab().items()  # in another order in every process: sorted, so that a seed repeats
    return np.array(sorted(index for token, index in vocabulary if index not in special and not unused.match(token)))
