"""`hf-ssl check`: every stage of a recipe is tried for real, and nothing is left behind."""

from __future__ import annotations

import json
import math
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import runs

import hf_ssl
import tiny
from hf_ssl import cli
from hf_ssl.core.errors import CheckpointError, ConfigError, DataError
from hf_ssl.modalities.text.encoder import TextEncoder
from hf_ssl.stages import check as checking

TEXTS = list(dict.fromkeys(tiny.corpus(200)))
ROWS = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(TEXTS[:60])]
DATA = {
    "train": datasets.Dataset.from_list(ROWS[:40]), "test": datasets.Dataset.from_list(ROWS[40:]),
    "unlabeled": datasets.Dataset.from_dict({"text": TEXTS[60:120]}),
}  # fmt: skip
ALL = {
    "pretrain": {"objective": "mlm", "max_length": 32, "num_train_epochs": 2},
    "finetune": {"num_train_epochs": 4, "self_training": 0},
    "evaluate": {},
    "compare": {"labels_per_class": [2, 4], "num_seeds": 2, "probe_draws": 2},
    "embed": {},
}


@pytest.fixture
def shared(tiny_checkpoint, tmp_path) -> dict[str, Any]:
    checkpoint = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
    return {"data": DATA, "model": checkpoint, "output": str(tmp_path / "run"), "near_duplicates": False}


def test_every_stage_is_tried_and_added_up(shared, tmp_path, monkeypatch, said):
    read: set[str] = set()
    preprocess = TextEncoder.preprocess
    monkeypatch.setattr(
        TextEncoder,
        "preprocess",
        lambda self, values, *rest: (read.update(values), preprocess(self, values, *rest))[1],
    )
    found = hf_ssl.check({**shared, **ALL})
    assert list(found) == [*ALL, "total"]
    assert not (tmp_path / "run").exists(), "nothing is written"
    assert read and not read & {row["text"] for row in ROWS[40:]}, "no model has seen the test split"
    rows = found["pretrain"]["rows"]
    assert found["pretrain"]["steps"] == 2 * -(-rows // 8) and "tokens in a batch" in found["pretrain"]["batch"]
    assert found["finetune"]["steps"] == 4 * -(-found["finetune"]["rows"] // 16)
    assert found["finetune"]["trained_parameters"] < found["finetune"]["parameters"], (
        "adapters, as the stage uses them"
    )
    assert (
        found["compare"]["fits"] == 2 * 2 * 2 and found["evaluate"]["rows"] == found["compare"]["test_examples"] == 20
    )
    for stage in ALL:
        assert 0 < found[stage]["peak_memory_gb"] < 50 and found[stage]["estimated_minutes"] >= 0
    total = found["total"]
    assert total["fits"] and total["estimated_minutes"] == pytest.approx(
        sum(found[stage]["estimated_minutes"] for stage in ALL), abs=0.06
    )
    said = said.readouterr().err
    assert "check: every stage ran. About " in said and "GB of memory" in said


def test_only_rows_that_are_used_are_counted(shared):
    """Labels drawn at random say nothing of the pool, which then takes no part."""
    steps = [
        hf_ssl.check({**shared, "finetune": {"num_train_epochs": 4, "self_training": pool}})["finetune"]["steps"]
        for pool in (0, 30)
    ]
    assert steps[0] == steps[1]


def test_a_large_pool_is_tried_on_a_part_and_counted_whole(shared, monkeypatch):
    texts = [f"{text} in ward {number}" for number in range(20) for text in TEXTS[:100]]
    given = {**shared, "data": {**DATA, "unlabeled": datasets.Dataset.from_dict({"text": texts})}}
    whole = hf_ssl.check({**given, "pretrain": ALL["pretrain"]})["pretrain"]
    monkeypatch.setattr(checking, "POOL", 200)
    part = hf_ssl.check({**given, "pretrain": ALL["pretrain"]})["pretrain"]
    assert part["steps"] == pytest.approx(whole["steps"], rel=0.15) and part["steps"] > 200


def test_from_scratch(tmp_path):
    """A family has a configuration and no weights; the head that `finetune` trains is what `evaluate` measures."""
    series = [[math.sin(step * (0.2 + 0.2 * (row % 2)) + row) for step in range(100)] for row in range(60)]
    rows = [{"series": values, "label": "ab"[row % 2]} for row, values in enumerate(series)]
    data = {"train": rows[:40], "test": rows[40:], "unlabeled": [{"series": values} for values in series[:40]]}
    shared = {"data": data, "modality": "timeseries", "model": "patchtst", "output": str(tmp_path / "run")}
    recipe = {"pretrain": {"from_config": True}, "finetune": {"peft": "full"}, "evaluate": {}}
    found = hf_ssl.check({**shared, **recipe, "patch_length": 16, "patch_stride": 16, "near_duplicates": False})
    assert list(found) == [*recipe, "total"] and found["evaluate"]["rows"] == 20
    alone = hf_ssl.check({**shared, "finetune": {"from_config": True, "peft": "full"}, "near_duplicates": False})
    assert alone["finetune"]["trained_parameters"] == alone["finetune"]["parameters"]


def test_one_window_is_too_few_to_measure_and_a_shorter_context_helps(tmp_path):
    frame = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=71), "value": np.sin(np.arange(71) / 3)})
    shared = {"data": frame, "modality": "timeseries", "model": "patchtst", "output": str(tmp_path / "run")}
    shape = {"patch_length": 16, "patch_stride": 16, "context_length": 64, "horizon": 7}
    with pytest.raises(DataError, match="--context_length"):
        hf_ssl.check({**shared, **shape, "pretrain": {"from_config": True}})
    hf_ssl.check({**shared, **shape, "context_length": 32, "pretrain": {"from_config": True}})


