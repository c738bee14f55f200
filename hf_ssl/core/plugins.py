"""One file adds one thing: objectives, tasks and modalities are found by name or by dotted path."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.core.errors import ConfigError, nearest
from hf_ssl.core.source import config_in, constants_in

if TYPE_CHECKING:
    from types import ModuleType

# Files of those folders that hold what plug-ins share, and no plug-in.
SHARED = {
    "arrays", "base", "losses", "clips", "heads", "encoder", "batching", "cheap", "deferred", "rng", "rows", "single_view",
    "views",
}  # fmt: skip

KINDS = {
    "objectives": "Objective",
    "tasks": "Task",
    "modalities": "Modality",
    "families": "Family",
    "vectors": "Store",
    "pipelines": "ServedPipeline",
    "domain_methods": "DomainMethod",
    "peers": "Peer",
    "forecasters": "Forecaster",
}
# Packages of a kind that are not `hf_ssl.KIND`: families of TensorFlow models, for `import-tf`; transformers' pipelines, for `push`;
# what makes domains alike, for `finetune`; other tools, for `compare`; forecasts without the network, for both.
PLACES = {
    "families": "models.tensorflow.families", "pipelines": "hub.pipelines", "domain_methods": "training.domain.methods",
    "peers": "evaluation.peers", "forecasters": "evaluation.forecasters",
}  # fmt: skip
_SINGULAR = {"families": "family", "modalities": "modality", "vectors": "store", "domain_methods": "domain method"}


def _folder_of(kind: str) -> Path:
    return Path(__file__).parent.parent / PLACES.get(kind, kind).replace(".", "/")


def names(kind: str) -> list[str]:
    """Names of everything of one kind that ships with hf_ssl, in the spelling users type (`masked-patch`)."""
    folder = _folder_of(kind)
    modules = {path.stem for path in folder.glob("*.py")} - SHARED
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return [name.replace("_", "-") for name in sorted(modules | packages) if not name.startswith("_")]


@lru_cache
def task_for(label_kind: str | None) -> str | None:
    """The task that a kind of label asks for when none is named: the one that says so of itself. Imports no task."""
    for name in names("tasks"):
        said = constants_in(_folder_of("tasks") / f"{name.replace('-', '_')}.py")
        if said.get("is_default") is True and said.get("label_kind") == label_kind:
            return name
    return None


@lru_cache
def poolings() -> tuple[str, ...]:
    """Modes of pooling that an encoder of some kind of data has, as the encoders list them. Imports none."""
    files = (_folder_of("modalities") / name / "encoder.py" for name in names("modalities"))
    return tuple(dict.fromkeys(mode for file in files for mode in constants_in(file).get("poolings", ())))


def find(kind: str, name: str) -> type[Any]:
    """The class behind a name.

    Args:
        kind: `"objectives"`, `"tasks"`, `"modalities"`, `"families"`, `"vectors"` (stores), `"pipelines"` or
            `"domain_methods"`.
        name: a file name of that folder (`"mlm"`, `"masked-patch"`), or `"package.module:Class"` for one's own.

    Raises:
        ConfigError: nothing has that name, the module does not import, or the class is not of that kind.
    """
    package = f"hf_ssl.{PLACES.get(kind, kind)}"
    if ":" in name:
        return _from_dotted_path(kind, name, _base(kind))
    if name.replace("_", "-") not in names(kind):
        known = ", ".join(names(kind))
        raise ConfigError(
            f"No {_SINGULAR.get(kind, kind.rstrip('s'))} is called {name!r}.{nearest(name, names(kind))} Known: {known}. "
            f"Your own goes by dotted path, such as my_package.my_module:MyClass."
        )
    module = importlib.import_module(f"{package}.{name.replace('-', '_')}")
    if hasattr(module, "__path__"):  # a folder: the class is in the file of its name
        module = importlib.import_module(f"{module.__name__}.{name.replace('-', '_')}")
    return _only_subclass(module, _base(kind))


@lru_cache
def config_of(kind: str, name: str) -> type[Any]:
    """The options of a plug-in, `find(kind, name).Config`, without importing torch where that can be done.

    Raises:
        ConfigError: as `find`.
    """
    if name.replace("_", "-") in names(kind):
        # Any error: the file needs its imports for its options too, which is slower and otherwise fine.
        with contextlib.suppress(Exception):
            return config_in(Path(__file__).parent.parent / kind / f"{name.replace('-', '_')}.py")
    return find(kind, name).Config


def _base(kind: str) -> type[Any]:
    return getattr(importlib.import_module(f"hf_ssl.{PLACES.get(kind, kind)}.base"), KINDS[kind])


def _from_dotted_path(kind: str, path: str, base: type) -> type[Any]:
    module_name, _, class_name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path!r}: the module {error.name!r} is not installed or not on PYTHONPATH.") from error
    found = getattr(module, class_name, None)
    if found is None:
        classes = [member for member, _ in inspect.getmembers(module, inspect.isclass)]
        raise ConfigError(f"{path!r}: {module_name} has no {class_name!r}.{nearest(class_name, classes)}")
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise ConfigError(f"{path!r} must be a subclass of {base.__module__}.{base.__name__}.")
    return found


def _only_subclass(module: ModuleType, base: type) -> type[Any]:
    found = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, base) and member is not base and member.__module__ == module.__name__
    ]
    public = [member for member in found if not member.__name__.startswith("_")]
    if len(public) != 1:
        raise ConfigError(f"{module.__name__} must define exactly one public {base.__name__}, found {len(public)}.")
    return public[0]
