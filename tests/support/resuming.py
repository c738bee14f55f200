"""Every objective trained without a break, and stopped and resumed: are the weights the same bits? Used by tests and the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from transformers import set_seed

import tiny
from hf_ssl.core import plugins
from hf_ssl.models import adapters
from hf_ssl.objectives.base import Objective
from hf_ssl.training.limit import limited
from hf_ssl.training.trainer import arguments, train

Make = Callable[..., Path]


@dataclass
class Case:
    """An objective on the smallest model that it works on; the option `teacher` is filled in with the start checkpoint."""

    objective: str
    modality: str
    family: str
    head: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    peft: str = "full"
    model: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)


CASES = {
    "mlm": Case("mlm", "text", "bert", "AutoModelForMaskedLM", {"dropout": 0.1, "max_length": 32}),
    "mlm-lora": Case("mlm", "text", "bert", "AutoModelForMaskedLM", {"max_length": 32}, "lora"),
    "simcse-dropout": Case("simcse", "text", "bert", None, {"view": "dropout", "max_length": 32}),
    "simcse-crop": Case("simcse", "text", "bert", None, {"max_length": 32}),
    "tsdae": Case("tsdae", "text", "bert", None, {"max_length": 32}),
    "instance-identity": Case("instance-identity", "text", "bert"),
    "properties": Case("properties", "text", "bert"),
    "simclr": Case("simclr", "image", "vit"),
    "distill": Case("distill", "image", "vit", None, {"teacher": ""}),
    "dino": Case("dino", "image", "vit", None, {"prototypes": 16}),
    "vicreg": Case("vicreg", "image", "vit"),
    "simmim": Case("simmim", "image", "vit"),
    "mae": Case("mae", "image", "vit_mae", "AutoModelForPreTraining"),
    "wav2vec2": Case("wav2vec2", "audio", "wav2vec2"),
    "hubert-units": Case("hubert-units", "audio", "wav2vec2", None, {"clusters": 4, "layer": -1}),
    "masked-spectrogram": Case("masked-spectrogram", "audio", "wav2vec2"),
    "masked-waveform": Case("masked-waveform", "audio", "wav2vec2"),
    "masked-patch": Case("masked-patch", "timeseries", "patchtst"),
    "ts-contrastive": Case("ts-contrastive", "timeseries", "patchtst"),
    "forecast": Case(
        "forecast",
        "timeseries",
        "patchtst",
        None,
        {"shorten": 0.3},
        model={"norm_type": "layernorm", "context_length": 32},
        data={"horizon": 16},
    ),
}
ROWS = 16


def pool_of(case: Case, folder: Path) -> datasets.Dataset:
    """Sixteen rows of a kind, canonical."""
    rng = np.random.default_rng(0)
    names = [str(number) for number in range(ROWS)]
    if case.modality == "text":
        return datasets.Dataset.from_dict({"id": names, "text": tiny.corpus(ROWS)[:ROWS]})
    from hf_ssl.data import load_rows

    if case.modality == "image":
        made = [{"image": rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)} for _ in names]
        return datasets.Dataset.from_dict({"id": names, "image": [_png(row["image"]) for row in made]})
    if case.modality == "audio":
        rows: list[Any] = [
            {"audio": {"array": 0.2 * rng.standard_normal(8000), "sampling_rate": 16_000}} for _ in names
        ]
        return load_rows(rows, "audio", verbose=False, cache_dir=str(folder / "cache"))["rows"]
    rows = [{"series": rng.standard_normal((2, 64)).cumsum(1).tolist()} for _ in names]
    return load_rows(rows, "timeseries", verbose=False)["rows"]


def _png(pixels: np.ndarray) -> dict[str, Any]:
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def _objective(case: Case, checkpoint: Path) -> Objective:
    set_seed(0)
    known = plugins.find("modalities", case.modality)
    modality, kind = known(known.Config(**case.data)), plugins.find("objectives", case.objective)
    encoder = modality.load(str(checkpoint), kind.auto_class)
    if case.peft != "full":
        encoder = encoder.replace(model=adapters.apply(encoder.model, case.peft, missing=encoder.report.missing))
    options = {name: str(checkpoint) if name == "teacher" else value for name, value in case.options.items()}
    made: Objective = kind(encoder, kind.Config(**options))
    return made


def compare(name: str, checkpoints: Make, folder: Path) -> dict[str, bool]:
    """Whether a run that was stopped, in mid-epoch and behind an epoch, ends with the very weights of one that was not."""
    case = CASES[name]
    checkpoint = checkpoints(case.family, case.head, **case.model)
    pool = pool_of(case, folder)

    def run(place: str, stop: int = 0, resume: bool = False) -> dict[str, torch.Tensor]:
        module = _objective(case, checkpoint)
        rows = module.rows(pool, seed=0, training=True)
        defaults = {**module.training_defaults, "per_device_train_batch_size": 4, "learning_rate": 1e-3}
        args = arguments(folder / place, seed=0, defaults=defaults, overrides={
            "max_steps": 4, "gradient_accumulation_steps": 2, "save_steps": 1, "save_strategy": "steps", "bf16": False, "use_cpu": True,
            "lr_scheduler_type": "constant", "report_to": "none", "save_total_limit": 2,
        })  # fmt: skip
        with limited(stop) if stop else nullcontext():  # schedules see the whole length all the same
            train(module, rows, args, folder / place, resume=resume)
        return {key: tensor.clone() for key, tensor in module.state_dict().items()}

    whole = run("whole")
    found = {}
    for stop, what in ((1, "mid-epoch"), (2, "epoch end")):
        before = run(what, stop)
        resumed = run(what, resume=True)
        found[what] = all(torch.equal(whole[key], resumed[key]) for key in whole)
    found["moved"] = any(not torch.equal(whole[key], before[key]) for key in whole)
    return found
