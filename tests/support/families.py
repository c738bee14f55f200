"""One model with a task head for each family, as the tests of loading, anatomy and adapters want it."""

from __future__ import annotations

import torch
import transformers

import tiny

HEADS = (
    dict.fromkeys(tiny.TEXT, "AutoModelForSequenceClassification")
    | dict.fromkeys(
        [arch for arch in tiny.IMAGE if arch not in tiny.WITHOUT_CLASSIFIER], "AutoModelForImageClassification"
    )
    | dict.fromkeys(tiny.AUDIO, "AutoModelForAudioClassification")
    | {"patchtst": "PatchTSTForClassification"}
)
FAMILIES = (*HEADS, "wavlm")


def headed(arch: str) -> transformers.PreTrainedModel:
    """A random model with a head, in eval mode; the same weights at every call. `"wavlm"` is one more family."""
    if arch in HEADS and arch != "patchtst":
        # A dropped layer gets no gradient, which is what the adapter tests look for.
        overrides = {"layerdrop": 0.0} if arch == "wav2vec2" else {}
        return tiny.tiny_model(arch, HEADS[arch], seed=1, **overrides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        if arch == "patchtst":  # no Auto class reaches it
            return transformers.PatchTSTForClassification(tiny.tiny_config(arch, num_targets=3)).eval()
        fields = tiny.tiny_config("wav2vec2").to_dict()
        names = ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "conv_dim"]
        names += ["conv_stride", "conv_kernel", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups"]
        config = transformers.WavLMConfig(layerdrop=0.0, **{name: fields[name] for name in names})
        return transformers.WavLMForSequenceClassification(config).eval()
