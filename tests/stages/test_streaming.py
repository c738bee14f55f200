"""`pretrain --streaming` of every kind of data, from the command line, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from safetensors.torch import load_file

import hf_ssl
import tiny
from hf_ssl import cli
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import OptionsError
from hf_ssl.objectives.mlm import MaskedLanguageModeling

SMALL = [
    "--per_device_train_batch_size=4",
    "--logging_steps=1",
    "--monitor_points=1",
    "--monitor_examples=8",
    "--streaming",
]


def _text(folder: Path) -> list[str]:
    texts = list(dict.fromkeys(tiny.corpus(200)))[:120]
    (folder / "corpus.txt").write_text("\n".join(texts), encoding="utf-8")
    return ["--txt=lines", "--max_length=32", "--eval_fraction=0.2", "--shuffle_buffer=30", "--lr_schedule=constant"]


def _image(folder: Path) -> list[str]:
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Pillow.fromarray(pixels).save(folder / f"{number}.png")
    return ["--modality=image", "--eval_fraction=0.2", "--shuffle_buffer=16", "--objective=simclr"]


def _audio(folder: Path) -> list[str]:
    soundfile = pytest.importorskip("soundfile")
    for number in range(16):
        wave = 0.2 * np.random.default_rng(number).standard_normal(16_000)
        soundfile.write(folder / f"{number}.wav", wave, 16_000)
    return ["--modality=audio", "--eval_fraction=0.3", "--shuffle_buffer=8", "--objective=masked-spectrogram"]


def _timeseries(folder: Path) -> list[str]:
    values = np.random.default_rng(0).standard_normal((40_000, 2)).cumsum(0)
    np.savetxt(folder / "long.csv", values, delimiter=",", header="a,b", comments="", fmt="%.3f")
    return ["--modality=timeseries", "--eval_fraction=0.3", "--shuffle_buffer=4"]


KINDS = {
    "text": (_text, "bert", "AutoModelForMaskedLM"), "image": (_image, "vit", None), "audio": (_audio, "wav2vec2", None),
    "timeseries": (_timeseries, "patchtst", None),
}  # fmt: skip


def _command(kind: str, tiny_checkpoint, folder: Path, output: str, *more: str) -> list[str]:
    write, family, head = KINDS[kind]
    data = folder / "data"
    data.mkdir(exist_ok=True)
    options = write(data)
    model = tiny_checkpoint(family, head, **({"num_input_channels": 2} if kind == "timeseries" else {}))
    return ["pretrain", f"--data={data}", f"--model={model}", f"--output={folder / output}", *SMALL, *options, *more]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_is_streamed(kind, tiny_checkpoint, tmp_path):
    assert cli.main(_command(kind, tiny_checkpoint, tmp_path, "run", "--max_steps=4")) == 0
    ledger = json.loads((tmp_path / "run" / "run.json").read_text())
    assert ledger["stages"]["pretrain"]["metrics"]["steps"] == 4
    assert (tmp_path / "run" / "pretrain" / "model" / "config.json").is_file()
    assert "streamed" in (tmp_path / "run" / "data" / "report.txt").read_text()


def test_an_interrupted_stream_goes_on_to_the_same_model(tiny_checkpoint, tmp_path, monkeypatch):
    def run(output: str, *more: str) -> int:
        shared = ["--max_steps=8", "--keep_checkpoint=last", "--dropout=0.1"]
        return cli.main(_command("text", tiny_checkpoint, tmp_path, output, *shared, *more))

    assert run("whole") == 0
    with monkeypatch.context() as patched:

        def stop(self: object, step: int, total: int) -> None:
            if step == 5:
                os.kill(os.getpid(), signal.SIGTERM)

        patched.setattr(MaskedLanguageModeling, "on_optimizer_step", stop)
        assert run("cut") != 0
    assert run("cut", "--resume") == 0
    one, two = (
        load_file(tmp_path / output / "pretrain" / "model" / "model.safetensors") for output in ("whole", "cut")
    )
    assert all((one[name] == two[name]).all() for name in one)


def test_what_goes_not_with_a_stream_is_said_before_anything_is_read(tiny_checkpoint, tmp_path):
    model = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
    options = {"data": "nowhere/", "model": model, "output": str(tmp_path / "run"), "streaming": True}
    with pytest.raises(OptionsError, match="max_steps 10000"):
        hf_ssl.pretrain(**options)
    with pytest.raises(OptionsError, match="max_examples"):
        hf_ssl.finetune(**options)
    (tmp_path / "a.txt").write_text("\n".join(tiny.corpus(60)))
    with pytest.raises(ConfigError, match="tells every example"):
        hf_ssl.pretrain(
            **{**options, "data": str(tmp_path / "a.txt")}, txt="lines", max_steps=2, objective="instance-identity", eval_fraction=0.2,
        )  # fmt: skip


def test_check_estimates_a_stream(tiny_checkpoint, tmp_path):
    _text(tmp_path)
    model = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
    found = hf_ssl.check(
        {
            "data": str(tmp_path), "txt": "lines", "streaming": True, "model": model, "output": str(tmp_path / "run"),
            "pretrain": {"max_steps": 50, "eval_fraction": 0.2, "per_device_train_batch_size": 2, "monitor_examples": 8},
        }
    )  # fmt: skip
    assert found["pretrain"]["steps"] == 50 and found["pretrain"]["seconds_per_step"] > 0
