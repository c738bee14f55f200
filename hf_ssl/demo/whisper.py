"""The packaged Whisper tiny.en (CTranslate2) as a transformers folder, and a small random encoder of its kind.

The layout of CTranslate2's `model.bin`, version 6: little-endian; a string is a 16-bit length (with the final zero byte)
and its bytes; a variable is name, number of axes, sizes (32 bit), type, number of bytes, content; aliases follow.
"""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core.errors import CheckpointError

_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_END_OF_TEXT, _START = 50256, 50257
Tensors = dict[str, np.ndarray]


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from(f"<{code}", self.content, self.place)
        self.place += struct.calcsize(code)
        return value

    def text(self) -> str:
        length = self.number("H")
        raw = self.content[self.place : self.place + length - 1]
        self.place += length
        return raw.decode("utf-8")

    def tensor(self) -> np.ndarray:
        shape = [self.number("I") for _ in range(self.number("B"))]
        kind, size = np.dtype(_TYPES[self.number("B")]), self.number("I")
        values = np.frombuffer(self.content, kind, size // kind.itemsize, self.place).reshape(shape)
        self.place += size
        return values


def read_ctranslate2(file: Path) -> Tensors:
    """Every variable of a CTranslate2 model, aliases resolved.

    Raises:
        CheckpointError: the file is not a Whisper model in the known layout.
    """
    reader = _Reader(file.read_bytes())
    version, kind = reader.number("I"), reader.text()
    if version != 6 or kind != "WhisperSpec":
        raise CheckpointError(
            f"{file.name} is {kind} in layout {version}; WhisperSpec in layout 6 is what can be read."
        )
    reader.number("I")  # revision of the specification
    tensors = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        tensors[name] = reader.tensor()
    for _ in range(reader.number("I")):
        alias = reader.text()
        tensors[alias] = tensors[reader.text()]
    return tensors


def _layers(tensors: Tensors, side: str) -> int:
    found = (re.match(rf"{side}/layer_(\d+)/", name) for name in tensors)
    return 1 + max(int(match[1]) for match in found if match)


def to_transformers(tensors: Tensors) -> Tensors:
    """The same tensors under transformers' names, float32."""
    made: Tensors = {}

    def put(target: str, source: str, names: tuple[str, str] = ("weight", "bias")) -> None:
        made[f"{target}.weight"] = tensors[f"{source}/{names[0]}"]
        made[f"{target}.bias"] = tensors[f"{source}/{names[1]}"]

    def norm(target: str, source: str) -> None:
        put(target, source, ("gamma", "beta"))

    def rows(target: str, source: str, parts: str) -> None:
        """One fused projection into the named ones; keys have no bias in Whisper (it is stored as zeros)."""
        weight, bias = tensors[f"{source}/weight"], tensors[f"{source}/bias"]
        width = len(weight) // len(parts)
        for place, part in enumerate(parts):
            piece = slice(place * width, (place + 1) * width)
            made[f"{target}.{part}_proj.weight"] = weight[piece]
            if part != "k":
                made[f"{target}.{part}_proj.bias"] = bias[piece]

    for number in (1, 2):
        put(f"model.encoder.conv{number}", f"encoder/conv{number}")
    made["model.decoder.embed_tokens.weight"] = tensors["decoder/embeddings/weight"]
    for side in ("encoder", "decoder"):
        made[f"model.{side}.embed_positions.weight"] = tensors[f"{side}/position_encodings/encodings"]
        norm(f"model.{side}.layer_norm", f"{side}/layer_norm")
        for layer in range(_layers(tensors, side)):
            old, new = f"{side}/layer_{layer}", f"model.{side}.layers.{layer}"
            rows(f"{new}.self_attn", f"{old}/self_attention/linear_0", "qkv")
            put(f"{new}.self_attn.out_proj", f"{old}/self_attention/linear_1")
            norm(f"{new}.self_attn_layer_norm", f"{old}/self_attention/layer_norm")
            if side == "decoder":
                rows(f"{new}.encoder_attn", f"{old}/attention/linear_0", "q")
                rows(f"{new}.encoder_attn", f"{old}/attention/linear_1", "kv")
                put(f"{new}.encoder_attn.out_proj", f"{old}/attention/linear_2")
                norm(f"{new}.encoder_attn_layer_norm", f"{old}/attention/layer_norm")
            put(f"{new}.fc1", f"{old}/ffn/linear_0")
            put(f"{new}.fc2", f"{old}/ffn/linear_1")
            norm(f"{new}.final_layer_norm", f"{old}/ffn/layer_norm")
    return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in made.items()}


