"""Every objective on text and sound continues every family it names: three steps, then a plain checkpoint comes out.

Pictures: `test_every_objective_continues_every_family` in test_ssl_images.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from contract_audio import Kind as Sounds
from contract_text import Kind as Texts
from steps import take_steps

import tiny
from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError
from hf_ssl.models import adapters
from hf_ssl.tasks.base import TaskModule, TaskRows
from hf_ssl.training.dropout import set_dropout

SPECTROGRAMS = ("whisper", "audio-spectrogram-transformer", "wav2vec2-bert")
WAVES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech-sat")
ON_WAVES = ("masked-waveform", "hubert-units")


def _continue(kind: Any, folder: Path, name: str, output: Path) -> None:
    cls = plugins.find("objectives", name)
    encoder = kind.modality.load(str(folder), cls.auto_class, expect_new=("*",))
    torch.manual_seed(0)
    config = cls.Config(**kind.fixed.get(f"objectives/{name}", {}))
    objective = cls(encoder, config).train()
    rows = objective.rows(kind.unlabeled(), seed=0, training=True)
    batch = objective.collate([rows[i] for i in range(6)])
    values = list(kind.unlabeled()[kind.modality.column])[:4]
    before = objective.adapted.embed(values)
    objective.train()
    take_steps(objective, batch, 3)
    after, exported = objective.adapted.embed(values), objective.export().eval()
    objective.adapted.save(output, model=exported)
    again = kind.modality.load(str(output))
    assert again.report.backbone_complete and again.pooling == encoder.pooling
    assert np.abs(after - before).max() > 1e-5
    np.testing.assert_allclose(again.embed(values), after, atol=1e-5)


def _sound_encoder(arch: str, folder: Path) -> Path:
    own = tiny.tiny_config("wav2vec2", feat_extract_norm="layer").to_dict()
    sizes = {
        name: own[name] for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    }
    waves = ("conv_dim", "conv_stride", "conv_kernel", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups")
    if arch == "audio-spectrogram-transformer":
        fields = {**sizes, "num_mel_bins": 32, "max_length": 102}
        processor = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=102)
    elif arch == "wav2vec2-bert":
        fields, processor = {**sizes, "feature_projection_input_dim": 160}, transformers.SeamlessM4TFeatureExtractor()
    else:
        fields = {**sizes, **{name: own[name] for name in waves}, "feat_extract_norm": "layer"}
        processor = tiny.tiny_processor("wav2vec2")
    torch.manual_seed(0)
    transformers.AutoModel.from_config(transformers.AutoConfig.for_model(arch, **fields)).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("arch", [*WAVES, *SPECTROGRAMS])
@pytest.mark.parametrize("name", ["masked-spectrogram", *ON_WAVES, "simclr"])
def test_sounds(tiny_checkpoint, tmp_path, arch, name):
    folder = tiny_checkpoint(arch) if arch in tiny.AUDIO else _sound_encoder(arch, tmp_path / "start")
    if (arch in SPECTROGRAMS and name in ON_WAVES) or (arch, name) == ("wav2vec2-bert", "masked-spectrogram"):
        with pytest.raises(ConfigError, match="raw samples|how to hide"):
            _continue(Sounds(), folder, name, tmp_path / "exported")
        return
    _continue(Sounds(), folder, name, tmp_path / "exported")


@pytest.mark.parametrize("arch", [*WAVES, *SPECTROGRAMS])
@pytest.mark.parametrize("name", ["classification", "verification"])
def test_adapters_on_every_encoder_of_sounds(tiny_checkpoint, tmp_path, arch, name):
    folder = tiny_checkpoint(arch) if arch in tiny.AUDIO else _sound_encoder(arch, tmp_path / "start")
    kind, cls = Sounds(), plugins.find("tasks", name)
    task, data = cls(cls.Config(), kind.modality), kind.labeled(name)
    task.fit_labels(data)
    torch.manual_seed(0)
    encoder = kind.modality.load(str(folder), task.auto_class, new_head=True, **task.model_options())
    encoder = encoder.replace(
        model=adapters.apply(encoder.model, "lora", missing=encoder.report.missing, train_bare=("*layer_weights",))
    )
    set_dropout(encoder.model, 0.0)
    module = TaskModule(encoder, task).train()
    rows = TaskRows(task.encode(encoder, data))
    batch = module.collate([rows[i] for i in range(6)])
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    assert trained - take_steps(module, batch, 2, rate=1e-2) == set()


@pytest.mark.parametrize("arch", tiny.TEXT)
@pytest.mark.parametrize("name", ["mlm", "simcse", "tsdae"])
def test_texts(tiny_checkpoint, tmp_path, arch, name):
    folder = tiny_checkpoint(arch, plugins.find("objectives", name).auto_class)
    _continue(Texts(), folder, name, tmp_path / "exported")
