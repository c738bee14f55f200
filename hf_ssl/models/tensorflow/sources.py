"""From what the user names to an opened checkpoint: a folder, a prefix, an archive, or a handle of TensorFlow Hub."""

from __future__ import annotations

import difflib
import fnmatch
import glob
import json
import lzma
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.models.tensorflow import handles
from hf_ssl.models.tensorflow.bundle import Bundle
from hf_ssl.models.tensorflow.saved_model import Graph, read_graph, variable_names

_MOST_MEMBERS, _MOST_BYTES = 10_000, 64 * 2**30
_DENSEST = 1100  # bytes out of one: gzip and zip pack 1,032 at most
_LARGEST_CONFIG = 2**20  # bytes
_PARTS = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_KERAS = " It is Keras': save it once as a SavedModel, model.save(FOLDER) in Keras 2, model.export(FOLDER) in Keras 3."
_OTHER_FILES = {
    ".h5": _KERAS, ".hdf5": _KERAS, ".keras": _KERAS,
    ".tflite": " It is TensorFlow Lite's, for inference: take the model it was made from.",
    ".onnx": " It is ONNX's, for inference: take the model it was made from.",
    ".npz": " BiT and ViT in this form are at the Hugging Face Hub: --model timm/resnetv2_50x1_bit.goog_in21k, google/vit-base-patch16-224.",
}  # fmt: skip
ARCHIVE = re.compile(r"\.(tar\.gz|tgz|tar|tar\.bz2|tar\.xz|zip)$")
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
        left_out: names that the user left out; they are not among `names`.
        notes: what the user should know of how it was found.
    """

    given: str
    folder: Path
    bundle: Bundle
    names: dict[str, str]
    graph: Graph | None = None
    files: dict[str, Path] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    handle: str | None = None
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def without(self, patterns: Iterable[str]) -> None:
        """Leave variables out of everything that follows, such as a classifier of the user's own.

        Args:
            patterns: of whole names, with `*` for any letters.

        Raises:
            ConfigError: no variable has such a name.
        """
        for pattern in patterns:
            found = fnmatch.filter(self.names, pattern)
            if not found:
                shown = ", ".join(difflib.get_close_matches(pattern, self.names, 5, 0.3) or list(self.names)[:5])
                raise ConfigError(
                    f"--leave_out {pattern}: no variable of {self.given} has such a name. Some are {shown}; * stands for any letters."
                )
            self.left_out += found
            for name in found:
                del self.names[name]

    def key(self, name: str) -> str:
        """The key of a variable in the checkpoint: for TensorFlow 2 its place in the object that was saved."""
        return self.names[name]

    def values(self, name: str) -> np.ndarray:
        """Values of a variable, its checksum compared."""
        return self.bundle.tensor(self.names[name])

    def kind(self, name: str) -> str:
        """Type of a variable's values, as TensorFlow prints it."""
        return self.bundle.entries[self.names[name]].kind

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a variable."""
        return self.bundle.entries[self.names[name]].shape

    def file(self, pattern: str, usual: str = "") -> Path | None:
        """The file whose name matches a regular expression.

        Args:
            usual: the name it usually has, which is taken before others.

        Raises:
            CheckpointError: several match, and they are not the same.
        """
        if usual in self.files:
            return self.files[usual]
        found = [path for name, path in sorted(self.files.items()) if re.fullmatch(pattern, name)]
        if any(path.read_bytes() != found[0].read_bytes() for path in found[1:]):
            names = ", ".join(path.name for path in found)
            raise CheckpointError(
                f"{self.given} has several files that could be meant: {names}. Leave only the one of this model beside it"
                f"{f', or call it {usual}' if usual else ''}."
            )
        return found[0] if found else None


@contextmanager
def opened(given: str) -> Iterator[Source]:
    """Open what the user named; an archive is unpacked into a folder that goes away afterwards.

    Args:
        given: a SavedModel's folder, a checkpoint's prefix or folder, a `.tar.gz` or `.zip`, or a handle such as
            `kaggle:google/experts-bert/tensorFlow2/pubmed/2` or `https://tfhub.dev/google/electra_small/2`.

    Raises:
        CheckpointError: there is nothing of the kind, or it is damaged.
        MissingExtraError: a handle needs kagglehub, which is not installed.
    """
    handle = handles.handle_of(given)
    with ExitStack() as stack:
        path = Path(given).expanduser() if handle is None else handles.fetched(handle)
        if path.is_file() and (ARCHIVE.search(path.name) or zipfile.is_zipfile(path) or tarfile.is_tarfile(path)):
            unpacked = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hf_ssl_tf_")))
            unpack(path, unpacked)
            path = unpacked
        yield _open(given, path, handle.name if handle is not None else None)


def _open(given: str, path: Path, handle: str | None) -> Source:
    notes: list[str] = []
    prefix, saved_model = _locate(given, path, notes)
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
        notes=notes,
    )  # fmt: skip


def _settings(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_CONFIG:
            raise ValueError("it is larger than any configuration")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} should hold a JSON object, it holds a {type(content).__name__}.")
    return content


def _locate(given: str, path: Path, notes: list[str]) -> tuple[Path, Path | None]:
    """The checkpoint's prefix, and saved_model.pb when there is one; a single folder within is looked into."""
    if path.name == "saved_model.pb" and path.is_file():
        return _locate(given, path.parent, notes)
    path = path.with_name(_PARTS.sub("", path.name)) if _PARTS.search(path.name) else path  # a file of it means it all
    if path.with_name(path.name + ".index").is_file():
        return path, None
    if path.is_file():
        hint = next((text for ending, text in _OTHER_FILES.items() if path.name.endswith(ending)), "")
        raise CheckpointError(
            f"{given} is a file that is no part of a TensorFlow checkpoint.{hint} Give the SavedModel's folder, the checkpoint's prefix "
            "(without .index or .data-00000-of-00001), a .tar.gz, a .zip, or a handle."
        )
    if not path.is_dir():
        raise _nothing(given, path)
    saved_model = path / "saved_model.pb"
    if saved_model.is_file():
        prefix = path / "variables" / "variables"
        if not prefix.with_name("variables.index").is_file():
            raise CheckpointError(
                f"{given} is a SavedModel without variables: variables/variables.index is not there."
            )
        return prefix, saved_model
    prefixes = sorted(item.with_name(item.name.removesuffix(".index")) for item in path.glob("*.index"))
    newest = _newest(path)
    if len(prefixes) == 1:
        if newest is not None and newest != prefixes[0]:
            notes.append(
                f"{prefixes[0].name} was taken; the file `checkpoint` names {newest.name}, which is not there"
            )
        return prefixes[0], None
    if newest is not None and newest in prefixes:
        notes.append(
            f"of {len(prefixes)} checkpoints {newest.name} was taken, which the file `checkpoint` names as the newest"
        )
        return newest, None
    if len(prefixes) > 1:
        names = ", ".join(prefix.name for prefix in prefixes[:5])
        how = (
            f"Name one: {path / prefixes[-1].name}"
            if Path(given).expanduser().is_dir()
            else "Unpack it, and name one."
        )
        raise CheckpointError(f"{given} holds {len(prefixes)} checkpoints: {names}. {how}")
    if newest is not None:
        raise CheckpointError(
            f"{given} holds no checkpoint: its file `checkpoint` names {newest.name}, and {newest.name}.index is not there."
        )
    inner = [item for item in path.iterdir() if item.is_dir() and not item.name.startswith((".", "__MACOSX"))]
    if len(inner) == 1:
        return _locate(given, inner[0], notes)
    there = ", ".join(sorted(item.name for item in path.iterdir())[:8]) or "nothing"
    if any(item.suffix in (".safetensors", ".bin") for item in path.iterdir()):
        there += " (weights of PyTorch: give such a folder to --model as it is)"
    there += next((text for ending, text in _OTHER_FILES.items() if any(path.glob(f"*{ending}"))), "").rstrip(".")
    raise CheckpointError(
        f"{given} holds no TensorFlow model: neither saved_model.pb nor a checkpoint's .index; found {there}."
    )


