"""Self-distillation: a student agrees with its own slow average about what it sees, from many crops."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional

from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.batching import places_of, taken
from hf_ssl.modalities.encoder import VisionEncoder
from hf_ssl.modalities.image.backbones import add_mask_token, drop_mask_token, patch_size, special_tokens, takes_masks
from hf_ssl.modalities.views import View, ViewPlan
from hf_ssl.models import structure
from hf_ssl.objectives import losses
from hf_ssl.objectives.base import ViewObjective, ViewRows
from hf_ssl.training.gather import world
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedModel


# Appendix of the paper, after BYOL: two large crops and some small ones.
_LARGE = View(scale=(0.4, 1.0), color=(0.4, 0.4, 0.2, 0.1), gray=0.2, blur=1.0, cubic=True)
_SMALL = View(size=96 / 224, scale=(0.05, 0.4), color=(0.4, 0.4, 0.2, 0.1), gray=0.2, blur=0.5, cubic=True)


class DINO(ViewObjective):
    """Self-distillation without labels, with multi-crop and an optional masked-patch term (iBOT).

    Predicts: the teacher's soft assignment of a large crop to prototypes, from another crop of the same picture.

    Formula: mean over pairs (teacher view g, student view v != g) of
    `-sum_k softmax((t_g - c) / T_t)_k log softmax(s_v / T_s)_k`; c is a running mean of t, the teacher an exponential
    moving average of the student with momentum rising to 1.

    Reference: Caron et al. 2021 (DINO, arXiv:2104.14294); masked patches: Zhou et al. 2022 (iBOT, arXiv:2111.07832).

    Needs: pictures; any backbone (`ibot` needs one that takes `bool_masked_pos`). What is monitored and exported is
    the teacher. With LoRA, teacher and student share the frozen weights and only adapters and head are averaged.

    Inputs: `global_pixel_values` `(2 x pictures, channels, height, width)`, `local_pixel_values` `(crops x pictures,
    ...)`, with iBOT `mask` `(2 x pictures, rows, columns)` and `kept`, its places in the flat batch; `labels`
    `(pictures,)`, which only counts the loss terms.

    Teacher, center and schedules change once per optimizer step, whatever the accumulation.

    The heads see features standardized by mean and spread of the start checkpoint's on 256 pictures of the pool (in the
    paper they see them as they are). Where all features point nearly the same way, as a small masked autoencoder's do
    (mean cosine .999), the centered teacher would otherwise be uniform from the first step and nothing would be learned.

    Example:

        objective = DINO(Image().load("facebook/dinov2-small"), DINO.Config(prototypes=4096))
    """

    unit: ClassVar = "images"
    needs: ClassVar = VisionEncoder
    paper: ClassVar = "Caron et al. 2021, DINO (arXiv:2104.14294)"
    views: ClassVar = ViewPlan((_LARGE, replace(_LARGE, blur=0.1, solarize=0.2)), (_SMALL,) * 6)
    training_defaults: ClassVar = {
        "learning_rate": 5e-5, "num_train_epochs": 10, "per_device_train_batch_size": 32, "weight_decay": 0.04,
        "max_grad_norm": 3.0, "dataloader_drop_last": True,
    }  # fmt: skip
    progress: torch.Tensor
    center: torch.Tensor
    patch_center: torch.Tensor
    input_mean: torch.Tensor
    input_scale: torch.Tensor

    @dataclass
    class Config(Options):
        """Options of `dino`."""

        prototypes: int = option(4096, "Outputs of the head; 65536 for millions of images.", ge=1)
        head_hidden: int = option(2048, "Width of the head's hidden layers.", ge=1)
        head_out: int = option(256, "Width of the normalized vector before the prototypes.", ge=1)
        student_temperature: float = option(0.1, "Of the student's softmax.", gt=0)
        teacher_temperature: float = option(0.07, "Of the teacher's softmax, in the end.", gt=0)
        warmup_temperature: float = option(0.04, "Of the teacher's softmax, at first.", gt=0)
        warmup: float = option(0.3, "Share of the steps until the final temperature.", ge=0, le=1)
        momentum: float = option(0.996, "Of the teacher at first; it rises to 1.", ge=0, le=1)
        center_momentum: float = option(0.9, "Of the running mean of teacher outputs.", ge=0, lt=1)
        freeze_last: float = option(0.05, "Share of the steps with prototypes held still.", ge=0, le=1)
        ibot: float = option(0.0, "Weight of the masked-patch term; 0 switches it off.", ge=0)
        pooling: str | None = option(None, "How the backbone's output is pooled.")

    encoder: VisionEncoder
    config: Config

    def __init__(self, encoder: VisionEncoder, config: Config) -> None:
        super().__init__(encoder.replace(pooling=config.pooling), config)
        self.teacher: nn.Module | None = None
        model = self.model
        self.patch = patch_size(model)
        if config.ibot and not takes_masks(self.student):
            raise ConfigError(
                "ibot needs a backbone that takes bool_masked_pos (ViT, DINOv2, Swin ...). Use --ibot 0."
            )
        if config.ibot:
            add_mask_token(self.student)
        # What is hidden and compared is a cell of the last map: a patch of a ViT, several patches of a Swin.
        self.cell = self.encoder.map_stride()[2] if config.ibot else self.patch
        self._try_small_crops()
        width = self.encoder.width
        self.head = Head(width, config.head_hidden, config.head_out, config.prototypes)
        # Frozen weights (under LoRA) are shared, not copied: the teacher costs only what is trained.
        shared = {id(p): p for p in model.parameters() if not p.requires_grad}
        self.teacher = copy.deepcopy(model, shared).requires_grad_(False).eval()
        self.teacher_encoder = encoder.replace(model=self.teacher, pooling=self.encoder.pooling)
        self.teacher_head = copy.deepcopy(self.head).requires_grad_(False).eval()
        self.register_buffer("input_mean", torch.zeros(width))
        self.register_buffer("input_scale", torch.ones(width))
        self.standardized = False
        self.register_buffer("center", torch.zeros(config.prototypes))
        self.register_buffer("patch_center", torch.zeros(config.prototypes))
        self.register_buffer("progress", torch.zeros(()))
        self._sums: dict[str, torch.Tensor] = {}
        self._seen: list[torch.Tensor] = []

    @torch.no_grad()
    def _try_small_crops(self) -> None:
        groups = self.encoder.view_groups(self.views)
        if len(groups) < 2:
            return
        pixels = structure.example_inputs(self.model, batch_size=1)["pixel_values"]
        side = max(1, round(min(pixels.shape[-2:]) * groups[1][0].size / self.cell)) * self.cell
        try:
            with structure.evaluating(self.model):
                self.encoder.features({"pixel_values": pixels[..., :side, :side]})
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"This network cannot take DINO's small crops, {side} pixels wide ({error}). "
                "Leave them out with --local_views 0, or take --objective simclr or vicreg."
            ) from error

    @property
    def student(self) -> PreTrainedModel:
        """The network that gets the gradient."""
        return self.encoder.backbone

    @property
    def adapted(self) -> VisionEncoder:
        """The teacher: the slow average is the better model."""
        return self.encoder if self.teacher is None else self.teacher_encoder

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for part in ("teacher", "teacher_head"):  # absent while the base class is being made
            if part in self._modules and self._modules[part] is not None:
                getattr(self, part).eval()
        return self

    def averaged(self) -> Iterator[tuple[str, nn.Parameter, nn.Parameter]]:
        """Name, the student's parameter, and the teacher's slow average of it."""
        assert self.teacher is not None
        for name, source, target in (
            ("teacher", self.model, self.teacher),
            ("teacher_head", self.head, self.teacher_head),
        ):
            for (inner, student), teacher in zip(source.named_parameters(), target.parameters(), strict=True):
                if student is not teacher:
                    yield f"{name}.{inner}", student, teacher

    def saved_tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The teacher is frozen for the optimizer, and state all the same."""
        yield from super().saved_tensors()
        for name, _, teacher in self.averaged():
            yield name, teacher.detach()

    def is_head(self, name: str, missing: frozenset[str]) -> bool:
        return not name.startswith("teacher.") and super().is_head(name, missing)

    # -- data -------------------------------------------------------------------------------------------------------

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> ViewRows:
        if not self.standardized:
            self._standardize(dataset, seed)
        return super().rows(dataset, seed=seed, training=training)

    def _standardize(self, dataset: datasets.Dataset, seed: int) -> None:
        some = np.sort(np.random.default_rng(seed).permutation(len(dataset))[:256])
        found = self.adapted.embed(dataset.select(some)[self.encoder.modality.column])
        self.input_mean.copy_(torch.from_numpy(found.mean(axis=0)))
        spread = found.std(axis=0)
        # A dimension that does not move on these pictures may move later, and must not drown the others then.
        self.input_scale.copy_(torch.from_numpy(np.maximum(spread, 0.01 * max(float(spread.max()), 1e-6))))
        self.standardized = True

    def _scores(self, head: nn.Module, vectors: torch.Tensor, frozen: bool = False) -> torch.Tensor:
        return head((vectors.float() - self.input_mean) / self.input_scale, frozen).float()

    def collate(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        rngs, groups = [rng for _, rng in rows], self.drawn(rows, self.cell)
        batch = {f"{group}_{name}": tensor for group, views in zip(("global", "local"), groups, strict=False)
                 for name, tensor in views.items()}  # fmt: skip
        if self.config.ibot:
            height, width = batch["global_pixel_values"].shape[-2:]
            masks = [block_mask(rng, height // self.cell, width // self.cell) for _ in range(2) for rng in rngs]
            batch["mask"] = torch.from_numpy(np.stack(masks))
            batch["kept"] = places_of(np.stack(masks).reshape(len(masks), -1))
        return {**batch, "labels": torch.arange(len(rows))}

    # -- loss -------------------------------------------------------------------------------------------------------

    def forward(
        self,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
        mask: torch.Tensor | None = None,
        kept: torch.Tensor | None = None,
        **views: torch.Tensor,
    ) -> LossOutput:
        count, c = len(labels), self.config
        large = {name.removeprefix("global_"): v for name, v in views.items() if name.startswith("global_")}
        small = {name.removeprefix("local_"): v for name, v in views.items() if name.startswith("local_")}
        warm = min(1.0, self.number("progress") / c.warmup) if c.warmup else 1.0
        sharpness = c.warmup_temperature + warm * (c.teacher_temperature - c.warmup_temperature)
        frozen = self.number("progress") < c.freeze_last
        with torch.no_grad():
            target = self._scores(self.teacher_head, self.teacher_encoder.features(large))
            self._note("center", target)
        masks: dict[str, Any] = {}
        if mask is not None:
            times = self.cell // self.patch
            masks["bool_masked_pos"] = mask.repeat_interleave(times, 1).repeat_interleave(times, 2).flatten(1)
            mask = mask.flatten(1)
        seen, patches = self._look(large, masks)
        scores = [self._scores(self.head, seen, frozen)]
        if small:
            scores.append(self._scores(self.head, self.encoder.features(small), frozen))
        student = torch.cat(scores).unflatten(0, (-1, count))  # (views, pictures, prototypes)
        teacher = (target - self.center).unflatten(0, (2, count))
        terms, pairs = student.new_zeros(()), 0
        for g in range(2):
            for v in range(len(student)):
                if v != g:
                    terms = (
                        terms
                        + losses.self_distillation(student[v], teacher[g], c.student_temperature, sharpness).sum()
                    )
                    pairs += 1
        total = terms / pairs
        if mask is not None and kept is not None:
            total = total + c.ibot * self._masked_patches(large, patches, mask, kept, sharpness, frozen)
        if not self.training:
            self._seen.append(torch.softmax(teacher / sharpness, dim=-1).flatten(0, 1))
        return LossOutput(loss=normalize_loss(total, count, num_items_in_batch))

    def _look(self, views: dict[str, Any], masks: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor | None]:
        if not masks:
            return self.encoder.features(views), None
        tokens, grid = self.encoder.tokens_and_map(views, **masks)
        first = self.encoder.pooling.mode == "cls" and special_tokens(self.student) > 0
        return (tokens[:, 0] if first and tokens is not None else grid.flatten(2).mean(dim=2)), grid.flatten(
            2
        ).transpose(1, 2)

    def _masked_patches(
        self, views: dict[str, Any], patches: torch.Tensor | None, mask: torch.Tensor, kept: torch.Tensor,
        sharpness: float, frozen: bool,
    ) -> torch.Tensor:  # fmt: skip
        """Sum over pictures of the mean over their masked patches (both large views)."""
        assert patches is not None
        with torch.no_grad():
            grid = self.teacher_encoder.patch_features(views)
            target = self._scores(self.teacher_head, taken(grid.flatten(2).transpose(1, 2), kept))
            self._note("patch_center", target)
        student = self._scores(self.head, taken(patches, kept), frozen)
        terms = losses.self_distillation(
            student, target - self.patch_center, self.config.student_temperature, sharpness
        )
        each = taken(mask.sum(dim=1).clamp(min=1).unsqueeze(1).expand_as(mask), kept)
        return (terms / each).sum() / 2

    # -- state ------------------------------------------------------------------------------------------------------

    def _note(self, name: str, target: torch.Tensor) -> None:
        if not self.training or self.idle:
            return
        total = torch.cat([target.sum(dim=0), target.new_full((1,), float(len(target)))])
        self._sums[name] = self._sums[name] + total if name in self._sums else total

    @torch.no_grad()
    def on_optimizer_step(self, step: int, total: int) -> None:
        done = step / max(1, total)
        momentum = 1 - (1 - self.config.momentum) * (1 + math.cos(math.pi * done)) / 2
        for _, student, teacher in self.averaged():
            teacher.lerp_(student, 1 - momentum)
        assert self.teacher is not None
        for source, target in ((self.model, self.teacher), (self.head, self.teacher_head)):
            for new, old in zip(source.buffers(), target.buffers(), strict=True):
                old.copy_(new)  # running statistics of batch normalization
        for name, sums in self._sums.items():
            if world()[0] > 1:
                dist.all_reduce(sums)
            center = getattr(self, name)
            center.lerp_((sums[:-1] / sums[-1].clamp(min=1)).to(center.dtype), 1 - self.config.center_momentum)
        self._sums.clear()
        self.set_number("progress", done)

    def metrics(self, loss: float) -> dict[str, float]:
        """Of the last evaluation: the teacher's entropy as a share of ln(prototypes), and the share of them in use."""
        if not self._seen:
            return {}
        chances = torch.cat(self._seen)
        self._seen.clear()
        entropy = -(chances * chances.clamp(min=1e-12).log()).sum(dim=-1).mean() / math.log(self.config.prototypes)
        used = len(chances.argmax(dim=-1).unique()) / min(self.config.prototypes, len(chances))
        return {"teacher_entropy": float(entropy), "prototypes_used": float(used)}

    def detect_collapse(self, record: Mapping[str, Any], start: Mapping[str, Any] | None) -> str | None:
        """Uniform assignment (the loss stands at ln K) and assignment of everything to one prototype."""
        if start is None or "teacher_entropy" not in record:
            return None
        if record["teacher_entropy"] > 0.999:
            return f"The teacher assigns everything evenly to all {self.config.prototypes} prototypes."
        if record["prototypes_used"] < 0.1 * start["prototypes_used"] and record["teacher_entropy"] < 0.05:
            return "The teacher assigns nearly every picture to the same few prototypes."
        return None

    def export(self) -> PreTrainedModel:
        """The teacher, adapters merged."""
        model = super().export()
        drop_mask_token(model)
        return model.requires_grad_(True)


class Head(nn.Module):
    """Three-layer perceptron, unit length, then cosines with prototypes of unit length."""

    def __init__(self, width: int, hidden: int, out: int, prototypes: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, out)
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes = nn.Parameter(functional.normalize(torch.randn(prototypes, out), dim=1))

    def forward(self, vectors: torch.Tensor, frozen: bool = False) -> torch.Tensor:
        weight = functional.normalize(self.prototypes.detach() if frozen else self.prototypes, dim=1)
        # Full precision: at a temperature of 0.04, bfloat16's three digits of a cosine are a tenth of a logit.
        with torch.autocast(vectors.device.type, enabled=False):
            return functional.normalize(self.mlp(vectors.float()), dim=-1) @ weight.float().T


def block_mask(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Half of the views unmasked; else rectangles until a share drawn from 0.1 to 0.5 is covered (iBOT), bool."""
    mask = np.zeros((rows, columns), dtype=bool)
    if rng.random() < 0.5:
        return mask
    wanted = max(1, round(rng.uniform(0.1, 0.5) * rows * columns))
    for _ in range(100):
        left = wanted - int(mask.sum())
        if left <= 0:
            break
        aspect = math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
        height = int(np.clip(round(math.sqrt(left * aspect)), 1, rows))
        width = int(np.clip(round(math.sqrt(left / aspect)), 1, columns))
        top, start = int(rng.integers(0, rows - height + 1)), int(rng.integers(0, columns - width + 1))
        mask[top : top + height, start : start + width] = True
    return mask
