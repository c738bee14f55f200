"""How the audio encoders of transformers are fed, masked and pooled.

Three shapes of input: waveforms (wav2vec2, HuBERT, WavLM, data2vec, UniSpeech), a spectrogram of fixed length (Whisper,
AST), a spectrogram of any length (Wav2Vec2-BERT).
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import torch
from torch import nn

from hf_ssl.core.errors import ConfigError
from hf_ssl.modalities.audio import recordings
from hf_ssl.modalities.audio.extractor import FeatureExtractor
from hf_ssl.models.structure import find_backbone as backbone_of
from hf_ssl.models.structure import unwrap_peft

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


Count = TypeVar("Count", int, torch.Tensor)

logger = logging.getLogger(__name__)

# Switched off while hf_ssl trains, and put back before a model is saved. Random skipping of layers makes parameters
# unused on some ranks; the random masks of these classes come from numpy's global state, and fail on short clips
# (transformers#15366). Masks that are handed in are only honoured with apply_spec_augment.
_TRAINING = {
    "layerdrop": 0.0, "encoder_layerdrop": 0.0, "mask_time_prob": 0.0, "mask_feature_prob": 0.0, "apply_spec_augment": True,
}  # fmt: skip


def is_waveform(config: PreTrainedConfig) -> bool:
    """Convolutions on raw samples come first."""
    return bool(getattr(config, "conv_stride", None)) and bool(getattr(config, "conv_kernel", None))


def is_whisper(config: PreTrainedConfig) -> bool:
    """A log-mel spectrogram of one fixed length goes in, half as many frames come out."""
    return getattr(config, "model_type", "") == "whisper"


def is_patched(config: PreTrainedConfig) -> bool:
    """AST: a spectrogram of fixed length is cut into overlapping squares."""
    return getattr(config, "model_type", "") == "audio-spectrogram-transformer"


def takes_mask(config: PreTrainedConfig) -> bool:
    """Encoders with layer norms in their convolutions. Those with a group norm were trained without a mask: their
    statistics run over the padding too, and padding is all they know as silence."""
    return getattr(config, "feat_extract_norm", "layer") == "layer"


def padding_is_harmless(config: PreTrainedConfig) -> bool:
    """Whether a clip's states are the same alone and in a padded batch.

    Not with a group norm, and not in data2vec, whose stack of positional convolutions reads what an earlier one of them
    wrote into the padding (upstream, 45 frames from a clip's end).
    """
    return not is_waveform(config) or (takes_mask(config) and getattr(config, "model_type", "") != "data2vec-audio")


def stride_and_field(config: PreTrainedConfig) -> tuple[int, int]:
    """Samples from one frame to the next, and samples that one frame sees: 320 and 400 for wav2vec2."""
    stride, field = 1, 1
    for kernel, step in zip(config.conv_kernel, config.conv_stride, strict=True):
        field += (kernel - 1) * stride
        stride *= step
    return stride, field


def frame_count(config: PreTrainedConfig, samples: Count) -> Count:
    """Frames that the convolutions make of so many samples (int, or integer tensor); never below 0."""
    for kernel, step in zip(config.conv_kernel, config.conv_stride, strict=True):
        samples = (samples - kernel) // step + 1
    return samples.clamp(min=0) if isinstance(samples, torch.Tensor) else max(0, samples)


def normalized(wave: np.ndarray) -> np.ndarray:
    """Mean 0, variance 1 over the clip itself, float32; never over padding (which would move both)."""
    wave = np.asarray(wave, dtype=np.float32)
    return ((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)).astype(np.float32, copy=False)


def is_raw(processor: FeatureExtractor) -> bool:
    """Whether a feature extractor hands waveforms through."""
    return getattr(processor, "feature_size", None) == 1 and not hasattr(processor, "num_mel_bins")


def wave_for(processor: FeatureExtractor, wave: np.ndarray, rate: int) -> np.ndarray:
    """A waveform as this processor's model wants it: its rate, and normalized when it was trained so."""
    own = int(getattr(processor, "sampling_rate", rate))
    wave = wave if own == rate else recordings.resample(wave, rate, own)
    return normalized(wave) if is_raw(processor) and getattr(processor, "do_normalize", True) else wave


def inputs(processor: FeatureExtractor, waves: Sequence[np.ndarray], rate: int) -> dict[str, torch.Tensor]:
    """One batch of model inputs from mono samples at `rate`; see `Audio.collate`."""
    ready = [wave_for(processor, wave, rate) for wave in waves]
    if is_raw(processor):
        return padded(ready)
    own = int(processor.sampling_rate)
    with torch.autocast(
        "cpu", enabled=False
    ):  # a spectrogram in bfloat16 would be noise (and Whisper's extractor fails)
        batch = dict(processor(list(ready), sampling_rate=own, return_tensors="pt", return_attention_mask=True))
    if "attention_mask" not in batch:  # AST's extractor makes none
        frames = next(iter(batch.values())).shape[1]
        valid = [max(1, min(frames, 1 + (len(wave) - round(0.025 * own)) // round(0.010 * own))) for wave in ready]
        batch["attention_mask"] = (torch.arange(frames) < torch.tensor(valid)[:, None]).long()
    return batch


def padded(waves: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
    """Zeros after every waveform up to the longest, `(batch, samples)`, and the mask of what is sound."""
    values = np.zeros((len(waves), max(len(wave) for wave in waves)), dtype=np.float32)
    mask = np.zeros(values.shape, dtype=np.int64)
    for row, wave in enumerate(waves):
        values[row, : len(wave)], mask[row, : len(wave)] = wave, 1
    return {"input_values": torch.from_numpy(values), "attention_mask": torch.from_numpy(mask)}


def frames(
    backbone: Any,
    batch: Mapping[str, torch.Tensor],
    mask: torch.Tensor | None = None,
    layer: int | Literal["all"] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """States of every frame, and which of them are sound.

    Args:
        backbone: an encoder, without head.
        batch: from `inputs`.
        mask: `(batch, frames)` bool, frames that a waveform encoder must not see.
        layer: states after this layer (0: before the first) instead of the last ones; "all": of every layer, the
            first one's beginning included, side by side.

    Returns:
        `(batch, frames, width)` and bool `(batch, frames)`; with "all" `(batch, frames, (layers + 1) x width)`.
    """
    backbone = getattr(backbone, "encoder", backbone) if hasattr(backbone, "decoder") else backbone
    config, sound = backbone.config, batch.get("attention_mask")
    if sound is None:  # all of it is sound
        first = next(iter(batch.values()))
        length = first.shape[-1] if is_waveform(config) or is_whisper(config) else first.shape[1]
        sound = torch.ones(len(first), length, dtype=torch.long, device=first.device)
    more: dict[str, Any] = {"output_hidden_states": True} if layer is not None else {}
    if is_waveform(config):
        values = batch["input_values"]
        if mask is not None:
            more["mask_time_indices"] = mask
        output = backbone(values, attention_mask=_needed(config, sound), **more)
        valid = _before(frame_count(config, sound.sum(1)), output.last_hidden_state.shape[1])
    elif is_whisper(config):
        output = backbone(batch["input_features"], **more)
        valid = _before(-(-sound.sum(1) // 2), output.last_hidden_state.shape[1])
    elif is_patched(config):
        output = backbone(batch["input_values"], **more)
        return _patches(config, _states(output, layer), sound)
    else:
        output = backbone(batch["input_features"], attention_mask=sound, **more)
        valid = sound.bool()
    hidden = _states(output, layer)
    unused = getattr(backbone, "masked_spec_embed", None)
    if mask is None and unused is not None and unused.requires_grad and hidden.requires_grad:
        hidden = hidden + 0.0 * unused.sum()  # DistributedDataParallel fails on a parameter without any gradient
    if hidden.shape[1] != valid.shape[1]:
        raise ConfigError(
            f"{type(backbone).__name__} makes {hidden.shape[1]} frames where {valid.shape[1]} were expected; its way of "
            "shortening the input is not known here."
        )
    return hidden, valid


def _states(output: Any, layer: int | Literal["all"] | None) -> torch.Tensor:
    if layer == "all":
        return torch.cat(output.hidden_states, dim=-1)
    return output.last_hidden_state if layer is None else output.hidden_states[layer]


def _needed(config: PreTrainedConfig, sound: torch.Tensor) -> torch.Tensor | None:
    """The mask, where the model wants one and there is padding (looking costs a wait on a GPU: there, always)."""
    if not takes_mask(config) or (sound.device.type == "cpu" and bool(sound.all())):
        return None
    return sound


def _before(lengths: torch.Tensor, frames: int) -> torch.Tensor:
    return torch.arange(frames, device=lengths.device) < lengths.clamp(min=1)[:, None]


def patch_grid(config: PreTrainedConfig) -> tuple[int, int]:
    """Rows (frequency) and columns (time) of AST's patches."""
    high = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
    return high, (config.max_length - config.patch_size) // config.time_stride + 1


def _patches(config: PreTrainedConfig, hidden: torch.Tensor, sound: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """AST's states without its two leading tokens; a patch is sound when it begins within the clip."""
    high, wide = patch_grid(config)
    begins = torch.arange(wide, device=sound.device) * config.time_stride
    valid = begins < sound.sum(1, keepdim=True).clamp(min=1)
    return hidden[:, hidden.shape[1] - high * wide :], valid.repeat(1, high)


def pool(hidden: torch.Tensor, valid: torch.Tensor, how: str) -> torch.Tensor:
    """One vector per clip from the frames that are sound: `mean`, `max`, or `mean-std` (mean, then spread)."""
    weight = valid.unsqueeze(-1).to(hidden.dtype)
    if how == "max":
        return hidden.masked_fill(~valid.unsqueeze(-1), torch.finfo(hidden.dtype).min).amax(1)
    count = weight.sum(1).clamp(min=1)
    mean = (hidden * weight).sum(1) / count
    if how == "mean":
        return mean
    variance = ((hidden - mean.unsqueeze(1)).square() * weight).sum(1) / count
    return torch.cat([mean, (variance + 1e-6).sqrt()], dim=-1)


def logits(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Logits of a classifier for clips, `(batch, labels)`; padding never enters the mean over time.

    A group-norm encoder gets no mask, and then the class's own mean would run over the padding: what follows the
    encoder is done here instead. On clips without padding both are the same.
    """
    inner: Any = unwrap_peft(model)
    sound = batch["attention_mask"]
    if is_waveform(inner.config) and not takes_mask(inner.config) and not bool(sound.all()):
        hidden = _mixed(inner, batch)
        valid = _before(frame_count(inner.config, sound.sum(1)), hidden.shape[1])
        return inner.classifier(pool(inner.projector(hidden), valid, "mean"))
    accepted = inspect.signature(inner.forward).parameters
    given = {name: value for name, value in batch.items() if name in accepted}
    if "attention_mask" in given and is_waveform(inner.config):
        mask = _needed(inner.config, sound)
        given = {name: value for name, value in given.items() if name != "attention_mask"}
        given |= {"attention_mask": mask} if mask is not None else {}
    if is_patched(inner.config):  # its mask would be one over patches; it was trained on padding without any
        given.pop("attention_mask", None)
    return model(**given).logits


def pooled(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """What enters the classifier: the projected states, mean over the frames that are sound, `(batch, projection)`."""
    inner: Any = unwrap_peft(model)
    projector = getattr(inner, "projector", None)
    if projector is None:
        hidden, valid = frames(backbone_of(inner)[1], batch)
        return pool(hidden, valid, "mean")
    if is_waveform(inner.config):
        hidden = _mixed(inner, batch)
        valid = _before(frame_count(inner.config, batch["attention_mask"].sum(1)), hidden.shape[1])
    elif getattr(inner.config, "use_weighted_layer_sum", False):
        hidden, valid = frames(backbone_of(inner)[1], batch, layer="all")
        weights = torch.softmax(inner.layer_weights, dim=-1)
        hidden = (hidden.unflatten(-1, (len(weights), -1)) * weights[:, None]).sum(-2)
    else:
        hidden, valid = frames(backbone_of(inner)[1], batch)
    return pool(projector(hidden), valid, "mean")


def _mixed(inner: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Last states, or the learned mixture of all layers."""
    mask = _needed(inner.config, batch["attention_mask"])
    if not inner.config.use_weighted_layer_sum:
        return inner.base_model(batch["input_values"], attention_mask=mask).last_hidden_state
    states = inner.base_model(batch["input_values"], attention_mask=mask, output_hidden_states=True).hidden_states
    weights = torch.softmax(inner.layer_weights, dim=-1)
    return (torch.stack(states, dim=1) * weights.view(-1, 1, 1)).sum(1)


def prepare(model: Any, processor: FeatureExtractor, *, window: float | None) -> PreTrainedModel:
    """See `Encoder.prepare`. A Whisper model without head comes back as its encoder; the rest waits in it."""
    if window is not None:
        shorten(model, processor, window)
    if is_whisper(model.config) and hasattr(model, "decoder"):
        whole, model = model, model.encoder
        model.hf_ssl_whole = [whole]  # in a list: not a submodule, or it would be trained and saved twice
    _switch_for_training(model)
    return model


def _switch_for_training(model: Any) -> None:
    config, kept = model.config, {}
    base: Any = backbone_of(model)[1]
    if is_waveform(config) and not hasattr(base, "masked_spec_embed") and hasattr(base, "_mask_hidden_states"):
        # Made only when the configuration masks anything (transformers); a stand-in that is saved needs that too.
        base.masked_spec_embed = nn.Parameter(torch.empty(config.hidden_size).uniform_())
        config.mask_time_prob = config.mask_time_prob or 0.05
        logger.info("  the checkpoint has no vector for masked frames: a random one was added, and is trained")
    for name, value in _TRAINING.items():
        if hasattr(config, name):
            kept[name] = getattr(config, name)
            setattr(config, name, value)
    if base is not model and hasattr(base, "masked_spec_embed") and "PreTraining" not in type(model).__name__:
        base.masked_spec_embed.requires_grad_(
            False
        )  # nothing is masked under a task's head: it would never get a gradient
    if hasattr(base, "layerdrop"):  # Whisper copies it from its configuration
        base.layerdrop = 0.0
    model.hf_ssl_kept = kept


def finish(model: Any) -> PreTrainedModel:
    """See `Encoder.plain_model`."""
    for name, value in getattr(model, "hf_ssl_kept", {}).items():
        setattr(model.config, name, value)
    whole = getattr(model, "hf_ssl_whole", None)
    if whole is None:
        return model
    whole[0].encoder = model
    return whole[0]


def shorten(model: Any, processor: FeatureExtractor, seconds: float) -> None:
    """Cut a Whisper encoder's window to whole seconds: its first positions, and a processor that pads to as much.

    Whisper pads everything to 30 s; on clips of a second nearly all of that is computed on silence. The positions are
    fixed sines, so the first ones mean the same in a shorter table.
    """
    if not is_whisper(model.config):
        raise ConfigError(
            f"window shortens encoders of fixed length (Whisper); a {model.config.model_type} model takes clips of any "
            "length, or has learned positions that cannot be cut. Leave window out."
        )
    length = math.ceil(seconds)
    positions = length * int(processor.sampling_rate) // int(processor.hop_length) // 2
    if positions > model.config.max_source_positions:
        raise ConfigError(
            f"window={seconds:g} s is longer than this model's {model.config.max_source_positions // 50} s."
        )
    encoder = next(
        module for module in model.modules() if hasattr(module, "embed_positions") and hasattr(module, "conv1")
    )
    table = nn.Embedding(positions, encoder.embed_positions.embedding_dim)
    table.weight = nn.Parameter(encoder.embed_positions.weight.detach()[:positions].clone(), requires_grad=False)
    encoder.embed_positions = table
    encoder.max_source_positions = model.config.max_source_positions = positions
    processor.chunk_length = length
    processor.n_samples = length * int(processor.sampling_rate)
    processor.nb_max_frames = processor.n_samples // int(processor.hop_length)
