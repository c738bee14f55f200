"""Single measures of `gap`: each looks at both sides, and says so where it cannot be made."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hf_ssl.core import plugins
from hf_ssl.core.errors import DataError, HfSslError
from hf_ssl.data.target import unlabeled_data
from hf_ssl.evaluation.advice import HIGH_FERTILITY, HIGH_UNKNOWN
from hf_ssl.evaluation.gap import proxy_a_distance
from hf_ssl.evaluation.monitor.health import cosine_drift, effective_rank, linear_cka
from hf_ssl.evaluation.monitor.monitor import mean_loss
from hf_ssl.evaluation.probes.cross_validated import cross_validated_probe
from hf_ssl.evaluation.transferability import logme, spectrum_decay
from hf_ssl.models import structure
from hf_ssl.stages.inputs import inputs_of
from hf_ssl.training.trainer import bf16_is_fast

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality
    from hf_ssl.modalities.encoder import Encoder
    from hf_ssl.models.reference import CheckpointRef
    from hf_ssl.stages.base import StageContext

logger = logging.getLogger(__name__)

MOST_CHEAP = 64
"""Dimensions of features without a checkpoint: principal directions of both sides together."""
PARTS = 8
"""Parts of each side that the objective's loss is measured on, so that its shift has an error."""
PROBED = 1000


def rounded(numbers: Mapping[str, float]) -> dict[str, float]:
    """For a report."""
    return {name: round(float(value), 4) for name, value in numbers.items()}


def cheap_features(modality: Modality, values: Sequence[Sequence[Any]]) -> tuple[str, list[np.ndarray]] | None:
    """Features that need no checkpoint, of both sides, reduced together; None where the kind of data has none."""
    kinds = modality.cheap_features()
    if not kinds:
        return None
    both = [value for part in values for value in part]
    kinds[0].fit(both)
    rows = kinds[0].rows(both)
    from sklearn.decomposition import TruncatedSVD

    if rows.shape[1] > MOST_CHEAP:
        rows = TruncatedSVD(MOST_CHEAP, random_state=0).fit_transform(rows)
    dense = np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows, np.float32)
    return str(modality.baseline), [dense[: len(values[0])], dense[len(values[0]) :]]


def objective_shift(
    opening: StageContext, ref: CheckpointRef, sides: Mapping[str, datasets.Dataset], own: Reference
) -> dict[str, Any]:
    """Loss of the checkpoint's own objective on both sides, where its head is in the checkpoint.

    Args:
        sides: two, by name.
        own: what the checkpoint was made from, or the like.

    Returns:
        `name`, `loss` by side, `shift` (second minus first) and `shift_error`, and under `reference` the same against the
        checkpoint's own kind of data; or `why` there are none.
    """
    config, modality = opening.config, opening.modality
    name = config.objective or modality.default_objective
    kind = plugins.find("objectives", name)
    if not kind.fits(modality):
        return {"name": name, "why": f"{name} does not work on {modality.name}"}
    try:
        encoder = modality.load(ref, kind.auto_class, dataset=next(iter(sides.values())), dtype=config.dtype)
        objective = kind(encoder, kind.Config())
    except HfSslError as error:
        return {"name": name, "why": f"the checkpoint does not load for {name}: {str(error).splitlines()[0]}"}
    new = [
        part for part, _ in objective.named_parameters() if objective.is_head(part, frozenset(encoder.report.missing))
    ]
    if new:
        return {"name": name, "why": f"the checkpoint has no head for {name} ({len(new)} tensors would be random)"}
    losses = [_losses(objective, side, config.seed) for side in sides.values()]
    shift, uncertain = _shift(*losses)
    found: dict[str, Any] = {
        "name": name, "loss": {side: round(float(part.mean()), 4) for side, part in zip(sides, losses, strict=True)},
        "shift": shift, "shift_error": uncertain, "reference": {"of": own.name},
    }  # fmt: skip
    if own.dataset is None:
        found["reference"] = {"of": own.name, "why": own.why}
        return found
    known = _losses(objective, own.dataset, config.seed)
    found["reference"]["loss"] = round(float(known.mean()), 4)
    for side, part in zip(sides, losses, strict=True):
        found["reference"][side] = dict(zip(("shift", "shift_error"), _shift(known, part), strict=True))
    return found


