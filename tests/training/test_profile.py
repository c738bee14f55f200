"""`--profile`: a trace and a page beside the run, the same weights as without, nothing where it is off."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import toy
from torch.autograd import DeviceType

from hf_ssl import finetune
from hf_ssl.training.profile import Profile, summarized
from hf_ssl.training.trainer import train


def run(folder: Path, **more: Any) -> dict[str, torch.Tensor]:
    module = toy.Toy()
    torch.manual_seed(3)  # dropout draws from it
    steps = more.pop("max_steps", 8)
    train(module, toy.Numbers(), toy.options(folder, save_strategy="no", max_steps=steps), folder, **more)
    return module.state_dict()


def test_a_profile_changes_no_weight_and_names_what_took_the_time(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="hf_ssl"):
        with_it = run(tmp_path / "on", profile=True)
    without = run(tmp_path / "off")
    assert all(torch.equal(tensor, without[name]) for name, tensor in with_it.items())
    assert not (tmp_path / "off" / "profile").exists()
    with gzip.open(tmp_path / "on" / "profile" / "trace.json.gz", "rt", encoding="utf-8") as file:
        names = [event.get("name") for event in json.load(file)["traceEvents"]]
    assert names.count("module: Toy") == 3 and "aten::addmm" in names
    page = (tmp_path / "on" / "profile" / "summary.md").read_text(encoding="utf-8")
    for part in ("Largest loss", "waiting for data", "`Linear`", "`Tanh`", "aten::addmm", "mfu percent"):
        assert part in page, part
    assert "largest loss" in caplog.text


@pytest.mark.parametrize(("steps", "there"), [(1, False), (2, True), (3, True)])
def test_short_runs_have_a_profile_of_what_there_is_or_are_told(tmp_path, caplog, steps, there):
    run(tmp_path, profile=True, max_steps=steps)
    assert (tmp_path / "profile" / "summary.md").is_file() is there
    assert ("too few steps" in caplog.text) is not there


def test_a_profile_that_cannot_be_written_does_not_end_the_training(tmp_path, caplog):
    (tmp_path / "profile").write_text("a file where the folder should be")
    run(tmp_path, profile=True)
    assert "could not be written" in caplog.text


def test_losses_add_up_and_the_largest_comes_first():
    ops = {"aten::addmm": 4.0, "aten::gelu": 2.0, "aten::add_": 1.0, "Optimizer.step#AdamW.step": 0.5}
    parts = {"waiting for data": 5.0, "forward pass": 2.0, "backward pass": 3.0, "optimizer": 1.0}
    seen = Profile(3, 13.0, parts, {}, ops, dict.fromkeys(ops, 3), floor=3.0)
    lost = {name: seconds for name, (seconds, _) in seen.losses.items()}
    assert next(iter(lost)) == "waiting for data"
    assert lost["matrix products below the rate of large square ones"] == 1.0
    assert lost["operations that are no matrix products"] == 2.0
    assert sum(lost.values()) + seen.floor == pytest.approx(seen.seconds)
    assert "aten::gelu" in seen.losses["operations that are no matrix products"][1]


def event(
    name: str, host: float, there: float = 0.0, parent: Any = None, own: float | None = None, on: Any = DeviceType.CPU
) -> Any:
    """What a profiler tells of one thing: microseconds on the host, and on a device."""
    return SimpleNamespace(name=name, cpu_time_total=host, self_cpu_time_total=host, device_time_total=there, device_type=on,
                           self_device_time_total=there if own is None else own, cpu_parent=parent)  # fmt: skip


def test_time_on_a_device_is_told_once_and_is_what_counts():
    """The host takes 10 us to start a product of 400; the device tells of its kernel, and of its part in marks, once more."""
    model = event("module: Model", 30, 700, own=0)
    layer = event("module: Linear", 20, 400, model, own=0)
    step = event("Optimizer.step#AdamW.step", 15, 250, own=0)
    seen = summarized([
        model, layer, event("aten::addmm", 10, 400, layer), event("aten::gelu", 5, 300, model),
        event("nvjet_hsh_128x256", 0, 400, on=DeviceType.CUDA), event("module: Linear", 0, 400, on=DeviceType.CUDA),
        step, event("aten::_fused_adamw_", 9, 250, step), event("Optimizer.step#AdamW.step", 0, 250, on=DeviceType.CUDA),
    ], 1, 1e-3, 0.0, 3e-4)  # fmt: skip
    assert seen.ops == pytest.approx(
        {"aten::addmm": 4e-4, "aten::gelu": 3e-4, "aten::_fused_adamw_": 2.5e-4, step.name: 0}
    )
    assert seen.modules == pytest.approx({"Model": 3e-4, "Linear": 4e-4})
    assert (seen.parts["forward pass"], seen.parts["optimizer"]) == pytest.approx((7e-4, 2.5e-4))
    lost = {name: seconds for name, (seconds, _) in seen.losses.items()}
    assert lost["the host, between operations"] == pytest.approx(5e-5)
    assert sum(lost.values()) + seen.floor == pytest.approx(seen.seconds)


def test_finetune_takes_the_option(tmp_path, tiny_checkpoint):
    folder = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
    rows = [{"text": f"the nurse measured {i} of {'ab'[i % 2]}", "label": "ab"[i % 2]} for i in range(16)]
    data = {"train": rows, "test": [{"text": f"a late goal {i}", "label": "ab"[i % 2]} for i in range(4)]}
    files = {name: tmp_path / f"{name}.jsonl" for name in data}
    for name, file in files.items():
        file.write_text("".join(json.dumps(row) + "\n" for row in data[name]))
    finetune(
        data={name: str(file) for name, file in files.items()}, model=folder, output=str(tmp_path / "run"), profile=True,
        max_steps=4, per_device_train_batch_size=4, self_training=0, peft="full",
    )  # fmt: skip
    assert (tmp_path / "run" / "finetune" / "profile" / "summary.md").is_file()
