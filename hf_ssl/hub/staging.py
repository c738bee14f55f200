"""Put what is to be published into a folder of its own, and search that folder for what must not leave the machine."""

from __future__ import annotations

import inspect
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from transformers import AutoProcessor, PreTrainedTokenizerBase

from hf_ssl.core import jsonfiles
from hf_ssl.core.errors import HubError
from hf_ssl.core.run import write_json
from hf_ssl.hub.pipelines.base import find_pipeline
from hf_ssl.modalities.encoder import Encoder, Processor
from hf_ssl.models import structure
from hf_ssl.models.checkpoint import Tensors, find_weights, read_json
from hf_ssl.models.loading import check_vocabulary, load_model, quiet

if TYPE_CHECKING:
    from torch import nn

# The prefixes of the Hub's own tokens and of the commonest others; the caller's token is searched for by value.
TOKEN = re.compile(rb"\b(hf_[A-Za-z0-9]{30,}|api_org_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{32,}|ghp_[A-Za-z0-9]{36})\b")
ABSOLUTE = re.compile(r"^(file://|~/|/[^/\s]+/|[A-Za-z]:[\\/]|\\\\)")
KINDS_OF_FILE = {
    ".json",
    ".safetensors",
    ".txt",
    ".model",
    ".md",
    ".svg",
    ".yaml",
    ".py",
    ".parquet",
    ".gitattributes",
}
# CardFields about the machine that transformers and PEFT write beside the settings.
LOCAL_KEYS = {
    "_name_or_path",
    "name_or_path",
    "is_local",
    "local_files_only",
    "tokenizer_file",
    "special_tokens_map_file",
}
# Vocabularies and label names may hold anything that looks like a path; a path of this machine is still searched for.
FREE_TEXT = {
    "id2label",
    "label2id",
    "chat_template",
    "vocab",
    "merges",
    "added_tokens",
    "model",
    "added_tokens_decoder",
}
ADAPTER = "adapter"


@dataclass
class Artifact:
    """What is published.

    Args:
        kind: `"model"` (fine-tuned), `"backbone"` (adapted), `"adapter"` (of either), `"embeddings"`.
        source: folder in the run.
        auto_class: transformers class that plain users load it with.
        pipeline_tag: transformers pipeline that serves it, if there is one.
        base_source: where an adapter's base lies on this machine.
        base_id, base_revision: the same as others find it.
        pooling: how the model's output becomes one vector, for who loads it with this library.
    """

    kind: str
    source: Path
    auto_class: str = "AutoModel"
    pipeline_tag: str | None = None
    base_source: str | None = None
    base_id: str | None = None
    base_revision: str | None = None
    options: dict[str, Any] | None = None
    pooling: str | None = None

    @property
    def repo_type(self) -> str:
        return "dataset" if self.kind == "embeddings" else "model"


def stage_model(artifact: Artifact, encoder: Encoder, folder: Path) -> list[str]:
    """A plain transformers folder, written anew: safetensors only, no facts about this machine.

    Returns:
        notes about what was left behind.

    Raises:
        HubError: weights that are not finite, or a processor that does not fit.
        CheckpointError: the run's folder does not load completely.
    """
    model, report = load_model(str(artifact.source), artifact.auto_class)
    model.config.architectures = [type(model).__name__]
    stored = Tensors.open(find_weights(str(artifact.source)))
    # Tensors that this class does not use (a pooler, beside a masked-language model) are there for others, who do.
    carried = {name: stored[name].clone() for name in report.unexpected}
    # Nothing random ships: a pooler that transformers adds where the run's model has none stays out of the file.
    own = {name: tensor for name, tensor in model.state_dict().items() if name not in report.missing}
    with quiet():
        model.save_pretrained(folder, state_dict={**own, **carried} if carried or report.missing else None)
        written, processor = {path.name for path in folder.iterdir()}, encoder.processor
        if processor is not None:
            whole_processor(artifact.source, processor).save_pretrained(folder)
    absent = sorted(
        {path.name for path in folder.iterdir()} - written - {path.name for path in artifact.source.iterdir()}
    )
    if absent:
        # transformers 5 makes a tokenizer with an empty vocabulary where there is none, without a word.
        raise HubError(
            f"{artifact.source} has no {', '.join(absent)}: the processor beside the weights is lost. Save the right one there "
            "with processor.save_pretrained(folder), or run the stage again with --overwrite."
        )
    if isinstance(processor, PreTrainedTokenizerBase):
        check_vocabulary(model, processor)
    encoder.write_pooling(folder)
    clean(folder)
    _for_timm(folder)
    refuse_nonfinite(folder)
    staged = Tensors.open(find_weights(str(folder)))
    lost = [name for name in stored.shapes if staged.shapes.get(name) != stored.shapes[name]]
    if lost:
        raise HubError(f"{len(lost)} tensors of the run's model are not in the staged file, such as {lost[0]}.")
    known = {path.name for path in folder.iterdir()} | {"hf_ssl.json", "README.md"}
    return sorted(path.name for path in artifact.source.iterdir() if path.is_file() and path.name not in known)


