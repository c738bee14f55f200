"""The stage before compute is spent: how far is the checkpoint from these data, and what is worth trying?"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import distributed, plugins
from hf_ssl.core.errors import DataError, nearest
from hf_ssl.core.run import write_json
from hf_ssl.data import open_test
from hf_ssl.data.target import shared_rows
from hf_ssl.evaluation.advice import Advice, Evidence, advise
from hf_ssl.evaluation.gap import proxy_a_distance
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.models.tuned import ADVICE, tuned_with_labels
from hf_ssl.stages.base import StageContext, prepare_stage, start_of
from hf_ssl.stages.gap_measures import (
    cheap_features,
    drift,
    layers,
    objective_shift,
    reference_of,
    rounded,
    tokens_of,
    transferability,
)
from hf_ssl.stages.inputs import inputs_of
from hf_ssl.stages.result import StageResult
from hf_ssl.training.trainer import bf16_is_fast, peak_memory

if TYPE_CHECKING:
    import datasets

    from hf_ssl.core.options import GapConfig
    from hf_ssl.modalities.encoder import Encoder

logger = logging.getLogger(__name__)

PASSES = 3
"""A training step costs about as much as so many forward passes: one forward, two backward."""
BYTES = {"full": 16, "lora": 5}
"""Of memory per parameter: weights, gradient and Adam's two moments in float32; with LoRA little but the weights."""


@dataclass
class Side:
    """One of the two domains.

    Args:
        name: as it is called in the report.
        dataset: its examples (a sample); labels in it are not looked at.
        total: how many there are.
    """

    name: str
    dataset: datasets.Dataset
    total: int

    def groups(self) -> Sequence[str] | None:
        """Group of each example, where the data have some."""
        return list(self.dataset["group"]) if "group" in self.dataset.column_names else None


def domain_gap(**options: Any) -> StageResult:
    """How far apart two domains are for a checkpoint, what that may come from, and what to try first.

    Compared are the pool and the inputs of test; or with `target` your data and others; or with `domain_column` the
    domains with labels and those without. Labels are used for nothing but a probe on the training split, and the opening of
    test is written down.

    Args:
        options: those of `hf_ssl.core.options.GapConfig`.

    Returns:
        `metrics`: everything measured, and `advice`; `path` has `gap.json` and `gap.txt`.

    Example:
        >>> domain_gap(data="reviews/", model="answerdotai/ModernBERT-base").metrics["advice"]
    """
    opening = prepare_stage("gap", options)
    if opening.done is not None:
        return opening.done
    config, run, modality = opening.config, opening.run, opening.modality
    with opening.running() as (record, folder):
        ref = start_of(config, run)
        one, other = _sides(opening)
        logger.info(
            f"gap: {one.name} ({len(one.dataset):,} of {one.total:,}) and {other.name} ({len(other.dataset):,} of {other.total:,})"
        )
        encoder = modality.load(ref, dataset=one.dataset, dtype=config.dtype)
        found = _measured(opening, ref, encoder, one, other)
        advice = advise(_evidence(opening, found, one, other))
        found["advice"] = dataclasses.asdict(advice)
        record.metrics = found
        text = summary(found, advice)
        if distributed.is_main():
            write_json(folder / "gap.json", found)
            (folder / "gap.txt").write_text(text + "\n", encoding="utf-8")
        record.outputs = {"report": str(folder / "gap.txt")}
        logger.info(text)
    return StageResult(folder, found)


def _sides(opening: StageContext) -> tuple[Side, Side]:
    """The two domains that the options name, a sample of each.

    Raises:
        DataError: there are no two.
    """
    data, config = opening.data, opening.config
    pool = data.get("unlabeled", data.get("train"))
    if pool is None:
        raise DataError(f"There is no pool to compare with; the splits are {', '.join(data)}.")
    if opening.target is not None:
        pair = ("data", pool), ("target", opening.target)
    elif config.domain_column is not None:
        return _of_column(opening)
    elif "test" in data:
        pair = ("pool", pool), ("test", open_test(data, f"gap of {config.output}: inputs only"))
    elif "validation" in data:
        pair = ("pool", pool), ("validation", data["validation"])
    else:
        raise DataError("There is nothing to compare the pool with. Give --test, --target DATA, or --domain_column.")
    (first, one), (second, other) = pair
    return _side(first, one, config), _side(second, other, config)


