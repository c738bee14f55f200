"""Training sees the same views wherever they are made."""

from __future__ import annotations

from typing import Any

import pytest
from contracts import case_of
from trained import losses

from hf_ssl.testing import Built

STEPS: dict[str, Any] = {"max_steps": 3, "learning_rate": 1e-4}


@pytest.mark.parametrize(
    "which",
    [
        "objectives/simclr@image",
        "objectives/mae@image",
        "objectives/dino@image",
        "objectives/simclr@audio",
        "objectives/ts-contrastive@timeseries",
        "objectives/mlm@text",
    ],
)
def test_losses_are_those_of_views_that_the_host_made(tiny_checkpoint, tmp_path, which):
    host = losses(case_of(tiny_checkpoint, which).build(), tmp_path / "host", views_on="host", **STEPS)
    made = case_of(tiny_checkpoint, which).build()
    batch = made.module.training_batch([made.rows[0], made.rows[1]])
    assert all(str(name).isidentifier() for name in batch)
    device = losses(made, tmp_path / "device", views_on="device", **STEPS)
    # Of pictures a CPU's own kernel rounds twice; of everything else there is one code.
    assert device == pytest.approx(host, rel=0.02 if which.endswith("image") else 1e-5)
    assert made.module.views_on_device
    names = made.module.training_batch([made.rows[0], made.rows[1]])
    assert any("@" in name for name in names) is (which != "objectives/mlm@text")


def test_an_objective_that_computes_with_pixels_where_it_collates_keeps_its_views_on_the_host(
    tiny_checkpoint, tmp_path
):
    def build() -> Built:
        made = case_of(tiny_checkpoint, "objectives/simclr@image").build()
        whole = made.module.collate

        def collate(rows: Any) -> Any:
            batch = whole(rows)
            return {**batch, "pixel_values": batch["pixel_values"] * 0.5}

        made.module.collate = collate
        return made

    host = losses(build(), tmp_path / "host", views_on="host", **STEPS)
    made = build()
    assert losses(made, tmp_path / "device", views_on="device", **STEPS) == host
    assert not made.module.views_on_device
