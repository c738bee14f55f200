"""The attention that this library registers with transformers, and which one a model gets.

Under the name `OWN` it is `sdpa` with three things more:

- on a CPU, inside a bfloat16 autocast, training computes by plain matrix products where heads are wide and texts short, else in
  float32: torch's bfloat16 kernel takes 3 to 4 times as long as the latter (forward and backward, heads of 32, 128 and 256
  tokens, AVX-512 BF16), a fifth of a BERT's whole training step, and products as in transformers' `eager` are 1.5 to 3.3
  times as fast as float32 for heads of 48 to 128 and 50 to 400 tokens (tests/benchmarks/bench_attention.py);
- where a batch says with `cu_seq_lens_q` (transformers' own name) where its sequences begin, each token sees its own sequence
  only, by the best kernel there is: FlashAttention-3, torch's `varlen_attn`, FlashAttention-2, else sequence by sequence;
- a mask of blocks goes to flex attention.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
import transformers
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError, MissingExtraError, nearest

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

OWN = "hf_ssl"
"""Name under which `install` registers `attend` with transformers."""
SEQUENCES, BLOCKS, MASK = "varlen", "flex_attention", "sdpa"
"""Ways to keep the documents of a packed row apart: their places, a mask of blocks, a mask of all pairs."""
FLASH = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
"""transformers' names of FlashAttention and the module that each needs."""
CHOICES = ("auto", SEQUENCES, BLOCKS, MASK, "eager", *FLASH)

Kernel: TypeAlias = Callable[..., torch.Tensor]
"""`(query, key, value, cu_q, cu_k, max_q, max_k, scale, window, dropout)`, `(tokens, heads, width)` each, to the same shape."""


def check(name: str) -> None:
    """Refuse an attention that this machine cannot compute, before a model is loaded.

    Raises:
        ConfigError: no attention is called so, or it needs a GPU.
        MissingExtraError: its package is not installed.
    """
    if name not in CHOICES:
        raise ConfigError(f"attn_implementation is one of {', '.join(CHOICES)}, not {name!r}.{nearest(name, CHOICES)}")
    if name not in FLASH:
        return
    if importlib.util.find_spec(FLASH[name]) is None:
        pip = "flash-attn --no-build-isolation" if name == "flash_attention_2" else "flash-attn-3"
        raise MissingExtraError(
            f"{FLASH[name]} is needed for --attn_implementation {name}. Run: pip install {pip}. (varlen needs no package: "
            "torch has such a kernel.)"
        )
    if not torch.cuda.is_available():
        raise ConfigError(
            f"--attn_implementation {name} computes on NVIDIA GPUs only, and none is here. Take varlen or auto."
        )


def loaded_with(name: str) -> dict[str, str]:
    """What `from_pretrained` is told: nothing where `install` does the rest."""
    return {"attn_implementation": name} if name == "eager" or name in FLASH else {}


def packed_way(name: str) -> str:
    """How the documents of packed rows are to be kept apart: `SEQUENCES`, `BLOCKS` or `MASK`."""
    if name == "auto":
        on_a_gpu = torch.cuda.is_available() and not distributed.forced_to_cpu()
        return SEQUENCES if on_a_gpu and kernels() else MASK
    return SEQUENCES if name in FLASH else name if name in (SEQUENCES, BLOCKS) else MASK


def pays(model: PreTrainedModel, device: torch.device) -> bool:
    """Whether telling a model where sequences begin is no slower than a mask: kernels compute in half precision."""
    half = torch.is_autocast_enabled(device.type) or model.dtype in (torch.float16, torch.bfloat16)
    return half or device.type == "cpu" or model.config._attn_implementation in FLASH


def install(model: PreTrainedModel) -> None:
    """Let a model that computes attention by `sdpa` do so by `attend`."""
    if getattr(model.config, "_attn_implementation", None) != MASK:
        return
    _register()
    model.set_attn_implementation(OWN)  # a family that cannot change it says so, and keeps its own
    chosen = model.config._attn_implementation
    for module in model.modules():  # the decoder of a masked autoencoder has a copy of the configuration
        own: Any = getattr(module, "config", None)
        if getattr(own, "_attn_implementation", None) == MASK:
            own._attn_implementation = chosen


@contextlib.contextmanager
def tried_here(model: PreTrainedModel) -> Iterator[None]:
    """Inside, a model can be tried where it is: FlashAttention computes on a GPU only, and flex attention would compile."""
    chosen = model.config._attn_implementation
    if chosen in FLASH:
        _register()
        model.set_attn_implementation(OWN)
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        if chosen in FLASH:
            model.set_attn_implementation(chosen)


