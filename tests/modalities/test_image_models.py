"""Every family of image backbone through one door: loaded with proof, adapted to channels and size, pooled alike."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from timm_models import timm_folder
from transformers import TrainingArguments

pytest.importorskip("PIL.Image")

from contract_image import pictures  # noqa: E402

import tiny  # noqa: E402
from hf_ssl.core.errors import CheckpointError, ConfigError, MissingExtraError  # noqa: E402
from hf_ssl.demo import images as demo_images  # noqa: E402
from hf_ssl.modalities.image import backbones as image_models  # noqa: E402
from hf_ssl.modalities.image.files import as_reference  # noqa: E402
from hf_ssl.modalities.image.image import Image  # noqa: E402
from hf_ssl.models import adapters  # noqa: E402
from hf_ssl.models.reference import CheckpointRef  # noqa: E402
from hf_ssl.training.schedule import Schedule, parameter_groups  # noqa: E402

VALUES = [as_reference(picture) for picture in pictures(6)]


@pytest.mark.parametrize("arch", [*tiny.IMAGE, "vit_mae"])
def test_features_of_every_family(tiny_checkpoint, arch):
    encoder = Image().load(str(tiny_checkpoint(arch)), pooling="mean")
    assert encoder.report.backbone_complete
    vectors = encoder.embed(VALUES)
    assert vectors.shape[0] == 6 and np.isfinite(vectors).all() and vectors.std(axis=0).mean() > 1e-6
    np.testing.assert_array_equal(vectors, encoder.embed(VALUES))
    np.testing.assert_allclose(encoder.embed(VALUES[2:4]), vectors[2:4], atol=1e-5)
    grid = encoder.patch_features(encoder.collate(encoder.preprocess(VALUES)))
    assert grid.shape[:2] == vectors.shape and grid.shape[2] == grid.shape[3] > 1


def test_special_tokens_are_no_patches(tiny_checkpoint):
    counts = {"vit": 1, "deit": 2, "dinov2": 1, "dinov2_with_registers": 3, "dinov3_vit": 3, "swin": 0}
    for arch, count in counts.items():
        encoder = Image().load(str(tiny_checkpoint(arch)))
        assert image_models.special_tokens(encoder.model) == count
        side = encoder.patch_features({"pixel_values": torch.randn(2, 3, 32, 32)}).shape[-1]
        assert side == 4, arch


def test_other_sizes_interpolate_positions(tiny_checkpoint):
    encoder = Image().load(str(tiny_checkpoint("vit")))
    assert encoder.patch_features({"pixel_values": torch.randn(2, 3, 24, 40)}).shape[-2:] == (3, 5)


@pytest.mark.parametrize(("arch", "side", "cells"), [("vit", 48, 9), ("vit", 16, 4), ("resnet", 48, 9)])
def test_grid_pooling_keeps_the_place(tiny_checkpoint, arch, side, cells, monkeypatch):
    encoder = Image().load(str(tiny_checkpoint(arch)), pooling="grid")
    batch = {"pixel_values": torch.randn(2, 3, side, side)}
    with torch.inference_mode():
        grid = encoder.patch_features(batch)
        whole = encoder.features(batch)
        monkeypatch.setattr("hf_ssl.modalities.image.encoder.GRID_NUMBERS", 9 * grid.shape[1])
        pooled = encoder.features(batch).unflatten(1, (grid.shape[1], -1))
    torch.testing.assert_close(whole, grid.flatten(1), msg="a small map fits as it is")
    assert pooled.shape == (2, grid.shape[1], cells)
    step = grid.shape[2] // round(cells**0.5)
    torch.testing.assert_close(pooled[..., 0], grid[..., :step, :step].mean((2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(pooled.mean(2), encoder.replace(pooling="mean").features(batch), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("arch", ["vit", "dinov3_vit", "swin", "resnet", "convnext", "vit_mae", "timm"])
def test_maps_of_earlier_layers(tiny_checkpoint, tmp_path, arch):
    image = Image(Image.Config(image_size=64) if arch == "timm" else None)
    folder = str(timm_folder(tmp_path / "t") if arch == "timm" else tiny_checkpoint(arch))
    encoder = image.load(folder)
    batch = {"pixel_values": torch.randn(2, 3, 64 if arch == "timm" else 32, 64 if arch == "timm" else 32)}
    with torch.inference_mode():
        vectors = encoder.replace(pooling="mean@-2").features(batch)
        deeper = encoder.replace(pooling="mean@-1").features(batch)
        assert vectors.shape[0] == 2 and torch.isfinite(vectors).all() and vectors.std(0).mean() > 1e-7
        assert vectors.shape != deeper.shape or not torch.allclose(vectors, deeper)
        if arch == "resnet":  # no norm after the last stage
            torch.testing.assert_close(deeper, encoder.replace(pooling="mean").features(batch))
        with pytest.raises(ConfigError, match="has no layer -99"):
            encoder.replace(pooling="mean@-99").features(batch)
    said = {
        "cls@-2": "earlier layer",
        "mean@2": "from the end",
        "mean@x": "from the end",
        "meen": "Did you mean 'mean'",
    }
    for wrong, message in said.items():
        with pytest.raises(ConfigError, match=message):
            encoder.replace(pooling=wrong)


def test_masked_autoencoder_sees_the_whole_picture_in_order(tiny_checkpoint):
    encoder = Image().load(str(tiny_checkpoint("vit_mae")))
    picture = torch.randn(1, 3, 32, 32)
    changed = picture.clone()
    changed[..., 24:, 24:] += 3  # the last patch
    before, after = (encoder.patch_features({"pixel_values": p}) for p in (picture, changed))
    difference = (before - after).abs().sum(1)[0]
    assert difference.argmax() == 15 and encoder.model.config.mask_ratio == 0.75, (
        "aligned, and the configuration is as it was"
    )


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "efficientnet_lite0"])
def test_timm_checkpoints_load_with_proof_and_equal_timm(tmp_path, name):
    timm = pytest.importorskip("timm")
    folder = timm_folder(tmp_path / "timm", name)
    image = Image(Image.Config(image_size=64 if "vit" not in name else None))
    encoder = image.load(str(folder))
    model, report = encoder.model, encoder.report
    assert report.backbone_complete and report.backbone_matched > 50 and not report.missing
    plain = timm.create_model(name, pretrained=False, checkpoint_path=str(folder / "model.safetensors")).eval()
    pixels = torch.randn(2, 3, 224 if "vit" in name else 64, 224 if "vit" in name else 64)
    with torch.inference_mode():
        wanted = plain.forward_head(plain.forward_features(pixels), pre_logits=True)
        got = encoder.features({"pixel_values": pixels})
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
    model.save_pretrained(tmp_path / "again")
    again = transformers.AutoModel.from_pretrained(tmp_path / "again").eval()
    with torch.inference_mode():
        torch.testing.assert_close(again(pixels).pooler_output, wanted, atol=1e-5, rtol=1e-4)
    recorded = json.loads((tmp_path / "again" / "config.json").read_text())["pretrained_cfg"]["input_size"]
    assert recorded == [3, pixels.shape[-1], pixels.shape[-1]]
    assert (
        transformers.AutoImageProcessor.from_pretrained(tmp_path / "again").data_config["input_size"][1]
        == pixels.shape[-1]
    )


def test_timm_weights_of_another_network_are_refused(tmp_path):
    folder = timm_folder(tmp_path / "timm")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architecture": "resnet34"}))
    with pytest.raises(CheckpointError, match="did not load completely"):
        Image().load(str(folder))


@pytest.mark.parametrize(("arch", "channels"), [("vit", 5), ("dinov2", 1), ("resnet", 4), ("swin", 2), ("timm", 6)])
def test_first_layer_is_adapted_to_the_channels(tiny_checkpoint, tmp_path, arch, channels):
    folder = str(timm_folder(tmp_path / "t")) if arch == "timm" else str(tiny_checkpoint(arch))
    image = Image(Image.Config(channels=channels, image_size=64 if arch == "timm" else None))
    adapted, plain = image.load(folder), Image().load(folder)
    report = adapted.report
    side = 64 if arch == "timm" else 32
    gray = torch.rand(2, 1, side, side)
    with torch.inference_mode():
        mine = adapted.patch_features({"pixel_values": gray.expand(-1, channels, -1, -1)})
        theirs = plain.patch_features({"pixel_values": gray.expand(-1, 3, -1, -1)})
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)
    assert any("averaged over 3 channels" in note for note in report.notes) and not report.missing
    assert len(adapted.shape.mean) == channels
    adapted.save(tmp_path / "saved")
    values = [as_reference(picture) for picture in pictures(2, 32, channels)]
    again = Image(Image.Config(image_size=image.config.image_size)).load(str(tmp_path / "saved"))
    assert again.report.backbone_complete and again.pooling == adapted.pooling
    np.testing.assert_allclose(again.embed(values), adapted.embed(values), atol=1e-5)


def test_size_and_channels_travel_with_the_processor(tiny_checkpoint, tmp_path):
    processor = Image(Image.Config(image_size=48, channels=2)).load_processor(
        CheckpointRef(str(tiny_checkpoint("vit")))
    )
    processor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert saved["size"] == {"height": 48, "width": 48} and len(saved["image_mean"]) == 2


@pytest.mark.parametrize("arch", ["deit", "dinov2_with_registers", "dinov3_vit"])
def test_no_decay_on_tokens_positions_and_layer_scale(tiny_checkpoint, arch):
    model = Image().load(str(tiny_checkpoint(arch))).model
    groups = parameter_groups(model, Schedule(), TrainingArguments("unused", weight_decay=0.1, use_cpu=True))
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in decayed}
    assert names and not [name for name in names if "token" in name or "position" in name or "layer_scale" in name]


@pytest.mark.parametrize("arch", tiny.IMAGE)
def test_adapters_find_their_layers(tiny_checkpoint, arch):
    encoder = Image().load(str(tiny_checkpoint(arch)), pooling="mean")
    wrapped = adapters.apply(encoder.model, "lora", missing=encoder.report.missing, rank=4)
    out = encoder.replace(model=wrapped).features({"pixel_values": torch.randn(2, 3, 32, 32)})
    out.square().mean().backward()
    assert adapters.without_gradient(wrapped) == []


def test_classifiers_get_pictures_with_their_channels_last(tmp_path):
    """Convolutions on a CPU are up to twice as fast that way, and answer the same."""
    encoder = Image().load(str(timm_folder(tmp_path)), "AutoModelForImageClassification", new_head=True, num_labels=3)
    model = encoder.model
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model.eval()(pixel_values=pixels).logits
        seen: list[bool] = []
        first = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
        first.register_forward_pre_hook(
            lambda m, args: seen.append(args[0].is_contiguous(memory_format=torch.channels_last))
        )
        found = encoder.logits({"pixel_values": pixels})
    assert seen == [True]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_small_patch16_dinov3", "vit_small_patch16_dinov3_qkvb"])
def test_fused_attention_of_timm_gets_adapters(tmp_path, name):
    folder = timm_folder(tmp_path / "t", name, depth=2, img_size=64)
    encoder = Image().load(str(folder), pooling="mean")
    model, report = encoder.model, encoder.report
    # With biases of their own the network reads the fused weights itself: an adapter there would get no gradient.
    assert any("qkv" in target for target in adapters.target_modules(model)) != name.endswith("qkvb")
    wrapped = adapters.apply(model, "lora", missing=report.missing, rank=4)
    batch = {"pixel_values": torch.randn(2, 3, 64, 64)}
    encoder = encoder.replace(model=wrapped)
    assert encoder.patch_features(batch).shape[-2:] == (4, 4), "class and register tokens are no patches"
    encoder.features(batch).square().mean().backward()
    assert adapters.without_gradient(wrapped) == []


def test_classifier_on_dinov3_comes_from_timm(tiny_checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="same weights as timm"):
        Image().load(str(tiny_checkpoint("dinov3_vit")), "AutoModelForImageClassification", num_labels=3)
    folder = timm_folder(tmp_path / "t", "vit_small_patch16_dinov3", depth=2, img_size=64)
    encoder = Image().load(str(folder), "AutoModelForImageClassification", num_labels=3, expect_new=("*head*",))
    assert encoder.model(torch.randn(1, 3, 64, 64)).logits.shape == (1, 3)


def test_released_efficientnet_lite0(tmp_path):
    """The real checkpoint, converted: complete, and it knows a coffee cup from noise."""
    try:
        folder = demo_images.write_efficientnet_lite0(tmp_path / "lite0")
    except MissingExtraError as error:
        pytest.skip(str(error))
    encoder = Image().load(str(folder), "AutoModelForImageClassification")
    report = encoder.report
    assert report.backbone_complete and report.license == "apache-2.0" and not report.missing
    sklearn = pytest.importorskip("sklearn.datasets")
    china, flower = sklearn.load_sample_images().images
    batch = encoder.collate(encoder.preprocess([as_reference(china), as_reference(flower)]))
    with torch.inference_mode():
        best = encoder.logits(batch).argmax(-1).tolist()
    assert best == [698, 985], "ImageNet classes palace and daisy"
