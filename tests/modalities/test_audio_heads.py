"""A new head of a speech model: what reaches its last layer is computed from readings that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import soundfile
import torch
import transformers

import hf_ssl
from hf_ssl.core import plugins
from hf_ssl.stages.reading import HEAD, frozen_rows
from hf_ssl.tasks.base import TaskModule
from hf_ssl.tasks.classification import Classification

RATE = 16_000


def small(kind: str, weighted: bool, folder: Path) -> Path:
    """A model of few weights without a head, its processor beside it."""
    torch.manual_seed(0)
    shared: dict[str, Any] = {"num_hidden_layers": 2, "use_weighted_layer_sum": weighted}
    model: transformers.PreTrainedModel
    if kind == "whisper":
        config: Any = transformers.WhisperConfig(
            d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64,
            decoder_ffn_dim=64, classifier_proj_size=16, vocab_size=100, pad_token_id=0, bos_token_id=1, eos_token_id=2, **shared,
        )  # fmt: skip
        model = transformers.WhisperModel(config)
        transformers.WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    else:
        config = transformers.Wav2Vec2Config(
            hidden_size=32, num_attention_heads=2, intermediate_size=64, conv_dim=(16, 16), conv_kernel=(10, 3), conv_stride=(80, 4),
            num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, classifier_proj_size=16, **shared,
        )  # fmt: skip
        model = transformers.Wav2Vec2Model(config)
        transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["whisper", "wav2vec2"])
def test_a_fitted_projection_is_not_read_again(kind: str, weighted: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, count in (("low", 12), ("high", 12)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(count):
            length = int(RATE * rng.uniform(0.2, 0.9))
            wave = 0.3 * np.sin(np.arange(length) * (0.05 if name == "low" else 0.4)) + 0.05 * rng.standard_normal(
                length
            )
            soundfile.write(tmp_path / "data" / name / f"{number}.wav", wave, RATE)
    window: dict[str, Any] = {"window": 1.0} if kind == "whisper" else {}
    data = hf_ssl.load_data(tmp_path / "data", modality="audio", **window, near_duplicates=False, verbose=False)
    kind_of_data = plugins.find("modalities", "audio")
    modality = kind_of_data(kind_of_data.Config(**window))
    task = Classification(Classification.Config(), modality)
    train: datasets.Dataset = data["train"]
    task.fit_labels(train)
    encoder = modality.load(
        str(small(kind, weighted, tmp_path / "start")),
        task.auto_class,
        dataset=train,
        new_head=True,
        **task.model_options(),
    )
    module = TaskModule(encoder, task)
    features = task.encode(encoder, train)
    before = frozen_rows(module, features)
    assert encoder.fits_head
    computed = encoder.fit_head(before, HEAD)
    after = frozen_rows(module, features)
    assert np.abs(before[HEAD] - after[HEAD]).max() > 0.1  # principal components are not what was there
    assert "layers" in computed
    for name, rows in computed.items():
        np.testing.assert_allclose(rows, after[name], rtol=1e-3, atol=1e-3, err_msg=name)
