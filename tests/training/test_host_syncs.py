"""What makes a GPU's host wait in a training step: counted without one, for each way to train."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contract_audio import Kind as AudioKind
from contract_image import Kind as ImageKind
from contract_text import Kind as TextKind
from contract_timeseries import Kind as SeriesKind
from host_syncs import counted

from hf_ssl.core import plugins
from hf_ssl.testing import Case

KINDS: dict[str, Any] = {"text": TextKind(), "image": ImageKind(), "audio": AudioKind(), "timeseries": SeriesKind()}
WAITS = {
    # How many positions are masked, in all and in the fullest row, is known to the device alone.
    "objectives/mlm@text": (2, 0),
    "objectives/simclr@image": (0, 0),
    "objectives/mae@image": (0, 0),
    # The same; the third is a look at the padding that is made on a CPU only. The stock model is masked by a mask.
    "objectives/wav2vec2@audio": (3, 6),
    "objectives/ts-contrastive@timeseries": (0, 0),
    "tasks/classification@text": (0, 1),  # transformers looks whether anything is padded
    "tasks/classification@image": (0, 0),
    "tasks/classification@audio": (1, 5),  # on a CPU only; the stock model's mean over what is no padding
    "tasks/classification@timeseries": (0, 0),
}
"""What a micro-batch makes the host wait for: in this library, and in the stock model with its backward pass."""


def case_of(tiny_checkpoint: Any, which: str) -> Case:
    what, of = which.split("@")
    plural, name = what.split("/")
    kind = KINDS[of]
    folder = str(kind.checkpoint(tiny_checkpoint, name))
    data = kind.labeled(name) if plural == "tasks" else kind.unlabeled()
    return Case(
        plugins.find(plural, name), lambda head, **options: kind.modality.load(folder, head, **options), data,
        kind.fixed.get(what, {}),
    )  # fmt: skip


@pytest.mark.parametrize("which", WAITS)
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
    most, stock = WAITS[which]
    assert ours <= most and sum(found.values()) - ours <= stock, dict(found)


def test_what_waits_is_seen():
    values = torch.arange(6.0)
    with counted() as found:
        if values.sum() > 3:
            values[values > 2].tolist()
        values.max().item()
        values[torch.tensor([0, 2])].sum()
    assert sum(found.values()) == 4, found
