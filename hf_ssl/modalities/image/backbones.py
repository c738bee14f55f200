"""What image backbones have in common, whoever wrote them: channels, size, the map of patch features."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.models import loading, structure
from hf_ssl.models.checkpoint import Tensors, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel

    from hf_ssl.modalities.image.geometry import PictureProcessor
    from hf_ssl.models.loading import LoadReport
    from hf_ssl.models.reference import CheckpointRef


def load_fitted(
    ref: CheckpointRef, auto_class: str, channels: int | None, size: int | None, **options: Any
) -> tuple[PreTrainedModel, LoadReport]:
    """`loading.load_model`, with the first layer adapted to `channels` and timm's recorded input size set to `size`.

    The weights of a three-channel first layer are averaged over colors, copied to every channel, and scaled by
    3 / channels, so that the layer answers a gray picture as it did before (as timm does for input channels).
    """
    config = _config(ref)
    options |= {"revision": ref.revision, "token": ref.token}
    timm = "architecture" in config and config.get("model_type", "timm_wrapper") == "timm_wrapper"
    if config.get("model_type") == "dinov3_vit" and auto_class == "AutoModelForImageClassification":
        raise CheckpointError(
            f"transformers has no classifier on {ref.id} (dinov3_vit). Pre-training, probes and embeddings work on it; to "
            "fine-tune, start from the same weights as timm has them, such as timm/vit_small_patch16_dinov3.lvd1689m."
        )
    known = _channels_of(config, timm)
    expect_new = tuple(options.pop("expect_new", ()))
    if channels is None or channels == known:
        model, report = loading.load_model(ref.id, auto_class, expect_new=expect_new, **options)
    else:
        first = _first_layer(ref, known)
        override: dict[str, Any] = {"num_channels": channels}
        if timm:
            override = {"model_args": {**_model_args(config), "in_chans": channels}}
        pattern = f"*{first.rpartition('.')[0].removeprefix('timm_model.')}"
        model, report = loading.load_model(
            ref.id, auto_class, expect_new=(*expect_new, pattern, f"{pattern}.weight"), **override, **options
        )
        _adapt_first_layer(model, report, ref, first, channels)
    if timm:  # its wrapper saves these two, and would go on saving those of the start checkpoint
        model.config.label_names = list((model.config.id2label or {}).values())
        model.config.num_classes = model.config.num_labels
    sized = _any_size(model.timm_model) if timm else {}
    if sized and size is not None:  # so that timm and transformers take pictures of that size as well
        model.config.model_args = {**(getattr(model.config, "model_args", None) or {}), **sized}
    if timm and (size is not None or (channels or known) != known):
        recorded = dict(getattr(model.config, "pretrained_cfg", None) or {})
        side = size or int(recorded.get("input_size", (3, 224, 224))[1])
        shape = [channels or known, side, side]
        spread = {name: _as_many(recorded[name], shape[0]) for name in ("mean", "std") if name in recorded}
        model.config.pretrained_cfg = {**recorded, **spread, "input_size": shape, "test_input_size": shape}
    _keep_windows(model)
    return model, report


def _any_size(network: Any) -> dict[str, bool]:
    """Let timm's ViT and Swin take pictures of any size; returns the options that timm would make them so with."""
    from timm.layers import Format

    embed: Any = getattr(network, "patch_embed", None)
    if not getattr(embed, "strict_img_size", False):
        return {}
    windows: list[Any] = [block for block in network.modules() if hasattr(block, "dynamic_mask")]
    if windows:
        for block in windows:
            block.dynamic_mask = True
        embed.strict_img_size = False
        return {"strict_img_size": False}
    if (
        getattr(network, "dynamic_img_size", True)
        or getattr(network, "pos_embed", None) is None
        or hasattr(network, "rope")
    ):
        return {}
    network.dynamic_img_size, embed.strict_img_size = True, False
    embed.flatten, embed.output_fmt = False, Format.NHWC  # positions are resampled on the grid
    return {"dynamic_img_size": True}


