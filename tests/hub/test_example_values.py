"""What a published model is tried on: made-up pictures, sounds and series, through `pipeline()` where there is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import tiny
from hf_ssl import embed, push, search
from hf_ssl.core import plugins
from hf_ssl.hub import reload_check, staging
from hf_ssl.hub.staging import Artifact
from hf_ssl.modalities.audio.audio import Audio
from hf_ssl.modalities.audio.encoder import AudioEncoder
from hf_ssl.modalities.image.encoder import ImageEncoder
from hf_ssl.modalities.image.image import Image
from hf_ssl.modalities.timeseries.timeseries import TimeSeries
from hf_ssl.models.loading import plain_class
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.tasks.speech_recognition import SpeechRecognition

LABELS = {"id2label": {0: "ship", 1: "bird", 2: "tree"}, "label2id": {"ship": 0, "bird": 1, "tree": 2}}


def staged(source: Path, folder: Path, auto_class: str, tag: str | None, modality: Any) -> tuple[dict, dict]:
    """A job and a reference for `hf_ssl.hub.reload_check`, as a push makes them."""
    artifact = Artifact("model", source, auto_class, tag)
    encoder = modality.load(str(source), auto_class)
    folder.mkdir()
    staging.stage_model(artifact, encoder, folder)
    tensors = staging.reference(artifact, encoder)
    values = staging.published_values(artifact, encoder) if tag else []
    kept = [reload_check.keep_value(value, folder.parent / f"value{number}") for number, value in enumerate(values)]
    job = {"kind": "model", "folder": str(folder), "auto_class": auto_class, "pipeline_tag": tag, "values": kept}
    return job, {name: tensor.numpy() for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("arch", "auto_class", "tag"),
    [
        ("vit", "AutoModelForImageClassification", "image-classification"),
        ("resnet", "AutoModelForImageClassification", "image-classification"),
        ("swin", "AutoModelForImageClassification", "image-classification"),
        ("dinov2", "AutoModel", "image-feature-extraction"),
        ("segformer", "AutoModelForSemanticSegmentation", "image-segmentation"),
    ],
)
def test_pictures_go_through_the_pipeline(arch: str, auto_class: str, tag: str, tmp_path: Path) -> None:
    pytest.importorskip("PIL.Image")
    source = tiny.write_checkpoint(
        arch, tmp_path / "start", auto_class, **({} if auto_class == "AutoModel" else LABELS)
    )
    job, expected = staged(source, tmp_path / "staged", auto_class, tag, Image())
    job["labels"] = ["ship", "bird", "tree"] if "Classification" in auto_class else None
    found = reload_check.differences(job, expected)
    assert {f"pipeline({tag!r}) on value {number}" for number in (0, 1)} <= found.keys()
    assert ("areas of value 0" in found) == (tag == "image-segmentation")
    assert max(found.values()) < reload_check.TOLERANCE, found


def test_a_resizing_processor_and_timm_agree_too(tmp_path: Path) -> None:
    """A processor that resizes and then cuts out the center gets pictures that it need not resize."""
    pytest.importorskip("PIL.Image")
    pytest.importorskip("timm")
    source = tiny.write_checkpoint("vit", tmp_path / "start", "AutoModelForImageClassification", **LABELS)
    cutting = transformers.CLIPImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32})
    cutting.save_pretrained(source)
    from timm_models import timm_folder

    for number, folder in enumerate((source, timm_folder(tmp_path / "timm"))):
        kind = "AutoModelForImageClassification"
        job, expected = staged(folder, tmp_path / f"staged{number}", kind, "image-classification", Image())
        found = reload_check.differences(job, expected)
        assert max(found.values()) < reload_check.TOLERANCE and ("timm.create_model" in found) == (number == 1)


def test_an_adapted_timm_backbone_is_one_for_timm_too(tmp_path: Path) -> None:
    pytest.importorskip("PIL.Image")
    pytest.importorskip("timm")
    from timm_models import timm_folder

    encoder = Image().load(str(timm_folder(tmp_path / "timm")))
    encoder.model.save_pretrained(tmp_path / "run")
    job, expected = staged(tmp_path / "run", tmp_path / "staged", "AutoModel", "image-feature-extraction", Image())
    found = reload_check.differences(job, expected)
    assert "timm.create_model" in found and max(found.values()) < reload_check.TOLERANCE


def test_a_wrong_processor_beside_pictures_is_seen(tmp_path: Path) -> None:
    pytest.importorskip("PIL.Image")
    source = tiny.write_checkpoint("vit", tmp_path / "start", "AutoModelForImageClassification", **LABELS)
    kind = "AutoModelForImageClassification"
    job, expected = staged(source, tmp_path / "staged", kind, "image-classification", Image())
    file = tmp_path / "staged" / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"image_mean": [0.4, 0.5, 0.6]}))
    found = reload_check.differences(job | {"labels": ["LABEL_0", "LABEL_1", "LABEL_2"]}, expected)
    assert found["output 0"] < reload_check.TOLERANCE < found["pipeline('image-classification') on value 1"]
    assert found["names of the classes"] > 1


def test_a_pooler_that_the_run_does_not_have_is_neither_published_nor_compared(tmp_path: Path) -> None:
    """What a masked autoencoder leaves has no pooler; AutoModel makes a random one, another each time."""
    pytest.importorskip("PIL.Image")
    from safetensors import safe_open

    source = tmp_path / "start"
    transformers.ViTModel(tiny.tiny_config("vit"), add_pooling_layer=False).save_pretrained(source)
    tiny.tiny_processor("vit").save_pretrained(source)
    job, expected = staged(source, tmp_path / "staged", "AutoModel", "image-feature-extraction", Image())
    with safe_open(tmp_path / "staged" / "model.safetensors", "pt") as file:
        assert file.keys() and not any("pooler" in name for name in file.keys())
    found = reload_check.differences(job, expected)
    assert set(found) == {"output 0", *(f"pipeline('image-feature-extraction') on value {n}" for n in (0, 1))}
    assert max(found.values()) < reload_check.TOLERANCE


def test_no_pipeline_takes_five_channels() -> None:
    pytest.importorskip("PIL.Image")
    processor = transformers.ViTImageProcessor(image_mean=[0.5] * 5, image_std=[0.5] * 5)
    model = tiny.tiny_model("vit")
    assert ImageEncoder(Image(Image.Config(channels=5)), model, processor).example_values() == []
    assert len(ImageEncoder(Image(), model, tiny.tiny_processor("vit")).example_values()) == 2


@pytest.mark.parametrize(
    ("arch", "options"),
    [("whisper", {}), ("wav2vec2", {"feat_extract_norm": "layer"}), ("wav2vec2", {"feat_extract_norm": "group"})],
)
def test_sounds_go_through_the_pipeline(arch: str, options: dict, tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    kind = "AutoModelForAudioClassification"
    source = tiny.write_checkpoint(arch, tmp_path / "start", kind, **LABELS, **options)
    job, expected = staged(source, tmp_path / "staged", kind, "audio-classification", Audio())
    found = reload_check.differences(job, expected)
    assert "pipeline('audio-classification') on value 1" in found and max(found.values()) < reload_check.TOLERANCE
    file = tmp_path / "staged" / "preprocessor_config.json"
    changed = {"do_normalize": False} if arch == "wav2vec2" else {"hop_length": 200}
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    if arch == "wav2vec2":
        assert max(reload_check.differences(job, expected).values()) > reload_check.TOLERANCE, (
            "another processor must be seen"
        )


def transcriber(folder: Path) -> Path:
    """A tiny recognizer with its character tokenizer, as the task saves it."""
    task = SpeechRecognition(SpeechRecognition.Config(), Audio())
    task.numbers = {symbol: number for number, symbol in enumerate(["<pad>", "<unk>", "|", *"abcdefgh"])}
    task.label_names = list(task.numbers)
    options = {**task.model_options(), "feat_extract_norm": "layer"}
    source = tiny.write_checkpoint("wav2vec2", folder, "AutoModelForCTC", **options)
    task.saved_processor(Audio().load(str(source), "AutoModelForCTC")).save_pretrained(source)
    return source


def test_transcripts_take_their_tokenizer_along(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    source = transcriber(tmp_path / "start")
    job, expected = staged(source, tmp_path / "staged", "AutoModelForCTC", "automatic-speech-recognition", Audio())
    assert (tmp_path / "staged" / "tokenizer_config.json").is_file()
    found = reload_check.differences(job, expected)
    assert {"words of value 0", "words of value 1"} <= found.keys() and max(found.values()) < reload_check.TOLERANCE
    expected["value.0"] = -expected["value.0"]
    assert reload_check.differences(job, expected)["words of value 0"] > 1, "other symbols give other words"


def test_samples_of_another_rate_are_not_compared() -> None:
    slow, model = transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000), tiny.tiny_model("wav2vec2")
    assert AudioEncoder(Audio(), model, slow).example_values() == []
    assert len(AudioEncoder(Audio(Audio.Config(sampling_rate=8000)), model, slow).example_values()) == 2


@pytest.mark.parametrize("family", ["patchtst", "patchtsmixer"])
@pytest.mark.parametrize(
    "kind", ["", "ForTimeSeriesClassification", "ForTimeSeriesPrediction", "ForTimeSeriesPretraining"]
)
def test_series_go_to_the_class_itself(family: str, kind: str, tmp_path: Path) -> None:
    shape = {
        "num_input_channels": 2,
        "context_length": 64,
        "prediction_length": 8,
        "patch_length": 8,
        "patch_stride": 8,
    }
    size = {"patchtst": {"num_hidden_layers": 1, "num_attention_heads": 2}, "patchtsmixer": {"num_layers": 1}}[family]
    config = transformers.AutoConfig.for_model(family, **shape, **size, d_model=16, num_targets=3)
    torch.manual_seed(0)
    auto_class = plain_class(f"AutoModel{kind}", family)
    model_class = getattr(transformers, auto_class)
    model = model_class(config) if kind else model_class.from_config(config)
    model.save_pretrained(tmp_path / "start")
    TimeSeries().load_processor(CheckpointRef(str(tmp_path / "start"))).save_pretrained(tmp_path / "start")
    job, expected = staged(tmp_path / "start", tmp_path / "staged", auto_class, None, TimeSeries())
    found = reload_check.differences(job, expected)
    assert {"output 0", "output 0 on value 0", "output 0 on value 1"} <= found.keys()
    assert max(found.values()) < reload_check.TOLERANCE
    moved = {name: array + (name == "out.2.0") for name, array in expected.items()}
    assert reload_check.differences(job, moved)["output 0 on value 1"] > reload_check.TOLERANCE


def test_whisper_with_its_decoder_can_be_tried(tmp_path: Path) -> None:
    source = tiny.write_checkpoint("whisper", tmp_path / "start", "AutoModel")
    job, expected = staged(source, tmp_path / "staged", "AutoModel", None, Audio())
    assert max(reload_check.differences(job, expected).values()) < reload_check.TOLERANCE


FAMILIES = {"text": "bert", "image": "vit", "audio": "wav2vec2", "timeseries": "patchtst"}


@pytest.mark.parametrize("name", plugins.names("objectives"))
def test_what_an_objective_leaves_loads_with_a_class_of_transformers(name: str) -> None:
    """Of those that leave another model than they train (a masked autoencoder), the class is that of what is left."""
    objective = plugins.find("objectives", name)
    fitting = [kind for kind in FAMILIES if objective.fits(plugins.find("modalities", kind))]
    assert fitting
    for kind in fitting:
        assert hasattr(transformers, plain_class(objective.export_class or objective.auto_class, FAMILIES[kind]))


# -- a whole push, in a fresh process, of a run on each kind of data -----------------------------------------------------


def pictures(folder: Path) -> dict[str, Any]:
    from contract_image import pictures as waves
    from PIL import Image as pil

    for split, count in (("unlabeled", 8), ("train", 8), ("test", 8)):
        for number, picture in enumerate(waves(count, seed=len(split))):
            place = folder / split / ("" if split == "unlabeled" else "ab"[number % 2])
            place.mkdir(parents=True, exist_ok=True)
            pil.fromarray(picture).save(place / f"{number}.png")
    return {"modality": "image", "pretrain": {"objective": "simclr", "per_device_train_batch_size": 4}}


def clips(folder: Path) -> dict[str, Any]:
    from sounds import recordings_folder as data

    data(folder)
    options = {"modality": "audio", "label_column": "transcript", "label_kind": "transcript"}
    return {**options, "pretrain": {"per_device_train_batch_size": 4, "eval_fraction": 0.5}}


def series(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    values = np.stack(
        [np.sin(np.arange(64) * (0.2 + 0.2 * (i % 2))) + 0.1 * rng.standard_normal(64) for i in range(48)]
    )
    for part, rows in (("unlabeled", range(24)), ("train", range(24, 36)), ("test", range(36, 48))):
        (folder / part).mkdir(parents=True)
        lines = ["\t".join([str(row % 2 + 1), *(f"{v:.5f}" for v in values[row])]) for row in rows]
        (folder / part / "all.tsv").write_text("\n".join(lines))
    return {"modality": "timeseries", "pretrain": {}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "arch", "compared"),
    [
        (pictures, "vit", "pipeline('image-classification') on value 1"),
        (clips, "wav2vec2", "words of value 1"),
        (series, "patchtst", "output 0 on value 1"),
    ],
)
def test_a_run_is_staged_and_answers_the_same(
    write: Callable[[Path], dict[str, Any]], arch: str, compared: str, tmp_path: Path
) -> None:
    pytest.importorskip({"vit": "PIL.Image", "wav2vec2": "soundfile", "patchtst": "pandas"}[arch])
    from hf_ssl import run_recipe

    fields = {"patchtst": {"num_input_channels": 1}, "wav2vec2": {"feat_extract_norm": "layer"}}.get(arch, {})
    start = tiny.write_checkpoint(arch, tmp_path / "start", "AutoModel", **fields)
    recipe = write(tmp_path / "data")
    recipe["pretrain"] |= {"max_steps": 1, "monitor_points": 1}
    few = {"max_steps": 1, "early_stopping_patience": 0, "peft": "lora", "lora_r": 2, "self_training": 0}
    common = {"data": str(tmp_path / "data"), "output": str(tmp_path / "run"), "near_duplicates": False}
    common |= {name: recipe[name] for name in ("label_column", "label_kind") if name in recipe}
    run_recipe({**common, **recipe, "model": str(start), "finetune": few})
    where = {"output": str(tmp_path / "run"), "base_model": "acme/base", "license": "mit", "dry_run": True}
    answer = push(repo="me/model", **where)
    assert compared in answer.metrics["compared"] and answer.metrics["difference"] < reload_check.TOLERANCE
    card = (answer.path / "README.md").read_text(encoding="utf-8")
    assert 'from_pretrained("me/model")' in card or 'model="me/model"' in card
    assert push(repo="me/bones", what="backbone", **where).metrics["difference"] < reload_check.TOLERANCE
    embed(**common, modality=recipe["modality"], split="test")
    asked = {"vit": "test/a/0.png", "wav2vec2": "33.wav", "patchtst": "test/all.tsv"}[arch]
    found = search(output=common["output"], file=str(tmp_path / "data" / asked), k=1).metrics["hits"]
    assert found[0]["score"] > 0.999, "a file of the test split finds itself"
    assert Path(found[0]["path"]).name == Path(asked).name, "a hit leads back to its file"
    assert push(repo="me/vectors", what="embeddings", **where).metrics["compared"] == ["vectors"]
