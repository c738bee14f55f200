"""Every audio recipe runs as a script, on tiny data and weights."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import pytest

import sounds
import tiny
from hf_ssl.core.parsing import from_yaml

soundfile = pytest.importorskip("soundfile", reason='needs the audio extra: pip install "hf_ssl[audio]"')
RECIPES = sorted(path.stem for path in (Path(__file__).parent.parent / "recipes").glob("audio_*.yaml"))
SMALL = {
    "pretrain": {"max_steps": 2, "monitor_points": 1, "per_device_train_batch_size": 4, "eval_fraction": 0.5},
    "finetune": {"max_steps": 2, "patience": 0},
    "evaluate": {},
    "compare": {"budgets": "4", "draws": 2, "max_steps": 1},
}


def data(folder: Path) -> Path:
    """What the heads say they need: recordings with a class and a transcript each, and a pool."""
    folder.mkdir()
    number = 0
    for split, count in (("train", 24), ("validation", 8), ("test", 16), ("unlabeled", 40)):
        rows = []
        for _ in range(count):
            path = folder / f"{number}.wav"
            soundfile.write(path, sounds.voice(number, 0.2 + 0.01 * number), 16_000)
            rows.append(
                {"path": path.name, "label": "ab"[number % 2], "transcript": f"{'ab'[number % 2]} {number % 3}"}
            )
            number += 1
        with (folder / f"{split}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["path"] if split == "unlabeled" else list(rows[0]), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    return folder


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_runs_as_a_script(recipe, repository, tmp_path):
    file = repository / "recipes" / f"{recipe}.yaml"
    content = from_yaml(file)
    arch = "wav2vec2" if content.get("label_kind") == "transcript" else "whisper"
    model = tiny.write_checkpoint(arch, tmp_path / "start", "AutoModel")
    given = {"data": data(tmp_path / "data"), "model": model, "output": tmp_path / "run"}
    if "window" in content:
        given["window"] = 2
    stages = [stage for stage in content if stage in SMALL]
    given |= {f"{stage}.{name}": value for stage in stages for name, value in SMALL[stage].items()}
    spec = importlib.util.spec_from_file_location(recipe, file.with_suffix(".py"))
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main([f"--{name}={value}" for name, value in given.items()])
    ledger = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert {stage: entry["status"] for stage, entry in ledger["stages"].items()} == dict.fromkeys(stages, "done")