def _register() -> None:
    transformers.AttentionInterface.register(OWN, attend)
    transformers.AttentionMaskInterface.register(OWN, sdpa_mask)


def sequences(cu_seq_lens: torch.Tensor, longest: int) -> dict[str, Any]:
    """What a model is told of a batch whose tokens, row after row, are sequences one after the other.

    Args:
        cu_seq_lens: int32 `(sequences + 1,)`, where each begins, and the number of tokens.
        longest: no sequence has more tokens.
    """
    return {
        "attention_mask": None, "cu_seq_lens_q": cu_seq_lens, "cu_seq_lens_k": cu_seq_lens, "max_length_q": longest,
        "max_length_k": longest,
    }  # fmt: skip


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | BlockMask | None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """See the module; `(batch, heads, length, width)` each to `(batch, length, heads, width)`, as transformers has it."""
    if options.get("cu_seq_lens_q") is not None:
        return _attend_within(query, key, value, **options), None
    if mask is not None and not isinstance(mask, torch.Tensor):
        from transformers.integrations.flex_attention import flex_attention_forward

        return flex_attention_forward(module, query, key, value, mask, **options)
    if query.device.type != "cpu" or query.dtype != torch.bfloat16 or not torch.is_autocast_enabled("cpu"):
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    if _suits_products(module, query, key, mask, options):
        with torch.autocast("cpu", enabled=False):
            return _by_products(query, key, value, mask, options.get("scaling")), None
    if mask is not None and mask.is_floating_point():
        mask = mask.float()
    with torch.autocast("cpu", enabled=False):
        output, _ = sdpa_attention_forward(module, query.float(), key.float(), value.float(), mask, **options)
    return output.to(query.dtype), None


WIDE, MOST_PAIRS = 48, 2**24
"""Of a head, so that products gain; and of a layer's pairs of tokens, all heads, whose weights stay in memory until the backward pass."""


def _suits_products(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    mask: torch.Tensor | None,
    options: Mapping[str, Any],
) -> bool:
    rows, heads, length, width = query.shape
    told = options.get("is_causal")
    causal = mask is None and (getattr(module, "is_causal", True) if told is None else told)  # as transformers has it
    return (
        torch.is_grad_enabled()
        and width >= WIDE
        and key.shape[1] == heads
        and rows * heads * length * key.shape[2] <= MOST_PAIRS
        and not causal
        and not any(options.get(name) for name in ("dropout", "softcap", "output_attentions"))
        and options.get("position_bias") is None
    )


def _by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float | None
) -> torch.Tensor:
    """Two products with a softmax in between, each in the number format of its inputs; as `attend`, `mask` true for what is seen."""
    rows, heads, length, width = query.shape
    q, k, v = (part.flatten(0, 1) for part in (query, key, value))
    added = q.new_zeros(1, 1, 1)
    if mask is not None:
        hidden = (
            mask if mask.is_floating_point() else q.new_zeros(mask.shape).masked_fill_(~mask, torch.finfo(q.dtype).min)
        )
        added = hidden.to(q.dtype).expand(rows, heads, *hidden.shape[2:]).flatten(0, 1)
    scores = torch.baddbmm(added, q, k.transpose(1, 2), alpha=width**-0.5 if scaling is None else scaling)
    return torch.bmm(scores.softmax(-1), v).view(rows, heads, length, -1).transpose(1, 2)


