"""From what the user names to an opened checkpoint: a folder, a prefix, an archive, or a handle of TensorFlow Hub."""

from __future__ import annotations

import json
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.tensorflow import handles
from hf_ssl.models.tensorflow.bundle import Bundle
from hf_ssl.models.tensorflow.saved_model import Graph, read_graph, variable_names

_MOST_MEMBERS, _MOST_BYTES = 10_000, 64 * 2**30
_CONFIGS = ("bert_config.json", "albert_config.json", "electra_config.json", "config.json")


@dataclass
class Source:
    """An opened TensorFlow checkpoint and what lies beside it.

    Attributes:
        given: as the user named it.
        folder: where it lies on this machine.
        bundle: its values.
        names: names of its variables, and their keys in the bundle.
        graph: facts of its computation, when it is a SavedModel.
        files: assets and files beside it, by name.
        settings: the configuration file beside it, or nothing.
        handle: its handle at TensorFlow Hub or Kaggle, when it came from there.
    """

    given: str
    folder: Path
    bundle: Bundle
    names: dict[str, str]
    graph: Graph | None = None
    files: dict[str, Path] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    handle: str | None = None

    def values(self, name: str) -> np.ndarray:
        """Values of a variable, its checksum compared."""
        return self.bundle.tensor(self.names[name])

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a variable."""
        return self.bundle.entries[self.names[name]].shape

    def file(self, pattern: str) -> Path | None:
        """The first file whose name matches a regular expression."""
        return next((path for name, path in sorted(self.files.items()) if re.fullmatch(pattern, name)), None)


@contextmanager
def opened(given: str) -> Iterator[Source]:
    """Open what the user named; an archive is unpacked into a folder that goes away afterwards.

    Args:
        given: a SavedModel's folder, a checkpoint's prefix or folder, a `.tar.gz`, or a handle such as
            `kaggle:google/experts-bert/tensorFlow2/pubmed/2` or `https://tfhub.dev/google/electra_small/2`.

    Raises:
        CheckpointError: there is nothing of the kind, or it is damaged.
        MissingExtraError: a handle needs kagglehub, which is not installed.
    """
    handle = handles.handle_of(given)
    with ExitStack() as stack:
        path = Path(given).expanduser() if handle is None else handles.fetched(handle)
        if path.is_file() and re.search(r"\.(tar\.gz|tgz|tar)$", path.name):
            unpacked = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hf_ssl_tf_")))
            unpack(path, unpacked)
            path = unpacked
        yield _open(given, path, handle.name if handle is not None else None)


def _open(given: str, path: Path, handle: str | None) -> Source:
    prefix, saved_model = _locate(given, path)
    folder = saved_model.parent if saved_model is not None else prefix.parent
    bundle = Bundle.open(prefix)
    places = [folder / "assets", folder / "assets.extra", folder]
    files = {
        item.name: item for place in reversed(places) if place.is_dir() for item in place.iterdir() if item.is_file()
    }
    config = next((files[name] for name in _CONFIGS if name in files), None)
    return Source(
        given=given, folder=folder, bundle=bundle, names=variable_names(bundle),
        graph=read_graph(saved_model) if saved_model is not None else None,
        files=files, settings=_settings(config) if config is not None else {}, handle=handle,
    )  # fmt: skip


def _settings(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} should hold a JSON object, it holds a {type(content).__name__}.")
    return content


def _locate(given: str, path: Path) -> tuple[Path, Path | None]:
    """The checkpoint's prefix, and saved_model.pb when there is one; a single folder within is looked into."""
    if path.name.endswith(".index"):
        path = path.with_name(path.name.removesuffix(".index"))
    if path.with_name(path.name + ".index").is_file():
        return path, None
    if path.is_file():
        raise CheckpointError(
            f"{given} is a file that is no part of a TensorFlow checkpoint. Give the SavedModel's folder, the checkpoint's prefix "
            "(without .index or .data-00000-of-00001), a .tar.gz, or a handle."
        )
    if not path.is_dir():
        near = (
            sorted(item.name.removesuffix(".index") for item in path.parent.glob("*.index"))
            if path.parent.is_dir()
            else []
        )
        there = f" In {path.parent} there is {', '.join(near[:3])}." if near else ""
        raise CheckpointError(
            f"There is no {given!r} here.{there} Give a SavedModel's folder, a checkpoint's prefix, a .tar.gz, or a handle such as "
            "kaggle:google/experts-bert/tensorFlow2/pubmed/2."
        )
    saved_model = path / "saved_model.pb"
    if saved_model.is_file():
        prefix = path / "variables" / "variables"
        if not prefix.with_name("variables.index").is_file():
            raise CheckpointError(
                f"{given} is a SavedModel without variables: variables/variables.index is not there."
            )
        return prefix, saved_model
    prefixes = sorted(item.with_name(item.name.removesuffix(".index")) for item in path.glob("*.index"))
    if len(prefixes) == 1:
        return prefixes[0], None
    if len(prefixes) > 1:
        names = ", ".join(prefix.name for prefix in prefixes[:5])
        how = (
            f"Name one: {path / prefixes[-1].name}"
            if Path(given).expanduser().is_dir()
            else "Unpack it, and name one."
        )
        raise CheckpointError(f"{given} holds {len(prefixes)} checkpoints: {names}. {how}")
    inner = [item for item in path.iterdir() if item.is_dir()]
    if len(inner) == 1:
        return _locate(given, inner[0])
    there = ", ".join(sorted(item.name for item in path.iterdir())[:8]) or "nothing"
    if any(item.suffix in (".safetensors", ".bin") for item in path.iterdir()):
        there += " (weights of PyTorch: give such a folder to --model as it is)"
    raise CheckpointError(
        f"{given} holds no TensorFlow model: neither saved_model.pb nor a checkpoint's .index; found {there}."
    )


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a `.tar` or `.tar.gz` whose content is not trusted: plain files and folders within `folder`, or an error.

    Raises:
        CheckpointError: it is damaged, reaches outside, holds links or devices, or is larger than any model.
    """
    try:
        with tarfile.open(archive) as content:
            members, size = 0, 0
            for member in content:
                members, size = members + 1, size + member.size
                if members > _MOST_MEMBERS or size > _MOST_BYTES or size > 1100 * archive.stat().st_size + 2**20:
                    raise CheckpointError("it unpacks to more than a model has")  # gzip packs 1,032 to one at most
                if not (member.isreg() or member.isdir()):
                    raise CheckpointError(f"{member.name!r} is neither a file nor a folder")
                content.extract(member, folder, filter="data")
    except (tarfile.TarError, zlib.error, EOFError, OSError, CheckpointError, ValueError) as error:
        raise CheckpointError(f"{archive} cannot be unpacked: {error}.") from error
