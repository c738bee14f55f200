"""The third level of proof: the outputs of TensorFlow's model and of the imported one, for the same input."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from hf_ssl.core.errors import CheckpointError, MissingExtraError
from hf_ssl.models.loading import load_model
from hf_ssl.models.tensorflow.families.base import Family

_PROGRAM = Path(__file__).with_name("run_in_tensorflow.py")
_LIMIT = 1800  # seconds; TensorFlow's import and a large model's loading on a slow machine
_ROWS, _WORDS = 2, 12


def require_tensorflow(python: str | None) -> None:
    """Say which line installs TensorFlow, before anything is read.

    Args:
        python: another interpreter that is said to have it.

    Raises:
        MissingExtraError: this one is meant, and it has none.
    """
    if python is None and importlib.util.find_spec("tensorflow") is None:
        raise MissingExtraError(
            'Comparing outputs needs TensorFlow, which is not installed here. Run: pip install "hf_ssl[tfhub-check]", or name a Python '
            "that has it: --tf_python /path/to/venv/bin/python"
        )


def outputs_of_tensorflow(
    folder: Path, inputs: dict[str, np.ndarray], python: str | None = None
) -> dict[str, np.ndarray]:
    """Run a SavedModel in TensorFlow, in a process of its own.

    Args:
        folder: with saved_model.pb.
        python: the interpreter that has TensorFlow; by default this one.

    Raises:
        MissingExtraError: it has none.
        CheckpointError: TensorFlow cannot run the model.
    """
    require_tensorflow(python)
    with tempfile.TemporaryDirectory(prefix="hf_ssl_tf_") as place:
        given, found = Path(place) / "inputs.npz", Path(place) / "outputs.npz"
        arrays: dict[str, Any] = {**inputs}
        np.savez(given, **arrays)
        command = [python or sys.executable, str(_PROGRAM), str(folder), str(given), str(found)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=_LIMIT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CheckpointError(f"TensorFlow could not be run with {command[0]}: {error}") from error
        if done.returncode or not found.is_file():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise CheckpointError(f"TensorFlow could not run {folder}: {last}")
        try:
            with np.load(found) as content:
                return dict(content)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise CheckpointError(f"{command[0]} left no readable outputs: {error}") from error


@torch.no_grad()
def compare_outputs(
    family: Family, model: PreTrainedModel, folder: Path, python: str | None = None
) -> dict[str, float]:
    """Largest absolute difference of every output that both have.

    Args:
        model: as imported, in eval mode.
        folder: the imported model's.
        python: see `outputs_of_tensorflow`.

    Raises:
        CheckpointError: none of TensorFlow's outputs is known.
    """
    inputs = sample(family, model)
    theirs = outputs_of_tensorflow(family.source.folder, inputs, python)
    ours = outputs_of_torch(family, model, folder, inputs)
    names = {name: ours[key] for name, key in family.outputs().items() if key in ours}
    found = {name: difference(theirs[name], value) for name, value in names.items() if name in theirs}
    if not found:  # signatures of some years call their outputs after layers
        for value in names.values():
            close = {name: difference(array, value) for name, array in theirs.items() if array.shape == value.shape}
            if close:
                best = min(close, key=lambda name: close[name])
                found[best] = close[best]
    if not found:
        raise CheckpointError(
            f"TensorFlow's outputs {', '.join(sorted(theirs))} are none that {family.title} is known to have. "
            "Without --check tf it is imported all the same, and its card says that it was not compared."
        )
    return found


def difference(theirs: np.ndarray, ours: np.ndarray) -> float:
    """Largest absolute difference; infinite when the shapes differ."""
    return float(np.abs(theirs - ours).max()) if theirs.shape == ours.shape else float("inf")


def sample(family: Family, model: PreTrainedModel) -> dict[str, np.ndarray]:
    """Random ids with padding and two segments, or a random picture in the range TensorFlow's network takes."""
    rng = np.random.default_rng(0)
    config: Any = model.config
    if family.modality == "text":
        words = min(_WORDS, int(config.max_position_embeddings))
        ids = rng.integers(5, max(6, config.vocab_size), size=(_ROWS, words)).astype(np.int32)
        ids[1, -3:] = config.pad_token_id or 0
        mask = np.ones_like(ids)
        mask[1, -3:] = 0
        kinds = np.zeros_like(ids)
        kinds[0, words // 2 :] = 1
        places = np.arange(1, words - 3, 2, dtype=np.int32)[None].repeat(_ROWS, 0)
        return {"input_word_ids": ids, "input_mask": mask, "input_type_ids": kinds, "masked_lm_positions": places}
    recorded = getattr(config, "pretrained_cfg", None) or {}
    side = int(recorded.get("input_size", [3, getattr(config, "image_size", 224)])[1])
    picture = rng.random((_ROWS, side, side, 3)).astype(np.float32)
    return {"images": 2 * picture - 1 if family.pixels == "signed" else picture}


@torch.no_grad()
def outputs_of_torch(
    family: Family, model: PreTrainedModel, folder: Path, inputs: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What the imported model answers: hidden states and pooler of the backbone, logits at the masked positions."""
    found: dict[str, Any] = {}
    if family.modality == "text":
        fed = {
            "input_ids": torch.from_numpy(inputs["input_word_ids"]).long(),
            "attention_mask": torch.from_numpy(inputs["input_mask"]).long(),
            "token_type_ids": torch.from_numpy(inputs["input_type_ids"]).long(),
        }
        backbone, _ = load_model(str(folder), "AutoModel")  # with the pooler, which classes with a head may lack
        body, full = backbone(**fed), model(**fed)
        logits = full.get("logits", full.get("prediction_logits"))
        if logits is not None and logits.shape[-1] == model.config.vocab_size and "masked_lm_positions" in inputs:
            rows = torch.arange(len(logits))[:, None]
            found["logits"] = logits[rows, torch.from_numpy(inputs["masked_lm_positions"]).long()]
        elif logits is not None:
            found["logits"] = logits
    else:
        pixels = torch.from_numpy(inputs["images"]).permute(0, 3, 1, 2)
        recorded = getattr(model.config, "pretrained_cfg", None)
        if recorded:
            mean, std = (torch.tensor(recorded[name]).view(1, -1, 1, 1) for name in ("mean", "std"))
            pixels = (pixels - mean) / std
        body = model(pixel_values=pixels.contiguous())
    found["last_hidden_state"] = body.last_hidden_state
    if body.get("pooler_output") is not None:
        found["pooler_output"] = body.pooler_output
    return {name: value.float().numpy() for name, value in found.items()}
