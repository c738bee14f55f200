"""Proof that the weights of a model are those of its checkpoint, value for value.

`from_pretrained` reports names; names have been clean while the values were random (transformers#46620, #48722), and
a wrong mapping has matched 2 tensors of 211 and trained on. So every tensor of the model is compared with the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.checkpoint import Tensors
from hf_ssl.models.structure import in_backbone

# Parts of a backbone that checkpoints legitimately lack, because they serve one objective only. They are listed as
# new all the same: BERT's pooler is dropped by every MLM checkpoint (transformers#8793).
MAY_BE_NEW = ("*pooler*", "*mask_token", "*masked_spec_embed")
_OLD_NAMES = (
    (re.compile(r"LayerNorm\.weight$"), "LayerNorm.gamma"),
    (re.compile(r"LayerNorm\.bias$"), "LayerNorm.beta"),
    (re.compile(r"parametrizations\.weight\.original0$"), "weight_g"),
    (re.compile(r"parametrizations\.weight\.original1$"), "weight_v"),
)
_HEAD_NAMES = {
    "ForMaskedLM": "MLM head",
    "ForPreTraining": "pre-training head",
    "ForPretraining": "pre-training head",
    "ForMaskedImageModeling": "reconstruction head",
    "ForCTC": "CTC head",
}


@dataclass(frozen=True)
class Provenance:
    """Where a model came from: what a run ledger and a model card must say.

    Attributes:
        id: Hub id or folder of the original checkpoint.
        revision: commit of the Hub repository, or None for a folder.
        license: the `license` field of its card, or None when there is no card.
        weights_sha: sha256 of its weight file (see `checkpoint.weights_sha`).
    """

    id: str
    revision: str | None
    license: str | None
    weights_sha: str


@dataclass
class LoadReport:
    """What was loaded, compared and newly initialized.

    Attributes:
        compared: tensors of the model (tied ones count once) that the file should hold.
        matched: those equal to the file in every value, after the cast to the model's dtype.
        missing: names of the model's tensors that start at random, tied names included.
        unexpected: names in the file that the model has no place for.
        mismatched: names that are in the file with another shape or other values.
        backbone_total, backbone_matched: the same counts within the backbone; allowed new parts are not counted.
        backbone_complete: every backbone tensor equals the file.
        new_words: words added to the vocabulary after loading.
        notes: what a reader should know, one sentence each.
    """

    model_id: str
    revision: str | None
    license: str | None
    auto_class: str
    architecture: str = ""
    dtype: str = ""
    parameters: int = 0
    weights_sha: str = ""
    compared: int = 0
    matched: int = 0
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    backbone_total: int = 0
    backbone_matched: int = 0
    backbone_complete: bool = False
    new_words: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def provenance(self) -> Provenance:
        """Identity of the checkpoint, for the run ledger."""
        return Provenance(self.model_id, self.revision, self.license, self.weights_sha)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def summary(self) -> str:
        """One screen of text."""
        origin = f"revision {self.revision[:12]}" if self.revision else "no revision known"
        lines = [
            f"{self.model_id} ({origin}, license {self.license or 'unknown'})",
            f"  {self.auto_class} -> {self.architecture}, {self.dtype}, {self.parameters / 1e6:.1f} M parameters",
            f"  backbone   {self.backbone_matched} of {self.backbone_total} tensors equal the file, value for value",
            f"  everything {self.matched} of {self.compared}",
        ]
        for label, names in (("NEW", self.missing), ("DIFFERENT", self.mismatched), ("unused", self.unexpected)):
            if names:
                lines.append(f"  {label:<10} {len(names)}: {shortened(names)}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def shortened(names: Iterable[str], limit: int = 6) -> str:
    """The first few names, and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + more


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Is `name` one of the patterns (`fnmatch`), or inside a module that is?"""
    return any(fnmatchcase(name, pattern) or fnmatchcase(name, pattern + ".*") for pattern in patterns)


def compare(
    model: PreTrainedModel,
    tensors: Tensors,
    report: LoadReport,
    *,
    reported: Iterable[str],
    expect_new: tuple[str, ...],
) -> LoadReport:
    """Fill `report` by comparing every tensor of `model` with the checkpoint.

    Args:
        model: as loaded, before any training step.
        tensors: the checkpoint's tensors.
        report: identity is filled in already; counts and names are written here.
        reported: names that transformers itself says it initialized.
        expect_new: `fnmatch` patterns of tensors that the caller wants new, such as `("classifier",)`.
    """
    state = model.state_dict()
    groups = _tied_groups(state)
    reported = set(reported)
    used: set[str] = set()
    equal, different = _match_by_name(groups, state, tensors, model.base_model_prefix, used)
    open_groups = [g for g in groups if g not in equal and g not in different and not reported.intersection(g)]
    if open_groups:
        equal |= _match_reverted(model, open_groups, state, tensors, used)
        by_content = _match_by_content([g for g in open_groups if g not in equal], state, tensors, used)
        if by_content:
            report.notes.append(f"{len(by_content)} tensors were recognized by content under another name")
        equal |= by_content

    # The loader may say "new" of a tensor whose shape did not fit; that is a mismatch unless it was asked for.
    wrong = {g for g in different if not matches_any(g[0], expect_new)}
    # What the loader admits to have initialized is new, even where the random start happens to equal the file.
    new = [g for g in groups if g not in wrong and (g not in equal or reported.intersection(g))]
    _count(report, model, groups, {g for g in equal if g not in new}, new, expect_new)
    report.mismatched = sorted(g[0] for g in wrong)
    report.missing = sorted(name for g in new for name in g)
    report.unexpected = sorted(set(tensors.shapes) - used - _uncounted(model, tensors))
    report.notes += [_shape_note(g, state, tensors, model.base_model_prefix) for g in sorted(wrong)]
    report.notes += _head_notes(model, report)
    report.notes += _not_finite(model)
    return report


def _tied_groups(state: dict[str, torch.Tensor]) -> list[tuple[str, ...]]:
    groups: dict[Any, list[str]] = {}
    for name, tensor in state.items():
        place = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride()) if tensor.numel() else name
        groups.setdefault(place, []).append(name)
    return [tuple(names) for names in groups.values()]


def _aliases(name: str, prefix: str) -> list[str]:
    """Names a tensor may have in the file: base-model prefix added or dropped, and those of older versions."""
    names = [name, name.removeprefix(f"{prefix}."), f"{prefix}.{name}"] if prefix else [name]
    old = [pattern.sub(replacement, n) for n in names for pattern, replacement in _OLD_NAMES if pattern.search(n)]
    return list(dict.fromkeys(names + old))


def _same(loaded: torch.Tensor, stored: torch.Tensor) -> bool:
    if loaded.shape != stored.shape:
        return False
    stored = stored.to(device=loaded.device, dtype=loaded.dtype)
    return torch.equal(loaded, stored) or bool(torch.allclose(loaded, stored, rtol=0, atol=0, equal_nan=True))


def _match_by_name(
    groups: list[tuple[str, ...]], state: dict[str, torch.Tensor], tensors: Tensors, prefix: str, used: set[str]
) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    equal, different = set(), set()
    for group in groups:
        found = [alias for name in group for alias in _aliases(name, prefix) if alias in tensors.shapes]
        used.update(found)
        if any(_same(state[group[0]], tensors[alias]) for alias in found):
            equal.add(group)
        elif found:
            different.add(group)
    return equal, different


def _match_reverted(
    model: PreTrainedModel,
    groups: list[tuple[str, ...]],
    state: dict[str, torch.Tensor],
    tensors: Tensors,
    used: set[str],
) -> set[tuple[str, ...]]:
    """Undo the renames, splits and fusions of transformers' loader, and compare under the file's own names."""
    prefix = model.base_model_prefix
    by_place = {state[group[0]].data_ptr(): group for group in groups}
    equal, fused = set(), []
    for name, tensor in revert_weight_conversion(model, dict(state)).items():
        alias = next((a for a in _aliases(name, prefix) if a in tensors.shapes and a not in used), None)
        if alias is None:
            continue
        same, group = _same(tensor, tensors[alias]), by_place.get(tensor.data_ptr())
        if group is not None and same:
            equal.add(group)
            used.add(alias)
        elif group is None:
            fused.append((alias, same))
    # A tensor made of several of the model's cannot be traced back to them one by one: all are equal, or none counts.
    if fused and all(same for _, same in fused):
        used.update(alias for alias, _ in fused)
        equal |= set(groups) - equal
    return equal


def _match_by_content(
    groups: list[tuple[str, ...]], state: dict[str, torch.Tensor], tensors: Tensors, used: set[str]
) -> set[tuple[str, ...]]:
    spare: dict[tuple[int, ...], list[str]] = {}
    for name, shape in tensors.shapes.items():
        if name not in used:
            spare.setdefault(shape, []).append(name)
    equal = set()
    for group in groups:
        tensor = state[group[0]]
        names = spare.get(tuple(tensor.shape), [])
        hit = next((name for name in names if _same(tensor, tensors[name])), None)
        if hit is not None:
            names.remove(hit)
            used.add(hit)
            equal.add(group)
    return equal


def _count(
    report: LoadReport,
    model: PreTrainedModel,
    groups: list[tuple[str, ...]],
    equal: set[tuple[str, ...]],
    new: list[tuple[str, ...]],
    expect_new: tuple[str, ...],
) -> None:
    allowed = {g for g in new if any(matches_any(name, (*MAY_BE_NEW, *expect_new)) for name in g)}
    inside = in_backbone(model)
    counted = [g for g in groups if any(inside(name) for name in g) and g not in allowed]
    report.compared, report.matched = len(groups) - len(new), len(equal)
    report.backbone_total = len(counted)
    report.backbone_matched = sum(g in equal for g in counted)
    report.backbone_complete = bool(counted) and report.backbone_matched == report.backbone_total


def _uncounted(model: PreTrainedModel, tensors: Tensors) -> set[str]:
    # Position ids and the like were stored by older versions and are computed now.
    buffers = {name for name, _ in model.named_buffers()} - set(model.state_dict())
    return {alias for name in buffers for alias in _aliases(name, model.base_model_prefix) if alias in tensors.shapes}


def _shape_note(group: tuple[str, ...], state: dict[str, torch.Tensor], tensors: Tensors, prefix: str) -> str:
    alias = next(alias for name in group for alias in _aliases(name, prefix) if alias in tensors.shapes)
    wanted, stored = tuple(state[group[0]].shape), tensors.shapes[alias]
    if wanted != stored:
        return f"{group[0]}: the model wants shape {wanted}, the file has {stored}"
    return f"{group[0]}: same shape {wanted}, other values than in the file"


def head_name(model: PreTrainedModel) -> str:
    """What to call the head of this model in a sentence."""
    kind = type(model).__name__
    return next((text for suffix, text in _HEAD_NAMES.items() if kind.endswith(suffix)), "task head")


def _head_notes(model: PreTrainedModel, report: LoadReport) -> list[str]:
    inside = in_backbone(model)
    heads = [name for name in report.missing if not inside(name)]
    body = [name for name in report.missing if inside(name)]
    notes = []
    if heads:
        notes.append(f"{head_name(model)} is not in the checkpoint: {len(heads)} tensors start at random")
    if body:
        notes.append(f"part of the backbone is not in the checkpoint and starts at random: {shortened(body)}")
    output: Any = model.get_output_embeddings()
    embedding: Any = model.get_input_embeddings() if output is not None else None
    if getattr(model.config, "tie_word_embeddings", False) and embedding is not None:
        if output.weight is not embedding.weight and output.weight.shape == embedding.weight.shape:
            notes.append("the file holds two different embedding tables, so input and output embeddings are not tied")
    return notes


def _not_finite(model: PreTrainedModel) -> list[str]:
    bad = [name for name, p in model.named_parameters() if p.is_floating_point() and not bool(p.isfinite().all())]
    return [f"weights are not finite (NaN or infinity): {shortened(bad)}"] if bad else []


def refuse_incomplete(report: LoadReport, model: PreTrainedModel, *, expect_new: tuple[str, ...]) -> None:
    """Raise `CheckpointError` unless the backbone equals the checkpoint and nothing in the file was misread."""
    inside: Callable[[str], bool] = in_backbone(model)
    absent = [n for n in report.missing if inside(n) and not matches_any(n, (*MAY_BE_NEW, *expect_new))]
    not_finite = [note for note in report.notes if note.startswith("weights are not finite")]
    if not absent and not report.mismatched and not not_finite and report.backbone_complete:
        return
    lines = [f"{report.model_id} did not load completely as {report.architecture}:"]
    lines.append(f"{report.backbone_matched} of {report.backbone_total} backbone tensors equal the file.")
    if 2 * report.backbone_matched < report.backbone_total and report.unexpected:
        lines.append(
            "So few that this looks like a checkpoint of another architecture than its config.json says; the file has "
            f"{shortened(report.unexpected, 3)}."
        )
    if absent:
        lines.append(f"Not in the file, would start at random: {shortened(absent)}.")
    if report.mismatched:
        details = [note for note in report.notes if note.partition(":")[0] in report.mismatched]
        lines.append("Do not fit: " + "; ".join(details[:6]) + ("; ..." if len(details) > 6 else "") + ".")
    lines += [f"{note}." for note in not_finite]
    lines.append(
        "Use the right checkpoint; or name what you want new with expect_new=('module.name',); or, to go on with "
        "random weights in the backbone, allow_incomplete=True."
    )
    raise CheckpointError("\n  ".join(lines))
