"""Options read from source files, so that a misspelled one is found before torch and transformers are imported.

Importing an objective imports torch, which takes seconds. Its options need nothing of it: a dataclass of plain values. So the
file is loaded without its other statements.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from importlib.abc import InspectLoader
from pathlib import Path
from types import CodeType, GenericAlias, SimpleNamespace
from typing import Any

LIGHT = ("collections", "dataclasses", "math", "typing", "hf_ssl.core")


def config_in(file: Path) -> type[Any]:
    """The `Config` of the plug-in in a file of hf_ssl, made without the file's other imports.

    Raises:
        Exception: of any kind, where the class needs more than `LIGHT` modules; then the file has to be imported.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    owners = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    nested = [(owner, node) for owner in owners for node in owner.body if isinstance(node, ast.ClassDef)]
    found = [(owner, node) for owner, node in nested if node.name == "Config"]
    if not found:  # it has its base's
        base = owners[0].bases[0]
        return _config_of(
            ast.unparse(base.value if isinstance(base, ast.Subscript) else base), imports
        )  # Task[Encoder]
    owner, config = found[0]
    light = [node for node in imports if (node.module or "").startswith(LIGHT)]
    loader = _Part(file, [*light, config])
    spec = importlib.util.spec_from_loader(f"{file.parent.name}.{file.stem}", loader)
    assert spec is not None  # there is a loader
    module: Any = importlib.util.module_from_spec(spec)
    for base in config.bases:
        if isinstance(base, ast.Attribute):  # Task.Config
            name = ast.unparse(base.value)
            setattr(module, name, SimpleNamespace(Config=_config_of(name, imports)))
    loader.exec_module(module)
    module.Config.__qualname__ = f"{owner.name}.Config"
    return module.Config


def constants_in(file: Path) -> dict[str, Any]:
    """Plain values that the plug-in's class in a file of hf_ssl says of itself (`name: ClassVar = "value"`)."""
    owners = (node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef))
    found: dict[str, Any] = {}
    for owner in owners:
        if owner.name.startswith("_"):
            continue
        for node in owner.body:
            if not isinstance(node, (ast.Assign, ast.AnnAssign)):
                continue
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and isinstance(node.value, (ast.Constant, ast.Tuple)):
                with contextlib.suppress(ValueError):  # a tuple of names
                    found.setdefault(target.id, ast.literal_eval(node.value))
    return found


class _Part(InspectLoader):
    """Loads some statements of a file."""

    def __init__(self, file: Path, statements: list[Any]) -> None:
        self.file, self.statements = file, statements

    def get_source(self, fullname: str) -> str:
        return self.file.read_text(encoding="utf-8")

    def get_code(self, fullname: str) -> CodeType:
        # Without `from __future__ import annotations`: types are looked up here, where their names are known.
        return compile(ast.Module(self.statements, type_ignores=[]), str(self.file), "exec", dont_inherit=True)


def _config_of(name: str, imports: list[ast.ImportFrom]) -> type[Any]:
    """The `Config` of a class that a file imports from hf_ssl."""
    home = next(str(node.module) for node in imports if name in {one.name for one in node.names})
    return config_in(Path(__file__).parent.parent.joinpath(*home.split(".")[1:]).with_suffix(".py"))


@dataclass(frozen=True)
class Field:
    """A field of a dataclass, as its source says it."""

    hint: Any
    default: str
    help: str


@lru_cache
def training_arguments() -> dict[str, Field]:
    """The fields of `transformers.TrainingArguments`; empty where the source is not as expected."""
    found = importlib.util.find_spec("transformers")  # finds the folder and imports nothing
    file = Path(str(found.origin)).parent / "training_args.py" if found is not None else None
    if file is None or not file.is_file():
        return {}
    tree = ast.parse(file.read_text(encoding="utf-8"))
    body = next(
        (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "TrainingArguments"), None
    )
    fields = {}
    for node in body.body if body is not None else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Call):
            given = {item.arg: item.value for item in node.value.keywords}
            if getattr(given.get("init"), "value", True) is not False:
                fields[node.target.id] = Field(_hint(node.annotation), _default(given), _help(given))
    return fields


def _hint(node: ast.expr) -> Any:
    """The type; a name that only transformers knows is one of its enumerations, which users write as text."""
    plain = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict, "Any": Any}
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=name):
            return plain.get(name, str)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _hint(left) | _hint(right)
        case ast.Subscript(value=ast.Name(id="list"), slice=inner):
            return GenericAlias(list, (_hint(inner),))
        case ast.Subscript(value=ast.Name(id="dict")):
            return dict[str, Any]
    return Any


def _default(given: dict[str | None, ast.expr]) -> str:
    return ast.unparse(given["default"]) if "default" in given else ""


def _help(given: dict[str | None, ast.expr]) -> str:
    try:
        return " ".join(str(ast.literal_eval(given["metadata"])["help"]).split())
    except (KeyError, ValueError):
        return ""