def test_a_later_stage_starts_from_what_the_run_holds(tmp_path):
    run = runs.finished_run(tmp_path / "run", runs.base_checkpoint(tmp_path / "base"))
    before = (run / "run.json").read_text(encoding="utf-8")
    rows = runs.rows(60, 0, labeled=True)
    found = hf_ssl.check({"data": rows, "output": str(run), "near_duplicates": False, "evaluate": {}, "embed": {}})
    assert found["evaluate"]["rows"] and found["embed"]["rows"]
    assert (run / "run.json").read_text(encoding="utf-8") == before, "nothing is written"


def test_a_stage_alone_and_from_the_command_line(shared, tmp_path, said):
    for split, rows in (("train", ROWS[:40]), ("test", ROWS[40:])):
        datasets.Dataset.from_list(rows).to_csv(str(tmp_path / "data" / f"{split}.csv"))
    recipe = tmp_path / "only.yaml"
    recipe.write_text("finetune:\n  peft: full\n  max_steps: 7\n", encoding="utf-8")
    given = [f"--data={tmp_path / 'data'}", f"--model={shared['model']}", f"--output={shared['output']}"]
    assert cli.main(["check", str(recipe), *given]) == 0
    found = json.loads(said.readouterr().out)
    assert list(found) == ["finetune", "total"] and found["finetune"]["steps"] == 7
    assert found["finetune"]["trained_parameters"] == found["finetune"]["parameters"]


def test_full_disk_is_said(shared, monkeypatch, said):
    monkeypatch.setattr(checking.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1})())
    found = hf_ssl.check({**shared, "embed": {"split": "test"}})
    assert found["total"]["fits"] is False
    assert "disk is too small" in said.readouterr().err


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"finetune": {"ranc": 4}}, ConfigError, "lora_r"),
        ({"pretrain": {}, "finetune": {"labels_per_class": 400}}, DataError, "fewer than 400"),
        ({"embed": {"split": "tets"}}, ConfigError, "no split"),
        ({"finetune": {}, "model": "nowhere/at/all"}, CheckpointError, "nothing was fetched"),
        ({}, ConfigError, "names no stage"),
    ],
)
def test_what_would_fail_later_fails_now(shared, change, error, message):
    with pytest.raises(error, match=message):
        hf_ssl.check({**shared, **change})
