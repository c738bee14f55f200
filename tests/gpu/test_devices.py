"""Training on a device: equal to a CPU, every objective and task, number formats, compiled, resumed, host waits, two cards."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import toy_process
import transformers
from contracts import case_of, pairs
from datasets import Dataset
from devices import CUDA
from host_syncs import allowed

import hf_ssl
import tiny
from hf_ssl.modalities.image import device_jpeg
from hf_ssl.modalities.image.geometry import Geometry, ramp_and_rings, store
from hf_ssl.modalities.image.image import Image
from hf_ssl.modalities.rng import normals
from hf_ssl.modalities.text.packing import collate_rows
from hf_ssl.modalities.text.text import Text
from hf_ssl.models import attention
from hf_ssl.testing import Built
from hf_ssl.training.dropout import set_dropout
from hf_ssl.training.trainer import TrainResult, arguments, train

EVERY = [*pairs("objectives"), *pairs("tasks")]
FEW = ["objectives/mlm@text", "objectives/mae@image", "objectives/wav2vec2@audio", "tasks/classification@text"]
on_cuda = pytest.mark.parametrize("device", [pytest.param("cuda", marks=CUDA)], indirect=True)


def built(tiny_checkpoint: Any, which: str) -> Built:
    made = case_of(tiny_checkpoint, which).build()
    set_dropout(made.module, 0.0)
    return made


def gradients(made: Built, device: torch.device) -> tuple[float, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    module = made.module.to(device).train()
    loss = made.loss(**{name: part.to(device) for name, part in made.batch(0, 8).items()})
    loss.backward()
    module.on_optimizer_step(1, 2)
    return loss.item(), {n: p.grad.detach().float().cpu() for n, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("which", EVERY)
def test_a_step_has_the_loss_and_the_gradient_of_the_cpu(tiny_checkpoint, device, which):
    expected, theirs = gradients(built(tiny_checkpoint, which), torch.device("cpu"))
    found, mine = gradients(built(tiny_checkpoint, which), device)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert mine.keys() == theirs.keys() and mine
    for name, gradient in theirs.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(
            mine[name], gradient, rtol=1e-2, atol=1e-6 + 1e-3 * scale, msg=lambda m, n=name: f"{n}: {m}"
        )


def trained(made: Built, device: torch.device, folder: Path, resume: bool = False, **more: Any) -> TrainResult:
    options = {
        "per_device_train_batch_size": 4, "max_steps": 4, "logging_steps": 1, "save_steps": 2, "report_to": "none",
        "bf16": False, "use_cpu": device.type == "cpu", "save_total_limit": None,
    }  # fmt: skip
    args = arguments(folder, seed=0, defaults={"learning_rate": 1e-3}, overrides={**options, **more})
    assert args.device.type == device.type
    return train(made.module, made.rows, args, folder, resume=resume)


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("format_", ["bf16", "fp16"])
@pytest.mark.parametrize("which", FEW)
def test_half_precision_trains_as_float32_does(tiny_checkpoint, device, tmp_path, which, format_):
    if format_ == "fp16" and device.type == "cpu":
        pytest.skip("transformers trains in fp16 on accelerators only")
    trained(built(tiny_checkpoint, which), device, tmp_path / "whole", save_strategy="no")
    result = trained(built(tiny_checkpoint, which), device, tmp_path / "half", save_strategy="no", **{format_: True})
    assert losses(tmp_path / "half") == pytest.approx(losses(tmp_path / "whole"), rel=0.05, abs=0.02)
    assert result.figures["mfu_percent"] > 0


@pytest.mark.parametrize("which", ["objectives/mlm@text", "tasks/classification@text"])
def test_a_compiled_model_trains_as_it_is_written(tiny_checkpoint, device, tmp_path, which):
    plain = trained(built(tiny_checkpoint, which), device, tmp_path / "plain", save_strategy="no", max_steps=6)
    backend = "inductor" if device.type == "cuda" else "eager"
    more: dict[str, Any] = {"torch_compile": True, "torch_compile_backend": backend, "max_steps": 6}
    result = trained(built(tiny_checkpoint, which), device, tmp_path / "compiled", save_strategy="no", **more)
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-3)
    assert result.units == plain.units


@pytest.mark.parametrize("which", FEW)
def test_a_resumed_run_goes_on_as_one_that_was_not_stopped(tiny_checkpoint, device, tmp_path, which):
    whole = built(tiny_checkpoint, which)
    trained(whole, device, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole/checkpoints/checkpoint-2", tmp_path / "part/checkpoints/checkpoint-2")
    part = built(tiny_checkpoint, which)
    trained(part, device, tmp_path / "part", resume=True)
    for (name, mine), theirs in zip(part.module.named_parameters(), whole.module.parameters(), strict=True):
        exact = {"rtol": 0, "atol": 0} if device.type == "cpu" else {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(mine, theirs, **exact, msg=lambda m, n=name: f"{n}: {m}")


@on_cuda
@pytest.mark.parametrize("window", [-1, 16])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_every_kernel_within_sequences_is_the_one_in_torchs_own_operations(device, dtype, window):
    torch.manual_seed(0)
    lengths = [5, 130, 1, 64, 300]
    begins = torch.nn.functional.pad(torch.tensor(lengths).cumsum(0), (1, 0)).int().to(device)
    parts = [torch.randn(sum(lengths), 4, 64, device=device, dtype=dtype, requires_grad=True) for _ in range(3)]
    weights = torch.randn(sum(lengths), 4, 64, device=device)
    expected = attention.by_sequence(*(p.float() for p in parts), begins, begins, 300, 300, 0.125, window, 0.0)
    theirs = torch.autograd.grad((expected * weights).sum(), parts)
    kernels = attention.kernels()
    assert kernels, "torch 2.10 has one"
    for name, kernel in kernels.items():
        found = kernel(*parts, begins, begins, 300, 300, 0.125, window, 0.0)
        torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0.02, msg=lambda m, n=name: f"{n}: {m}")
        mine = torch.autograd.grad((found.float() * weights).sum(), parts)
        for one, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(one, other, atol=0.05, rtol=0.05, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("way", ["varlen", "flex_attention"])
def test_packed_rows_train_alike_however_they_are_kept_apart(tiny_checkpoint, device, tmp_path, way):
    if way == "flex_attention" and device.type == "cpu":
        pytest.skip("flex attention does not train on a CPU")
    found = []
    for kind in ("sdpa", way):
        made = built(tiny_checkpoint, "objectives/mlm@text")
        made.module.way = kind
        trained(made, device, tmp_path / kind, save_strategy="no", bf16=device.type == "cuda")
        found.append(losses(tmp_path / kind))
    assert found[1] == pytest.approx(found[0], rel=0.02)


def test_jpeg_files_are_those_of_pillow_within_a_level(device, monkeypatch):
    decoders = pytest.importorskip("torchcodec.decoders", reason="torchcodec is not installed")
    if not hasattr(decoders, "decode_jpeg"):
        pytest.skip("torchcodec before 0.16 decodes no pictures")
    monkeypatch.setattr(device_jpeg, "place", lambda: device)
    values, shape = [], Geometry(48, 48, 56, 2, (0.5,) * 3, (0.5,) * 3)
    for number in range(70):  # more than are decoded at once
        stream = io.BytesIO()
        ramp_and_rings()[number % 2].resize((100 + number, 90)).save(stream, "JPEG", progressive=number % 3 == 0)
        values.append({"bytes": stream.getvalue(), "path": None})
    found = store(values, Image(Image.Config(jpeg_decoder="nvjpeg")).reading, shape, 3)
    away = np.abs(found.astype(int) - store(values, Image().reading, shape, 3).astype(int))
    assert away.mean() < 1.5 and np.percentile(away, 99.9) <= 12


VIEWED = ["objectives/simclr@image", "objectives/mae@image", "objectives/dino@image", "objectives/simclr@audio",
          "objectives/properties@audio", "objectives/ts-contrastive@timeseries", "objectives/instance-identity@timeseries"]  # fmt: skip


@pytest.mark.parametrize("half", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize("which", VIEWED)
def test_views_that_are_made_on_a_device_are_those_of_the_cpu(tiny_checkpoint, device, which, half):
    """Number for number, from what arrives there, without a wait, and whatever precision the model computes in."""
    made = built(tiny_checkpoint, which)
    made.module.views_on_device = True

    def sent() -> dict[str, Any]:
        return made.module.training_batch([made.rows[row] for row in range(6)])

    expected = made.module.on_device(sent())
    there = {name: part.to(device) if isinstance(part, torch.Tensor) else part for name, part in sent().items()}
    if device.type == "cuda":
        made.module.on_device(there)  # plans of Fourier transforms are made once
        torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            found = made.module.on_device(there)
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].device.type == device.type
        # A pixel that is rounded the other way is a level of 255 off, and more after a change of colors.
        near = {"atol": 0.02, "rtol": 0.0} if which.endswith("image") else {"atol": 1e-4, "rtol": 1e-4}
        away = (found[name].cpu().double() - value.double()).abs()
        assert float((away > near["atol"] + near["rtol"] * value.double().abs()).double().mean()) < 1e-3, name


def test_stages_compute_on_the_device_before_and_after_they_train(tiny_checkpoint, device, tmp_path, monkeypatch):
    """Vectors, frozen features, the start of a head and training: each forward pass of a model, and files as from a CPU."""
    texts = tiny.corpus(40)
    rows = Dataset.from_dict({"text": texts, "label": ["short" if len(text) < 40 else "long" for text in texts]})
    start = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
    options: dict[str, Any] = {"data": rows, "near_duplicates": False, "output": str(tmp_path / "run")}
    seen: set[str] = set()
    forward = transformers.BertModel.forward

    def noted(model: Any, *given: Any, **named: Any) -> Any:
        if (
            not any(part.is_meta for part in model.parameters())
            and len(named.get("input_ids", given and given[0])) > 2
        ):
            seen.add(next(model.parameters()).device.type)
        return forward(model, *given, **named)

    monkeypatch.setattr(transformers.BertModel, "forward", noted)
    hf_ssl.finetune(**options, model=start, max_steps=2, early_stopping_patience=0, peft="lora")
    hf_ssl.evaluate(**options)
    options |= {"data": rows.select_columns("text"), "output": str(tmp_path / "vectors")}
    hf_ssl.embed(**options, model=start, normalize_embeddings=False)
    assert seen == {device.type}
    table = pq.read_table(tmp_path / "vectors" / "embed" / "embeddings.parquet").to_pydict()
    np.testing.assert_allclose(table["vector"], Text().load(start).embed(texts), atol=1e-4)


def test_normal_numbers_are_those_of_the_cpu(device):
    keys = torch.tensor([1, -5, 1 << 60])
    torch.testing.assert_close(normals(keys.to(device), 50_001).cpu(), normals(keys, 50_001), rtol=1e-4, atol=1e-5)


def test_masked_words_can_be_replayed_as_a_cuda_graph(tiny_checkpoint, device):
    """Batches of fixed shapes, written into the places of the first: loss and gradient are those of a step by itself."""
    made = built(tiny_checkpoint, "objectives/mlm@text")
    module = made.module.to(device).train()
    pad = module.encoder.processor.pad_token_id
    batches = [collate_rows([made.rows[row % len(made.rows)] for row in range(start, start + 4)], pad, fixed=True)
               for start in range(0, 24, 4)]  # fmt: skip
    shapes = Counter(tuple(part.shape for part in batch.values()) for batch in batches)
    usual = [one for one in batches if tuple(part.shape for part in one.values()) == shapes.most_common(1)[0][0]][:3]
    assert len(usual) == 3, "fixed shapes are few"
    parameters = [one for one in module.parameters() if one.requires_grad]
    held = {name: part.to(device) for name, part in usual[0].items()}
    terms = torch.ones((), device=device)

    def step() -> torch.Tensor:
        for one in parameters:
            one.grad = torch.zeros_like(one) if one.grad is None else one.grad.zero_()
        loss = module(**held, num_items_in_batch=terms).loss
        loss.backward()
        return loss

    def given(batch: dict[str, torch.Tensor]) -> None:
        for name, part in batch.items():
            held[name].copy_(part)
        terms.fill_(int((batch["labels"] != -100).sum()))

    def seen(loss: torch.Tensor) -> list[torch.Tensor]:
        return [loss.detach().clone(), *(one.grad.clone() for one in parameters)]

    expected = []
    for batch in usual:
        given(batch)
        expected.append(seen(step()))
    replay, loss = step, torch.zeros(())
    if device.type == "cuda":
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = step()
        replay = graph.replay
    for batch, wanted in zip(usual, expected, strict=True):
        given(batch)
        again = replay()
        for mine, theirs in zip(seen(loss if again is None else again), wanted, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@on_cuda
@pytest.mark.parametrize("which", FEW)
def test_tf32_is_switched_on_by_its_option_alone_and_trains_as_float32_does(tiny_checkpoint, device, tmp_path, which):
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("TF32 needs Ampere or later")
    for name, asked in (("off", False), ("on", True)):
        trained(built(tiny_checkpoint, which), device, tmp_path / name, save_strategy="no", tf32=asked)
        for part in (torch.backends.cuda.matmul, torch.backends.cudnn.conv):
            assert part.fp32_precision == ("tf32" if asked else "ieee")
    assert losses(tmp_path / "on") == pytest.approx(losses(tmp_path / "off"), rel=0.02, abs=0.01)


@pytest.mark.parametrize("which", VIEWED)
def test_views_are_the_same_wherever_they_are_made(tiny_checkpoint, device, tmp_path, which):
    found = []
    for place in ("host", "device"):
        made = built(tiny_checkpoint, which)
        args = arguments(tmp_path / place, seed=0, defaults={}, overrides={
            "per_device_train_batch_size": 4, "max_steps": 4, "logging_steps": 1, "save_strategy": "no", "report_to": "none",
            "bf16": False, "use_cpu": device.type == "cpu"})  # fmt: skip
        train(made.module, made.rows, args, tmp_path / place, views_on=place)
        found.append(losses(tmp_path / place))
    assert found[1] == pytest.approx(found[0], rel=0.02)


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"])
def test_optimizers_in_8_bits_train(tiny_checkpoint, device, tmp_path, name):
    trained(built(tiny_checkpoint, FEW[0]), device, tmp_path / "torch", save_strategy="no")
    trained(built(tiny_checkpoint, FEW[0]), device, tmp_path / name, save_strategy="no", optim=name)
    assert losses(tmp_path / name) == pytest.approx(losses(tmp_path / "torch"), rel=0.05)


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_layers_in_4_bits_train_their_adapters(tiny_checkpoint, device, tmp_path):
    for method in ("lora", "qlora"):
        made = case_of(tiny_checkpoint, "tasks/classification@text").build(method)
        set_dropout(made.module, 0.0)
        trained(made, device, tmp_path / method, save_strategy="no")
    assert losses(tmp_path / "qlora") == pytest.approx(losses(tmp_path / "lora"), rel=0.1)


@on_cuda
@pytest.mark.parametrize("which", EVERY)
def test_the_host_waits_no_oftener_than_was_counted_on_a_cpu(tiny_checkpoint, device, which):
    made = built(tiny_checkpoint, which)
    module = made.module.to(device).train()
    batch = {name: part.to(device) for name, part in made.batch(0, 8).items()}
    terms = (batch["labels"] != -100).sum()
    for step in (1, 2):  # the first tries things out, once for all
        torch.cuda.set_sync_debug_mode("warn" if step == 2 else "default")
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                loss = module(**batch, num_items_in_batch=terms).loss
                loss.backward()
                module.on_optimizer_step(step, 2)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [str(one.message) for one in told if "synchroniz" in str(one.message)]
    assert len(waits) <= sum(allowed(which)), waits


@on_cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_cards_train_as_one_does(tmp_path, device):
    ends = []
    for world in (1, 2):
        folder = tmp_path / str(world)
        folder.mkdir()
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={world}"] if world > 1 else []
        cards = ",".join(map(str, range(world)))
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "CUDA_VISIBLE_DEVICES": cards,
        }
        command = [sys.executable, *launcher, toy_process.__file__, str(folder), "21", "whole"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        ends.append(torch.load(folder / "end.pt", weights_only=True, map_location="cpu"))
    assert [end["world"] for end in ends] == [1, 2] and ends[0]["units"] == ends[1]["units"]
    for name, weight in ends[0]["weights"].items():
        torch.testing.assert_close(weight, ends[1]["weights"][name], rtol=1e-4, atol=1e-5)
