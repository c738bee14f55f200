"""Every recipe runs: as a script, through `hf-ssl run`, and on several processes."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from places import RECIPES as FOLDER
from safetensors.torch import load_file

import tiny
from hf_ssl import cli
from hf_ssl.core import distributed
from hf_ssl.core.commands import VERBS
from hf_ssl.core.parsing import from_yaml

EVERY, RECIPES = (sorted(path.stem for path in FOLDER.glob(names)) for names in ("*.yaml", "text_*.yaml"))
TEXTS = list(dict.fromkeys(tiny.corpus(200)))
# What makes a recipe small enough for a test; every other option is the recipe's own.
SMALL = {
    "pretrain": {"max_steps": 2, "monitor_points": 1, "max_length": 24, "per_device_train_batch_size": 4},
    "finetune": {"max_steps": 2, "max_length": 24, "labels_per_class": 12, "early_stopping_patience": 0},
    "evaluate": {},
    "compare": {"labels_per_class": "4", "num_seeds": 2, "probe_draws": 2, "max_steps": 1, "max_length": 24},
    "embed": {"max_length": 24},
}


def _conll(path: Path, texts: list[str]) -> None:
    lines = ["\n".join(f"{word}\t{'ABC'[len(word) % 3]}" for word in text.split()) for text in texts]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def _csv(path: Path, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def _data(recipe: str, folder: Path) -> Path:
    """What the head of the recipe says it needs, from invented clinical sentences."""
    folder.mkdir()
    pool, train, test = TEXTS[:40], TEXTS[40:90], TEXTS[90:130]
    (folder / "unlabeled.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in pool), encoding="utf-8")
    if "streaming" in recipe:
        (folder / "unlabeled.jsonl").rename(folder / "corpus.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    elif "tagging" in recipe:
        for split, texts in (("train", train), ("validation", TEXTS[130:150]), ("test", test)):
            _conll(folder / f"{split}.conll", texts)
    elif "domain" in recipe:
        sites = [{"text": t, "site": ("north", "south")[i % 2]} for i, t in enumerate(pool)]
        (folder / "unlabeled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sites), encoding="utf-8")
        for name, texts, site in (("labels", train, "north"), ("test", test, "south")):
            _csv(
                folder / f"{name}.csv",
                ["text", "label", "site"],
                [(t, "ab"[i % 2], site) for i, t in enumerate(texts)],
            )
    elif "embeddings" in recipe:
        for split, texts in (("train", train), ("test", test)):
            rows = [(one, two, i % 3) for i, (one, two) in enumerate(zip(texts, texts[1:], strict=False))]
            _csv(folder / f"{split}.csv", ["text", "text_pair", "score"], rows)
    else:
        for name, texts in (("labels", train), ("test", test)):
            _csv(folder / f"{name}.csv", ["text", "label"], [(text, "ab"[i % 2]) for i, text in enumerate(texts)])
    return folder


@pytest.fixture
def tokens(tmp_path: Path, tiny_checkpoint: Callable[..., Path], repository: Path) -> Callable[[str], list[str]]:
    def make(recipe: str) -> list[str]:
        shared = {
            "data": _data(recipe, tmp_path / "data"), "output": tmp_path / "run", "near_duplicates": False,
            "model": tiny_checkpoint("bert", "AutoModelForMaskedLM"),
        }  # fmt: skip
        sections = [name for name in from_yaml(repository / "recipes" / f"{recipe}.yaml") if name in SMALL]
        small = {f"{stage}.{name}": value for stage in sections for name, value in SMALL[stage].items()}
        return [f"--{name}={value}" for name, value in {**shared, **small}.items()]

    return make


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_is_checked_run_and_skipped_when_done(recipe, tokens, repository, tmp_path, capsys):
    given = tokens(recipe)
    assert cli.main(["check", str(repository / "recipes" / f"{recipe}.yaml"), *given]) == 0
    assert "every stage ran" in capsys.readouterr().err and not (tmp_path / "run").exists()
    assert cli.main(["run", str(repository / "recipes" / f"{recipe}.yaml"), *given]) == 0
    ledger = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    sections = [name for name in from_yaml(repository / "recipes" / f"{recipe}.yaml") if name in SMALL]
    assert {stage: entry["status"] for stage, entry in ledger["stages"].items()} == dict.fromkeys(sections, "done")
    capsys.readouterr()
    assert cli.main(["run", str(repository / "recipes" / f"{recipe}.yaml"), *given]) == 0
    said = capsys.readouterr().err
    assert all(f"{stage}: already done with these inputs" in said for stage in sections), said


@pytest.mark.parametrize("recipe", EVERY)
def test_recipe_is_short_and_the_commands_in_its_head_exist(recipe, repository):
    lines = (repository / "recipes" / f"{recipe}.yaml").read_text(encoding="utf-8").splitlines()
    head = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    assert len(lines) <= 80 and len(head) >= 3 and len(head[0].strip("# ")) > 10
    verbs = re.findall(r"hf-ssl ([a-z][a-z-]*)", " ".join(head))
    assert verbs and set(verbs) <= VERBS.keys()


def launch(program: list[str], given: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine's processors (`--multi_gpu` is what accelerate calls it; without a GPU it is gloo)."""
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes=2",
        "--num_machines=1",
    ]
    command += ["--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0", *program, *given]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=cwd, env=environment, check=False)


