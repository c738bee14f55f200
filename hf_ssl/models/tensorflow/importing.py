"""A TensorFlow checkpoint to a plain transformers or timm folder, and the proof that it is the same model.

Three levels, each written to `import.json` and to the card:
  1. every variable is used once or left out for a reason that is said, and every tensor of the network is filled;
  2. every tensor in the written file, its change of layout undone, equals TensorFlow's in every bit, whose checksum holds;
  3. with `--check tf`: the outputs of both, for the same input, differ by at most 1e-4.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedConfig

from hf_ssl.core import plugins
from hf_ssl.core.errors import CheckpointError, HfSslError
from hf_ssl.models.load_report import LoadReport, matches_any, shortened
from hf_ssl.models.loading import load_model
from hf_ssl.models.tensorflow import twins
from hf_ssl.models.tensorflow.families.base import Family, Options, Placement, is_state
from hf_ssl.models.tensorflow.sources import ARCHIVE, Source

REPORT = "import.json"
LARGEST_DIFFERENCE = 1e-4
# Kept in the file although the class that holds the heads has no place for it: AutoModel finds it there.
_CARRIED = ("*pooler.*",)


@dataclass
class ImportReport:
    """What was imported, and how far it is proved.

    Attributes:
        source, handle: as the user named it; the handle at Kaggle or TensorFlow Hub, if it was one.
        family, architecture: the family's title; the transformers class that holds everything.
        license: of the model, or None when nobody said.
        variables, used: of the checkpoint; of them in the result.
        left_out: names by the reason.
        compared, different: tensors compared with TensorFlow's values, and how many differ.
        filled: tensors of the network that the file fills, and how many the network has.
        parameters: of the network.
        weights_sha: SHA-256 of the written file.
        forward: largest difference for each output, when the outputs were compared with TensorFlow's.
        not_compared: why they were not.
        notes: what the user should know.
        seconds: that it took, without the comparison of outputs.
    """

    source: str
    handle: str | None
    family: str
    architecture: str
    license: str | None
    variables: int = 0
    used: int = 0
    left_out: dict[str, list[str]] = field(default_factory=dict)
    compared: int = 0
    different: int = 0
    filled: tuple[int, int] = (0, 0)
    parameters: int = 0
    weights_sha: str = ""
    forward: dict[str, float] = field(default_factory=dict)
    not_compared: str = "not asked for (--check tf)"
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def levels(self) -> list[str]:
        """The three levels of proof, a sentence each."""
        left = sum(len(names) for names in self.left_out.values())
        filled, all_ = self.filled
        first = (
            f"{self.used} of {self.variables} variables are used once, {left} are left out; {filled} of {all_} tensors of the "
            "network are filled."
        )
        second = f"{self.compared} tensors compared with TensorFlow's values, {self.different} different; every checksum (CRC-32C) holds."
        worst = max(self.forward.values(), default=0.0)
        third = (
            f"Outputs compared with TensorFlow's on the same input: the largest difference is {worst:.1e} ({', '.join(self.forward)})."
            if self.forward
            else f"Outputs not compared with TensorFlow: {self.not_compared}."
        )
        return [first, second, third]

    def summary(self) -> str:
        """A screen of text."""
        lines = [
            f"{self.source}: {self.family} → {self.architecture}, {self.parameters / 1e6:.1f} M parameters, license {self.license or 'unknown'}"
        ]
        lines += [f"  {number}. {text}" for number, text in enumerate(self.levels(), start=1)]
        lines += [f"     left out ({reason}): {shortened(names, 3)}" for reason, names in self.left_out.items()]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def write(self, folder: Path) -> None:
        """Write `import.json`."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (folder / REPORT).write_text(text + "\n", encoding="utf-8")


def family_of(source: Source, name: str | None, options: Options) -> Family:
    """The family of a checkpoint: the one that is named, else the one that recognizes its variables.

    Raises:
        CheckpointError: none does, or the model is one that is not imported.
    """
    if name is not None:
        return plugins.find("families", name)(source, options)  # what does not fit is told by `place` and `config`
    refused = twins.refusal_of(source.handle or "", source.names)
    if refused is not None:
        raise CheckpointError(f"{source.given} is {refused.name}, and {refused.reason}. Instead: {refused.instead}.")
    kinds = {known: plugins.find("families", known) for known in plugins.names("families")}
    fitting = [kind for kind in kinds.values() if kind.fits(source.names)]
    if len(fitting) == 1:
        return fitting[0](source, options)
    if len(fitting) > 1:
        titles = ", ".join(known for known, kind in kinds.items() if kind in fitting)
        raise CheckpointError(f"{source.given} could be {titles}. Say which: --family NAME.")
    refused = twins.refusal_of(ARCHIVE.sub("", Path(source.given).name))  # a folder may be called anything
    by_name = f" By its name it is {refused.name}. Instead: {refused.instead}." if refused is not None else ""
    head = ", ".join([name for name in source.names if not is_state(name, source.key(name), source.names)][:10])
    raise CheckpointError(
        f"{source.given} is of no known family. Known: {', '.join(kinds)}. Its {len(source.names)} variables begin with {head}.{by_name} "
        "Your own family goes by dotted path: --family my_package.my_module:MyFamily (docs/coming-from-tensorflow-hub.md)."
    )


