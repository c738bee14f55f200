"""The ledger: typed, written whole, older ones read, others refused with a line that says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hf_ssl.core.errors import RunFolderError
from hf_ssl.core.run import BaseModel, RunDir

OLD = {
    "format": 1,
    "base": {"id": "me/bert", "revision": "abc", "licence": "mit", "weights_sha": "12", "source": "/here/bert"},
    "data": {"fingerprint": "ff", "modality": "text"},
    "stages": {
        "pretrain": {
            "status": "done", "inputs": "aa", "pid": 1, "host": "there", "seconds": 3.5, "started": "2026-01-01T00:00:00+0000",
            "options": {
                "options": {"rank": 4, "alpha": None, "ramp": 0.2, "peft": "lora", "modality_options": {}},
                "plugin": {"mask_ratio": 0.3}, "training": {"max_steps": 2},
            },
            "metrics": {"steps": 2}, "outputs": {"model": "run/pretrain/model"},
            "vocabulary": {"new_words": ["a"], "tokens_per_word": [2.0, 1.0]},
        },
    },
}  # fmt: skip


def written(folder: Path, content: Any) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


def test_a_run_of_the_release_before_is_read(tmp_path: Path) -> None:
    run = RunDir(written(tmp_path / "run", OLD))
    record = run.need("pretrain", "")
    assert record.done and record.seconds == 3.5 and run.output("pretrain") == "run/pretrain/model"
    assert record.options == {
        "lora_r": 4,
        "lora_alpha": None,
        "backbone_warmup_ratio": 0.2,
        "peft": "lora",
        "modality_options": {},
    }
    assert record.plugin == {"mask_ratio": 0.3} and record.training == {"max_steps": 2}
    assert record.outputs["vocabulary"]["new_words"] == ["a"]
    assert (
        run.base == BaseModel("me/bert", "abc", "mit", "12", "/here/bert") and run.facts["data"]["fingerprint"] == "ff"
    )
    run.save()
    again = RunDir(run.path)
    assert again.stages == run.stages and again.base == run.base and again.facts == run.facts
    assert json.loads((run.path / "run.json").read_text(encoding="utf-8"))["format"] == 2


def test_a_stage_leaves_its_record(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    assert run.stage("embed").status == "absent" and run.output("embed") is None
    options = {"options": {"k": 1}, "plugin": {}, "training": {}}
    with run.running("embed", "aa", options, resume=False, overwrite=False) as record:
        assert RunDir(run.path).stage("embed").status == "running"
        record.metrics["vectors"] = 3
    found = RunDir(run.path)
    assert found.finished("embed", "aa") and not found.finished("embed", "bb")
    assert found.stage("embed").options == {"k": 1} and found.stage("embed").metrics == {"vectors": 3}
    with pytest.raises(ValueError, match="odd"), found.running("embed", "bb", options, resume=False, overwrite=True):
        raise ValueError("odd")
    assert (RunDir(run.path).stage("embed").status, RunDir(run.path).stage("embed").error) == (
        "failed",
        "ValueError: odd",
    )
    with pytest.raises(RunFolderError, match="no finished embed. Do it."):
        found.need("embed", "Do it.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**OLD, "format": 99}, "format 99"),
        ({**OLD, "stages": []}, "stages should be a mapping"),
        ({"format": 2}, "stages should be a mapping"),
        ({**OLD, "stages": {"pretrain": 3}}, "stages.pretrain should be a mapping"),
        ({**OLD, "stages": {"pretrain": {"status": 5}}}, "status 5"),
        ({**OLD, "stages": {"pretrain": {"metrics": "none"}}}, "stages.pretrain.metrics should be a mapping"),
        ({**OLD, "base": "bert"}, "base should be a mapping"),
        ("[]", "should be a mapping"),
        ("{", "not readable JSON"),
        ("[" * 100_000, "not readable JSON"),
    ],
)
def test_a_ledger_of_another_shape_is_refused(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=message) as error:
        RunDir(written(tmp_path / "run", content))
    assert "run.json" in str(error.value) and ("--output" in str(error.value))