def _nothing(given: str, path: Path) -> CheckpointError:
    """What to say when there is nothing under the name that was given."""
    near = (
        sorted(item.name.removesuffix(".index") for item in path.parent.glob("*.index"))
        if path.parent.is_dir()
        else []
    )
    there = f" In {path.parent} there is {', '.join(near[:3])}." if near else ""
    if path.parent.is_dir() and any(path.parent.glob(f"{glob.escape(path.name)}.data-*")):
        there = (
            f" Of this checkpoint only the values are there; {path.name}.index, which says what they are, is absent."
        )
    if "://" in given:
        there = " Addresses of this kind are not read: download it first (gsutil cp -r, for gs://)."
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)+", given) and not path.parent.is_dir():
        there = f" If it is a handle, say of what: tfhub:{given}, or kaggle:OWNER/MODEL/FRAMEWORK/VARIATION."
    return CheckpointError(
        f"There is no {given!r} here.{there} Give a SavedModel's folder, a checkpoint's prefix, a .tar.gz, or a handle such as "
        "kaggle:google/experts-bert/tensorFlow2/pubmed/2."
    )


def _newest(folder: Path) -> Path | None:
    """The checkpoint that the text file `checkpoint` names, as `tf.train.latest_checkpoint` has it; None without one.

    Only its last part counts: folders are moved.
    """
    try:
        with (folder / "checkpoint").open(encoding="utf-8", errors="replace") as file:
            match = re.search(r'^model_checkpoint_path: "([^"\n]+)"', file.read(2**20), re.MULTILINE)
    except OSError:
        return None
    return folder / re.split(r"[/\\]", match[1])[-1] if match else None


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a `.tar`, `.tar.gz` or `.zip` that is not trusted: plain files and folders within `folder`, or an error.

    Raises:
        CheckpointError: it is damaged, reaches outside, holds links or devices, or is larger than any model.
    """
    most = min(_MOST_BYTES, _DENSEST * archive.stat().st_size + 2**20)
    try:
        if zipfile.is_zipfile(archive):
            return _unzip(archive, folder, most)
        with tarfile.open(archive) as content:
            members, size = 0, 0
            for member in content:
                members, size = members + 1, size + member.size
                if members > _MOST_MEMBERS or size > most:
                    raise CheckpointError("it unpacks to more than a model has")
                if not (member.isreg() or member.isdir()):
                    raise CheckpointError(f"{member.name!r} is neither a file nor a folder")
                content.extract(member, folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, CheckpointError, ValueError,
            RuntimeError, NotImplementedError) as error:  # fmt: skip
        raise CheckpointError(f"{archive} cannot be unpacked: {error}.") from error


def _unzip(archive: Path, folder: Path, most: int) -> None:
    with zipfile.ZipFile(archive) as content:
        members = content.infolist()
        # Sizes are promises here, and parts may overlap; so each is read up to what it promises, and no further.
        if len(members) > _MOST_MEMBERS or sum(member.file_size for member in members) > most:
            raise CheckpointError("it unpacks to more than a model has")
        for member in members:
            target = (folder / member.filename).resolve()
            kind = (
                member.external_attr >> 28
            )  # the upper bits of Unix's mode: 8 is a plain file, 4 a folder, 10 a link
            if not target.is_relative_to(folder.resolve()) or kind not in (0, 4, 8):
                raise CheckpointError(f"{member.filename!r} is no plain file or folder within it")
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with content.open(member) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file, 2**20)
