"""Every audio recipe runs, on tiny data and weights."""

from __future__ import annotations

import json

import pytest
from places import RECIPES as RECIPES_FOLDER

import sounds
import tiny
from hf_ssl import cli
from hf_ssl.core.parsing import from_yaml

soundfile = pytest.importorskip("soundfile", reason='needs the audio extra: pip install "hf_ssl[audio]"')
RECIPES = sorted(path.stem for path in RECIPES_FOLDER.glob("audio_*.yaml"))
SMALL = {
    "pretrain": {"max_steps": 2, "monitor_points": 1, "per_device_train_batch_size": 4, "eval_fraction": 0.5},
    "finetune": {"max_steps": 2, "early_stopping_patience": 0},
    "evaluate": {},
    "compare": {"labels_per_class": "4", "num_seeds": 2, "probe_draws": 2, "max_steps": 1},
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_runs(recipe, repository, tmp_path):
    file = repository / "recipes" / f"{recipe}.yaml"
    content = from_yaml(file)
    arch = "wav2vec2" if content.get("label_kind") == "transcript" else "whisper"
    model = tiny.write_checkpoint(arch, tmp_path / "start", "AutoModel")
    given = {"data": sounds.recordings_folder(tmp_path / "data"), "model": model, "output": tmp_path / "run"}
    if "window" in content:
        given["window"] = 2
    stages = [stage for stage in content if stage in SMALL]
    given |= {f"{stage}.{name}": value for stage in stages for name, value in SMALL[stage].items()}
    assert cli.main(["run", recipe, *[f"--{name}={value}" for name, value in given.items()]]) == 0
    ledger = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert {stage: entry["status"] for stage, entry in ledger["stages"].items()} == dict.fromkeys(stages, "done")
