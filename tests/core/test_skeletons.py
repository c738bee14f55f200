"""What `hf-ssl new` writes works at once, and its test, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import REPOSITORY

from hf_ssl import cli
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.plugins import config_of
from hf_ssl.core.skeletons import KINDS, write_skeleton


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_written_test_passes(kind: str, tmp_path: Path) -> None:
    assert cli.main(["new", kind, "my-own", "--folder", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my_own.py", "test_my_own.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{tmp_path}", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 passed" in done.stdout


def test_it_is_found_by_its_dotted_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_skeleton("objective", "halves", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    config = config_of("objectives", "halves:Halves")
    assert config is not None and "exchanged" in config.__dataclass_fields__


def test_nothing_is_overwritten_and_names_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_skeleton("task", "mine", tmp_path)
    before = (tmp_path / "mine.py").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="exists already"):
        write_skeleton("task", "mine", tmp_path)
    assert (tmp_path / "mine.py").read_text(encoding="utf-8") == before
    for name in ("../x", "class", "3d", ""):
        with pytest.raises(ConfigError, match="cannot be the name"):
            write_skeleton("task", name, tmp_path)
    assert cli.main(["new", "objectiv", "x"]) == 1 and "'objective'" in capsys.readouterr().err
    assert cli.main(["new"]) == 1 and "hf-ssl new objective" in capsys.readouterr().err
