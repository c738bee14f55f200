"""How the start is pooled is how everything made of it is pooled: saved, found again, and one thing for both arms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest

import hf_ssl
import tiny
from hf_ssl import CheckpointRef
from hf_ssl.core.errors import ConfigError
from hf_ssl.modalities.image.image import Image
from hf_ssl.modalities.text.text import Text
from hf_ssl.modalities.timeseries.timeseries import TimeSeries
from hf_ssl.models.pooling import Pooling, saved_pooling
from hf_ssl.tasks.similarity import Similarity

TEXTS = list(dict.fromkeys(tiny.corpus(120)))
ROWS = [{"text": text, "label": "ab"[number % 2]} for number, text in enumerate(TEXTS[:48])]
DATA = {
    "train": datasets.Dataset.from_list(ROWS[:32]),
    "test": datasets.Dataset.from_list(ROWS[32:]),
    "unlabeled": datasets.Dataset.from_dict({"text": TEXTS[48:]}),
}


@pytest.fixture
def pooled_by_cls(tiny_checkpoint, tmp_path: Path) -> Path:
    """A start that sentence-transformers has saved (in today's keys) as pooled by the first token."""
    # Weights of a spread at which first tokens differ: the alarm for constant features is to stay silent.
    source = tiny_checkpoint("bert", "AutoModelForMaskedLM", initializer_range=0.3)
    folder = Path(shutil.copytree(source, tmp_path / "start"))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "cls", "embedding_dimension": 32}))
    return folder


def shared(start: Path, output: Path) -> dict:
    return {"data": DATA, "model": str(start), "output": str(output), "near_duplicates": False}


@pytest.mark.parametrize("objective", ["mlm", "simcse"])
def test_pretraining_keeps_the_pooling_and_all_stages_use_it(pooled_by_cls, tmp_path, objective):
    given = shared(pooled_by_cls, tmp_path / "run")
    few = {"max_steps": 2, "monitor_points": 1, "max_length": 16}
    adapted = hf_ssl.pretrain(**given, objective=objective, keep_checkpoint="last", **few).path / "model"
    assert saved_pooling(CheckpointRef(str(adapted))) == Pooling("cls")
    given.pop("model")
    embedded = hf_ssl.embed(**given, split="test")
    assert embedded.metrics["pooling"] == "cls"
    tuned = hf_ssl.finetune(**given, max_steps=2, early_stopping_patience=0, self_training=0).path / "model"
    assert saved_pooling(CheckpointRef(str(tuned))) == Pooling("cls")
    hit = hf_ssl.search(output=given["output"], query=ROWS[40]["text"], k=1).metrics["hits"][0]
    assert hit["score"] == pytest.approx(1, abs=1e-3)


def test_both_arms_of_a_comparison_are_pooled_as_the_start_is(pooled_by_cls, tiny_checkpoint, tmp_path, monkeypatch):
    """Also where the adapted model says otherwise: arms differ in one thing only."""
    from hf_ssl.modalities.text.encoder import TextEncoder

    asked: list[tuple[str, str]] = []
    whole = TextEncoder.features

    def features(self: TextEncoder, batch):
        asked.append((self.ref.id, str(self.pooling)))
        return whole(self, batch)

    monkeypatch.setattr(TextEncoder, "features", features)
    other = tiny_checkpoint("bert", "AutoModelForMaskedLM", layers=3)
    hf_ssl.compare(
        **shared(pooled_by_cls, tmp_path / "run"),
        adapted=str(other),
        budgets=[4],
        draws=1,
        max_steps=2,
        self_training=40,
    )
    assert {ref for ref, _ in asked} == {str(pooled_by_cls), str(other)} and {how for _, how in asked} == {"cls"}


