"""Ctrl-C: the step is finished, a checkpoint saved, and the run goes on to the same result as if nothing had happened."""

from __future__ import annotations

import json
import os
import shlex
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file

import tiny
from hf_ssl import cli
from hf_ssl.objectives.mlm import MaskedLanguageModeling
from hf_ssl.tasks.base import TaskModule

TEXTS = list(dict.fromkeys(tiny.corpus(200)))[:100]


@pytest.fixture
def command(tiny_checkpoint, tmp_path):
    rows = [{"text": text, "label": "ab"[" patient " in text]} for text in TEXTS]
    for split, part in (("train", rows[:40]), ("test", rows[40:50])):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    pool = [{"text": text} for text in TEXTS[50:]]
    (tmp_path / "unlabeled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pool), encoding="utf-8")
    model = tiny_checkpoint("bert", "AutoModelForMaskedLM")

    def make(verb: str, output: str, *more: str) -> list[str]:
        data = f"--data={tmp_path}/*.jsonl"
        shared = ["--near_duplicates=false", "--per_device_train_batch_size=2", "--logging_steps=1", "--max_length=32"]
        return [verb, data, f"--model={model}", f"--output={tmp_path / output}", *shared, *more]

    return make


def _interrupt_at(
    monkeypatch: pytest.MonkeyPatch, kind: type, when: int, sent: signal.Signals = signal.SIGINT
) -> list[int]:
    """A real signal, as the terminal sends it, in the middle of a step."""
    steps: list[int] = []

    def signalled(self: object, step: int, total: int) -> None:
        steps.append(step)
        if step == when:
            os.kill(os.getpid(), sent)

    monkeypatch.setattr(kind, "on_optimizer_step", signalled)
    return steps


def _curve(folder: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


@pytest.mark.parametrize("keep", ["last", "best"])
def test_interrupted_pretraining_goes_on_to_the_same_model(keep, command, tmp_path, monkeypatch, capsys):
    given = [
        "--objective=mlm",
        "--max_steps=8",
        "--monitor_points=4",
        f"--keep_checkpoint={keep}",
        "--early_stopping_patience=0",
    ]
    given += ["--learning_rate=3e-3", "--dropout=0.1", f"--data={tmp_path}/unlabeled.jsonl"]
    assert cli.main(command("pretrain", "whole", *given)) == 0
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        steps = _interrupt_at(patched, MaskedLanguageModeling, 3)
        assert cli.main(command("pretrain", "part", *given)) == 130
    assert steps == [1, 2, 3], "the step is finished, and no other begun"
    assert signal.getsignal(signal.SIGINT) is before
    said = capsys.readouterr().err
    assert "press Ctrl-C again" in said and said.rstrip().endswith("--resume")
    ledger = json.loads((tmp_path / "part" / "run.json").read_text(encoding="utf-8"))
    assert ledger["stages"]["pretrain"]["status"] == "interrupted"
    assert (tmp_path / "part" / "pretrain" / "checkpoints" / "checkpoint-3").is_dir()

    assert cli.main(command("pretrain", "part", *given)) == 1, "neither --resume nor --overwrite was said"
    assert "--resume" in capsys.readouterr().err
    assert (tmp_path / "part" / "pretrain" / "checkpoints" / "checkpoint-3").is_dir(), "nothing is lost by asking"

    assert cli.main(command("pretrain", "part", *given, "--resume")) == 0
    whole, part = tmp_path / "whole" / "pretrain", tmp_path / "part" / "pretrain"
    assert _curve(whole) == _curve(part) and len(_curve(whole)) == 8
    one, other = load_file(whole / "model" / "model.safetensors"), load_file(part / "model" / "model.safetensors")
    assert one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)
    start = load_file(
        tmp_path.parent / Path(command("pretrain", "x")[2].removeprefix("--model=")) / "model.safetensors"
    )
    assert not all(start[name].equal(one[name]) for name in start if name in one), "something was learned"
    records = [(folder / "monitor.jsonl").read_text(encoding="utf-8").splitlines() for folder in (whole, part)]
    assert [json.loads(line)["step"] for line in records[1]] == [0, 2, 4, 6, 8]
    assert [json.loads(line)["eval_loss"] for line in records[0]] == [
        json.loads(line)["eval_loss"] for line in records[1]
    ]


def test_killed_pretraining_goes_on_with_every_step_once(command, tmp_path, monkeypatch):
    """What was logged after the last checkpoint is done again, and counted once."""
    given = ["--objective=mlm", "--max_steps=6", "--monitor_points=1", "--keep_checkpoint=last", "--logging_steps=1"]
    given += ["--save_steps=2", "--early_stopping_patience=0", f"--data={tmp_path}/unlabeled.jsonl"]
    assert cli.main(command("pretrain", "whole", *given)) == 0

    def killed(self: object, step: int, total: int) -> None:
        if step == 6:
            raise SystemExit  # as abrupt as a signal, for this process: no checkpoint, no last word

    with monkeypatch.context() as patched:
        patched.setattr(MaskedLanguageModeling, "on_optimizer_step", killed)
        with pytest.raises(SystemExit):
            cli.main(command("pretrain", "part", *given))
    curve = tmp_path / "part" / "pretrain" / "curve.jsonl"
    with curve.open("a") as file:
        file.write('{"step": 5, "loss": 1')  # the line that was being written
    assert cli.main(command("pretrain", "part", *given, "--resume")) == 0
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert [step for step, _ in _curve(part / "pretrain")] == [1, 2, 3, 4, 5, 6]
    assert _curve(whole / "pretrain") == _curve(part / "pretrain")
    seen = [
        json.loads((run / "run.json").read_text(encoding="utf-8"))["stages"]["pretrain"]["metrics"]["tokens_seen"]
        for run in (whole, part)
    ]
    assert seen[0] == seen[1] > 0


def test_interrupted_finetuning_goes_on_to_the_same_model(command, tmp_path, monkeypatch):
    given = ["--num_train_epochs=3", "--early_stopping_patience=0", "--labels_per_class=4"]
    assert cli.main(command("finetune", "whole", *given)) == 0
    with monkeypatch.context() as patched:
        _interrupt_at(patched, TaskModule, 5)
        assert cli.main(command("finetune", "part", *given)) == 130
    assert cli.main(command("finetune", "part", *given, "--resume")) == 0
    one, other = (load_file(tmp_path / run / "finetune" / "model" / "model.safetensors") for run in ("whole", "part"))
    assert all(one[name].equal(other[name]) for name in one)
    assert _curve(tmp_path / "whole" / "finetune") == _curve(tmp_path / "part" / "finetune")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGUSR1])
