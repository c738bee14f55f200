"""Which layers an adapter goes on, and which modules must be trained and saved whole. Found by inspection.

PEFT's own tables know a few dozen families, no audio and no time series, and its `all-linear` also adapts a new head.
Here the rule is one: the linear layers inside the repeated blocks of the backbone, and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatchcase
from typing import Any

import peft
import torch
from torch import nn
from transformers import PreTrainedModel

from hf_ssl.core.errors import ConfigError
from hf_ssl.models.structure import blocks, example_inputs, find_backbone, in_backbone, is_linear, read_functionally

_ATTENTION = re.compile(r"att(n|ention)", re.IGNORECASE)
# Keys and values under their names in BERT, MPNet, DistilBERT, DeBERTa, wav2vec2/Whisper/ViT, and fused projections.
_KEY_VALUE = re.compile(r"(k|v|key|value)(_proj|_lin)?|kv|w?qkv|in_proj|query_key_value|c_attn", re.IGNORECASE)


def linear_sizes(module: nn.Module) -> tuple[int, int]:
    """`(in, out)` features of a linear layer; `Conv1D` keeps its weight transposed."""
    weight: Any = module.weight
    rows, columns = weight.shape
    return (columns, rows) if isinstance(module, nn.Linear) else (rows, columns)


def _block_layers(model: nn.Module, rank: int) -> dict[str, tuple[str, nn.Module]]:
    """Full name -> (name inside its block, layer) of everything an adapter may sit on."""
    dead = read_functionally(model)
    layers: dict[str, tuple[str, nn.Module]] = {}
    convolutions: dict[str, tuple[str, nn.Module]] = {}
    for block_name, block in blocks(model):
        for name, module in block.named_modules():
            full = f"{block_name}.{name}"
            # A layer no wider than the rank has nothing to gain: WavLM's 8-wide relative-position gate.
            if is_linear(module) and full not in dead and min(linear_sizes(module)) > rank:
                layers[full] = (name, module)
            elif isinstance(module, nn.Conv2d) and module.groups == 1 and module.out_channels > rank:
                convolutions[full] = (name, module)
    return layers or convolutions


def target_modules(model: nn.Module, method: str = "lora", rank: int = 8) -> list[str]:
    """The shortest unambiguous names of the layers that `method` adapts.

    Args:
        model: not yet wrapped.
        method: `"ia3"` takes keys, values and the second feed-forward layer (Liu et al. 2022, section 3.3); every
            other method takes all linear layers of the blocks, which beats attention only at equal size (QLoRA,
            Dettmers et al. 2023, section 4). A purely convolutional network gets its 2-D convolutions.
        rank: layers no wider than this are left out.

    Returns:
        Suffixes that match these layers and no other module, such as `["intermediate.dense", "query"]`.

    Raises:
        ConfigError: when the model has no layer to adapt.
    """
    layers = _block_layers(model, rank)
    chosen = set(layers)
    if method == "oft":
        # PEFT's OFT rotates the wrong axis of a 4-D input: it takes it for an image.
        image_like = _called_with_images(model, list(layers))
        chosen = {name for name in layers if isinstance(layers[name][1], nn.Linear) and name not in image_like}
    if method == "ia3":
        chosen = {name for name, (inner, _) in layers.items() if _KEY_VALUE.fullmatch(inner.rpartition(".")[2])}
        chosen |= _feedforward(model, layers)
    if not chosen:
        raise ConfigError(
            f"Found no layer of {type(model).__name__} that {method} could adapt (looked for linear layers wider than "
            f"{rank} in {len(blocks(model))} blocks). Lower --lora_r if they are narrow, name them with target_modules=[...], or "
            "use method 'full'."
        )
    return _short_names(model, {name: layers[name][0] for name in chosen})


def _called_with_images(model: nn.Module, names: list[str]) -> set[str]:
    """Which of these linear layers get a 4-D input (channels-last networks, WavLM's position gate), by trying."""
    found: set[str] = set()

    def watch(name: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        def hook(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            if args and args[0].dim() == 4:
                found.add(name)

        return hook

    handles = [model.get_submodule(name).register_forward_pre_hook(watch(name)) for name in names]
    was_training = model.training
    device = next(model.parameters()).device
    try:
        model.eval()
        with torch.no_grad(), torch.random.fork_rng():
            model(**{key: value.to(device) for key, value in example_inputs(model).items()})
    except (KeyError, AttributeError) as error:
        raise ConfigError(
            f"OFT needs to see {type(model).__name__} run once, and no example batch could be made for it ({error}). "
            "Use lora, or name target_modules."
        ) from error
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return found


def feedforward_modules(model: nn.Module, rank: int = 8) -> list[str]:
    """Second feed-forward layer of every block: where IA3 rescales the input instead of the output."""
    layers = _block_layers(model, rank)
    chosen = _feedforward(model, layers)
    return _short_names(model, {name: layers[name][0] for name in chosen})


def _feedforward(model: nn.Module, layers: dict[str, tuple[str, nn.Module]]) -> set[str]:
    chosen = set()
    for block_name, _ in blocks(model):
        outside = [
            name
            for name, (inner, module) in layers.items()
            if name.startswith(block_name + ".") and is_linear(module) and not _ATTENTION.search(inner)
        ]
        narrowing = [name for name in outside if linear_sizes(layers[name][1])[0] > linear_sizes(layers[name][1])[1]]
        chosen.update(narrowing or outside[-1:])
    return chosen


def _short_names(model: nn.Module, chosen: dict[str, str]) -> list[str]:
    everything = [name for name, _ in model.named_modules(remove_duplicate=False)]
    short = set()
    for full, inner in chosen.items():
        parts = inner.split(".")
        candidates = [".".join(parts[-length:]) for length in range(1, len(parts) + 1)]
        # A bare number names an element of some list: too little to read, and to tell apart in a deeper model.
        words = [c for c in candidates if not c.split(".")[0].isdigit()]
        short.add(next((c for c in words if matched(everything, [c]) <= chosen.keys()), full))
    return sorted(short)


def matched(names: Iterable[str], targets: Collection[str]) -> set[str]:
    """The module names that PEFT would match with a list of targets: equal, or ending in `.target`."""
    return {name for name in names if any(name == t or name.endswith("." + t) for t in targets)}


def check_targets(model: nn.Module, targets: list[str]) -> None:
    """Refuse targets that match nothing, or on which an adapter would silently do nothing."""
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    unknown = [target for target in targets if not matched(names, [target])]
    if unknown:
        raise ConfigError(
            f"target_modules {unknown} match no module of {type(model).__name__}. Found by inspection: "
            f"{target_modules(model)}."
        )
    dead = sorted(matched(names, targets) & read_functionally(model))
    if dead:
        raise ConfigError(
            f"An adapter on {dead[0]} (and {len(dead) - 1} more) would do nothing: {type(model).__name__} reads the "
            "weights of these layers itself instead of calling them, so they would never get a gradient. Use "
            f"{target_modules(model)}."
        )


def oft_block_size(model: nn.Module, targets: list[str], largest: int = 32) -> int:
    """The largest block up to `largest` that divides the input width of every target."""
    modules = dict(model.named_modules())
    widths = [linear_sizes(modules[name])[0] for name in matched(modules, targets)]
    common = math.gcd(*widths)
    size = max(block for block in range(1, largest + 1) if common % block == 0)
    if size < 2:
        raise ConfigError(
            f"OFT needs a common divisor of the layer widths {sorted(set(widths))}; there is none. Use lora."
        )
    return size


def modules_to_save(model: nn.Module, missing: Iterable[str], frozen_ok: tuple[str, ...] = ()) -> list[str]:
    """The modules to train and save whole beside an adapter, so that nothing random is left behind.

    These are the largest modules that consist of newly initialized tensors alone: the classifier, and the pooler
    that an MLM checkpoint lacks, which PEFT would leave frozen at random and out of the adapter (peft#2171). Batch
    norms of the backbone are added, because their running statistics move during training.

    Args:
        model: not yet wrapped.
        missing: `LoadReport.missing`.
        frozen_ok: `fnmatch` patterns of new tensors that may stay random and frozen.

    Raises:
        ConfigError: a new tensor has no module of its own that could be saved.
    """
    new = {name for name in missing if not any(fnmatchcase(name, pattern) for pattern in frozen_ok)}
    owners = {_owner(model, name, new) for name in sorted(new)}
    inside = in_backbone(model)
    owners |= {
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and inside(name)
    }
    return sorted(name for name in owners if not any(name.startswith(other + ".") for other in owners))


def head_modules(model: nn.Module) -> list[str]:
    """The outermost modules outside the backbone that have weights: projector and classifier, say. None for a backbone."""
    name, base = find_backbone(model)
    if base is model:
        return []
    heads = [(child, module) for child, module in model.named_children() if not f"{name}.".startswith(f"{child}.")]
    return [child for child, module in heads if any(True for _ in module.parameters()) and own_tensors(model, child)]


def _owner(model: nn.Module, tensor_name: str, new: set[str]) -> str:
    owner = tensor_name.rpartition(".")[0]
    base_name, base = find_backbone(model)
    block_names = [name for name, _ in blocks(model)]
    holds_blocks = any(owner == "" or name.startswith(owner + ".") for name in block_names)
    if owner == "" or holds_blocks or (owner == base_name and base is not model):
        kind = type(model.get_submodule(owner)).__name__
        raise ConfigError(
            f"{tensor_name} is new, but it is a bare parameter of {kind}, which an adapter "
            "cannot train and save by itself. Use method 'full', or accept that it stays random with "
            f"frozen_ok=({tensor_name!r},)."
        )
    parent = owner.rpartition(".")[0]
    while parent and _only_new(model, parent, new) and not isinstance(model.get_submodule(parent), nn.ModuleList):
        owner, parent = parent, parent.rpartition(".")[0]
    return owner


def _only_new(model: nn.Module, name: str, new: set[str]) -> bool:
    own = own_tensors(model, name)
    return all(f"{name}.{inner}" in new for inner in own)


def own_tensors(model: nn.Module, name: str) -> list[str]:
    """Parameters inside module `name` that are not shared with a module outside it (a tied output embedding is)."""
    outside = {
        id(parameter)
        for full, parameter in model.named_parameters(remove_duplicate=False)
        if not full.startswith(name + ".")
    }
    module = model.get_submodule(name)
    return [inner for inner, p in module.named_parameters(remove_duplicate=False) if id(p) not in outside]


def shared_parameters(model: nn.Module) -> list[tuple[list[str], nn.Parameter]]:
    """Every parameter that has several names, such as tied embeddings: `(names in registration order, parameter)`."""
    names: dict[int, list[str]] = {}
    parameters: dict[int, nn.Parameter] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
        parameters[id(parameter)] = parameter
    return [(group, parameters[key]) for key, group in names.items() if len(group) > 1]


def embedding_modules(model: PreTrainedModel) -> list[str]:
    """The input embedding, and the output embedding where it is tied to it: these must be trained together."""
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    modules = {embedding} | ({output} if output is not None and output.weight is embedding.weight else set())
    return [name for name, module in model.named_modules() if module in modules]


def adapter_config(
    model: nn.Module, method: str, common: dict[str, Any], *, rank: int, alpha: float | None, dropout: float
) -> peft.PeftConfig:
    """PEFT's configuration of a method; `common` holds what all of them take."""
    if rank < 1:
        raise ConfigError(f"rank is a positive integer, not {rank}.")
    if method in ("lora", "rslora", "dora"):
        default = 2 * rank**0.5 if method == "rslora" else 2 * rank
        scale: Any = default if alpha is None else alpha  # PEFT's annotation says int; it only divides
        return peft.LoraConfig(
            r=rank,
            lora_alpha=scale,
            lora_dropout=dropout,
            use_rslora=method == "rslora",
            use_dora=method == "dora",
            **common,
        )
    if method == "ia3":
        return peft.IA3Config(feedforward_modules=_ia3_feedforward(model, common["target_modules"], rank), **common)
    block = oft_block_size(model, common["target_modules"])
    return peft.OFTConfig(r=0, oft_block_size=block, module_dropout=dropout, **common)


def _ia3_feedforward(model: nn.Module, targets: list[str], rank: int) -> list[str]:
    names = [name for name, _ in model.named_modules()]
    second_layers = matched(names, feedforward_modules(model, rank))
    return [target for target in targets if matched(names, [target]) <= second_layers]