def stage_adapter(artifact: Artifact, folder: Path) -> None:
    """An adapter whose configuration names its base as others find it.

    Raises:
        HubError: the base has no Hub id.
    """
    if artifact.base_id is None:
        raise HubError(
            f"The adapter's base is {artifact.base_source!r}, which nobody else has. Publish that model first "
            "(hf-ssl push --what backbone --repo OWNER/NAME), or name it as the Hub knows it with --base_model OWNER/NAME."
        )
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(artifact.source / "adapter_model.safetensors", folder / "adapter_model.safetensors")
    config = read_json(artifact.source / "adapter_config.json")
    write_json(
        folder / "adapter_config.json",
        {
            **config,
            "base_model_name_or_path": artifact.base_id,
            "revision": artifact.base_revision,
            "inference_mode": True,
        },
    )
    clean(folder)
    refuse_nonfinite(folder)


def clean(folder: Path) -> None:
    """Take facts about this machine out of the JSON files that transformers and PEFT wrote."""
    for path in folder.glob("*.json"):
        content = jsonfiles.read_json(path)
        if isinstance(content, dict) and LOCAL_KEYS & content.keys():
            write_json(path, {key: value for key, value in content.items() if key not in LOCAL_KEYS})


def _for_timm(folder: Path) -> None:
    """Make a staged timm network one that `timm.create_model("hf-hub:OWNER/NAME")` takes too.

    It stumbles over `"model_args": null`, which transformers writes, and over classes that are counted in the
    configuration where a network without its classifier lies beside it.
    """
    config = read_json(folder / "config.json")
    if config.get("model_type") != "timm_wrapper":
        return
    if config.get("model_args") is None:
        config.pop("model_args", None)
    heads = (config.get("pretrained_cfg") or {}).get("classifier") or ()
    names = Tensors.open(find_weights(str(folder))).shapes
    if heads and not any(f"{head}.weight" in names for head in ((heads,) if isinstance(heads, str) else heads)):
        config |= {"num_classes": 0, "label_names": []}
    write_json(folder / "config.json", config)


