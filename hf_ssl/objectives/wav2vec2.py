"""Contrastive prediction of quantized speech: wav2vec 2.0, continued from a released checkpoint or from a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.audio import backbones
from hf_ssl.modalities.audio.encoder import AudioEncoder
from hf_ssl.modalities.batching import Asked
from hf_ssl.models.structure import unwrap_peft
from hf_ssl.objectives.base import Objective
from hf_ssl.objectives.clips import TRAINING, Clips, padded_masks, span_mask
from hf_ssl.training.dropout import set_dropout
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets

MIN_PERPLEXITY_SHARE = 0.01
"""The codebook collapsed when it is used as evenly as 1 % of its entries would be (transformers#14387, fairseq#4530)."""


class Wav2Vec2(Objective):
    """wav2vec 2.0: tell the true quantized latent of a hidden frame from those of other hidden frames of the clip.

    Predicts: which of `K + 1` quantized latents belongs to a hidden frame.

    Formula: mean over hidden frames of `-log exp(cos(c_t, q_t) / k) / sum_j exp(cos(c_t, q_j) / k) + w (V - P) / V`,
    `P` the perplexity of the codebook's use (equations 3 and 4 of the paper).

    Reference: Baevski et al. 2020, wav2vec 2.0 (arXiv:2006.11477).

    Needs: a checkpoint that `AutoModelForPreTraining` loads with its quantizer (Wav2Vec2, Wav2Vec2-Conformer; UniSpeech and
    UniSpeech-SAT have another head), with a layer norm or a group norm in its convolutions.

    Inputs: `input_values`, `attention_mask` `(clips, samples)`; `hidden` bool `(clips, frames)`; `negatives`
    `(hidden frames, K)`, places among the clip's hidden frames; `noise` `(hidden frames, groups, entries)`, Gumbel noise
    in training; `labels` `(clips, frames)`, 0 where hidden, -100 elsewhere; `asked`, `kept`: where hidden frames are
    (`hf_ssl.modalities.batching.Asked`).

    Masks, negatives and Gumbel noise depend on (seed, epoch, clip) only, and the temperature on the number of optimizer
    steps, which is saved: a resumed run goes on exactly. The perplexity's gradient is taken at a running average of the
    codebook's use over all ranks instead of at the batch's: then the loss is a sum over frames, which neither
    accumulation nor a different batch split changes, and a batch of few frames does not make the estimate worse.

    Example:

        objective = Wav2Vec2(Audio().load("facebook/wav2vec2-base", Wav2Vec2.auto_class), Wav2Vec2.Config())
    """

    needs: ClassVar = AudioEncoder
    paper: ClassVar = "Baevski et al. 2020, wav2vec 2.0 (arXiv:2006.11477)"
    auto_class: ClassVar = "AutoModelForPreTraining"
    unit: ClassVar = "audio_seconds"
    training_defaults: ClassVar = TRAINING

    step: torch.Tensor
    use: torch.Tensor

    @dataclass
    class Config(Options):
        """Options of `wav2vec2`."""

        renamed = {"mask_ratio": "mask_time_prob"}

        mask_time_prob: float = option(
            0.65, "Spans times their length over all frames; 0.65 hides about half.", gt=0, le=1
        )
        mask_span: int = option(10, "Frames that are hidden together (10: 0.2 s).", ge=1)
        crop_seconds: float = option(15.6, "Longest part of a clip in a batch.", gt=0)
        negatives: int = option(100, "Wrong answers per hidden frame.", ge=1)
        temperature: float = option(0.1, "Temperature of the softmax over cosines.", gt=0)
        diversity: float = option(0.1, "Weight of the even use of the codebook.", ge=0)
        gumbel_start: float = option(
            0.5, "Gumbel temperature at step 0; 2 from scratch: it would blur a trained codebook.", gt=0
        )
        gumbel_end: float = option(0.5, "Lowest Gumbel temperature.", gt=0)
        gumbel_decay: float = option(0.999995, "Factor on it per optimizer step.", gt=0, le=1)
        dropout: float = option(0.0, "Dropout while pre-training.", ge=0, lt=1)

        def problems(self) -> list[str]:
            rises = self.gumbel_end > self.gumbel_start
            return [*super().problems(), *(["gumbel_end: it must be at most gumbel_start."] if rises else [])]

    encoder: AudioEncoder
    config: Config

    def __init__(self, encoder: AudioEncoder, config: Config) -> None:
        super().__init__(encoder, config)
        inner: Any = unwrap_peft(self.model)
        head = getattr(inner, "project_hid", None)  # UniSpeech has one too, the other way round
        fits = head is not None and head.in_features == inner.config.hidden_size
        if not fits or not all(hasattr(inner, name) for name in ("quantizer", "project_q")):
            raise ConfigError(
                f"{type(inner).__name__} has no quantizer, so there is nothing to contrast with. Take a Wav2Vec2 "
                "checkpoint, or --objective masked-spectrogram or hubert-units, which any speech encoder can do."
            )
        set_dropout(self.model, config.dropout)
        groups, entries = inner.quantizer.num_groups, inner.quantizer.num_vars
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("use", torch.full((groups, entries), 1.0 / entries))
        # Not a buffer: DistributedDataParallel would overwrite every rank's own count with the first one's.
        self._seen: torch.Tensor | float = 0.0

    @property
    def gumbel_temperature(self) -> float:
        """A pure function of the number of optimizer steps."""
        own = self.config
        if own.gumbel_start == own.gumbel_end:
            return own.gumbel_end
        return max(own.gumbel_start * own.gumbel_decay ** int(self.number("step")), own.gumbel_end)

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> Clips:
        return Clips(
            dataset,
            self.encoder,
            self._drawer(training),
            max_seconds=self.config.crop_seconds,
            seed=seed,
            training=training,
        )

    def _drawer(self, training: bool) -> Any:
        config: Any = self.backbone.config
        own = self.config
        shape = tuple(self.use.shape)

        def draw(wave: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
            hidden = span_mask(backbones.frame_count(config, len(wave)), own.mask_time_prob, own.mask_span, rng)
            count = int(hidden.sum())
            row: dict[str, Any] = {"hidden": hidden, "negatives": others(count, own.negatives, rng)}
            if training:
                row["noise"] = rng.gumbel(size=(count, *shape)).astype(np.float32)
            return row

        return draw

    def collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        hidden = padded_masks([row["hidden"] for row in rows])
        asked = Asked.of(hidden)
        negatives = np.concatenate([row["negatives"] for row in rows])
        batch = {
            **backbones.padded([row["wave"] for row in rows]),
            "hidden": torch.from_numpy(hidden),
            "negatives": torch.from_numpy(negatives),
            "labels": torch.from_numpy(np.where(hidden, 0, -100)),
            "asked": asked.columns,
            "kept": asked.kept,
        }
        if "noise" in rows[0]:
            batch["noise"] = torch.from_numpy(np.concatenate([row["noise"] for row in rows]))
        return batch

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return batch["attention_mask"].sum() / self.encoder.modality.config.sampling_rate

    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor,
        hidden: torch.Tensor,
        negatives: torch.Tensor,
        labels: torch.Tensor,
        asked: torch.Tensor,
        kept: torch.Tensor,
        noise: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> LossOutput:
        inner: Any = unwrap_peft(self.model)
        config = inner.config
        mask = backbones._needed(config, attention_mask)
        output = inner.base_model(input_values, attention_mask=mask, mask_time_indices=hidden)
        places = Asked(asked, kept)
        latents = places.taken(output.extract_features)
        scores = inner.quantizer.weight_proj(latents).view(len(latents), *self.use.shape).float()
        codes = quantize(scores, noise, self.gumbel_temperature)
        quantized = inner.project_q(codewords(codes, inner.quantizer.codevectors).to(latents.dtype))
        predicted = inner.project_hid(places.taken(output.last_hidden_state))
        contrast = contrastive_loss(
            predicted, quantized, code_numbers(codes), places, negatives, self.config.temperature
        )
        chances = scores.softmax(-1) if self.training else codes
        diversity = diversity_loss(chances, self.use)
        if self.training and not self.idle:
            own = torch.cat([chances.detach().sum(0).flatten(), chances.new_full((1,), len(chances))])
            self._seen = self._seen + own
        # Nothing hidden (only clips of a few milliseconds): the loss is 0, with a gradient, so that ranks stay in step.
        total = contrast.sum() + self.config.diversity * diversity.sum() + 0.0 * output.last_hidden_state.sum()
        count = (labels != -100).sum()
        frames = backbones.frame_count(config, attention_mask.sum(1)).sum()
        return LossOutput(
            loss=normalize_loss(total, count, num_items_in_batch),
            scalars={
                "hidden": count.detach(), "frames": frames, "contrastive": contrast.detach().sum(),
                "codes": codes.detach().sum(0), "squares": latents.detach().float().square().sum(0),
                "sums": latents.detach().float().sum(0),
            },
        )  # fmt: skip

    def on_optimizer_step(self, step: int, total: int) -> None:
        self.set_number("step", step)
        seen = self._seen if isinstance(self._seen, torch.Tensor) else self.use.new_zeros(self.use.numel() + 1)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(seen)
        # Averaged over about ten steps: long enough to see every entry, short enough to follow the model.
        mixed = self.use.lerp(seen[:-1].view_as(self.use) / seen[-1].clamp(min=1), 1.0 if step == 1 else 0.1)
        self.use.copy_(torch.where(seen[-1] > 0, mixed, self.use))
        self._seen = 0.0

    def measures(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        count = sums["hidden"].clamp(min=1)
        mean = sums["sums"] / count
        return {
            "codebook_perplexity": float(perplexity(sums["codes"] / count).sum()),
            "codebook_entries": float(self.use.numel()),
            "fraction_masked": float(sums["hidden"] / sums["frames"].clamp(min=1)),
            "contrastive_loss": float(sums["contrastive"] / count),
            "target_variance": float((sums["squares"] / count - mean.square()).mean()),
        }

    def detect_collapse(self, record: Mapping[str, Any], start: Mapping[str, Any] | None) -> str | None:
        used, there = record["codebook_perplexity"], record["codebook_entries"]
        groups = len(self.use)
        if used < groups + MIN_PERPLEXITY_SHARE * there:
            return f"The codebook collapsed: it is used as if it had {used:.1f} of {there:.0f} entries."
        return None


def others(count: int, negatives: int, rng: np.random.Generator) -> np.ndarray:
    """For each of `count` hidden frames, other hidden frames of the clip, drawn with replacement; `(count, negatives)`."""
    if count < 2:
        return np.zeros((count, negatives), dtype=np.int64)
    drawn = rng.integers(0, count - 1, size=(count, negatives))
    return drawn + (drawn >= np.arange(count)[:, None])  # skips the frame itself


def quantize(scores: torch.Tensor, noise: torch.Tensor | None, temperature: float) -> torch.Tensor:
    """One-hot choice of an entry per group, straight-through in training (Jang et al. 2017, arXiv:1611.01144).

    Args:
        scores: `(frames, groups, entries)`.
        noise: Gumbel noise of that shape, or None for the best entry without gradient.
    """
    if noise is None:
        return functional.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores.dtype)
    soft = ((scores + noise) / temperature).softmax(-1)
    hard = torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
    return hard - soft.detach() + soft


def codewords(codes: torch.Tensor, codevectors: torch.Tensor) -> torch.Tensor:
    """Entries of all groups side by side, `(frames, groups x width)`; codevectors are `(1, groups x entries, width)`."""
    groups, entries = codes.shape[1:]
    table = codevectors.view(groups, entries, -1).to(codes.dtype)
    return torch.einsum("fge,gew->fgw", codes, table).flatten(1)


def code_numbers(codes: torch.Tensor) -> torch.Tensor:
    """One number per combination of entries, `(frames,)`."""
    number = codes.new_zeros(len(codes), dtype=torch.long)
    for chosen in codes.argmax(-1).unbind(1):
        number = number * codes.shape[-1] + chosen
    return number


def contrastive_loss(
    predicted: torch.Tensor,
    quantized: torch.Tensor,
    numbers: torch.Tensor,
    places: Asked,
    negatives: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """Equation 3 of wav2vec 2.0, one term per hidden frame, `(frames,)`.

    A negative with the same code as the positive is no wrong answer and is left out.

    Args:
        predicted, quantized: `(frames, width)`, all hidden frames, clip after clip.
        numbers: `(frames,)`, equal for equal codes.
        places: where they come from, exactly (nothing of the grid is kept that only fills it).
        negatives: `(frames, K)`, places among the hidden frames of the same clip.
    """
    if not len(predicted):
        return predicted.new_zeros(0)
    clips, most = places.columns.shape
    clip, place = places.kept // most, places.kept % most

    def by_clip(values: torch.Tensor) -> torch.Tensor:
        table = values.new_zeros((clips, most, *values.shape[1:]))
        return table.index_put((clip, place), values)

    context = functional.normalize(predicted.float(), dim=-1)
    targets = functional.normalize(quantized.float(), dim=-1)
    # All pairs of a clip in one product: cheaper than gathering K vectors for each frame, in time and in memory.
    with torch.autocast(predicted.device.type, enabled=False):
        alike = torch.bmm(by_clip(context), by_clip(targets).transpose(1, 2))[clip, place]
    same = by_clip(numbers)[clip].gather(1, negatives) == numbers[:, None]
    wrong = alike.gather(1, negatives).masked_fill(same, float("-inf"))
    scores = torch.cat([alike.gather(1, place[:, None]), wrong], dim=1) / temperature
    return functional.cross_entropy(scores, scores.new_zeros(len(scores), dtype=torch.long), reduction="none")


def perplexity(use: torch.Tensor) -> torch.Tensor:
    """`exp` of the entropy of each row, `(groups,)`: how many entries are in use, were they used evenly."""
    return torch.exp(-torch.xlogy(use, use).sum(-1))


def diversity_loss(chances: torch.Tensor, use: torch.Tensor) -> torch.Tensor:
    """Equation 4 of wav2vec 2.0 in its perplexity form, one term per frame, `(frames,)`.

    The value is `(V - P(use)) / V`; the gradient is that of the perplexity at `use`, so it is linear in each frame's
    chances. With `use` the mean of `chances`, the mean of the terms has value and gradient of the paper's loss.

    Args:
        chances: `(frames, groups, entries)`, rows sum to 1.
        use: `(groups, entries)`, the codebook's average use.
    """
    numbers = perplexity(use)
    slope = numbers[:, None] * (use.clamp(min=1e-10).log() + 1) / use.numel()
    linear = (chances * slope).sum((1, 2))
    return (use.numel() - numbers.sum()) / use.numel() + linear - linear.detach()
