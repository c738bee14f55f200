"""What makes a GPU's host wait in a training step: counted without one, for each way to train."""

from __future__ import annotations

import pytest
import torch
from contracts import case_of, pairs
from domain_toy import domains
from host_syncs import allowed, brought, counted
from toy import options

from hf_ssl.training.trainer import arguments, train

ALWAYS = {
    "objectives/mlm@text", "objectives/simclr@image", "objectives/mae@image", "objectives/wav2vec2@audio",
    "objectives/masked-waveform@audio", "objectives/dino@image", "objectives/ts-contrastive@timeseries",
    "tasks/classification@text", "tasks/classification@image", "tasks/classification@audio", "tasks/classification@timeseries",
}  # fmt: skip
EVERY = [
    pytest.param(which, marks=() if which in ALWAYS else pytest.mark.slow)
    for which in [*pairs("objectives"), *pairs("tasks")]
]


@pytest.mark.parametrize("which", EVERY)
def test_a_step_makes_the_host_wait_no_oftener_than_it_must(tiny_checkpoint, which):
    built = case_of(tiny_checkpoint, which).build()
    module = built.module.train()
    for step in range(2):  # the first tries things out, once for all
        batch = built.batch(0, 8)
        terms = (batch["labels"] != -100).sum()  # as the Trainer counts them, on the device
        with counted() as found:
            loss = module(**batch, num_items_in_batch=terms).loss
            assert loss is not None
            loss.backward()
            module.on_optimizer_step(step + 1, 2)
        module.zero_grad()
    ours = sum(count for where, count in found.items() if where.startswith("hf_ssl"))
    most, stock = allowed(which)
    assert ours <= most and sum(found.values()) - ours <= stock, dict(found)


ON_THE_HOST = "tasks/speech-recognition@audio"
"""torch's CTC loss wants lengths there, see `allowed`: it cannot be tried without values."""


@pytest.mark.parametrize("which", [param for param in EVERY if param.values[0] != ON_THE_HOST])
def test_a_step_brings_nothing_to_the_device(tiny_checkpoint, which):
    """What it needs comes with the batch, or was brought there before; nor is anything there a float64, views made there too."""
    built = case_of(tiny_checkpoint, which).build()
    built.module.views_on_device = True
    batch = built.module.training_batch([built.rows[row % len(built.rows)] for row in range(8)])
    module = built.module.to("meta").train()
    for step in range(2):  # constants are brought at the first
        there = {name: part.to("meta") if isinstance(part, torch.Tensor) else part for name, part in batch.items()}
        with brought() as found:
            there = module.on_device(there)
            loss = module(**there, num_items_in_batch=torch.tensor(8, device="meta")).loss
            assert loss is not None
            loss.backward()
            module.on_optimizer_step(step + 1, 2)
    assert not found


@pytest.mark.parametrize("which", ["classification@text", "multilabel@text"])
def test_weights_of_classes_are_brought_to_the_device_once(tiny_checkpoint, which):
    built = case_of(tiny_checkpoint, f"tasks/{which}").build()
    task = built.module.task
    task.weights = torch.rand(len(task.label_names))
    batch, module = built.batch(0, 8), built.module.to("meta").train()
    counts = []
    for _ in range(2):
        with brought() as found:
            module(**{name: torch.empty_like(part, device="meta") for name, part in batch.items()})
        counts.append(len(found))
    assert counts == [1, 0]


IN_THE_LOOP = {
    "objectives/mlm@text",
    "objectives/simclr@image",
    "objectives/ts-contrastive@timeseries",
    "tasks/classification@text",
}


@pytest.mark.parametrize("which", [
    pytest.param(param.values[0], marks=() if param.values[0] in IN_THE_LOOP else pytest.mark.slow) for param in EVERY
])  # fmt: skip
def test_a_step_of_the_whole_loop_makes_the_host_wait_no_oftener_than_it_must(tiny_checkpoint, tmp_path, which):
    """With views, clipping, the optimizer, callbacks: what two steps more add, so that the start and the last log do not count."""
    found = []
    for steps in (4, 6):
        built = case_of(tiny_checkpoint, which).build()
        options = {"max_steps": steps, "logging_steps": 100, "per_device_train_batch_size": 2, "optim": "adamw_torch_fused",
                   "save_strategy": "no", "report_to": "none", "bf16": False, "use_cpu": True}  # fmt: skip
        args = arguments(tmp_path, seed=0, defaults={}, overrides=options)
        with counted() as waits:
            train(built.module, built.rows, args, tmp_path, views_on="device")
        found.append(waits)
    more = found[1] - found[0]
    ours = sum(count for where, count in more.items() if where.startswith("hf_ssl"))
    most, stock = allowed(which)
    assert ours <= 2 * most and sum(more.values()) - ours <= 2 * stock, dict(more)


@pytest.mark.parametrize(("method", "most"), [("dann", 0), ("cdan", 0), ("coral", 8), ("mmd", 8)])
def test_a_step_that_adapts_to_a_domain_makes_the_host_wait_no_oftener_than_it_must(tmp_path, method, most):
    """Distances take the rows of each domain out of a batch: which domains there are, and four waits for two of them."""
    found = []
    for steps in (4, 6):
        module, rows = domains(method)
        args = options(
            tmp_path,
            max_steps=steps,
            logging_steps=100,
            logging_first_step=False,
            save_strategy="no",
            optim="adamw_torch_fused",
        )
        with counted() as waits:
            train(module, rows, args, tmp_path)
        found.append(waits)
    more = found[1] - found[0]
    assert sum(more.values()) <= 2 * most, dict(more)


def test_what_waits_is_seen():
    values = torch.arange(6.0)
    with counted() as found:
        if values.sum() > 3:
            values[values > 2].tolist()
        values.max().item()
        values[torch.tensor([0, 2])].sum()
    assert sum(found.values()) == 4, found
