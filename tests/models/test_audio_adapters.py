"""Adapters on audio encoders: what PEFT alone leaves frozen, unsaved or without effect."""

from __future__ import annotations

import numpy as np
import peft as upstream
import pytest
import torch
import transformers
from families import headed

import sounds
import tiny
from hf_ssl.core.errors import ConfigError
from hf_ssl.modalities.audio.audio import Audio
from hf_ssl.modalities.audio.encoder import AudioEncoder
from hf_ssl.models import adapters, structure
from hf_ssl.models.loading import load_model

AUDIO = Audio()
SPECTROGRAMS = ("whisper", "audio-spectrogram-transformer")


def spectrogram_model(arch: str):
    """A tiny classifier on spectrograms of two seconds and its feature extractor."""
    if arch == "whisper":
        return headed(arch), tiny.tiny_processor(arch)
    fields = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    torch.manual_seed(0)
    model = transformers.ASTForAudioClassification(
        transformers.ASTConfig(num_mel_bins=32, max_length=204, num_labels=2, **fields)
    )
    return model.eval(), transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=204)


def speech_model(arch: str, **fields):
    """A tiny classifier of a wav2vec2-like family."""
    own = tiny.tiny_config("wav2vec2").to_dict()
    names = ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "conv_dim", "conv_stride",
             "conv_kernel", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups"]  # fmt: skip
    config = transformers.AutoConfig.for_model(arch, **{name: own[name] for name in names}, **fields)
    torch.manual_seed(0)
    return transformers.AutoModelForAudioClassification.from_config(config).eval()


def batch(processor, seconds=(0.3, 0.5, 0.8)):
    values = [sounds.voice(seed, length) for seed, length in enumerate(seconds)]
    encoder = AudioEncoder(AUDIO, tiny.tiny_model("wav2vec2"), processor)
    return encoder.collate(encoder.preprocess(values))


def logits(model, inputs):
    return AudioEncoder(AUDIO, model, None).logits(inputs)


@pytest.mark.parametrize("method", ["lora", "rslora", "dora", "ia3", "oft", "full", "linear-probe"])
@pytest.mark.parametrize("arch", ["wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech", *SPECTROGRAMS])
def test_every_trained_parameter_gets_a_gradient_and_what_is_saved_is_what_was_trained(arch, method, tmp_path):
    if arch in SPECTROGRAMS:
        model, processor = spectrogram_model(arch)
    else:
        model, processor = speech_model(arch), tiny.tiny_processor("wav2vec2")
    missing = [name for name, _ in model.named_parameters() if name.startswith(("projector.", "classifier."))]
    encoder = AudioEncoder(AUDIO, model, processor)
    encoder.prepare()
    encoder.model = model = adapters.apply(encoder.model, method, missing=missing, rank=4, train_head=True)
    inputs = batch(processor, (0.3, 0.5, 0.8) if arch not in SPECTROGRAMS else (1.0, 1.5, 2.0))
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    reached: set[str] = set()
    optimizer = torch.optim.SGD(trained.values(), lr=0.05)
    for _ in range(2):  # LoRA's second factor starts at 0, so the first one has its gradient from the second step on
        optimizer.zero_grad()
        answers = logits(model.train(), inputs)
        torch.nn.functional.cross_entropy(answers, torch.tensor([0, 1, 0])).backward()
        reached |= {name for name, p in trained.items() if p.grad is not None and p.grad.abs().sum() > 0}
        optimizer.step()
    # A key bias shifts all scores of a softmax alike.
    assert {name for name in trained if name not in reached and "k_proj" not in name} == set()
    with torch.no_grad():
        wanted = logits(model.eval(), inputs)
    plain = encoder.plain_model()
    plain.save_pretrained(tmp_path)
    loaded = transformers.AutoModelForAudioClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(logits(loaded, inputs), wanted, atol=2e-5, rtol=1e-4)


def test_lora_on_wavlm_goes_where_it_does_something():
    model = speech_model("wavlm")
    assert structure.read_functionally(model)
    with pytest.raises(ConfigError, match="q_proj"):
        adapters.apply(
            model, "lora", missing=["classifier.weight", "classifier.bias"], target_modules=["q_proj", "v_proj"]
        )
    targets = adapters.target_modules(model, "lora")
    assert {"intermediate_dense", "output_dense"} <= set(targets) and "q_proj" not in targets


def layer_mixture(tmp_path):
    source = tiny.write_checkpoint("wav2vec2", tmp_path / "base", "AutoModel", feat_extract_norm="layer")
    torch.manual_seed(3)
    model, report = load_model(
        str(source), "AutoModelForAudioClassification", num_labels=3, use_weighted_layer_sum=True
    )
    assert "layer_weights" in report.missing
    return model, report, source


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
def test_mixture_of_layers_is_trained_and_saved_with_the_adapter(tmp_path):
    model, report, source = layer_mixture(tmp_path)
    fresh = model.layer_weights.detach()
    torch.testing.assert_close(fresh, torch.full_like(fresh, 1 / len(fresh)))  # not what the memory happened to hold
    encoder = AudioEncoder(AUDIO, model, tiny.tiny_processor("wav2vec2"))
    encoder.prepare()
    with pytest.raises(ConfigError, match="layer_weights is new.*bare parameter"):
        adapters.apply(model, "lora", missing=report.missing)
    model = adapters.apply(encoder.model, "lora", missing=report.missing, train_bare=("*layer_weights",))
    weights = model.get_base_model().layer_weights
    before, inputs = weights.detach().clone(), batch(encoder.processor)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    torch.nn.functional.cross_entropy(logits(model.train(), inputs), torch.tensor([0, 1, 2])).backward()
    optimizer.step()
    assert not torch.equal(weights, before)
    with torch.no_grad():
        wanted = logits(model.eval(), inputs)
    adapters.save_adapter(model, tmp_path / "adapter", "someone/base")
    torch.manual_seed(9)  # other random heads: all that is not the checkpoint's must come from the adapter
    for load in (
        adapters.load_adapter,
        lambda base, folder: upstream.PeftModel.from_pretrained(base, str(folder)).eval(),
    ):
        again, _ = load_model(
            str(source), "AutoModelForAudioClassification", num_labels=3, use_weighted_layer_sum=True
        )
        loaded = load(again, tmp_path / "adapter").eval()
        with torch.no_grad():
            torch.testing.assert_close(logits(loaded, inputs), wanted, atol=1e-6, rtol=1e-5)


def test_a_head_that_the_checkpoint_has_is_trained_on(tmp_path):
    model = speech_model("hubert")
    frozen = adapters.apply(speech_model("hubert"), "lora")
    assert not any("classifier" in name for name, p in frozen.named_parameters() if p.requires_grad)
    trained = adapters.apply(model, "lora", train_head=True)
    names = [name for name, p in trained.named_parameters() if p.requires_grad]
    assert any("classifier" in name for name in names) and any("projector" in name for name in names)


def test_own_pooling_equals_the_class_on_clips_without_padding():
    for arch, norm in (("wav2vec2", "group"), ("wav2vec2", "layer"), ("hubert", "group")):
        model = speech_model(arch, feat_extract_norm=norm)
        processor = tiny.tiny_processor("wav2vec2")
        one = batch(processor, (0.4,))
        with torch.no_grad():
            np.testing.assert_allclose(logits(model, one), model(one["input_values"]).logits, atol=1e-6)
