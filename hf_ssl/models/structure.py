"""Where the backbone of a model is, which blocks repeat in it, and what lies outside.

Everything is found by looking at the modules, never by a table of model names, so that a family published next year
works too. Modules wrapped by PEFT keep their place, so the functions accept wrapped models as well.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from hf_ssl.core import distributed

# A second stack counts as blocks too (the decoder next to the encoder) when it has this share of the largest one.
_SECOND_STACK_SHARE = 0.25
_EMBEDDING_WORDS = ("embed", "relative_attention", "rel_pos", "cls_token", "mask_token", "patch")
# `self.dense.weight.dtype` looks at a weight without computing with it.
_CALL = re.compile(r"self\.(\w+)\(")
_WEIGHT_READ = re.compile(r"self\.(\w+)\.(?:weight|bias)\b(?!\.(?:dtype|device|shape|size|ndim|numel|is_))")


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """`module` in evaluation mode, and afterwards in the mode it was in."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


@contextlib.contextmanager
def at_work(module: nn.Module) -> Iterator[torch.device]:
    """`module` on this process's GPU, where there is one, and afterwards where it was; within another `at_work` it stays there.

    Yields:
        the device where its batches are to be.
    """
    home = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    place = distributed.device() if home.type == "cpu" else home
    if place == home:
        yield home
        return
    with torch.inference_mode(False):  # parameters stay ones that can be trained
        module.to(place)
    try:
        yield place
    finally:
        with torch.inference_mode(False):
            module.to(home)


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def unwrap_peft(model: nn.Module) -> nn.Module:
    """The model inside a `PeftModel`; any other module is returned as it is."""
    inner = getattr(model, "get_base_model", None)
    return inner() if callable(inner) else model


def find_backbone(model: nn.Module) -> tuple[str, nn.Module]:
    """Name and module of the part that a task head sits on.

    Args:
        model: a bare backbone, a `...For...` model, a `PeftModel`, or any module that holds one of them.

    Returns:
        The dotted name inside `model` (`""` when the whole model is backbone) and the module itself.
    """
    base = _base(unwrap_peft(model))
    if base is model:
        return "", model
    return next((name for name, module in model.named_modules() if module is base), ""), base


@functools.cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _base(module: nn.Module) -> nn.Module:
    inner = [child for child in module.modules() if isinstance(child, PreTrainedModel) and child is not module]
    largest = max(inner, key=_size, default=module)
    if not isinstance(module, PreTrainedModel):  # an objective around a backbone
        return module if largest is module else _base(largest)
    inside = module.base_model
    # DINOv3's network calls its stack of layers `model`, as other families call the network inside a task model.
    is_stack = isinstance(inside, PreTrainedModel) and module.main_input_name not in _parameters(type(inside).forward)
    if inside is not module and not is_stack:
        return inside
    # Whisper's audio classifier names no base model although it has a head.
    has_head = "For" in type(module).__name__ and 2 * _size(largest) > _size(module)
    return largest if has_head else module


def _classifier_inside(module: nn.Module) -> set[str]:
    # timm keeps the classifier inside the network, and says which module it is.
    get_classifier = getattr(module, "get_classifier", None)
    if not callable(get_classifier):
        return set()
    heads = get_classifier()
    chosen = heads if isinstance(heads, tuple) else (heads,)
    return {name for name, child in module.named_modules() if any(child is head for head in chosen)}


def in_backbone(model: nn.Module) -> Callable[[str], bool]:
    """A test `name -> bool`: does this parameter, buffer or module of `model` belong to the backbone?"""
    prefix, module = find_backbone(model)
    heads = tuple(f"{prefix}.{name}".strip(".") for name in _classifier_inside(module) if name)

    def inside(name: str) -> bool:
        if any(name == head or name.startswith(head + ".") for head in heads):
            return False
        return not prefix or name == prefix or name.startswith(prefix + ".")

    return inside


def is_linear(module: nn.Module) -> bool:
    """`nn.Linear`, or the transposed `Conv1D` of GPT-2-like models."""
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _is_stack(module: nn.Module) -> bool:
    children = list(module.children())
    return (
        isinstance(module, (nn.ModuleList, nn.Sequential))
        and len(children) > 0
        and len({type(child) for child in children}) == 1
        and any(True for _ in children[0].children())
    )