def test_similarity_asks_the_checkpoint_unless_it_is_told(pooled_by_cls):
    pairs = datasets.Dataset.from_dict({"text": TEXTS[:4], "text_pair": TEXTS[4:8], "label": [0.0, 1.0, 2.0, 3.0]})
    task = Similarity(Similarity.Config(), Text())
    encoder = Text().load(str(pooled_by_cls), pooling=task.pooling)
    batch = task.collate_inputs(encoder, task.encode(encoder, pairs))
    answers = {how: task.forward(encoder.replace(pooling=how), batch).detach() for how in ("cls", "mean")}
    assert task.forward(encoder, batch).equal(answers["cls"]) and not answers["cls"].equal(answers["mean"])
    assert Similarity(Similarity.Config(pooling="max"), Text()).pooling == "max"


def test_a_pooling_that_nobody_knows_is_an_error(pooled_by_cls):
    (pooled_by_cls / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "clss"}))
    with pytest.raises(ConfigError, match="'clss'.*Did you mean 'cls'.*--pooling"):
        Text().load(str(pooled_by_cls))
    assert str(Text().load(str(pooled_by_cls), pooling="mean").pooling) == "mean", "the user may choose"


@pytest.mark.parametrize(
    "how", ["cls", "mean", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens", "cls+mean"]
)
def test_sentence_transformers_gives_the_same_vectors(tiny_checkpoint, tmp_path, how):
    st = pytest.importorskip("sentence_transformers")
    encoder = Text().load(str(tiny_checkpoint("bert")), pooling=how)
    encoder.save(tmp_path / "saved")
    theirs = st.SentenceTransformer(str(tmp_path / "saved"), device="cpu").encode(TEXTS[:6])
    np.testing.assert_allclose(encoder.embed(TEXTS[:6]), theirs, atol=1e-5)


def test_a_masked_autoencoder_that_became_a_plain_vit_is_pooled_as_it_was(tiny_checkpoint, tmp_path):
    """A ViT that says nothing is pooled by its first token; this one was measured by the mean of its patches."""
    from contract_image import pictures

    folder = tmp_path / "pictures"
    folder.mkdir()
    from PIL import Image as pil

    for number, picture in enumerate(pictures(12)):
        pil.fromarray(picture).save(folder / f"{number}.png")
    result = hf_ssl.pretrain(
        data=str(folder), modality="image", model=str(tiny_checkpoint("vit_mae", "ViTMAEForPreTraining")), objective="mae",
        output=str(tmp_path / "run"), max_steps=1, monitor_points=1, near_duplicates=False,
    )  # fmt: skip
    again = Image().load(str(result.path / "model"))
    assert type(again.model).__name__ == "ViTModel" and str(again.pooling) == "mean"


def hub_copy(folder: Path, cache: Path, repository: str) -> CheckpointRef:
    """A repository that has the commit, and no other: what asks for `main` finds nothing."""
    commit = "c" * 40
    shutil.copytree(folder, cache / f"models--{repository.replace('/', '--')}" / "snapshots" / commit)
    return CheckpointRef(repository, commit)


def test_the_revision_reaches_every_file(tiny_checkpoint, pooled_by_cls, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    picture = hub_copy(tiny_checkpoint("vit"), tmp_path / "cache", "me/vit")
    assert Image(Image.Config(channels=5)).load(picture).report.revision == picture.revision
    series = hub_copy(tiny_checkpoint("patchtst", "AutoModel"), tmp_path / "cache", "me/patchtst")
    data = datasets.Dataset.from_dict({"series": [np.zeros((2, 32)).tolist()]})
    assert TimeSeries().load(series, dataset=data).report.revision == series.revision
    assert Text().load(hub_copy(pooled_by_cls, tmp_path / "cache", "me/cls")).pooling == Pooling("cls")


def test_heads_pool_as_the_checkpoint_does_where_the_class_can(tiny_checkpoint):
    folder = str(tiny_checkpoint("modernbert"))
    head = {"head": "AutoModelForSequenceClassification", "new_head": True, "num_labels": 3}
    for how in ("mean", "cls"):
        assert Text().load(folder, pooling=how, **head).model.config.classifier_pooling == how
    assert Text().load(str(tiny_checkpoint("bert")), pooling="mean", **head).model.config.num_labels == 3, (
        "BERT's cannot"
    )
