"""Run by test_audio_training.py, on one process or two: a few SGD steps of an audio objective, weights saved."""

from __future__ import annotations

import sys
from pathlib import Path

import datasets
import torch
from contract_audio import Kind

import sounds
import tiny
from hf_ssl.core import plugins
from hf_ssl.modalities.audio.audio import Audio
from hf_ssl.training.trainer import arguments, train


def build(name: str, folder: Path):
    """The objective from a fixed random checkpoint, and rows of unequal lengths."""
    cls, modality = plugins.find("objectives", name), Audio()
    source = tiny.write_checkpoint("wav2vec2", folder, cls.auto_class, feat_extract_norm="layer")
    encoder = modality.load(str(source), cls.auto_class, expect_new=("*",))
    torch.manual_seed(0)
    options = Kind.fixed.get(f"objectives/{name}", {})
    module = cls(encoder, cls.Config(**options))
    values = [sounds.voice(seed, 0.12 + 0.09 * (seed % 7)) for seed in range(24)]
    stored = [{"array": value.tolist(), "sampling_rate": 16_000} for value in values]
    data = datasets.Dataset.from_dict({"audio": stored, "id": [f"c{i}" for i in range(len(values))]})
    return module, module.rows(data, seed=0, training=True)


def options(folder: Path, batch: int, **more):
    """Plain SGD without clipping: the weights show the gradients as they are."""
    defaults = {
        "per_device_train_batch_size": batch, "learning_rate": 0.1, "optim": "sgd", "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0, "train_sampling_strategy": "sequential", "logging_steps": 1, "save_strategy": "no",
        "report_to": "none", "bf16": False,
    }  # fmt: skip
    return arguments(folder, seed=0, defaults=defaults, overrides={"bf16": False, **more})


if __name__ == "__main__":
    torch.set_num_threads(1)
    name, where, batch, accumulation, result = sys.argv[1:]
    module, rows = build(name, Path(where) / f"start-{result}")
    args = options(Path(where) / result, int(batch), max_steps=3, gradient_accumulation_steps=int(accumulation))
    if args.process_index:
        sys.stdout = open(Path(where) / f"rank{args.process_index}.txt", "w")  # noqa: SIM115
    train(module, rows, args, Path(where) / result)
    if args.process_index == 0:
        torch.save(module.state_dict(), Path(where) / f"{result}.pt")