def test_recipe_on_two_processes_writes_one_run_folder(tokens, repository, tmp_path):
    more = ["--finetune.early_stopping_patience=1", "--finetune.max_steps=4", "--pretrain.save_steps=1"]
    done = launch(["-m", "hf_ssl", "run", "text_tagging"], [*tokens("text_tagging"), *more], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    run = tmp_path / "run"
    ledger = json.loads((run / "run.json").read_text(encoding="utf-8"))
    for stage, entry in ledger["stages"].items():
        assert (entry["status"], entry["processes"]) == ("done", 2), stage
    assert done.stderr.count("-- compare ---") == 1, "one process speaks"
    records = [json.loads(line) for line in (run / "pretrain" / "monitor.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [0, 2]
    lines = [json.loads(line) for line in (run / "finetune" / "curve.jsonl").read_text().splitlines()]
    curve = [line["step"] for line in lines if "loss" in line]
    assert curve and curve == sorted(set(curve))
    assert sum("eval_f1" in line for line in lines) >= 1, "early stopping looked at the validation split"
    assert load_file(run / "finetune" / "model" / "model.safetensors")
    predictions = pq.read_table(run / "evaluate" / "predictions.parquet")
    assert len(predictions) == 40, (
        "every test sentence once, though 40 sentences do not fill the batches of two processes"
    )
    tables = json.loads((run / "compare" / "table.json").read_text(encoding="utf-8"))
    assert tables["Fine-tuned"]["metric"] == "word_f1_macro"
    assert not list(run.rglob("checkpoint-*")) and not (run / "compare" / "work").exists()


TRAIN = """
import sys, torch
from pathlib import Path
import datasets
from safetensors.torch import save_file
from hf_ssl.core import distributed
from hf_ssl.modalities.text.text import Text
from hf_ssl.objectives.mlm import MaskedLanguageModeling
from hf_ssl.training.schedule import Schedule
from hf_ssl.training.trainer import arguments, train

checkpoint, texts, folder = sys.argv[1], Path(sys.argv[2]).read_text().split("\\n"), Path(sys.argv[3])
module = MaskedLanguageModeling(Text().load(checkpoint, "AutoModelForMaskedLM"), MaskedLanguageModeling.Config(max_length=16))
rows = module.rows(datasets.Dataset.from_dict({"text": texts}), seed=0, training=True)
options = {"max_steps": 3, "per_device_train_batch_size": 8 // distributed.world_size(), "learning_rate": 1e-3, "bf16": False,
           "logging_steps": 1, "save_strategy": "no", "max_grad_norm": 1.0}
result = train(module, rows, arguments(folder, seed=0, defaults={}, overrides=options), folder, schedule=Schedule())
assert distributed.gather(distributed.rank()) == list(range(distributed.world_size()))
assert distributed.broadcast(f"from {distributed.rank()}") == "from 0"
if distributed.is_main():
    print(f"world {distributed.world_size()}, {result.units} units", file=sys.stderr)
    save_file({k: v.contiguous() for k, v in module.state_dict().items()}, folder / "weights.safetensors")
"""


def test_processes_settle_before_they_end(monkeypatch):
    """Without the pause one process in ten aborted after its last collective, with exit code 134."""
    registered = []
    monkeypatch.setattr(distributed.atexit, "register", lambda *call: registered.append(call))
    for world, wanted in (("1", 0), ("2", 1)):
        monkeypatch.setenv("WORLD_SIZE", world)
        distributed.settle_at_exit.cache_clear()
        distributed.settle_at_exit()
        distributed.settle_at_exit()
        assert len(registered) == wanted
    distributed.settle_at_exit.cache_clear()


def test_two_processes_train_as_one(tiny_checkpoint, tmp_path):
    """Same examples in each step, a half on each process: the same loss, gradient norm and weights."""
    script, texts = tmp_path / "train.py", tmp_path / "texts.txt"
    script.write_text(TRAIN, encoding="utf-8")
    texts.write_text("\n".join(TEXTS[:64]), encoding="utf-8")
    found = {}
    for world in (1, 2):
        folder = tmp_path / str(world)
        given = [str(tiny_checkpoint("bert", "AutoModelForMaskedLM")), str(texts), str(folder)]
        if world == 2:
            done = launch([str(script)], given, tmp_path)
        else:
            command, environment = [sys.executable, str(script), *given], {**os.environ}
            environment["PYTHONPATH"] = str(Path(cli.__file__).parent.parent)
            done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stderr.count(f"world {world}, ") == 1
        lines = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
        found[world] = ([line for line in lines if "loss" in line], load_file(folder / "weights.safetensors"))
    for one, two in zip(found[1][0], found[2][0], strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)
        assert one["grad_norm"] == pytest.approx(two["grad_norm"], rel=1e-3)
    start = load_file(tiny_checkpoint("bert", "AutoModelForMaskedLM") / "model.safetensors")
    for name, weight in found[1][1].items():
        assert weight.allclose(found[2][1][name], atol=2e-5), name
    moved = start["bert.encoder.layer.0.attention.self.query.weight"]
    assert not moved.allclose(found[1][1]["model.bert.encoder.layer.0.attention.self.query.weight"], atol=1e-4)
