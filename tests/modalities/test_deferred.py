"""Views that are made later, where training is, are those that are made at once, of every kind of data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contracts import case_of, pairs

from hf_ssl.modalities import rng
from hf_ssl.modalities.deferred import DefersViews
from hf_ssl.testing import Built

VIEWED = [which for which in pairs("objectives") if which.endswith(("@image", "@audio", "@timeseries"))]


def made_later(built: Built, rows: list) -> dict[str, torch.Tensor]:
    built.module.views_on_device = True
    return built.module.training_batch(rows)


@pytest.mark.parametrize("which", VIEWED)
def test_a_batch_that_is_finished_where_it_arrives_is_the_one_of_the_host(tiny_checkpoint, which):
    here, there = (case_of(tiny_checkpoint, which).build() for _ in range(2))
    host = here.module.collate([here.rows[row] for row in range(4)])
    sent = made_later(there, [there.rows[row] for row in range(4)])
    later = "@views" in sent
    assert all(value.device.type == "cpu" for value in sent.values() if isinstance(value, torch.Tensor))
    found = there.module.on_device(sent)
    assert found.keys() == host.keys()
    for name, value in host.items():
        assert found[name].shape == value.shape and found[name].dtype == value.dtype, name
        if later and which.endswith("@image") and "pixel_values" in name:  # the uint8 kernel of a CPU rounds twice
            assert float((found[name] - value).abs().mean()) < 0.01
        else:
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-5)


def test_kinds_of_data_with_random_views_make_them_later(tiny_checkpoint):
    viewed = {"simclr@image", "dino@image", "mae@image", "simclr@audio", "vicreg@audio", "properties@audio",
              "ts-contrastive@timeseries", "instance-identity@timeseries", "properties@timeseries"}  # fmt: skip
    for which in sorted(viewed):
        built = case_of(tiny_checkpoint, f"objectives/{which}").build()
        sent = made_later(built, [built.rows[row] for row in range(3)])
        assert "@views" in sent and built.module.views_on_device, which
        inner = built.module.encoder
        assert isinstance(inner, DefersViews) and inner.deferred is None


def test_what_is_computed_from_a_view_before_it_is_made_is_found_out(tiny_checkpoint):
    built = case_of(tiny_checkpoint, "objectives/simclr@audio").build()
    rows = [built.rows[row] for row in range(2)]
    with built.module.encoder.deferring() as later:
        views = built.module.collate(rows)
    assert later.packed(views) is not None
    assert later.packed({**views, "input_values": views["input_values"] * 2}) is None


@pytest.mark.parametrize("which", [*pairs("objectives")])
def test_no_batch_asks_the_model_so_that_other_processes_can_make_it(tiny_checkpoint, which):
    """A process that is forked from one that uses a GPU cannot use it: batches are made without a tensor of the model."""
    built = case_of(tiny_checkpoint, which).build()
    rows = [built.rows[row] for row in range(4)]
    expected = built.module.training_batch(rows)
    again = case_of(tiny_checkpoint, which).build()
    again.module.to("meta")
    found = again.module.training_batch([again.rows[row] for row in range(4)])
    assert found.keys() == expected.keys()
    assert all(value.device.type == "cpu" for value in found.values() if isinstance(value, torch.Tensor))


def test_normal_numbers_depend_on_their_key_and_their_place_alone():
    keys = torch.tensor([3, 1 << 62, 5, -9])
    found = rng.normals(keys, 100_001)
    assert torch.equal(rng.normals(keys[1:3], 7), found[1:3, :7])
    for row in found.double():
        moments = [float((row**power).mean()) for power in (1, 2, 3, 4)]
        assert moments == pytest.approx([0, 1, 0, 3], abs=0.06)
        assert float(row.abs().max()) > 3.5
    together = np.corrcoef(found[:, :-1], found[:, 1:])  # of rows with each other, and with themselves a step later
    assert np.abs(together - np.eye(8)).max() < 0.02
    # By hand, of SplitMix64's reference code: seed 1234567 gives 6457827717110365317 first.
    bits = 6457827717110365317
    radius = np.sqrt(-2 * np.log(((bits >> 40) + 1) / 2**24))
    angle = 2 * np.pi * (bits & (2**24 - 1)) / 2**24
    pair = rng.normals(torch.tensor([1234567]), 2)[0].tolist()
    assert pair == pytest.approx([radius * np.cos(angle), radius * np.sin(angle)], rel=1e-5)
