"""Rules of the house that a reader cannot check at a glance: import direction and cost, size, one-place rules."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import hf_ssl

PACKAGE = Path(hf_ssl.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("torch", "transformers", "datasets", "evaluate", "peft", "accelerate", "sklearn", "scipy", "pandas", "numpy")
LIGHT = tuple(
    f"hf_ssl{name}"
    for name in (
        "",
        ".cli",
        ".core.options",
        ".core.errors",
        ".core.plugins",
        ".core.run",
        ".core.distributed",
        ".demo",
    )
)
MAX_LINES = 400
# Names with an underscore that hf_ssl and its tests use of transformers and torch.
PRIVATE_OF_OTHERS = {"_attn_implementation", "_save_rng_state", "_save_optimizer_and_scheduler"}
MAX_ANY, MAX_IGNORES = 99, 9  # parameters annotated just `Any`, and `type: ignore`s
MAX_FUNCTION, MAX_NAMES = 70, 20  # lines of a function without its docstring; public names of a module


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


every_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def test_imports_point_one_way(repository: Path) -> None:
    """The contracts of setup.cfg, each in a fresh process as `lint-imports` runs them."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    result = subprocess.run(
        [*command, "--no-cache"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.mark.parametrize("module", LIGHT)
def test_import_is_light(module: str, tmp_path: Path) -> None:
    """Measured as what got imported, which is what costs the time, and not as seconds of a busy machine."""
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
    )
    assert result.returncode == 0, result.stderr
    loaded = json.loads(result.stdout)
    assert module in loaded
    assert not set(HEAVY) & set(loaded)


@every_module
def test_module_is_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{name_of(path)} has {lines} lines: give the part that can be named a file of its own"


@every_module
def test_functions_fit_on_a_screen_and_a_module_holds_one_idea(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            lines = (node.end_lineno or 0) - node.lineno + 1
            if documented:
                lines -= (first.end_lineno or 0) - first.lineno + 1
            assert lines <= MAX_FUNCTION, f"{name_of(path)}: {node.name} has {lines} lines; name its parts"
    kinds = (ast.FunctionDef, ast.ClassDef)
    public = [node.name for node in parsed(path).body if isinstance(node, kinds) and not node.name.startswith("_")]
    assert len(public) <= MAX_NAMES, f"{name_of(path)} has {len(public)} public names: what belongs together?"


@every_module
def test_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(parsed(path)), f"{name_of(path)} has no docstring"


@every_module
def test_only_training_imports_the_trainer(path: Path) -> None:
    users = {"transformers.Trainer", "transformers.trainer.Trainer", "transformers.Seq2SeqTrainer"} & names_used(path)
    assert not users or name_of(path) == "training/exact_trainer.py", (
        f"{name_of(path)} uses {users}: use hf_ssl.training"
    )


@every_module
def test_only_hub_talks_to_the_hub_api(path: Path) -> None:
    users = {name for name in names_used(path) if name.startswith("huggingface_hub.") and name.endswith("HfApi")}
    assert not users or name_of(path) == "hub/api.py", f"{name_of(path)} uses {users}: use hf_ssl.hub.api"


@every_module
def test_nothing_is_unpickled_or_run_from_a_checkpoint(path: Path) -> None:
    """Pickle only through torch's weights-only loader; no remote code; no eval."""
    assert not {"pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle", "joblib.load"} & names_used(path)
    for call in calls(path):
        function = ast.unparse(call.func)
        arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        where = f"{name_of(path)}:{call.lineno}"
        assert function not in ("eval", "exec"), where
        assert arguments.get("trust_remote_code", "False") == "False", where
        if function == "torch.load":
            assert arguments.get("weights_only") == "True", where


@every_module
def test_no_error_is_swallowed(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ExceptHandler):
            where = f"{name_of(path)}:{node.lineno}"
            assert node.type is not None, f"{where}: a bare except"
            assert [type(statement) for statement in node.body] != [ast.Pass], f"{where}: swallows {node.type}"


def is_private(name: str) -> bool:
    return name.startswith("_") and name[1:2].isalpha()


def private_imports(path: Path) -> list[str]:
    """What a file imports from hf_ssl under a name with an underscore, be it a module or a name in one."""
    found = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hf_ssl":
            names = [*str(node.module).split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            ours = (alias.name.split(".") for alias in node.names if alias.name.partition(".")[0] == "hf_ssl")
            names = [name for parts in ours for name in parts]
        else:
            continue
        found += [f"{path.name}:{node.lineno} {name}" for name in names if is_private(name)]
    return found


def private_names_defined() -> set[str]:
    """Every function, class, method, attribute and constant of hf_ssl that has an underscore before its name."""
    names: set[str] = set()
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.attr)
    return {name for name in names if is_private(name)}


@every_module
def test_nobody_imports_what_another_module_keeps_to_itself(path: Path) -> None:
    assert not private_imports(path), "give it a public name, or another way in"


def private_uses(path: Path, names: set[str]) -> list[str]:
    """Where a test reaches past the public names: an import, an attribute, or a name in a string (`setattr`, a patch)."""
    found = private_imports(path)
    own = {node.name for node in ast.walk(parsed(path)) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute):
            used = {node.attr}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            used = {node.value.rpartition(".")[2]}
        else:
            continue
        found += [f"{path.name}:{node.lineno} {name}" for name in used & names - own]
    return found


def test_no_test_reaches_into_private_names(repository: Path) -> None:
    """They pin how a thing is done, and break whenever it is done better."""
    names = private_names_defined() - PRIVATE_OF_OTHERS
    found = [use for path in sorted((repository / "tests").rglob("*.py")) for use in private_uses(path, names)]
    assert not found, "go through what the module offers: " + ", ".join(found)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    given = function.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]