def refuse_nonfinite(folder: Path) -> None:
    """Weights of which one number is NaN or infinite are not published."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as tensors:
            for name in tensors.keys():
                tensor = tensors.get_tensor(name)
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                    count = int((~torch.isfinite(tensor)).sum())
                    raise HubError(
                        f"{count:,} of {tensor.numel():,} numbers of {name} are not finite. Nothing was published; look at the "
                        "loss curve of the run, lower --learning_rate or switch --bf16 off, and train again."
                    )


def refuse_leaks(folder: Path, token: str | None, places: Sequence[str]) -> None:
    """Search every staged file for tokens, for absolute paths, and for kinds of file that can run code.

    Args:
        token: the one in use, searched for in the bytes of every file.
        places: folders of this machine (run, home, checkpoint): their names must not occur anywhere.

    Raises:
        HubError: names every file and what is in it.
    """
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix not in KINDS_OF_FILE and path.name not in KINDS_OF_FILE:
            found.append(
                f"{name}: files of this kind are not published (weights are safetensors, pickles can run code)"
            )
            continue
        if path.is_symlink():
            found.append(f"{name}: a link")
        found += [f"{name}: {reason}" for reason in _leaks(path, token, places)]
    if found:
        raise HubError(
            "These files must not leave this machine as they are:\n" + "\n".join(f"  {line}" for line in found)
        )


def _leaks(path: Path, token: str | None, places: Sequence[str]) -> Iterator[str]:
    content = path.read_bytes()
    # In a table of numbers, bytes that look like a token are chance; the token in use is none.
    readable = path.suffix not in (".safetensors", ".parquet", ".model")
    if (token and token.encode() in content) or (readable and TOKEN.search(content)):
        yield "an access token"
    vocabulary = path.name in ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt") or path.suffix == ".model"
    head = content if readable else content[: 1 << 20]
    for place in places:
        if place.encode() in head and not (vocabulary and place.count("/") < 4):
            yield f"the path {place}"
    if path.suffix == ".json" and not vocabulary:
        for where, value in _strings(json.loads(content)):
            if ABSOLUTE.match(value):
                yield f"{where} is the absolute path {value!r}"


def _strings(value: object, where: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, part in value.items():
            if key not in FREE_TEXT:
                yield from _strings(part, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _strings(part, f"{where}[{number}]")


def reference(artifact: Artifact, encoder: Encoder | None) -> dict[str, torch.Tensor]:
    """What the model in the run answers: to tensors made from its configuration, and to the encoder's made-up values.

    Returns:
        `in.0.*` inputs, `out.0.0` … their outputs; `value.0` … the first output for each made-up value that a pipeline
        will be given. Where there is no pipeline for this kind of data, `in.1.*`, `out.1.0` … are those of the values.
        An output that comes out of random tensors (a pooler that the run's model does not have) is left out.
    """
    model, report = load_model(str(artifact.source), artifact.auto_class)
    found: dict[str, torch.Tensor] = {}
    batches = [structure.example_inputs(model)]
    encoded = []
    if encoder is not None:
        values = published_values(artifact, encoder)
        encoded = [_accepted(model, encoder.collate(encoder.preprocess([value]))) for value in values]
    if artifact.pipeline_tag is not None:
        found |= {f"value.{number}": structure.outputs(model, batch)[0] for number, batch in enumerate(encoded)}
    elif encoder is not None and encoder.modality.pipeline_tag is None:
        batches += encoded
    for number, batch in enumerate(batches):
        found |= {f"in.{number}.{name}": tensor for name, tensor in batch.items()}
        found |= {f"out.{number}.{place}": tensor for place, tensor in enumerate(structure.outputs(model, batch))}
    if report.missing:
        with torch.no_grad():
            for name, random in model.named_parameters():
                if name in report.missing:
                    random.add_(1 + torch.rand_like(random))
        for number, batch in enumerate(batches):
            for place, tensor in enumerate(structure.outputs(model, batch)):
                if not torch.equal(tensor, found[f"out.{number}.{place}"]):
                    del found[f"out.{number}.{place}"]
    return {name: tensor.detach().clone().contiguous() for name, tensor in found.items()}


def _accepted(model: nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without what the class does not take: Whisper's classifier, for one, has no use for the mask of its spectrogram."""
    names = inspect.signature(model.forward).parameters
    return {name: tensor for name, tensor in batch.items() if name in names}


def published_values(artifact: Artifact, encoder: Encoder) -> list[Any]:
    """The encoder's made-up values, with a gap in them for a model that fills gaps."""
    values, served = encoder.example_values(), find_pipeline(artifact.pipeline_tag)
    return values if served is None else [served.ask(value, encoder.processor) for value in values]


def whole_processor(source: Path, processor: Processor) -> Processor:
    """What a stage saved beside the weights: for transcripts a tokenizer too, which the modality does not read with."""
    if hasattr(processor, "get_vocab") or not (source / "tokenizer_config.json").is_file():
        return processor
    with quiet():
        return AutoProcessor.from_pretrained(str(source), trust_remote_code=False)