def _shift(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """How much higher the second's mean is, and its standard error."""
    error = np.sqrt(sum(part.var(ddof=1) / len(part) for part in (first, second)))
    return round(float(second.mean() - first.mean()), 4), round(float(error), 4)


@dataclass(frozen=True)
class Reference:
    """Data of the kind that the checkpoint was made from; without any, `why`."""

    name: str
    dataset: datasets.Dataset | None
    why: str = ""


def reference_of(opening: StageContext, encoder: Encoder) -> Reference:
    """What the option names, else the sample that comes with the kind of data, where the checkpoint's vocabulary fits it."""
    import datasets as library

    config, modality = opening.config, opening.modality
    if config.reference is not None:
        found = unlabeled_data(config.reference, config)
        given = found["unlabeled"] if "unlabeled" in found else next(iter(found.values()))
        order = np.random.default_rng(config.seed).permutation(len(given))[: config.sample]
        return Reference("reference", given.select(np.sort(order)))
    sample = modality.common_sample()
    if sample is None:
        return Reference(
            "reference", None, "no sample of what the checkpoint was made from: give one with --reference"
        )
    name, values = sample
    tokens = tokens_of(encoder, [values])
    if tokens is None or tokens[0]["tokens_per_word"] > HIGH_FERTILITY or tokens[0]["unknown_share"] > HIGH_UNKNOWN:
        return Reference(
            name, None, f"its vocabulary is not one of {name}: give what it was made from with --reference"
        )
    rows = {modality.column: values, "id": [f"{name} {number}" for number in range(len(values))]}
    return Reference(name, library.Dataset.from_dict(rows))


def _losses(objective: Any, side: datasets.Dataset, seed: int) -> np.ndarray:
    """Mean loss of each of some parts of a side."""
    parts = np.array_split(np.random.default_rng(seed).permutation(len(side)), min(PARTS, max(2, len(side) // 2)))
    return np.array([
        mean_loss(objective, objective.rows(side.select(rows), seed=seed, training=False), 16, bf16_is_fast())["eval_loss"]
        for rows in parts
    ])  # fmt: skip


def tokens_of(encoder: Encoder, values: Sequence[Sequence[Any]]) -> list[dict[str, float]] | None:
    """Tokens per blank-separated word and share of unknown tokens on each side; None for what is no text."""
    tokenizer: Any = encoder.processor
    if not hasattr(tokenizer, "unk_token_id") or not all(isinstance(value, str) for part in values for value in part):
        return None
    found = []
    for part in values:
        ids = tokenizer(list(part), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        count, words = sum(map(len, ids)), sum(len(value.split()) for value in part)
        unknown = sum(row.count(tokenizer.unk_token_id) for row in ids) if tokenizer.unk_token_id is not None else 0
        found.append(
            {"tokens_per_word": round(count / max(1, words), 4), "unknown_share": round(unknown / max(1, count), 6)}
        )
    return found


def transferability(
    encoder: Encoder, data: Mapping[str, datasets.Dataset], modality: Modality, vectors: Sequence[np.ndarray],
    names: tuple[str, str], limit: int, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Rank and spectrum of the features on both sides, equal numbers of examples; and what the training labels say of them."""
    count = min(len(part) for part in vectors)
    sides = {name: part[:count] for name, part in zip(names, vectors, strict=True)}
    found: dict[str, Any] = {"effective_rank": {name: round(effective_rank(part), 2) for name, part in sides.items()}}
    try:
        found["spectrum_decay"] = {name: round(spectrum_decay(part), 3) for name, part in sides.items()}
    except DataError as error:
        logger.info(f"  {error}")
    train = data.get("train")
    if train is None or not hasattr(train.features.get("label"), "names"):
        return found
    part = train.select(np.sort(np.random.default_rng(seed).permutation(len(train))[:PROBED]))
    labels, values = np.asarray(part["label"]), inputs_of(part, modality)
    if np.bincount(labels)[np.unique(labels)].min() < 2:
        return found
    features = encoder.embed(values, max_length=limit, bf16=bf16_is_fast())
    groups = list(part["group"]) if "group" in part.column_names else None
    scores = {"checkpoint": cross_validated_probe(features, labels, seed=seed, groups=groups)}
    cheap = cheap_features(modality, (values, ()))
    if cheap is not None:
        scores["without_checkpoint"] = cross_validated_probe(cheap[1][0], labels, seed=seed, groups=groups)
    own = scores["checkpoint"]
    found["probe"] = {
        "metric": own.metric, "labels": len(labels), **{name: round(score.mean, 4) for name, score in scores.items()},
        "error": round(own.standard_error, 4),
    }  # fmt: skip
    try:
        evidence = logme(features, labels, seed)
        found["logme"] = {"value": round(evidence.value, 4), "floor": round(evidence.floor, 4)}
    except DataError as error:
        logger.info(f"  {error}")
    return found


@torch.inference_mode()
def layers(
    encoder: Encoder, values: Sequence[Sequence[Any]], names: tuple[str, str], limit: int
) -> dict[str, Any] | None:
    """How far apart the sides are after each layer, and how alike (linear CKA) each layer is to the last one.

    None for networks that do not give their hidden states.
    """
    seen: list[list[list[torch.Tensor]]] = []
    with structure.at_work(encoder.model) as device, structure.evaluating(encoder.backbone):
        for part in values:
            features, collected = encoder.preprocess(part, limit), []
            for start in range(0, len(features), 32):
                batch = {
                    name: tensor.to(device) for name, tensor in encoder.collate(features[start : start + 32]).items()
                }
                try:
                    states = getattr(encoder.backbone(**batch, output_hidden_states=True), "hidden_states", None)
                except (TypeError, ValueError):  # a network that does not know the question
                    return None
                if not states:
                    return None
                collected.append([_flat(state, batch.get("attention_mask")) for state in states])
            seen.append(collected)
    depth = len(seen[0][0])
    by_layer = [[torch.cat([rows[layer] for rows in side]).numpy() for side in seen] for layer in range(depth)]
    try:
        distances = [round(proxy_a_distance(*sides, n_permutations=20).distance, 3) for sides in by_layer]
    except DataError:
        return None
    last = by_layer[-1]
    alike = {
        name: [round(linear_cka(sides[number], last[number]), 3) for sides in by_layer] for number, name in enumerate(names)
    }  # fmt: skip
    return {"distance": distances, "cka_to_last": alike}


def _flat(state: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """One vector per example: the mean over tokens, or over the places of a map."""
    if state.dim() == 4:
        return (state.mean((2, 3)) if state.shape[1] >= state.shape[2] else state.flatten(1, 2).mean(1)).float().cpu()
    if state.dim() < 3:
        return state.float().cpu()
    if mask is not None and mask.shape == state.shape[:2]:
        share = mask.unsqueeze(2).to(state.dtype)
        return ((state * share).sum(1) / share.sum(1).clamp(min=1)).float().cpu()
    return state.mean(1).float().cpu()


def drift(adapted: np.ndarray, start: np.ndarray) -> dict[str, float]:
    """How far the run's adapted model has moved on the first side."""
    found = {"linear_cka": linear_cka(adapted, start)}
    if adapted.shape == start.shape:
        found["cosine_drift"] = cosine_drift(adapted, start)
    return rounded(found)