def block_stacks(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The outermost `ModuleList`s (timm: `Sequential`s) of repeated blocks, in the order they run.

    Encoders have one, encoder-decoders two; hierarchical networks have one stack of stages. The convolutions in
    front of an audio encoder are not blocks: where some stack has linear layers, one without is left out.
    """
    prefix, base = find_backbone(model)
    found: list[tuple[str, nn.Module]] = []

    def walk(name: str, module: nn.Module) -> None:
        for child_name, child in module.named_children():
            full = f"{name}.{child_name}".strip(".")
            if _is_stack(child):
                found.append((full, child))
            else:
                walk(full, child)

    walk(prefix, base)
    with_linear = [item for item in found if any(is_linear(module) for module in item[1].modules())]
    stacks = with_linear or found
    largest = max((_size(module) for _, module in stacks), default=0)
    return [(name, module) for name, module in stacks if _size(module) >= _SECOND_STACK_SHARE * largest]


def blocks(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Name and module of every repeated block, first to last."""
    return [
        (f"{stack_name}.{name}", block)
        for stack_name, stack in block_stacks(model)
        for name, block in stack.named_children()
    ]


def num_layers(model: nn.Module) -> int:
    """How many blocks have weights of their own: 12 for BERT-base, 1 for ALBERT, which shares them."""
    return len(blocks(model))


def layer_index(model: nn.Module) -> dict[str, int]:
    """Depth of every parameter, for layer-wise learning-rate decay.

    Returns:
        Parameter name to index: 0 for what comes before the blocks (embeddings, convolutions), `i + 1` for block `i`,
        `num_layers(model) + 1` for what comes after them and for the head. The usual rate is then
        `rate * decay ** (num_layers(model) + 1 - index)` (Clark et al. 2020, ELECTRA, appendix B).
    """
    inside, prefix = in_backbone(model), find_backbone(model)[0]
    names = [name for name, _ in blocks(model)]
    index, seen_block = {}, False
    for name, _ in model.named_parameters():
        position = next((i for i, block in enumerate(names) if name.startswith(block + ".")), None)
        if position is not None:
            index[name], seen_block = position + 1, True
        elif not inside(name):
            index[name] = len(names) + 1
        elif any(word in name.removeprefix(prefix).lower() for word in _EMBEDDING_WORDS):
            index[name] = 0
        else:
            index[name] = len(names) + 1 if seen_block else 0
    return index


def read_functionally(model: nn.Module) -> set[str]:
    """Linear layers that are never called, because their owner computes with `self.layer.weight` itself.

    An adapter on such a layer does nothing and gets no gradient: WavLM hands the weights of its four attention
    projections to `F.multi_head_attention_forward`. Found in the source of the owning class; where that may do either
    (timm's attention with and without biases of its own), by running the model once.
    """
    found: set[str] = set()
    doubtful: set[str] = set()
    for name, module in model.named_modules():
        kind: Any = type(module)
        for child_name, child in module.named_children():
            if is_linear(child) and child_name in _matching_attributes(kind, _WEIGHT_READ):
                full = f"{name}.{child_name}".strip(".")
                (doubtful if child_name in _matching_attributes(kind, _CALL) else found).add(full)
    return found | (doubtful - _called(model, doubtful))


def _called(model: nn.Module, names: set[str]) -> set[str]:
    """Which of these modules a forward pass calls; none where no batch can be made for the model."""
    called: set[str] = set()

    def watch(name: str) -> Callable[..., None]:
        return lambda *_: called.add(name)

    if not names:
        return called
    handles = [model.get_submodule(name).register_forward_pre_hook(watch(name)) for name in names]
    was_training, device = model.training, next(model.parameters()).device
    try:
        model.eval()
        batch = {key: value.to(device) for key, value in example_inputs(model, batch_size=1).items()}
        outputs(model, batch)
    except (KeyError, AttributeError):
        return set()
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return called


@functools.cache
def _matching_attributes(kind: type, pattern: re.Pattern[str]) -> set[str]:
    attributes: set[str] = set()
    for owner in kind.__mro__:
        if owner is nn.Module or owner is object or owner is PreTrainedModel:
            break
        try:
            source = inspect.getsource(owner)
        except (OSError, TypeError):
            continue  # a class typed into a notebook has no source file
        attributes.update(match.group(1) for match in pattern.finditer(source))
    return attributes


def example_inputs(model: nn.Module, batch_size: int = 2) -> dict[str, torch.Tensor]:
    """A small deterministic batch that the model accepts, made from its configuration alone.

    Raises:
        KeyError: when the main input is none of tokens, pixels, waveform, log-mel features, series.
    """
    inner: Any = unwrap_peft(model)
    config, generator = inner.config, torch.Generator().manual_seed(0)
    shape: tuple[int, ...]
    name = str(getattr(inner, "main_input_name", "input_ids"))
    if name == "input_ids":
        high = int(inner.get_input_embeddings().weight.shape[0])
        low = min(5, high - 1)  # above the usual special tokens
        tokens = torch.randint(low, high, (batch_size, 16), generator=generator)
        return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    if name == "pixel_values":
        shape = _image_shape(inner.config)
    elif name == "input_values":
        # One second of audio, or the spectrogram an AST-like model wants.
        bins = getattr(config, "num_mel_bins", None)
        shape = (16000,) if bins is None else (config.max_length, bins)
    elif name == "input_features" and hasattr(config, "feature_projection_input_dim"):  # Wav2Vec2-BERT
        shape = (100, config.feature_projection_input_dim)
    elif name == "input_features":
        shape = (config.num_mel_bins, 2 * config.max_source_positions)
    elif name == "past_values":
        channels = getattr(config, "num_input_channels", None)
        # TimesFM takes one series at a time, of whole patches.
        shape = (4 * config.patch_length,) if channels is None else (config.context_length, channels)
    else:
        raise KeyError(name)
    batch = {name: torch.randn((batch_size, *shape), generator=generator)}
    if name == "input_features" and "decoder_input_ids" in inspect.signature(inner.forward).parameters:
        batch["decoder_input_ids"] = torch.zeros((batch_size, 1), dtype=torch.long)  # Whisper with its decoder
    return batch


def outputs(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """Every floating-point output of a model for a batch, in order."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)  # masked models draw a mask in eval mode too
        output = model(**batch)
    values = output.values() if isinstance(output, Mapping) else output
    return [v.float() for v in values if isinstance(v, torch.Tensor) and v.is_floating_point() and v.numel()]


def _image_shape(config: PreTrainedConfig) -> tuple[int, int, int]:
    if config.model_type == "timm_wrapper":
        channels, *size = (getattr(config, "pretrained_cfg", None) or {}).get("input_size", (3, 224, 224))
        size = (getattr(config, "model_args", None) or {}).get("img_size", size)
    else:
        channels, size = getattr(config, "num_channels", 3), getattr(config, "image_size", 224)
    height, width = (size, size) if isinstance(size, int) else (size[0], size[1])
    return int(channels), int(height), int(width)
