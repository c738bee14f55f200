"""Find the weight files of a checkpoint, and read their tensors one by one.

Nothing here builds a model. Safetensors are mapped, not copied; a pickle is read by torch's weights-only reader or
refused. `find_weights` is the one place that knows where weights lie, so another source (timm's own file names, an
object store) is one more branch there.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from hf_ssl.core.errors import CheckpointError
from hf_ssl.core.jsonfiles import parse

logger = logging.getLogger(__name__)

# In the order transformers prefers them.
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_LFS_HEADER = b"version https://git-lfs"
_SNAPSHOT = re.compile(r"models--([^/\\]+)[/\\]snapshots[/\\]([0-9a-f]{40})")


@dataclass(frozen=True)
class WeightFiles:
    """Where the weights of one checkpoint lie on this machine.

    Attributes:
        model_id: Hub id when it is known, else the folder as given.
        source: what `from_pretrained` should be given: the folder or the Hub id.
        revision: commit of the Hub repository, when known.
        files: every shard, in file-name order.
        pickled: `.bin` files, to be read by `torch.load(weights_only=True)` only.
        readme: model card on this machine, if there is one.
    """

    model_id: str
    source: str
    revision: str | None
    files: tuple[Path, ...]
    pickled: bool
    readme: Path | None = None


def find_weights(model_id: str, revision: str | None = None, token: str | None = None) -> WeightFiles:
    """Resolve a local folder or a Hub id to weight files on this machine, downloading only for a Hub id.

    Raises:
        CheckpointError: no such folder, no weights in it, an adapter instead of a model, missing shards.
    """
    if not model_id.strip():
        raise CheckpointError("The model is empty. Give a folder or a Hub id such as 'google-bert/bert-base-uncased'.")
    folder = Path(model_id).expanduser()
    if folder.is_dir():
        return _find_in_folder(model_id, folder)
    if folder.is_file():
        raise CheckpointError(f"{model_id} is a file. Give the folder that holds config.json and the weights.")
    if model_id.startswith((".", "/", "~")) or "\\" in model_id or model_id.count("/") > 1:
        raise CheckpointError(
            f"There is no folder {model_id!r}, and it does not look like a Hub id (owner/name): nothing was fetched."
        )
    return _find_on_hub(model_id, revision, token)


def _find_in_folder(model_id: str, folder: Path) -> WeightFiles:
    if (folder / "adapter_config.json").exists():
        base = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
        raise CheckpointError(
            f"{model_id} holds a PEFT adapter, not a model; its base is {base!r}. Load the base first and put the "
            "adapter on it with hf_ssl.models.adapters.load_adapter(model, folder), or give a merged folder."
        )
    first = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if first is None:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
        raise CheckpointError(
            f"No weights in {model_id}: expected one of {', '.join(WEIGHT_FILES)}; found {there}. "
            "save_pretrained() writes model.safetensors."
        )
    files = (first,) if first.suffix != ".json" else tuple(folder / name for name in _shards(first))
    absent = [path.name for path in files if not path.is_file()]
    if absent:
        raise CheckpointError(f"{first.name} in {model_id} lists shards that are not there: {', '.join(absent)}.")
    snapshot = _SNAPSHOT.search(str(folder.absolute()))
    readme = folder / "README.md"
    return WeightFiles(
        model_id=snapshot.group(1).replace("--", "/") if snapshot else model_id,
        source=str(folder),
        revision=snapshot.group(2) if snapshot else None,
        files=files,
        pickled=".bin" in first.name,
        readme=readme if readme.is_file() else None,
    )


def _find_on_hub(model_id: str, revision: str | None, token: str | None) -> WeightFiles:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    def fetch(name: str) -> Path | None:
        try:
            return Path(hf_hub_download(model_id, name, revision=revision, token=token))
        except EntryNotFoundError:  # also what an offline machine without a cached copy raises
            return None

    try:
        if fetch("config.json") is None:
            at = f" at revision {revision!r}" if revision else ""
            if constants.HF_HUB_OFFLINE:
                raise CheckpointError(
                    f"{model_id!r} is neither a folder here, nor in the local Hub cache{at}, and the Hub is not asked, because "
                    f"HF_HUB_OFFLINE is set. Check the name, unset HF_HUB_OFFLINE, or fetch it where the Hub can be reached: hf download {model_id}"
                )
            raise CheckpointError(
                f"{model_id!r} is neither a folder here, nor in the local Hub cache, nor reachable on the Hub{at}. Check the name, or download "
                f"it first: hf download {model_id}"
            )
        first = next((path for path in map(fetch, WEIGHT_FILES) if path is not None), None)
        if first is None:
            raise CheckpointError(f"{model_id} has none of {', '.join(WEIGHT_FILES)}.")
        files = (first,) if first.suffix != ".json" else tuple(fetch(name) or Path(name) for name in _shards(first))
        readme = fetch("README.md")
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(
            f"The Hub has no model {model_id!r} that you may read. Check the name; for a private or gated one, log in "
            "with: hf auth login"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise CheckpointError(f"Fetching {model_id} failed: {error}") from error
    absent = [path.name for path in files if not path.is_file()]
    if absent:
        raise CheckpointError(f"{model_id} lists shards that could not be fetched: {', '.join(absent)}.")
    snapshot = _SNAPSHOT.search(str(first))
    return WeightFiles(
        model_id=model_id,
        source=model_id,
        revision=snapshot.group(2) if snapshot else revision,
        files=files,
        pickled=".bin" in first.name,
        readme=readme,
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, such as a configuration.

    Raises:
        CheckpointError: the file is missing, cut off, or holds something else.
    """
    try:
        content = parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} should hold a JSON object, it holds a {type(content).__name__}.")
    return content