def test_no_test_pins_prose(repository: Path) -> None:
    """What a test looks for in a message are facts and a few key words: sentences may be written better at any time."""
    sentence = re.compile(r"(?:[a-z]+(?:'[a-z]+)?,? ){4,}[a-z]+", re.IGNORECASE)
    pinned = []
    for path in sorted((repository / "tests").rglob("test_*.py")):
        for node in ast.walk(parsed(path)):
            looked_for: list[ast.AST] = []
            if isinstance(node, ast.keyword) and node.arg == "match":
                looked_for = list(ast.walk(node.value))
            elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
                looked_for = [node.left]
            texts = [n.value for n in looked_for if isinstance(n, ast.Constant) and isinstance(n.value, str)]
            pinned += [f"{path.name}: {text}" for text in texts if sentence.search(text)]
    assert not pinned, pinned


def test_types_say_what_a_value_is() -> None:
    """`Any` is for what really can be anything; what is counted here may only become fewer."""
    found = [
        (name_of(path), node.name, one.arg)
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for one in parameters(node)
        if one.annotation is not None and ast.unparse(one.annotation) == "Any"
    ]
    assert len(found) <= MAX_ANY, f"{len(found)} parameters are just Any: {found}"
    loose = [one for one in found if one[2] in ("modality", "dataset", "encoder", "task")]
    assert not loose, f"these have a type of their own: {loose}"
    ignored = [
        f"{name_of(path)}:{number}"
        for path in MODULES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "# type: ignore" in line
    ]
    assert len(ignored) <= MAX_IGNORES, f"{len(ignored)} places where mypy is not believed: {ignored}"


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))


def names_used(path: Path) -> set[str]:
    """Dotted names a module imports or reads, such as `transformers.Trainer`, whichever way it is written."""
    tree, names, aliases = parsed(path), set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root, _, rest = ast.unparse(node).partition(".")
            names.add(f"{aliases.get(root, root)}.{rest}")
    return names


@pytest.mark.parametrize(
    "source",
    [
        "from transformers import Trainer",
        "import transformers\nx = transformers.Trainer",
        "import transformers as t\nclass X(t.Trainer): y = 1",
        "def f():\n    from transformers import TrainingArguments, Trainer as T",
    ],
)
def test_names_used_sees_every_spelling(source: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(source)
    assert "transformers.Trainer" in names_used(tmp_path / "module.py")