def patch_size(backbone: nn.Module) -> int:
    """Side of a patch in pixels, 1 for a network without patches."""
    base: Any = structure.unwrap_peft(backbone)
    network = getattr(base, "timm_model", base)
    found = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    found = getattr(getattr(base, "config", None), "patch_size", found)
    found = found[0] if isinstance(found, (tuple, list)) else found
    return found if isinstance(found, int) else 1


def _keep_windows(model: nn.Module) -> None:
    """Let Swin take pictures whose map is smaller than its window, such as the small crops of DINO.

    transformers shrinks the window of a layer to the smallest map that it ever saw, for good, and then fails: its table of
    relative positions has the size of the window it was made with. Here the window stays, and the map is padded up to it,
    as every other map that is no multiple of the window.
    """
    layer: Any
    for layer in model.modules():
        if hasattr(layer, "set_shift_and_window_size"):
            layer.built_with = (layer.window_size, layer.shift_size)
            layer.set_shift_and_window_size = functools.partial(_built_window, layer)


def _built_window(layer: Any, resolution: tuple[int, int]) -> None:
    window, shift = layer.built_with
    layer.shift_size = 0 if min(resolution) <= window else shift


def _config(ref: CheckpointRef) -> dict[str, Any]:
    weights = ref.weights()
    folder = Path(weights.source)
    if not folder.is_dir():
        folder = weights.files[0].parent
    file = folder / "config.json"
    return read_json(file) if file.is_file() else {}


def _model_args(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (config.get("model_args") or {}).items() if name != "num_classes"}


def _channels_of(config: dict[str, Any], timm: bool) -> int:
    if timm:
        recorded = (config.get("pretrained_cfg") or {}).get("input_size", (3,))
        return int(_model_args(config).get("in_chans", recorded[0]))
    return int(config.get("num_channels", 3))


def _first_layer(ref: CheckpointRef, channels: int) -> str:
    """Name in the file of the convolution that takes the picture: the first 4-D weight with so many input channels."""
    tensors = Tensors.open(ref.weights())
    found = [
        name
        for name, shape in tensors.shapes.items()
        if len(shape) == 4 and shape[1] == channels and name.endswith("weight") and "decoder" not in name
    ]
    if not found:
        raise ConfigError(f"{ref.id} has no convolution over {channels} channels that could be adapted.")
    stems = [name for name in found if any(word in name for word in ("embed", "stem", "conv1", "patch"))]
    return (stems or found)[0]


def _adapt_first_layer(
    model: PreTrainedModel, report: LoadReport, ref: CheckpointRef, first: str, channels: int
) -> None:
    stored = Tensors.open(ref.weights())[first].float()
    leaf = first.rpartition(".")[0].split(".")[-1]
    shape = (stored.shape[0], channels, *stored.shape[2:])
    target = next(
        (m for n, m in model.named_modules()
         if isinstance(m, nn.Conv2d) and tuple(m.weight.shape) == shape and n.split(".")[-1] == leaf), None,
    )  # fmt: skip
    if target is None:
        raise CheckpointError(f"{first} of {ref.id} has no counterpart in {type(model).__name__} to adapt.")
    with torch.no_grad():
        spread = stored.mean(dim=1, keepdim=True) * (stored.shape[1] / channels)
        target.weight.copy_(spread.expand(shape))
    module: Any
    for module in model.modules():
        if getattr(module, "num_channels", None) == stored.shape[1]:
            module.num_channels = channels  # embeddings compare the picture with it
    names = [n for n, p in model.named_parameters() if p is target.weight]
    report.missing = [name for name in report.missing if name not in names]
    report.mismatched = [name for name in report.mismatched if name not in names]
    report.notes.append(f"{names[0]} was averaged over {stored.shape[1]} channels and spread over {channels}")