def _shards(index: Path) -> list[str]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index} has no weight_map, so the shards are unknown. Download the checkpoint again.")
    names = sorted({str(name) for name in weight_map.values()})
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise CheckpointError(f"{index} points outside its own folder: {', '.join(outside)}.")
    return names


@dataclass
class Tensors:
    """The tensors of a checkpoint by name: shapes at once, values on demand.

    Attributes:
        shapes: name to shape, for every tensor of every shard.
        notes: what the reader should know, such as that a pickle was read.
    """

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _readers: dict[str, Any] = field(default_factory=dict)
    _loaded: dict[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def open(cls, weights: WeightFiles) -> Tensors:
        """Open every shard.

        Raises:
            CheckpointError: a Git LFS pointer, a damaged file, or a pickle that holds more than tensors.
        """
        tensors = cls()
        for path in weights.files:
            _refuse_pointer(path)
            if weights.pickled:
                loaded = _read_pickle(path)
                tensors._loaded.update(loaded)
                tensors.shapes.update({name: tuple(value.shape) for name, value in loaded.items()})
            else:
                reader = _open_safetensors(path)
                for name in reader.keys():
                    tensors._readers[name] = reader
                    tensors.shapes[name] = tuple(reader.get_slice(name).get_shape())
        if weights.pickled:
            note = f"weights are pickled ({weights.files[0].name}); read with torch.load(weights_only=True)"
            logger.warning("%s: %s", weights.model_id, note)
            tensors.notes.append(note)
        return tensors

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._loaded[name] if name in self._loaded else self._readers[name].get_tensor(name)


def _refuse_pointer(path: Path) -> None:
    with path.open("rb") as handle:
        head = handle.read(len(_LFS_HEADER))
    if not head:
        raise CheckpointError(f"{path} is empty. Download the checkpoint again.")
    if head == _LFS_HEADER:
        raise CheckpointError(
            f"{path} is a Git LFS pointer, not the weights. In the clone run: git lfs install && git lfs pull"
        )


def _open_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(str(path), framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} ({path.stat().st_size} bytes) is not a readable safetensors file: {error}. It is damaged or was "
            "cut short; download it again."
        ) from error


def _read_pickle(path: Path) -> dict[str, torch.Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        # torch's own words for objects advise to load them all the same, which is what must not be done.
        refused = "it holds objects" if isinstance(error, pickle.UnpicklingError) else str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path} cannot be read as plain tensors ({refused or type(error).__name__}). hf_ssl never unpickles objects, because a pickle can "
            "run code. Convert it to safetensors where you trust it: model.save_pretrained(folder)"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise CheckpointError(
            f"{path} is not a flat state dict of tensors (it looks like a training checkpoint). Save the model's "
            "state_dict() alone, best with model.save_pretrained(folder)."
        )
    return {str(name): value for name, value in loaded.items()}


def weights_sha(files: tuple[Path, ...]) -> str:
    """sha256 of the weight file, as `sha256sum` prints it; for shards, of the lines `<sha256>  <name>`."""
    digests = []
    for path in files:
        with path.open("rb") as handle:
            digests.append((hashlib.file_digest(handle, "sha256").hexdigest(), path.name))
    if len(digests) == 1:
        return digests[0][0]
    return hashlib.sha256("".join(f"{digest}  {name}\n" for digest, name in digests).encode()).hexdigest()


def license(readme: Path | None) -> str | None:
    """The `license` field in the front matter of a model card, or None."""
    import yaml
    from huggingface_hub import metadata_load

    if readme is None:
        return None
    try:
        fields = metadata_load(readme) or {}
    except (yaml.YAMLError, ValueError):
        return None  # an unreadable card is no reason to refuse a model; the report then says: license unknown
    value = fields.get("license")
    if value == "other" and fields.get("license_name"):
        value = fields["license_name"]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value) if value else None
