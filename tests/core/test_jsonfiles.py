"""JSON that others wrote: read, or one kind of error."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_ssl.core.errors import ConfigError, RunFolderError
from hf_ssl.core.fields import OptionsError
from hf_ssl.core.jsonfiles import parse, read_json, read_lines
from hf_ssl.core.options import PretrainConfig
from hf_ssl.core.parsing import coerce, coerce_fields
from hf_ssl.core.run import LEDGER, RunDir, StageRecord

DEEP = "[" * 100_000


@pytest.mark.parametrize("content", ["", "{", DEEP, b"\xff", '{"a": ' + "9" * 100_000 + "}"])
def test_what_is_no_json_is_one_kind_of_error(content: str | bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        parse(content)
    file = tmp_path / "x.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RunFolderError, match="x.json"):
        read_json(file)


def test_lines_that_are_none_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "curve.jsonl"
    file.write_bytes(
        b'{"step": 1}\n\xff\xfe\n[1]\n' + DEEP.encode() + b'\n{"text": "a\xe2\x80\xa8b"}\n{"step": 2, "lo'
    )
    assert read_lines(file) == [{"step": 1}, {"text": "a\u2028b"}]
    assert read_lines(tmp_path / "nowhere") == []


def test_a_ledger_that_lost_what_a_stage_left(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.stages["finetune"] = StageRecord(status="done", outputs={"model": "x"})
    run.folder()
    run.save()
    outputs = RunDir(tmp_path / "run").stage("finetune").outputs
    assert outputs["model"] == "x" and outputs.get("task") is None
    with pytest.raises(RunFolderError, match=f"{LEDGER}.*task.*--overwrite"):
        outputs["task"]


def test_tokens_and_numbers_that_are_none_are_no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="HF_TOKEN") as told:
        coerce(str | None, "mine hf_" + "a1" * 17)
    assert "a1a1" not in str(told.value)
    assert coerce(str | None, "hf_ssl/some-model") == "hf_ssl/some-model"
    monkeypatch.setenv("HF_TOKEN", "another-form-of-token")
    with pytest.raises(OptionsError, match="output"):
        coerce_fields(PretrainConfig, {"output": "runs/another-form-of-token"})
    for value in ("nan", float("nan")):
        with pytest.raises(ConfigError, match="no number"):
            coerce(float, value)
    with pytest.raises(ConfigError, match="no number"):
        coerce(list[float], [0.5, float("nan")])
