"""The README is true: its code blocks run, its commands and links exist.

How to write it: see `tests/support/doc_blocks.py`. Blocks run from top to bottom in one folder, which holds `my-data/` (20 Newsgroups
as a user would have it: an unlabeled pool, labels.csv, test.csv), `recipes/`, and the real checkpoint under its Hub name.
Each block must stand alone, given the files that the blocks above it wrote. A YAML block that starts with `# NAME.yaml` is
saved under that name. `make TARGET` is only looked up: a test does not start the tests again.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from doc_blocks import Block, blocks_of, commands_of, same_words
from places import REPOSITORY

from hf_ssl import demo

README = REPOSITORY / "README.md"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SECONDS = 600  # for one command: up to two minutes of a core, which other work may share
SLOW = [pytest.mark.slow, pytest.mark.timeout(2 * SECONDS)]

TEXT = README.read_text(encoding="utf-8") if README.is_file() else ""
BLOCKS = blocks_of(TEXT)
RUNNABLE = [
    pytest.param(block, id=f"line{block.line}-{block.language}", marks=SLOW if block.directive == "slow" else [])
    for block in BLOCKS
    if block.language in ("python", "bash", "yaml")
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    try:
        demo.write_newsgroups(folder / "my-data", per_class=8, pool_limit=300, test_limit=200)
    except demo.MissingExtraError as error:
        pytest.skip(str(error))
    (folder / MINILM).parent.mkdir()
    (folder / MINILM).symlink_to(minilm)
    (folder / "recipes").symlink_to(REPOSITORY / "recipes")
    return folder


@pytest.mark.parametrize("block", RUNNABLE)
def test_block_runs(block: Block, workspace: Path) -> None:
    if block.directive.startswith("skip"):
        pytest.skip(block.directive)
    if block.language == "python":
        told = run([sys.executable, "-c", block.code], workspace, f"README.md:{block.line}")
    elif block.language == "yaml":
        save_yaml(block, workspace)
        return
    else:
        told = "".join(run_command(command, workspace, f"README.md:{block.line}") for command in commands_of(block))
    assert not same_words(block.printed, told), f"README.md:{block.line} prints\n{told}"


def run_command(command: list[str], folder: Path, where: str) -> str:
    """What it prints; nothing where it is only looked up."""
    program, *arguments = command
    if program == "make":
        assert arguments and arguments[0] in make_targets(), f"{where}: make has no target {arguments}"
    elif program in ("git", "cd") or command[:2] == ["pip", "install"]:
        extras = set(re.findall(r"[\w-]+", ",".join(re.findall(r"\[([\w,-]+)\]", " ".join(arguments)))))
        assert extras <= declared_extras(), f"{where}: no such extra among {extras}"
    elif program == "hf-ssl":
        return run(
            [sys.executable, "-c", "from hf_ssl.cli import main; raise SystemExit(main())", *arguments], folder, where
        )
    elif program == "python":
        return run([sys.executable, *arguments], folder, where)
    elif command[:2] == ["accelerate", "launch"]:
        return run([sys.executable, "-m", "accelerate.commands.launch", *arguments[1:]], folder, where)
    else:
        pytest.fail(
            f"{where}: this test cannot run {shlex.join(command)!r}; mark the block with <!-- test: skip WHY -->"
        )
    return ""


def run(command: list[str], folder: Path, where: str) -> str:
    """Output and log of a command, which must end well."""
    result = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    assert result.returncode == 0, f"{where}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout + result.stderr


def save_yaml(block: Block, folder: Path) -> None:
    import yaml

    assert isinstance(yaml.safe_load(block.code), dict), f"README.md:{block.line} is not a YAML mapping"
    name = re.match(r"# ([\w./-]+\.ya?ml)\b", block.code)
    if name:
        (folder / name[1]).write_text(block.code, encoding="utf-8")


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.M))


def declared_extras() -> set[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    return set(project["project"]["optional-dependencies"])


def test_readme_opens_with_the_two_commands() -> None:
    commands = [command for block in BLOCKS if block.language == "bash" for command in commands_of(block)]
    assert ["make", "quickstart"] in commands
    assert ["make", "test"] in commands
    assert any(command[0] == "hf-ssl" for command in commands)
    assert any(block.language == "python" for block in BLOCKS)


def test_python_blocks_are_python() -> None:
    for block in BLOCKS:
        if block.language == "python":
            ast.parse(block.code, filename=f"README.md:{block.line}")


def test_most_blocks_are_run() -> None:
    """Skipping is for what needs a network, not a way around this test."""
    skipped = [block for block in BLOCKS if block.directive.startswith("skip")]
    assert all(len(block.directive.split()) > 1 for block in skipped), "a skipped block says why"
    assert len(skipped) <= len(RUNNABLE) / 4
    assert {block.directive.split()[0] for block in BLOCKS if block.directive} <= {"slow", "skip"}


def test_links_into_the_repository_exist() -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", TEXT):
        if "://" not in target and not target.startswith("mailto:"):
            assert (REPOSITORY / target).exists(), f"README.md links to {target}"


def test_ci_runs_the_readmes_test_command() -> None:
    lines = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["exec make test"]


EXAMPLE = """
Text.

<!-- test: slow -->
```bash
# a comment
$ make test && cd x
hf-ssl pretrain --data my-data \\
    --model "a b"
```

```python
print("```")
```

```text
0.50 it says
```
"""


def test_blocks_and_commands_are_found() -> None:
    bash, python, text = blocks_of(EXAMPLE)
    assert python.printed == text.code and not bash.printed
    assert not same_words(python.printed, "now 0.51 it says so") and same_words(python.printed, "0.60 it says")
    assert (bash.language, bash.directive, bash.line) == ("bash", "slow", 5)
    assert commands_of(bash) == [
        ["make", "test"],
        ["cd", "x"],
        ["hf-ssl", "pretrain", "--data", "my-data", "--model", "a b"],
    ]
    assert (python.code, python.directive) == ('print("```")\n', "")


def test_a_wrong_command_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no target"):
        run_command(["make", "coffee"], tmp_path, "here")
    with pytest.raises(AssertionError, match="no such extra"):
        run_command(["pip", "install", "hf_ssl[txt]"], tmp_path, "here")
    with pytest.raises(pytest.fail.Exception, match="cannot run 'rm x'"):
        run_command(["rm", "x"], tmp_path, "here")
    with pytest.raises(AssertionError, match="here"):
        run_command(["python", "-c", "raise SystemExit(3)"], tmp_path, "here")
