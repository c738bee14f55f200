"""hf_ssl as somebody else's dependency: a small package adds an objective, a task and a kind of data by dotted path."""

from __future__ import annotations

import ast
import json
import os
import random
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from places import TESTS

import hf_ssl
from hf_ssl import run_recipe

PACKAGE = TESTS / "dependent"
SOURCES = PACKAGE / "src"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SOURCES))


def write_fasta(folder: Path, count: int = 48) -> Path:
    """Two kinds of sequence, rich in A and T or in C and G, as a user has them: a folder of FASTA files per class."""
    draw = random.Random(0)
    for label, letters in (("plasmid", "AATTCG"), ("chromosome", "CCGGAT")):
        (folder / "labeled" / label).mkdir(parents=True)
        for number in range(count // 2):
            sequence = "".join(draw.choice(letters) for _ in range(draw.randint(20, 60)))
            (folder / "labeled" / label / f"{number}.fa").write_text(
                f">record {number}\n{sequence[:30]}\n{sequence[30:].lower()}\n"
            )
    return folder / "labeled"


def test_only_public_names_are_used() -> None:
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hf_ssl"):
                assert node.module == "hf_ssl", f"{path.name} reaches into {node.module}"
                assert {alias.name for alias in node.names} <= set(hf_ssl.__all__), path.name
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("hf_ssl") for alias in node.names), path.name


def test_all_three_by_dotted_path(installed: None, tmp_path: Path, tiny_checkpoint) -> None:
    """A folder of FASTA files goes through pre-training, fine-tuning and evaluation with nothing of ours but the frame."""
    data = write_fasta(tmp_path)
    results = run_recipe(
        {
            "data": str(data), "modality": "genomics_ssl.dna:Dna", "model": str(tiny_checkpoint("bert")), "output": str(tmp_path / "run"),
            "pretrain": {"objective": "genomics_ssl.order:WindowOrder", "exchanged": 0.4, "max_steps": 3, "monitor_points": 1},
            "finetune": {"task": "genomics_ssl.rare:RareClass", "max_steps": 3, "early_stopping_patience": 0},
            "evaluate": {"task": "genomics_ssl.rare:RareClass"},
        }
    )  # fmt: skip
    assert set(results["evaluate"].metrics) == {"accuracy", "balanced_accuracy"}
    ledger = json.loads((tmp_path / "run" / "run.json").read_text())
    assert ledger["stages"]["pretrain"]["plugin"] == {"exchanged": 0.4}
    assert ledger["data"]["modality"] == "genomics_ssl.dna:Dna"
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(results["finetune"].path / "model")
    assert set(model.config.label2id) == {"plasmid", "chromosome"}


def test_they_keep_the_promises(installed: None, tiny_checkpoint) -> None:
    """The contract suite, as another package runs it on its own classes."""
    import datasets
    from genomics_ssl.dna import Dna
    from genomics_ssl.order import WindowOrder
    from genomics_ssl.rare import RareClass

    from hf_ssl.testing import check_modality, check_objective, check_task

    draw, folder = random.Random(1), str(tiny_checkpoint("bert"))
    values = ["".join(draw.choice("ACGT") for _ in range(10 + 3 * number)) for number in range(12)]
    pool = datasets.Dataset.from_dict({"sequence": values})
    labels = datasets.ClassLabel(names=["plasmid", "chromosome"])

    def load(head: str, **options: object) -> hf_ssl.Encoder:
        return Dna().load(folder, head, **options)

    bare = ("pooler", "key.bias")  # the vector is a mean; a key bias shifts all scores of a softmax alike
    check_modality(Dna(), folder, values)
    check_objective(WindowOrder, load, pool, without_gradient=bare)
    labeled = pool.add_column("label", [number % 2 for number in range(12)], feature=labels)
    check_task(RareClass, load, labeled, without_gradient=bare)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_type_checks_against_ours(tmp_path: Path) -> None:
    """`py.typed` is worth something: mypy, strictly, on the other package alone."""
    pytest.importorskip("mypy")
    command = [
        sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--ignore-missing-imports", "--allow-subclassing-any",
        "--no-warn-unused-ignores", "--cache-dir", str(tmp_path), "--config-file", os.devnull, str(SOURCES / "genomics_ssl"),
    ]  # fmt: skip
    environment = os.environ | {"MYPYPATH": os.pathsep.join([str(PACKAGE.parent.parent), str(SOURCES)])}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stdout
    wrong = SOURCES / "genomics_ssl" / "order.py"
    broken = tmp_path / "broken.py"
    broken.write_text(wrong.read_text().replace("len(labels), num_items_in_batch", "str(labels), num_items_in_batch"))
    result = subprocess.run(
        [*command[:-1], str(broken)], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )
    assert "normalize_loss" in result.stdout, "a wrong call must be seen"


@pytest.mark.slow
def test_wheels_install_beside_each_other(tmp_path: Path) -> None:
    """Both wheels in a fresh environment that has only the dependencies: `pip check`, the command, the dotted path."""
    import shutil

    source = PACKAGE.parent.parent
    if not (source / "pyproject.toml").is_file():
        pytest.skip("needs the source checkout")
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "runs", "tests", "notebooks")
    ours = shutil.copytree(source, tmp_path / "hf_ssl", ignore=unwanted)
    theirs = shutil.copytree(
        PACKAGE, tmp_path / "genomics", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    for folder in (ours, theirs):
        run(
            [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(folder)],
            tmp_path,
        )
    wheels = sorted((tmp_path / "dist").glob("*.whl"))
    assert len(wheels) == 2 and len(list((tmp_path / "dist").glob("*.tar.gz"))) == 2
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    # The dependencies are not downloaded again: the environment of the tests lies behind the new one.
    site = Path(
        run([str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], tmp_path).strip()
    )
    import numpy

    (site / "behind.pth").write_text(str(Path(numpy.__file__).parent.parent))
    run(
        [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", *map(str, wheels)], tmp_path
    )
    checked = subprocess.run(
        [str(python), "-m", "pip", "check"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    complaints = [line for line in checked.stdout.splitlines() if line.startswith(("hf-ssl ", "genomics-ssl "))]
    assert not complaints, complaints
    code = "import hf_ssl; from hf_ssl.core.plugins import find; print(hf_ssl.__file__, find('tasks', 'genomics_ssl.rare:RareClass').__name__)"
    told = run([str(python), "-c", code], tmp_path)
    assert str(site) in told and "RareClass" in told
    assert "pretrain" in run([str(tmp_path / "venv" / "bin" / "hf-ssl"), "--help"], tmp_path)


def run(command: list[str], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout
