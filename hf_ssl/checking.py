"""The stage before the stages: one real step, and what the whole would take."""

from __future__ import annotations

import dataclasses
import shutil
import time
from typing import Any

from hf_ssl import plugins
from hf_ssl.assembly import build_objective, modality_of, pool_of, read_data, start_of
from hf_ssl.config import STAGES, modality_fields, resolve, split_sections
from hf_ssl.run import RunDir, say
from hf_ssl.training import arguments


def check(recipe: dict[str, Any]) -> dict[str, Any]:
    """Read the data and take one real training step of the pre-training, then say what the whole would take.

    Returns:
        rows, steps, seconds per step, estimated minutes, parameters, and free disk space in GB.
    """
    import torch

    shared, sections = split_sections(recipe)
    options = {**shared, **sections.get("pretrain", {})}
    names = {*modality_fields(options), *(item.name for item in dataclasses.fields(STAGES["pretrain"]))}
    options = {k: v for k, v in options.items() if k in names or k in sections.get("pretrain", {})}
    name = options.get("objective") or plugins.find("modalities", options.get("modality", "text")).default_objective
    resolved = resolve("pretrain", options, plugins.find("objectives", name).Config)
    config, folder = resolved.config, RunDir(resolved.config.output)
    data, modality = read_data(config), modality_of(config)
    objective, _ = build_objective(config, resolved.plugin, modality, *start_of(config, folder))
    pool, _ = pool_of(data, config.eval_fraction, config.seed)
    rows = objective.rows(pool, seed=config.seed, training=True)
    args = arguments(
        folder.path / "check",
        seed=config.seed,
        defaults=dict(objective.training_defaults),
        overrides=resolved.training,
    )
    batch = objective.collate([rows[i] for i in range(min(args.per_device_train_batch_size, len(rows)))])
    device = args.device
    objective.to(device).train()
    batch = {key: value.to(device) for key, value in batch.items()}
    seconds = []
    for _ in range(2):  # the first step warms up
        began = time.monotonic()
        with torch.autocast(device.type, torch.bfloat16, enabled=args.bf16):
            loss = objective(**batch).loss
        loss.backward()
        objective.zero_grad()
        seconds.append(time.monotonic() - began)
    steps = (
        args.max_steps if args.max_steps > 0 else int(args.num_train_epochs * -(-len(rows) // args.train_batch_size))
    )
    parameters = sum(p.numel() for p in objective.parameters())
    trained = sum(p.numel() for p in objective.parameters() if p.requires_grad)
    found = {
        "batch": objective.describe(batch), "loss": float(loss), "rows": len(rows), "steps": steps, "seconds_per_step": round(seconds[1], 3),
        "estimated_minutes": round(seconds[1] * steps / 60, 1), "parameters": parameters,
        "weights_and_optimizer_gb": round((4 * parameters + 12 * trained) / 1e9, 2),
        "checkpoints_gb": round(3 * 12 * trained / 1e9, 2), "free_disk_gb": round(shutil.disk_usage(folder.path).free / 1e9, 1),
    }  # fmt: skip
    for key, value in found.items():
        say(f"  {key.replace('_', ' ')}: {value}")
    return found