def _attend_within(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, cu_seq_lens_q: torch.Tensor,
    cu_seq_lens_k: torch.Tensor, max_length_q: int, max_length_k: int, dropout: float = 0.0, scaling: float | None = None,
    sliding_window: int | None = None, **_: object,
) -> torch.Tensor:  # fmt: skip
    device, dtype = query.device.type, query.dtype
    batch, heads, length, _width = query.shape
    parts = [part.transpose(1, 2).flatten(0, 1) for part in (query, key, value)]
    if parts[1].shape[1] != heads:  # several heads of queries share one of keys
        parts[1:] = [part.repeat_interleave(heads // part.shape[1], dim=1) for part in parts[1:]]
    if torch.is_autocast_enabled(device):  # on a CPU float32 is the fast one
        wanted = torch.float32 if device == "cpu" else torch.get_autocast_dtype(device)
        parts = [part.to(wanted) for part in parts]
    # As transformers tells FlashAttention: a window of w reaches w - 1 tokens to either side.
    window = -1 if sliding_window is None else sliding_window - 1
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    kernel = kernel_for(parts[0], dropout)
    with torch.autocast(device, enabled=False):
        found = kernel(*parts, cu_seq_lens_q, cu_seq_lens_k, max_length_q, max_length_k, scale, window, dropout)
    return found.to(dtype).view(batch, length, heads, -1)


def kernel_for(query: torch.Tensor, dropout: float) -> Kernel:
    """The best kernel for tokens `(tokens, heads, width)`; one that is written in torch's own operations where none fits."""
    half = query.dtype in (torch.float16, torch.bfloat16)
    if query.is_cuda and half and query.shape[-1] % 8 == 0 and query.shape[-1] <= 256:
        for name, kernel in kernels().items():
            if not dropout or name == "flash_attention_2":
                return kernel
    return by_sequence


@functools.cache
def kernels() -> Mapping[str, Kernel]:
    """Kernels for sequences of different lengths that are installed, best first; they compute on NVIDIA GPUs."""
    found: dict[str, Kernel] = {}
    if importlib.util.find_spec("flash_attn_interface") is not None:
        found["flash_attention_3"] = _flash_attention_3
    if importlib.util.find_spec("torch.nn.attention.varlen") is not None:  # torch 2.10
        found["torch"] = _torch_varlen
    if importlib.util.find_spec("flash_attn") is not None:
        found["flash_attention_2"] = _flash_attention_2
    return found


def _torch_varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, cu_q: torch.Tensor, cu_k: torch.Tensor, max_q: int,
    max_k: int, scale: float, window: int, dropout: float,
) -> torch.Tensor:  # fmt: skip
    from torch.nn.attention.varlen import varlen_attn

    found: Any = varlen_attn(query, key, value, cu_q, cu_k, max_q, max_k, scale=scale, window_size=(window, window))
    return found


def _flash_attention_2(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, cu_q: torch.Tensor, cu_k: torch.Tensor, max_q: int,
    max_k: int, scale: float, window: int, dropout: float,
) -> torch.Tensor:  # fmt: skip
    flash: Any = importlib.import_module("flash_attn")
    return flash.flash_attn_varlen_func(
        query, key, value, cu_q, cu_k, max_q, max_k, dropout_p=dropout, softmax_scale=scale, window_size=(window, window)
    )  # fmt: skip


def _flash_attention_3(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, cu_q: torch.Tensor, cu_k: torch.Tensor, max_q: int,
    max_k: int, scale: float, window: int, dropout: float,
) -> torch.Tensor:  # fmt: skip
    flash: Any = importlib.import_module("flash_attn_interface")
    found = flash.flash_attn_varlen_func(
        query, key, value, cu_q, cu_k, max_q, max_k, softmax_scale=scale, window_size=(window, window)
    )
    return found[0] if isinstance(found, tuple) else found


def by_sequence(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, cu_q: torch.Tensor, cu_k: torch.Tensor, max_q: int,
    max_k: int, scale: float, window: int, dropout: float,
) -> torch.Tensor:  # fmt: skip
    """The same by `scaled_dot_product_attention` over sequences that are padded to the longest: any device, any format."""
    if query.device.type == "cpu":  # elsewhere the host would wait
        max_q, max_k = (int((cu[1:] - cu[:-1]).max()) for cu in (cu_q, cu_k))
    places_q, _ = _grid(cu_q, max_q, len(query))
    places_k, real = _grid(cu_k, max_k, len(key))
    mask = real.unsqueeze(1)
    if window >= 0:
        steps = torch.arange(max(max_q, max_k), device=query.device)
        mask = mask & ((steps[:max_q, None] - steps[None, :max_k]).abs() <= window)
    mask = mask | ~mask.any(2, keepdim=True)  # padding may see nothing real: no row is empty, its answer is dropped
    padded = functional.scaled_dot_product_attention(
        query[places_q].transpose(1, 2), key[places_k].transpose(1, 2), value[places_k].transpose(1, 2),
        mask.unsqueeze(1), dropout_p=dropout, scale=scale,
    )  # fmt: skip
    token = torch.arange(len(query), device=query.device)
    row = torch.searchsorted(cu_q.long(), token, right=True) - 1
    return padded.transpose(1, 2)[row, token - cu_q[row]]


def _grid(cu: torch.Tensor, longest: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of the tokens of each sequence, `(sequences, longest)`, and which of them are real."""
    steps = torch.arange(longest, device=cu.device)
    places, lengths = cu[:-1, None].long() + steps, (cu[1:] - cu[:-1])[:, None]
    return places.clamp(max=max(tokens - 1, 0)), steps < lengths
