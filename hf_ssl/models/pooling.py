"""How a model's output becomes one vector: read from beside the weights, written beside them, never guessed twice."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.core.jsonfiles import parse
from hf_ssl.core.run import write_json
from hf_ssl.models.reference import CheckpointRef

LINEAGE = "hf_ssl.json"
"""What this library writes beside every model: where it comes from, and how it is pooled."""
MODULES, POOLING_FOLDER = "modules.json", "1_Pooling"
_MODULE_FILES = ("config.json", "model.safetensors")
# sentence-transformers up to 5 wrote one boolean per mode, in the order in which their vectors stand side by side.
_OLD_KEYS = {
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip


@dataclass(frozen=True)
class Pooling:
    """How states become one vector. Which modes there are is the encoder's to say.

    Args:
        mode: such as `"mean"` or `"cls"`; `"cls+mean"` puts the vectors of two side by side.
        layer: of which layer or stage, counted from the end (-2: the one before the last); None: the network's output.
    """

    mode: str
    layer: int | None = None

    @classmethod
    def parse(cls, text: str | Pooling) -> Pooling:
        """From what users type and files hold: `"mean"`, `"mean@-2"`.

        Raises:
            ConfigError: what follows the @ is no layer.
        """
        if isinstance(text, Pooling):
            return text
        mode, _, layer = text.partition("@")
        if layer and not (layer.startswith("-") and layer[1:].isdigit() and int(layer)):
            raise ConfigError(f"Pooling {text!r}: a layer is counted from the end, such as {mode}@-2.")
        return cls(mode, int(layer) if layer else None)

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes whose vectors stand side by side."""
        return tuple(self.mode.split("+"))

    def __str__(self) -> str:
        return self.mode if self.layer is None else f"{self.mode}@{self.layer}"


def saved_pooling(ref: CheckpointRef) -> Pooling | None:
    """What a checkpoint says about itself: in this library's file, or in sentence-transformers' (old and new keys).

    Returns:
        None when it says nothing.

    Raises:
        CheckpointError: the files are damaged.
    """
    own = ref.file(LINEAGE)
    if own is not None and (text := _read(own, dict).get("pooling")):
        return Pooling.parse(str(text))
    folder: str | None = POOLING_FOLDER
    modules = ref.file(MODULES)
    if modules is not None:
        folders = (part["path"] for part in _read(modules, list) if str(part.get("type")).endswith(".Pooling"))
        folder = next(folders, None)
    settings = None if folder is None else ref.file(f"{folder}/config.json")
    return None if settings is None else _of_sentence_transformers(_read(settings, dict))


def _of_sentence_transformers(settings: dict[str, Any]) -> Pooling:
    if "pooling_mode" in settings:
        modes = settings["pooling_mode"]
        return Pooling(modes if isinstance(modes, str) else "+".join(map(str, modes)))
    # A key of a mode that is not known stands for itself, and is refused by name by the encoder.
    chosen = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value is True]
    known = [mode for key, mode in _OLD_KEYS.items() if key in chosen]
    unknown = [key.removeprefix("pooling_mode_") for key in chosen if key not in _OLD_KEYS]
    return Pooling("+".join([*known, *unknown]) or "mean")


def write_sentence_transformers(
    folder: Path, pooling: Pooling, width: int, start: CheckpointRef | None = None
) -> None:
    """Make a folder of a text model one that `SentenceTransformer(folder)` loads with the same pooling.

    In the old keys and under the old names of the classes, which every release so far reads.

    Args:
        folder: of the saved model.
        pooling: its modes are sentence-transformers'.
        width: of a token's state.
        start: what the model was made of; what follows its pooling (`Normalize`, `Dense`) is kept where the pooling is its own.

    Raises:
        CheckpointError: the files of the start are damaged.
    """
    kinds = enumerate((("", "Transformer"), (POOLING_FOLDER, "Pooling")))
    modules: list[dict[str, Any]] = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in kinds
    ]
    later = _after_pooling(start) if start is not None and saved_pooling(start) == pooling else []
    for place, part in enumerate(later, len(modules)):
        modules.append({**part, "idx": place, "name": str(place)})
        (folder / part["path"]).mkdir(parents=True, exist_ok=True)
        for name in _MODULE_FILES:
            if start is not None and (file := start.file(f"{part['path']}/{name}")) is not None:
                shutil.copyfile(file, folder / part["path"] / name)
    (folder / POOLING_FOLDER).mkdir(parents=True, exist_ok=True)
    (folder / MODULES).write_text(json.dumps(modules, indent=2), encoding="utf-8")
    write_json(
        folder / POOLING_FOLDER / "config.json",
        {
            "word_embedding_dimension": width,
            **{key: mode in pooling.modes for key, mode in _OLD_KEYS.items()},
            "include_prompt": True,
        },
    )


def _after_pooling(start: CheckpointRef) -> list[dict[str, Any]]:
    """Entries of `modules.json` behind the pooling; a path that leaves the folder is not followed."""
    file = start.file(MODULES)
    entries = _read(file, list) if file is not None else []
    places = [place for place, part in enumerate(entries) if str(part.get("type")).endswith(".Pooling")]
    found = entries[places[-1] + 1 :] if places else []
    return [part for part in found if re.fullmatch(r"\w+", str(part.get("path")))]


def _read(path: Path, kind: type) -> Any:
    try:
        content = parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(content, kind):
        raise CheckpointError(f"{path} should hold a JSON {kind.__name__}, it holds a {type(content).__name__}.")
    return content
