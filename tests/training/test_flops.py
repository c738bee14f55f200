"""FLOPs of a step against the textbook's, MFU in curve and ledger, and that counting changes nothing."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest
import torch
import toy
from torch import nn
from transformers import TrainingArguments

import tiny
from hf_ssl.training import flops
from hf_ssl.training.flops import ModelWork, matmul_rate
from hf_ssl.training.trainer import train


class Summed(nn.Module):
    """A model whose loss is the sum of its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.train()

    def forward(self, **batch: torch.Tensor) -> torch.Tensor:
        return self.model(**batch).logits.sum()


def counted(model: nn.Module, rows: int, length: int, *, bf16: bool = False) -> float:
    module = Summed(model)
    work = ModelWork(module)
    work.rate = 1e9
    batch = {"input_ids": torch.arange(rows * length).view(rows, length) % 90 + 5}
    with work.step(batch):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = module(**batch)
        loss.backward()
    return work.flops


def bert_flops(rows: int, length: int, vocabulary: int) -> int:
    """Products of the tiny BERT: four of hidden x hidden, two of the feed-forward part, two of attention, the head."""
    hidden, between, tokens = tiny.HIDDEN, 2 * tiny.HIDDEN, rows * length
    layer = 2 * tokens * (4 * hidden**2 + 2 * hidden * between) + 4 * tokens * length * hidden
    forward = tiny.LAYERS * layer + 2 * tokens * hidden**2 + 2 * tokens * hidden * vocabulary
    return 3 * forward  # the backward pass has two products for each of the forward pass


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_flops_of_bert_are_those_of_the_textbook(attention, bf16):
    model = tiny.tiny_bert()
    model.set_attn_implementation(attention)
    assert counted(model, 4, 16, bf16=bf16) == bert_flops(4, 16, model.config.vocab_size)


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_convolutions_in_groups_cost_what_they_compute(groups):
    """Depthwise ones, of EfficientNet: their weights' gradient is none of all channels with all others."""
    model = nn.Conv2d(8, 8, 3, padding=1, groups=groups, bias=False)
    work, pictures = ModelWork(model), torch.ones(2, 8, 5, 5, requires_grad=True)
    work.rate = 1e9
    with work.step({"pixel_values": pictures}):
        model(pictures).sum().backward()
    assert work.flops == 3 * 2 * (2 * 8 * 5 * 5) * (8 // groups) * 3 * 3


def test_what_is_computed_a_second_time_to_save_memory_is_not_counted():
    model = tiny.tiny_bert()
    model.activation_checkpointing_enable()
    assert counted(model, 2, 16) == bert_flops(2, 16, model.config.vocab_size)


def test_batches_that_were_not_counted_cost_what_their_shape_says():
    module = Summed(tiny.tiny_bert())
    work = ModelWork(module)
    work.rate = 1e9
    seen = []
    for rows, length in ((2, 8), (2, 16), (2, 24), (2, 16), (2, 48), (3, 16)):
        before, batch = work.flops, {"input_ids": torch.full((rows, length), 7)}
        with work.step(batch):
            module(**batch).backward()
        seen.append(work.flops - before)
    vocabulary = module.model.config.vocab_size
    assert seen[:3] == [bert_flops(2, length, vocabulary) for length in (8, 16, 24)] and seen[3] == seen[1]
    assert seen[4] == 2 * seen[2], "a fourth shape is scaled from the nearest"
    assert seen[5] == bert_flops(3, 16, vocabulary), "of its rows"
    assert work.counted_flops == sum(seen[:3])


@pytest.mark.parametrize("accumulated", [1, 2])
def test_counting_changes_neither_weights_nor_losses(tmp_path, monkeypatch, accumulated):
    found = []
    for shapes in (flops.SHAPES, 0):
        monkeypatch.setattr(flops, "SHAPES", shapes)
        module, folder = toy.Toy(), tmp_path / str(shapes)
        torch.manual_seed(3)  # dropout draws from it
        result = train(module, toy.Numbers(), toy.options(folder, gradient_accumulation_steps=accumulated), folder)
        found.append((module.state_dict(), curve(folder), result))
    for name, tensor in found[0][0].items():
        assert torch.equal(tensor, found[1][0][name]), name
    assert [line["loss"] for line in found[0][1]] == [line["loss"] for line in found[1][1]]
    told, silent = found[0][2].to_dict(), found[1][2].to_dict()
    assert 0 < told["mfu_percent"] and told["matmul_gflops_per_second"] > told["model_gflops_per_second"]
    assert "mfu_percent" not in silent and 0 <= silent["data_wait_percent"] <= 100
    assert all("mfu_percent" in line for line in found[0][1])


def key() -> str:
    return str(getattr(torch.backends.cuda.matmul, "fp32_precision", ""))


def curve(folder: Path) -> list[dict[str, float]]:
    lines = (json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines())
    return [line for line in lines if "loss" in line]


def test_mfu_is_of_the_steps_that_were_not_slowed_by_the_count():
    work = ModelWork(nn.Linear(2, 2))
    work.rate, work.flops, work.counted_flops, work.counted_seconds = 100e9, 60e9, 20e9, 3.0
    assert work.figures(4.0)["model_gflops_per_second"] == 40.0 and work.figures(4.0)["mfu_percent"] == 40.0
    work.counted_flops = work.flops  # a single step: there are no others
    assert work.figures(6.0)["mfu_percent"] == 10.0
    assert work.figures(0.0) == {}


@pytest.mark.parametrize("again", [80e9, 30e9])
def test_a_rate_of_a_busy_moment_is_measured_once_more_and_no_mfu_is_above_all(monkeypatch, again):
    """A model cannot compute faster than the machine it runs on: 60 GFLOP/s on one that was found to do 40."""
    asked = []
    monkeypatch.setattr(flops, "RATES", {(torch.float32, torch.device("cpu"), key()): 40e9})
    monkeypatch.setattr(flops, "SIDE", 64)
    monkeypatch.setattr(flops, "settle", lambda device: asked.append(1))
    clock = (2 * 64**3 / again * place for place in itertools.count())
    monkeypatch.setattr(flops.time, "perf_counter", lambda: next(clock))
    work = ModelWork(nn.Linear(2, 2))
    work.measure_machine(TrainingArguments("unused", use_cpu=True))
    assert work.rate == 40e9 and not asked
    work.flops, work.counted_flops = 10e9, 1e-9
    assert work.figures(1.0)["mfu_percent"] == 25.0 and not asked, "nobody doubts that"
    work.flops = 60e9
    best = max(again, 60e9)
    assert work.figures(1.0)["mfu_percent"] == pytest.approx(6e12 / best, rel=1e-3) and asked
    seen = len(asked)
    work.figures(1.0)
    assert len(asked) == seen, "once a run"
    assert matmul_rate(torch.float32, torch.device("cpu")) == pytest.approx(max(again, 40e9), rel=1e-3)


def test_kernels_of_other_packages_are_counted_by_the_lengths_that_they_are_told():
    """FlashAttention is not torch's: a stand-in with its name and its arguments, and sequences of 3 and 5 tokens."""
    tokens, heads, width = 8, 2, 16
    begins = torch.tensor([0, 3, 8], dtype=torch.int32)
    library = torch.library.Library("flash_attn", "FRAGMENT")
    library.define(
        "_flash_attn_varlen_forward(Tensor q, Tensor k, Tensor v, Tensor cu_q, Tensor cu_k, int max_q, int max_k) -> Tensor"
    )
    library.define(
        "_flash_attn_varlen_backward(Tensor dout, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, Tensor? dq, "
        "Tensor? dk, Tensor? dv, Tensor cu_q, Tensor cu_k, int max_q, int max_k) -> Tensor"
    )
    for name in ("forward", "backward"):
        library.impl(f"_flash_attn_varlen_{name}", lambda first, *rest: first.clone(), "CPU")
    part = torch.randn(tokens, heads, width)

    class Flash(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            ops = torch.ops.flash_attn
            out = ops._flash_attn_varlen_forward(part, part, part, begins, begins, 5, 5)
            ops._flash_attn_varlen_backward(out, part, part, part, out, out, None, None, None, begins, begins, 5, 5)
            return out

    work, batch = ModelWork(Flash()), torch.zeros(1)
    work.rate = 1e9
    with work.step({"batch": batch}):
        work.module(batch)
    forward = sum(4 * length**2 * heads * width for length in (3, 5))
    assert work.flops == forward * 3.5, "the backward pass has five products for the two of the forward pass"


def test_what_a_device_does_once_is_no_part_of_its_rate(monkeypatch):
    waits = iter([0.5])
    monkeypatch.setattr(flops, "settle", lambda device: time.sleep(next(waits, 0.0)))
    monkeypatch.setattr(flops, "SIDE", 96)
    monkeypatch.setattr(flops, "RATES", {})
    assert matmul_rate(torch.float32, torch.device("cpu"), 0.01) > 10 * 2 * 96**3 / 0.5


def test_rate_of_the_machine_is_measured_once_and_draws_no_random_numbers():
    before = torch.random.get_rng_state()
    rate = matmul_rate(torch.float32, torch.device("cpu"))
    assert torch.equal(before, torch.random.get_rng_state())
    assert rate > 1e8 and matmul_rate(torch.float32, torch.device("cpu")) == rate