def convert(source: Path, folder: Path) -> Path:
    """Write a transformers folder: weights, configuration, feature extractor, tokenizer.

    Args:
        source: folder with `model.bin`, `config.json` and `tokenizer.json`.
        folder: made when missing.

    Raises:
        CheckpointError: a tensor of the model is missing or left over.
    """
    import torch
    import transformers

    packed = read_ctranslate2(source / "model.bin")
    tensors = {name: torch.from_numpy(value) for name, value in to_transformers(packed).items()}
    size, width = packed["decoder/embeddings/weight"].shape
    heads, depth = width // 64, _layers(packed, "encoder")
    config = transformers.WhisperConfig(
        vocab_size=size, d_model=width, encoder_layers=depth, decoder_layers=depth, encoder_attention_heads=heads,
        decoder_attention_heads=heads, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width, num_mel_bins=80,
        pad_token_id=_END_OF_TEXT, bos_token_id=_END_OF_TEXT, eos_token_id=_END_OF_TEXT, decoder_start_token_id=_START,
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config)
    loaded = model.load_state_dict(tensors, strict=False)
    missing = [name for name in loaded.missing_keys if name != "proj_out.weight"]  # tied to the embeddings
    if missing or loaded.unexpected_keys:
        raise CheckpointError(
            f"The packaged model does not fit: missing {missing}, unexpected {loaded.unexpected_keys}."
        )
    model.tie_weights()
    own: dict[str, Any] = json.loads((source / "config.json").read_text(encoding="utf-8"))
    model.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=_START, eos_token_id=_END_OF_TEXT, pad_token_id=_END_OF_TEXT, bos_token_id=_END_OF_TEXT,
        max_length=448, suppress_tokens=own["suppress_ids"], begin_suppress_tokens=own["suppress_ids_begin"],
        no_timestamps_token_id=50362, is_multilingual=False,
    )  # fmt: skip
    model.save_pretrained(folder)
    transformers.WhisperFeatureExtractor().save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(tokenizer_file=str(source / "tokenizer.json")).save_pretrained(folder)
    return folder


def small(folder: Path, seed: int = 0, *, width: int = 192, layers: int = 1, seconds: int = 1) -> Path:
    """Write an encoder of Whisper's kind with random weights and a window of whole seconds.

    Spectrogram in, 20 ms frames out: on minutes of sound it learns where convolutions on raw samples would need hours.
    Weights are drawn with a spread of `width ** -0.5`, which keeps a signal's size from layer to layer. With Whisper's own
    0.02, meant for 384 and more, the sound would enter far smaller than the positions that are added to it.
    """
    import torch
    import transformers

    config = transformers.WhisperConfig(
        vocab_size=8, d_model=width, encoder_layers=layers, decoder_layers=1, encoder_attention_heads=width // 48,
        decoder_attention_heads=width // 48, encoder_ffn_dim=4 * width, decoder_ffn_dim=width, init_std=width**-0.5,
        num_mel_bins=80, max_source_positions=50 * seconds, max_target_positions=8, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformers.WhisperModel(config).save_pretrained(folder)
    transformers.WhisperFeatureExtractor(chunk_length=seconds).save_pretrained(folder)
    return folder
