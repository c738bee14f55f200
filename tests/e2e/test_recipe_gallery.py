"""Every recipe that ships: the script can be run alone, its options exist, its head says what it is, the table names it."""

from __future__ import annotations

import json
import re
import tomllib
import warnings
from pathlib import Path

import pytest
from execute_recipes import RECORDS, figures_of, minute_of, missing, run
from places import RECIPES

from hf_ssl.core import plugins
from hf_ssl.core.fields import hints_of
from hf_ssl.core.options import STAGES
from hf_ssl.core.parsing import from_yaml
from hf_ssl.stages.plan import plugin_config
from hf_ssl.stages.resolve import modality_fields, resolve, split_sections

SCRIPTS = sorted(path for path in RECIPES.glob("*.py") if path.name != "__init__.py")
FILES = sorted(RECIPES.glob("*.yaml"))
HEADER = re.compile(r"^# /// script\n(?P<body>(^#(?: .*)?\n)+?)^# ///$", re.MULTILINE)
LONGEST = 80

scripts = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
files = pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)


@scripts
def test_script_carries_its_dependencies(script: Path) -> None:
    """PEP 723: `uv run NAME.py` and `pipx run NAME.py` install what the script needs, hf-ssl included."""
    match = HEADER.search(script.read_text(encoding="utf-8"))
    assert match, f"{script.name} has no `# /// script` head"
    needed = tomllib.loads(re.sub(r"^# ?", "", match["body"], flags=re.MULTILINE))["dependencies"]
    assert any(re.match(r"hf-ssl(\[[\w,]+\])?>=", requirement) for requirement in needed), needed


@scripts
def test_script_is_short_and_says_how_to_run_it(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST
    assert f"recipes/{script.name}" in text or "make quickstart" in text, "the head shows the command"


@files
def test_options_exist(file: Path) -> None:
    """Every option of every section is one of its stage's, its plug-in's, its data's, or of TrainingArguments."""
    shared, sections = split_sections(from_yaml(file))
    assert sections, "a recipe names its stages"
    for stage, given in sections.items():
        kind = plugins.find("modalities", shared.get("modality", "text"))
        known = {*hints_of(STAGES[stage]), *modality_fields(kind)}
        options = {**{name: value for name, value in shared.items() if name in known}, **given}
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # old names
            resolve(stage, options, plugin_config(stage, options))


@files
def test_first_line_is_the_title(file: Path) -> None:
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert re.match(r"# \S", first), "the first line is the title that `hf-ssl recipes ls` shows"


def test_the_table_names_every_recipe() -> None:
    table = RECIPES / "README.md"
    if not table.is_file():
        pytest.skip("no table in this checkout")
    rows = set(re.findall(r"^\| \[(\w+)\]", table.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert rows == {path.stem for path in FILES}


def test_the_table_is_the_test_matrix() -> None:
    """Its last column names a test that runs the recipe: by its name, or all of its kind."""
    table = RECIPES / "README.md"
    if not table.is_file():
        pytest.skip("no table in this checkout")
    rows = re.findall(
        r"^\| \[(\w+)\].*\| `tests/(e2e/test_\w+\.py)` \|$", table.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert {name for name, _ in rows} == {path.stem for path in FILES}
    for name, file in rows:
        text = (RECIPES.parent / "tests" / file).read_text(encoding="utf-8")
        kind, _, rest = name.partition("_")
        assert name in text or f'"{kind}_*.yaml"' in text or (rest in text and f"{kind}_" in text), (
            f"{file} runs no {name}"
        )


def test_what_is_on_record_are_the_minutes_of_all_recipes() -> None:
    assert {path.stem for path in RECORDS.glob("*.json")} == {file.stem for file in FILES}


@files
def test_a_minute_of_it_is_shown(file: Path) -> None:
    """Its record is of the commands in its head, has pictures, took no more than a minute, and tells nothing of the machine."""
    found = json.loads((RECORDS / f"{file.stem}.json").read_text(encoding="utf-8"))
    minute = minute_of(file)
    assert minute
    assert tuple(found["commands"]) == minute.commands and found["note"] == minute.note, (
        "run: python tests/support/execute_recipes.py"
    )
    assert f"hf-ssl run {file.stem} " in minute.commands[-1] and found["seconds"] <= 60
    text = "\n".join(found["said"])
    assert re.search(r"^-- \w+ -+$", text, re.M) and not re.search(r"/home/|/root/|/tmp/|Traceback", text)
    assert found["pictures"]
    for picture in found["pictures"]:
        assert (RECORDS / picture["file"]).read_text(encoding="utf-8").startswith("<svg") and picture["caption"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@files
def test_the_minute_runs(file: Path, tmp_path: Path) -> None:
    minute = minute_of(file)
    assert minute
    if lacking := missing(minute):
        pytest.skip(lacking)
    assert "-- " in run(minute, tmp_path)
    assert figures_of(next((tmp_path / "runs").glob("*/report.html")).read_text(encoding="utf-8"))