def _of_column(opening: StageContext) -> tuple[Side, Side]:
    import datasets as library

    data, config = opening.data, opening.config
    column = "group" if config.domain_column == config.group_column else config.domain_column
    parts = [data[name] for name in ("train", "unlabeled") if name in data]
    values = [[str(value) for value in part[column]] for part in parts]
    known = sorted({value for part in values for value in part})
    targets = list(config.target_domains) or [name for name in known if "train" not in data or name not in values[0]]
    targets = targets or known[1:]  # all have labels: the first against the rest
    for name in targets:
        if name not in known:
            raise DataError(
                f"target_domains: no row is of {name!r}.{nearest(name, known)} Domains: {', '.join(known[:8])}."
            )
    if len(targets) == len(known):
        raise DataError(f"{config.domain_column} leaves nothing to compare {', '.join(targets[:8])} with.")
    both: list[Side] = []
    for wanted in (True, False):
        rows = [
            part.select([row for row, value in enumerate(own) if (value in targets) == wanted])
            for part, own in zip(parts, values, strict=True)
        ]  # fmt: skip
        plain = [
            part.remove_columns([name for name in ("label", "tags") if name in part.column_names]) for part in rows
        ]
        names = [name for name in plain[0].column_names if all(name in part.column_names for part in plain)]
        merged = library.concatenate_datasets([part.select_columns(names) for part in plain if len(part)])
        first = {name: row for row, name in reversed(list(enumerate(merged["id"])))}  # the pool may hold train's texts
        label = ", ".join(targets[:3] if wanted else [name for name in known if name not in targets][:3])
        both.append(_side(label, merged.select(sorted(first.values())), config))
    return both[1], both[0]


def _side(name: str, dataset: datasets.Dataset, config: GapConfig) -> Side:
    order = np.random.default_rng(config.seed).permutation(len(dataset))[: config.sample]
    return Side(name, dataset.select(np.sort(order)), len(dataset))