def fit_processor(processor: PictureProcessor, channels: int | None, size: int | None) -> PictureProcessor:
    """Write another size and number of channels into a processor, so that what is saved with the model is right."""
    if hasattr(processor, "data_config"):  # timm: rebuilt from the model's config, which records the size
        shape = list(processor.data_config["input_size"])
        shape = [channels or shape[0], size or shape[1], size or shape[2]]
        processor.data_config["input_size"] = tuple(shape)
        processor.data_config["mean"] = _as_many(processor.data_config["mean"], shape[0])
        processor.data_config["std"] = _as_many(processor.data_config["std"], shape[0])
        return processor
    if size is not None:
        had = {key: value for key, value in dict(processor.size).items() if value is not None}
        crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
        if crop is not None and "shortest_edge" in had:
            proportion = had["shortest_edge"] / dict(crop)["height"]
            processor.size = type(processor.size)(shortest_edge=round(size * proportion))
            processor.crop_size = type(processor.size)(height=size, width=size)
        elif "shortest_edge" in had:
            processor.size = type(processor.size)(shortest_edge=size)
        else:
            processor.size = type(processor.size)(height=size, width=size)
    if channels is not None:
        processor.image_mean = _as_many(processor.image_mean, channels)
        processor.image_std = _as_many(processor.image_std, channels)
    return processor


def _as_many(values: Sequence[float], channels: int) -> list[float]:
    values = [float(value) for value in values]
    return values if len(values) == channels else [sum(values) / len(values)] * channels


def run(
    backbone: nn.Module, pictures: torch.Tensor, special: int, **inputs: torch.Tensor
) -> tuple[torch.Tensor | None, torch.Tensor, torch.Tensor | None]:
    """Run any backbone on pictures of any size.

    Args:
        backbone: a transformers vision model, or the timm network inside a `TimmWrapperModel`.
        pictures: `(batch, channels, height, width)`.
        special: tokens before the patches.
        inputs: more inputs, such as `bool_masked_pos`.

    Returns:
        all tokens `(batch, tokens, hidden)` (None for a network without tokens), the map of features
        `(batch, hidden, rows, columns)`, and the network's own pooled vector when it has one.
    """
    base: Any = structure.unwrap_peft(backbone)
    pictures = laid_out(base, pictures)
    if hasattr(base, "forward_features"):  # timm itself
        last = base.forward_features(pictures)
        pooled = base.forward_head(last, pre_logits=True)
    else:
        with _whole_picture(base):
            output = base(pictures, **_call_options(base, pictures), **inputs)
        last, pooled = output.last_hidden_state, getattr(output, "pooler_output", None)
        pooled = None if pooled is None else pooled.flatten(1)
    if last.dim() == 4:
        width = getattr(getattr(base, "timm_model", base), "num_features", last.shape[1])
        return None, last if last.shape[1] == width else last.permute(0, 3, 1, 2), pooled  # timm's Swin: channels last
    return last, _as_map(last[:, special:], pictures.shape[-2:]), pooled


