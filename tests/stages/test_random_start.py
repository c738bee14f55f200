"""The arm `random`: random weights of the start's own configuration are a checkpoint that loads like the start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import contract_audio
import contract_image
import contract_text
import contract_timeseries
import numpy as np
import pytest

import tiny
from hf_ssl.core import plugins
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.arms import random_start

FAMILIES: list[tuple[Any, str]] = [
    *((contract_audio.Kind, arch) for arch in tiny.AUDIO),
    *((contract_text.Kind, arch) for arch in ("bert", "roberta", "distilbert", "modernbert")),
    *((contract_image.Kind, arch) for arch in ("vit",)),
    *((contract_timeseries.Kind, arch) for arch in tiny.TIMESERIES),
]


@pytest.mark.parametrize(("kind", "arch"), FAMILIES, ids=[arch for _, arch in FAMILIES])
def test_random_weights_load_as_the_start_does(
    tiny_checkpoint: Callable[..., Path], tmp_path: Path, kind: Any, arch: str
) -> None:
    kind = kind()
    labeled = kind.labeled("classification")
    cls = plugins.find("tasks", "classification")
    task = cls(cls.Config(), kind.modality)
    task.fit_labels(labeled)
    start = CheckpointRef(str(tiny_checkpoint(arch)))
    drawn = [random_start(start, task, labeled, tmp_path, seed) for seed in (1, 2)]
    vectors = []
    for ref in (start, *drawn):
        encoder = kind.modality.load(ref, task.auto_class, dataset=labeled, new_head=True, **task.model_options())
        assert encoder.report.backbone_complete
        vectors.append(encoder.embed(list(labeled[kind.modality.column])[:4]))
    assert len({vector.shape for vector in vectors}) == 1
    assert all(np.abs(one - vectors[0]).max() > 1e-4 for one in vectors[1:]), "other weights than the start's"
    assert np.abs(vectors[1] - vectors[2]).max() > 1e-4, "each seed draws its own"