def _measured(opening: StageContext, ref: CheckpointRef, encoder: Encoder, one: Side, other: Side) -> dict[str, Any]:
    config, modality, data = opening.config, opening.modality, opening.data
    values = [inputs_of(side.dataset, modality) for side in (one, other)]
    limit = min(config.max_length or 256, int(getattr(encoder.processor, "model_max_length", 256)))
    began = time.monotonic()
    vectors = [encoder.embed(part, max_length=limit, bf16=bf16_is_fast()) for part in values]
    each = (time.monotonic() - began) / max(1, sum(map(len, values)))

    def distance(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
        gap = proxy_a_distance(
            first, second, source_groups=one.groups(), target_groups=other.groups(), n_permutations=config.permutations,
            seed=config.seed,
        )  # fmt: skip
        return rounded(dataclasses.asdict(gap))

    found: dict[str, Any] = {
        "sides": {side.name: {"examples": len(side.dataset), "of": side.total} for side in (one, other)},
        "checkpoint": ref.id,
        "distance": distance(*vectors),
    }
    cheap = cheap_features(modality, values)
    if cheap is not None:
        name, features = cheap
        found["distance_without_checkpoint"] = {
            "features": name, **distance(*features)
        }  # fmt: skip
    found["duplicates"] = _duplicates(opening, one, other)
    own = reference_of(opening, encoder)
    found["objective"] = objective_shift(opening, ref, {side.name: side.dataset for side in (one, other)}, own)
    tokens = tokens_of(encoder, values)
    if tokens is not None:
        found["tokens"] = {side.name: part for side, part in zip((one, other), tokens, strict=True)}
    found["transferability"] = transferability(
        encoder, data, modality, vectors, (one.name, other.name), limit, config.seed
    )
    found["layers"] = layers(encoder, [part[:200] for part in values], (one.name, other.name), limit)
    adapted = opening.run.output("pretrain")
    if adapted is not None and adapted != ref.id:
        found["drift"] = drift(modality.load(CheckpointRef(adapted)).embed(values[0], max_length=limit), vectors[0])
    found["tuned_with_labels"] = tuned_with_labels(ref)
    found["estimate"] = _estimate(opening, encoder, each)
    return found


def _duplicates(opening: StageContext, one: Side, other: Side) -> dict[str, int]:
    """Examples of the first side that are in the second, those that reading the data took away included."""
    exact, near = shared_rows(one.dataset, other.dataset, opening.config, opening.modality)
    gone = [
        leak for leak in opening.data.report.get("leaks", []) if {one.name, other.name} <= {"pool", leak["against"]}
    ]
    gone = [leak for leak in gone if leak["split"] == "unlabeled"] if opening.config.leakage == "strip" else []
    return {
        "exact": exact, "near": near,
        "removed_when_read": sum(leak["exact"] + leak["near"] for leak in gone),
    }  # fmt: skip


def _estimate(opening: StageContext, encoder: Encoder, each: float) -> dict[str, float]:
    """What continued pre-training would take on this machine, roughly."""
    kind = plugins.find("objectives", opening.config.objective or opening.modality.default_objective)
    pool = len(opening.data.get("unlabeled", ()))
    defaults = kind.training_defaults
    epochs = float(defaults.get("num_train_epochs", 1))
    examples = epochs * pool
    if int(defaults.get("max_steps", 0)) > 0:
        examples = int(defaults["max_steps"]) * int(defaults.get("per_device_train_batch_size", 8))
    parameters = sum(weight.numel() for weight in encoder.model.parameters())
    return {
        "seconds_per_example_forward": round(each, 5), "pretrain_examples": round(examples),
        "pretrain_minutes": round(PASSES * each * examples / 60, 1), "parameters": parameters,
        **{f"memory_gb_{name}": round(parameters * size / 1e9, 2) for name, size in BYTES.items()},
        "measured_peak_gb": round(peak_memory() / 1e9, 2),
    }  # fmt: skip


def _evidence(opening: StageContext, found: dict[str, Any], one: Side, other: Side) -> Evidence:
    gap, objective, probe = found["distance"], found["objective"], found["transferability"].get("probe") or {}
    tokens = found.get("tokens", {}).values()
    copies = found["duplicates"]
    plain = opening.target is None and opening.config.domain_column is None
    own = objective.get("reference", {}).get(one.name if plain else other.name, {})
    return Evidence(
        between="pool and test" if plain else f"{one.name} and {other.name}", distance=gap["distance"], p_value=gap["p_value"],
        examples=min(len(one.dataset), len(other.dataset)), pool=other.total if not plain else one.total,
        has_labels="train" in opening.data,
        baseline_distance=found.get("distance_without_checkpoint", {}).get("distance"),
        loss_shift=objective.get("shift"), loss_error=objective.get("shift_error"),
        own_kind=objective.get("reference", {}).get("of", ""), own_shift=own.get("shift"), own_error=own.get("shift_error"),
        fertility=max((part["tokens_per_word"] for part in tokens), default=None),
        unknown=max((part["unknown_share"] for part in tokens), default=None),
        probe=probe.get("checkpoint"), probe_error=probe.get("error"), baseline_probe=probe.get("without_checkpoint"),
        tuned=found["tuned_with_labels"], duplicates=sum(copies.values()),
    )  # fmt: skip


def _own_kind(known: dict[str, Any], sides: list[str]) -> str:
    if "loss" not in known:
        return f"  its own kind  not measured: {known['why']}"
    shifts = ", ".join(f"{side} {known[side]['shift']:+.3f} ± {known[side]['shift_error']:.3f}" for side in sides)
    return f"  its own kind  loss on {known['of']} {known['loss']:.3f}; against it {shifts}"


def summary(found: dict[str, Any], advice: Advice) -> str:
    """What was measured, line by line, and the advice."""
    first, second = found["sides"]
    gap = found["distance"]
    lines = [f"Gap between {first} and {second}, seen by {found['checkpoint']}"]
    lines.append(
        f"  distance      {gap['distance']:.2f} of 2 (the same domain would give up to {gap['null_high']:.2f}, p {gap['p_value']:.3f})"
    )
    if cheap := found.get("distance_without_checkpoint"):
        lines.append(f"  without it    {cheap['distance']:.2f} by {cheap['features']}")
    copies = found["duplicates"]
    lines.append(
        f"  duplicates    {copies['exact']:,} exact and {copies['near']:,} near in both samples, "
        f"{copies['removed_when_read']:,} were removed when the data were read"
    )
    objective = found["objective"]
    if "shift" in objective:
        losses = ", ".join(f"{name} {value:.3f}" for name, value in objective["loss"].items())
        lines.append(
            f"  {objective['name']:13} loss {losses}; shift {objective['shift']:+.3f} ± {objective['shift_error']:.3f}"
        )
        lines.append(_own_kind(objective["reference"], list(objective["loss"])))
    else:
        lines.append(f"  objective     not measured: {objective['why']}")
    for name, part in found.get("tokens", {}).items():
        lines.append(
            f"  tokens        {name}: {part['tokens_per_word']:.2f} a word, {part['unknown_share']:.2%} unknown"
        )
    transfer = found["transferability"]
    ranks = ", ".join(f"{name} {value:.0f}" for name, value in transfer["effective_rank"].items())
    evidence = transfer.get("logme")
    told = f"; LogME {evidence['value']:.3f} (shuffled labels {evidence['floor']:.3f})" if evidence else ""
    lines.append(f"  rank          {ranks}{told}")
    if probe := transfer.get("probe"):
        cheap_score = (
            f", {probe['without_checkpoint']:.3f} without the checkpoint" if "without_checkpoint" in probe else ""
        )
        lines.append(
            f"  probe         {probe['metric']} {probe['checkpoint']:.3f} ± {probe['error']:.3f} on train{cheap_score}"
        )
    if moved := found.get("drift"):
        lines.append(f"  drift         CKA {moved['linear_cka']:.3f} to the adapted model of this run")
    cost = found["estimate"]
    lines.append(
        f"  cost          about {cost['pretrain_minutes']:g} minutes of continued pre-training here ({cost['pretrain_examples']:,} examples); memory "
        f"for the weights {cost['memory_gb_full']:g} GB (full) or {cost['memory_gb_lora']:g} GB (LoRA), activations not counted"
    )
    if found["tuned_with_labels"]:
        lines.append(f"  start         tuned with labels: {found['tuned_with_labels']}. {ADVICE}")
    return "\n".join([*lines, advice.text()])