def laid_out(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """Pictures with their channels last in memory, for a convolutional network on a CPU: it runs up to twice as fast."""
    if pictures.device.type == "cpu" and sum(isinstance(module, nn.Conv2d) for module in network.modules()) > 4:
        return pictures.contiguous(memory_format=torch.channels_last)
    return pictures


def layer_map(backbone: nn.Module, pictures: torch.Tensor, special: int, layer: int) -> torch.Tensor:
    """Map of an earlier layer or stage, `(batch, hidden, rows, columns)`; -1 is the last, without its final norm.

    Raises:
        ConfigError: the network has no such layer.
    """
    base: Any = structure.unwrap_peft(backbone)
    pictures = laid_out(base, pictures)
    try:
        network = getattr(base, "timm_model", base)
        if hasattr(network, "forward_intermediates"):  # timm itself
            return network.forward_intermediates(pictures, intermediates_only=True)[layer]
        with _whole_picture(base):
            output = base(pictures, output_hidden_states=True, **_call_options(base, pictures))
        found = getattr(output, "reshaped_hidden_states", None) or output.hidden_states
        chosen = found[layer]
    except IndexError as error:
        raise ConfigError(f"{type(base).__name__} has no layer {layer}.") from error
    return chosen if chosen.dim() == 4 else _as_map(chosen[:, special:], pictures.shape[-2:])


def _as_map(patches: torch.Tensor, size: tuple[int, int] | torch.Size) -> torch.Tensor:
    count, (height, width) = patches.shape[1], size
    rows = max(1, round((count * height / width) ** 0.5))
    while count % rows:  # the division of the sides was rounded down somewhere
        rows -= 1
    return patches.transpose(1, 2).unflatten(2, (rows, count // rows))


def _call_options(base: nn.Module, pictures: torch.Tensor) -> dict[str, Any]:
    """ViT and its like refuse another size than the trained one unless told to interpolate positions."""
    config: Any = getattr(base, "config", None)
    trained = getattr(config, "image_size", None)
    options: dict[str, Any] = {}
    side = trained if isinstance(trained, int) else (trained[0] if trained else None)
    if side is not None and tuple(pictures.shape[-2:]) != (side, side) and _accepts(base, "interpolate_pos_encoding"):
        options["interpolate_pos_encoding"] = True
    if getattr(config, "model_type", "") == "vit_mae":
        # ViTMAE hides patches in evaluation too, in random order: with a rising noise and nothing hidden the
        # patches stay where they are.
        patch = config.patch_size
        count = (pictures.shape[-2] // patch) * (pictures.shape[-1] // patch)
        options["noise"] = torch.arange(count, device=pictures.device, dtype=torch.float32).expand(len(pictures), -1)
    return options


def _accepts(module: nn.Module, name: str) -> bool:
    import inspect

    return name in inspect.signature(module.forward).parameters


@contextlib.contextmanager
def _whole_picture(base: nn.Module) -> Iterator[None]:
    config: Any = getattr(base, "config", None)
    if getattr(config, "model_type", "") != "vit_mae":
        yield
        return
    before, config.mask_ratio = config.mask_ratio, 0.0
    try:
        yield
    finally:
        config.mask_ratio = before


_SPECIAL_TOKENS = ("cls_token", "register_tokens", "distillation_token", "reg_token", "dist_token")


def special_tokens(backbone: nn.Module) -> int:
    """How many tokens before the patches are no patches: class, distillation and register tokens."""
    count = 0
    for name, parameter in backbone.named_parameters():
        if name.rpartition(".")[2] in _SPECIAL_TOKENS:
            count += parameter.shape[-2] if parameter.dim() > 1 else 1
    return count


def takes_masks(backbone: nn.Module) -> bool:
    """Whether hidden patches can be named in the call, and the network puts its mask token there."""
    base: Any = structure.unwrap_peft(backbone)
    return _accepts(base, "bool_masked_pos") and any(hasattr(module, "mask_token") for module in base.modules())


def add_mask_token(backbone: nn.Module) -> nn.Module | None:
    """Give a network that was loaded without a mask token one of zeros; returns where it was put."""
    module: Any
    for module in backbone.modules():
        if hasattr(module, "mask_token"):
            if module.mask_token is not None:
                return None
            # As many numbers as the convolution that makes the patches gives out.
            width = next(layer.out_channels for layer in module.modules() if isinstance(layer, nn.Conv2d))
            del module.mask_token
            module.mask_token = nn.Parameter(torch.zeros(1, 1, width))
            return module
    return None


def drop_mask_token(model: nn.Module) -> None:
    """Take a mask token away again where the configuration would not create one, so that what is saved is plain."""
    with torch.device("meta"):
        plain: Any = type(model)(model.config)
    wanted = {name for name, _ in plain.named_parameters()}
    for name, module in model.named_modules():
        if isinstance(getattr(module, "mask_token", None), nn.Parameter) and f"{name}.mask_token" not in wanted:
            module.mask_token = None
