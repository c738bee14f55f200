"""What makes a GPU's host wait in a training step: counted without one, for each way to train."""

from __future__ import annotations

import pytest
import torch
from contracts import case_of, pairs
from host_syncs import allowed, counted

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


def test_what_waits_is_seen():
    values = torch.arange(6.0)
    with counted() as found:
        if values.sum() > 3:
            values[values > 2].tolist()
        values.max().item()
        values[torch.tensor([0, 2])].sum()
    assert sum(found.values()) == 4, found