def import_checkpoint(source: Source, family: Family, folder: Path, license: str | None) -> tuple[ImportReport, Any]:
    """Write the model's folder and prove it.

    Args:
        folder: an empty folder.
        license: what the card says.

    Returns:
        The report, and the loaded model.

    Raises:
        CheckpointError: a level of proof does not hold; the message says where.
    """
    began = time.monotonic()
    placement, config = placed_and_configured(family)
    rounded = write_weights(source, family, placement, folder)
    if rounded:
        family.notes.append(f"{len(rounded)} variables of float64 were rounded to float32: {shortened(rounded, 3)}")
    if isinstance(config, PreTrainedConfig):
        config.architectures = [family.architecture()]
        config.save_pretrained(folder)
    else:
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    family.save_processor(folder)
    report = ImportReport(
        source=source.given, handle=source.handle, family=family.title, architecture=family.architecture(), license=license,
        variables=len(source.names) + len(source.left_out), used=len(placement.placed),
        notes=list(dict.fromkeys((*source.notes, *family.notes))),
    )  # fmt: skip
    for name, reason in placement.left_out.items():
        report.left_out.setdefault(reason, []).append(name)
    report.compared, report.different = compare_values(source, placement, folder)
    if report.different:
        raise CheckpointError(
            f"{report.different} of {report.compared} tensors differ from TensorFlow's after they were written."
        )
    try:
        model, loaded = load_model(str(folder), family.architecture())
    except OSError:
        raise
    except HfSslError as error:  # it names the folder that is about to be deleted
        raise CheckpointError(str(error).replace(str(folder), source.given)) from error
    except Exception as error:  # of every kind, from the settings that were found: an activation that does not exist
        raise CheckpointError(
            f"{source.given} makes no {family.architecture()}: {type(error).__name__} {error}. Its settings are {_told(config)}."
        ) from error
    refuse_gaps(source, loaded)
    report.filled = (loaded.matched, loaded.compared)
    report.parameters, report.weights_sha = loaded.parameters, loaded.weights_sha
    report.seconds = round(time.monotonic() - began, 2)
    return report, model


def placed_and_configured(family: Family) -> tuple[Placement, PreTrainedConfig | dict[str, Any]]:
    """Where the family puts every variable, and its configuration.

    Raises:
        CheckpointError: names, shapes and files do not make one.
    """
    try:
        return family.place(), family.config()
    except (ValueError, TypeError, LookupError, ArithmeticError, StrictDataclassError) as error:
        said = " ".join(str(error).split())
        raise CheckpointError(f"{family.source.given} makes no configuration of {family.title}: {said}") from error


def _told(config: PreTrainedConfig | dict[str, Any]) -> str:
    """The settings an error is about."""
    known = config if isinstance(config, dict) else config.to_dict()
    shown = ("hidden_act", "hidden_size", "num_hidden_layers", "num_attention_heads", "architecture", "model_args")
    return ", ".join(f"{name} {known[name]}" for name in shown if name in known)


def write_weights(source: Source, family: Family, placement: Placement, folder: Path) -> list[str]:
    """Write `model.safetensors`, float32, under the names of the checkpoints at the Hugging Face Hub.

    Returns:
        Names of the variables that had more digits than float32 and were rounded.

    Raises:
        CheckpointError: a variable holds no floating-point numbers, or some that are not finite.
    """
    tensors: dict[str, torch.Tensor] = {}
    rounded: list[str] = []
    for item in placement.placed:
        values = source.values(item.variable)
        if values.dtype.kind != "f":
            raise CheckpointError(
                f"{source.given}: {item.variable} holds {values.dtype}, weights are floating-point numbers."
            )
        if not values.size:
            raise CheckpointError(f"{source.given}: {item.variable} has the shape {values.shape}: it holds nothing.")
        if values.dtype == np.float64:
            rounded.append(item.variable)
        if not np.isfinite(values).all():
            raise CheckpointError(f"{source.given}: {item.variable} holds NaN or infinity.")
        try:
            changed = item.transform.apply(values)
        except (ValueError, IndexError) as error:
            raise CheckpointError(
                f"{source.given}: {item.variable} has the shape {values.shape}, which is not {item.transform.name}."
            ) from error
        tensors[item.key] = torch.from_numpy(np.array(changed, dtype=np.float32, order="C"))
    for key, array in family.added().items():
        tensors[key] = torch.from_numpy(array)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return rounded


def compare_values(source: Source, placement: Placement, folder: Path) -> tuple[int, int]:
    """Read the written file, undo the changes of layout, and compare with TensorFlow's values.

    Returns:
        How many tensors were compared, and how many differ.
    """
    different = 0
    with safe_open(folder / "model.safetensors", framework="numpy") as written:
        for item in placement.placed:
            theirs = source.values(item.variable)
            ours = item.transform.undo(written.get_tensor(item.key), theirs.shape)
            different += not np.array_equal(ours, theirs.astype(np.float32))
    return len(placement.placed), different


def refuse_gaps(source: Source, loaded: LoadReport) -> None:
    """Raise unless the network is filled and everything written has its place in it.

    Raises:
        CheckpointError: a tensor starts at random, or one of the file is unused.
    """
    missing = [name for name in loaded.missing if not matches_any(name, _CARRIED)]
    unused = [name for name in loaded.unexpected if not matches_any(name, _CARRIED)]
    if missing or unused or loaded.mismatched:
        parts = [f"{label}: {shortened(names)}" for label, names in
                 (("not filled", missing), ("no place for", unused), ("another shape", loaded.mismatched)) if names]  # fmt: skip
        raise CheckpointError(f"{source.given} does not fill {loaded.architecture}. {'; '.join(parts)}.")
