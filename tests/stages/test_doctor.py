"""`hf-ssl doctor` says what is there, what is missing, and never the token."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest

import hf_ssl
from hf_ssl import cli
from hf_ssl.hub import account
from hf_ssl.stages import doctor as examined

TOKEN = "hf_" + "secret" * 5


class Answer:
    def __init__(self, status: int, content: dict[str, Any]) -> None:
        self.status_code, self.content = status, content

    def json(self) -> dict[str, Any]:
        return self.content


class Session:
    """What the Hub would say."""

    def __init__(self, answer: Answer | Exception) -> None:
        self.answer, self.asked = answer, []

    def get(self, address: str, **options: Any) -> Answer:
        self.asked.append((address, options))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def hub(monkeypatch: pytest.MonkeyPatch, answer: Answer | Exception, token: str | None = TOKEN) -> Session:
    session = Session(answer)
    monkeypatch.setattr(account, "get_session", lambda: session)
    monkeypatch.setattr(account, "get_token", lambda: token)
    monkeypatch.setattr(account.constants, "HF_HUB_OFFLINE", False)
    return session


OWNER = {"name": "alice", "orgs": [{"name": "acme"}], "auth": {"accessToken": {"role": "write", "displayName": "x"}}}


def test_the_tokens_scope_is_told_and_never_the_token(monkeypatch, capsys, tmp_path):
    session = hub(monkeypatch, Answer(200, OWNER))
    monkeypatch.setattr(examined, "SECONDS", 0.01)
    assert cli.main(["doctor", "--output", str(tmp_path), "--json"]) == 0
    out = capsys.readouterr().out
    told = json.loads(out)["metrics"]
    assert told["hub"]["token"] == "write" and told["hub"]["name"] == "alice" and told["hub"]["reachable"] is True
    assert TOKEN not in out and session.asked[0][1]["timeout"] <= 10
    assert told["speed"]["float32_gflops"] > 0 and told["speed"]["disk_mb_per_second"] > 0
    assert list(tmp_path.iterdir()) == [], "the disk's trial leaves nothing"
    assert cli.main(["doctor", "--output", str(tmp_path), "--speed", "false"]) == 0
    shown = capsys.readouterr().err
    assert "token: write of alice" in shown and TOKEN not in shown and "torch" in shown


@pytest.mark.parametrize(
    ("answer", "token", "wanted"),
    [
        (Answer(401, {}), None, {"reachable": True, "token": "none"}),
        (Answer(401, {}), TOKEN, {"reachable": True, "token": "refused"}),
        (Answer(503, {}), None, {"reachable": False, "token": "none"}),
        (ConnectionError("no route"), TOKEN, {"reachable": False, "token": "not asked", "reason": "ConnectionError"}),
        (Answer(200, {"name": "bob"}), TOKEN, {"token": "unknown", "name": "bob", "organizations": []}),
    ],
)
def test_what_the_hub_may_answer(answer, token, wanted, monkeypatch):
    hub(monkeypatch, answer, token)
    assert wanted.items() <= account.hub_state().items()


def test_offline_is_respected_and_the_hub_is_asked_only_where_wanted(monkeypatch):
    session = hub(monkeypatch, Answer(200, OWNER))
    assert hf_ssl.doctor(hub=False, speed=False).metrics["hub"]["reachable"] is None
    monkeypatch.setattr(account.constants, "HF_HUB_OFFLINE", True)
    assert account.hub_state()["reason"] == "HF_HUB_OFFLINE is set" and not session.asked


def test_missing_extras_have_their_pip_line(monkeypatch):
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "soundfile":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(
        importlib.metadata,
        "requires",
        lambda name: ["torch>=2", 'soundfile>=0.12; extra == "audio"', "ruff; extra == 'dev'"],
    )
    assert examined.missing_extras() == {"audio": {"missing": ["soundfile"], "install": 'pip install "hf-ssl[audio]"'}}


def test_problems_are_told_with_what_to_do():
    found = hf_ssl.doctor(hub=False, speed=False).metrics
    here = {**found["machine"], "writable": False, "free_disk_gb": 1.0, "memory_gb": 2.0, "load": 0.0}
    bad = {**found, "machine": here, "hub": {"reachable": False, "token": "read", "reason": "x"}}
    told = " ".join(examined.problems(bad))
    for word in ("--output", "1.0 GB of disk", "2.0 GB of memory", "HF_HUB_OFFLINE", "may only read"):
        assert word in told
    good = {**here, "writable": True, "free_disk_gb": 99.0, "memory_gb": 64.0}
    able = {"kind": "cpu", "bf16": True, "flash": False, "devices": []}
    fine = {**found, "machine": good, "accelerator": able, "hub": {"reachable": True, "token": "write"}}
    assert examined.problems(fine) == []
    assert ("problems", "none") in examined.summary({**fine, "problems": []}).lines


def test_wrong_options_are_refused(capsys, tmp_path: Path):
    assert cli.main(["doctor", "--sped", "false"]) == 1
    assert "'speed'" in capsys.readouterr().err