def test_what_the_system_sends_saves_too(sent, command, tmp_path, monkeypatch, capsys):
    given = command("finetune", "run", "--max_steps=4", "--early_stopping_patience=0", "--labels_per_class=4")
    with monkeypatch.context() as patched:
        _interrupt_at(patched, TaskModule, 2, sent)
        assert cli.main(given) == 143
    assert capsys.readouterr().err.rstrip().endswith("--resume")
    ledger = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert ledger["stages"]["finetune"]["status"] == "interrupted"
    assert (tmp_path / "run" / "finetune" / "checkpoints" / "checkpoint-2").is_dir()


def test_second_ctrl_c_stops_at_once(command, tmp_path, monkeypatch, capsys):
    def twice(self: object, step: int, total: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second one must not wait for the end of the step")

    with monkeypatch.context() as patched:
        patched.setattr(MaskedLanguageModeling, "on_optimizer_step", twice)
        assert cli.main(command("pretrain", "run", "--objective=mlm", "--max_steps=4")) == 130
    assert "Go on with: hf-ssl pretrain" in capsys.readouterr().err
    ledger = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert ledger["stages"]["pretrain"]["status"] == "interrupted"


def test_interrupted_recipe_goes_on_where_it_stopped(command, tmp_path, monkeypatch, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "pretrain: {objective: mlm, max_steps: 4, monitor_points: 1}\nfinetune: {max_steps: 2, early_stopping_patience: 0}\n"
    )
    shared = [token for token in command("run", "out") if token.split("=")[0] in ("--data", "--model", "--output")]
    given = ["run", str(recipe), *shared, "--near_duplicates=false", "-v"]
    with monkeypatch.context() as patched:
        _interrupt_at(patched, TaskModule, 1)
        assert cli.main(given) == 130
    assert f"Go on with: hf-ssl {shlex.join(given)} --resume" in capsys.readouterr().err
    assert cli.main([*given, "--resume"]) == 0
    said = capsys.readouterr().err
    assert "pretrain: already done" in said and "resuming from" in said
    ledger = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert {name: entry["status"] for name, entry in ledger["stages"].items()} == {
        "pretrain": "done",
        "finetune": "done",
    }
