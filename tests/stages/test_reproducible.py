"""The same command and seed twice, in fresh processes: the same weights, of new heads and adapters too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

import tiny

STAGES = """
import sys
from hf_ssl import finetune, pretrain
data, model, output, objective = sys.argv[1:]
shared = {"data": data, "output": output, "max_steps": 2, "per_device_train_batch_size": 4, "max_length": 24, "seed": 3,
          "near_duplicates": False, "peft": "lora"}
pretrain(**shared, model=model, objective=objective, monitor_points=1, keep_checkpoint="last", learning_rate=1e-3)
finetune(**shared, learning_rate=1e-3)
"""


@pytest.mark.parametrize("objective", ["mlm", "simcse"])
def test_every_stage_that_trains_twice(objective, tiny_checkpoint, tmp_path):
    texts = list(dict.fromkeys(tiny.corpus(200)))[:90]
    rows = [{"text": text, "label": "ab"[" patient " in text]} for text in texts[:40]]
    for name, part in (
        ("train", rows[:30]),
        ("test", rows[30:]),
        ("unlabeled", [{"text": text} for text in texts[40:]]),
    ):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    # A BERT without the head of masked words: `mlm` makes a new one.
    model = str(tiny_checkpoint("bert", "AutoModel"))
    for turn in ("1", "2"):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        environment["PYTHONHASHSEED"] = turn
        given = [f"{tmp_path}/*.jsonl", model, str(tmp_path / turn), objective]
        done = subprocess.run(
            [sys.executable, "-c", STAGES, *given],
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    start = load_file(Path(model) / "model.safetensors")
    for stage in ("pretrain", "finetune"):
        first, second = (load_file(tmp_path / turn / stage / "model" / "model.safetensors") for turn in ("1", "2"))
        assert first.keys() == second.keys()
        assert all(first[name].equal(second[name]) for name in first), stage
        assert not all(start[name].equal(first[key]) for key in first if (name := key.removeprefix("bert.")) in start)
