"""`hf-ssl check`: every stage of a recipe is tried for real, and nothing is left behind."""

from __future__ import annotations

import json
from typing import Any

import datasets
import pytest

import hf_ssl
import tiny
from hf_ssl import cli
from hf_ssl.core.errors import CheckpointError, ConfigError, DataError
from hf_ssl.modalities.text.text import Text
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
    "compare": {"labels_per_class": [2, 4], "num_seeds": 2},
    "embed": {},
}


@pytest.fixture
def shared(tiny_checkpoint, tmp_path) -> dict[str, Any]:
    checkpoint = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
    return {"data": DATA, "model": checkpoint, "output": str(tmp_path / "run"), "near_duplicates": False}


def test_every_stage_is_tried_and_added_up(shared, tmp_path, monkeypatch, said):
    read: set[str] = set()
    encode = Text.encode
    monkeypatch.setattr(
        Text, "encode", lambda self, p, values, *rest: (read.update(values), encode(self, p, values, *rest))[1]
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
    assert "check: every stage ran. About " in said and "GB of memory at the most" in said


def test_what_the_pool_adds_is_counted(shared):
    steps = [
        hf_ssl.check({**shared, "finetune": {"num_train_epochs": 4, "self_training": pool}})["finetune"]["steps"]
        for pool in (0, 30)
    ]
    assert steps[1] == steps[0] + 4 * 2, "30 more rows are two more batches an epoch"


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
    assert "The disk is too small" in said.readouterr().err


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
