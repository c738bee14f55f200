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
from hf_ssl.training.schedule import Schedule, parameter_groups  # noqa: E402

VALUES = [as_reference(picture) for picture in pictures(6)]


@pytest.mark.parametrize("arch", [*tiny.IMAGE, "vit_mae"])
def test_features_of_every_family(tiny_checkpoint, arch):
    image = Image()
    folder = str(tiny_checkpoint(arch))
    model, report = image.load_model(folder)
    assert report.backbone_complete
    processor = image.load_processor(folder)
    vectors = image.embed(model, processor, VALUES)
    assert vectors.shape[0] == 6 and np.isfinite(vectors).all() and vectors.std(axis=0).mean() > 1e-6
    np.testing.assert_array_equal(vectors, image.embed(model, processor, VALUES))
    np.testing.assert_allclose(image.embed(model, processor, VALUES[2:4]), vectors[2:4], atol=1e-5)
    grid = image.patch_features(model, image.collate(processor, image.encode(processor, VALUES)))
    assert grid.shape[:2] == vectors.shape and grid.shape[2] == grid.shape[3] > 1


def test_special_tokens_are_no_patches(tiny_checkpoint):
    image = Image()
    counts = {"vit": 1, "deit": 2, "dinov2": 1, "dinov2_with_registers": 3, "dinov3_vit": 3, "swin": 0}
    for arch, count in counts.items():
        model, _ = image.load_model(str(tiny_checkpoint(arch)))
        assert image_models.special_tokens(model) == count
        side = image.patch_features(model, {"pixel_values": torch.randn(2, 3, 32, 32)}).shape[-1]
        assert side == 4, arch


def test_other_sizes_interpolate_positions(tiny_checkpoint):
    image = Image()
    model, _ = image.load_model(str(tiny_checkpoint("vit")))
    assert image.patch_features(model, {"pixel_values": torch.randn(2, 3, 24, 40)}).shape[-2:] == (3, 5)


@pytest.mark.parametrize(("arch", "side", "cells"), [("vit", 48, 9), ("vit", 16, 4), ("resnet", 48, 9)])
def test_grid_pooling_keeps_the_place(tiny_checkpoint, arch, side, cells, monkeypatch):
    image = Image()
    model, _ = image.load_model(str(tiny_checkpoint(arch)))
    batch = {"pixel_values": torch.randn(2, 3, side, side)}
    with torch.inference_mode():
        grid = image.patch_features(model, batch)
        whole = image.features(model, batch, "grid")
        monkeypatch.setattr("hf_ssl.modalities.image.image.GRID_NUMBERS", 9 * grid.shape[1])
        pooled = image.features(model, batch, "grid").unflatten(1, (grid.shape[1], -1))
    torch.testing.assert_close(whole, grid.flatten(1), msg="a small map fits as it is")
    assert pooled.shape == (2, grid.shape[1], cells)
    step = grid.shape[2] // round(cells**0.5)
    torch.testing.assert_close(pooled[..., 0], grid[..., :step, :step].mean((2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(pooled.mean(2), image.features(model, batch, "mean"), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("arch", ["vit", "dinov3_vit", "swin", "resnet", "convnext", "vit_mae", "timm"])
def test_maps_of_earlier_layers(tiny_checkpoint, tmp_path, arch):
    image = Image(Image.Config(image_size=64) if arch == "timm" else None)
    folder = str(timm_folder(tmp_path / "t") if arch == "timm" else tiny_checkpoint(arch))
    model, _ = image.load_model(folder)
    batch = {"pixel_values": torch.randn(2, 3, 64 if arch == "timm" else 32, 64 if arch == "timm" else 32)}
    with torch.inference_mode():
        vectors = image.features(model, batch, "mean@-2")
        deeper = image.features(model, batch, "mean@-1")
        assert vectors.shape[0] == 2 and torch.isfinite(vectors).all() and vectors.std(0).mean() > 1e-7
        assert vectors.shape != deeper.shape or not torch.allclose(vectors, deeper)
        if arch == "resnet":  # no norm after the last stage
            torch.testing.assert_close(deeper, image.features(model, batch, "mean"))
        with pytest.raises(ConfigError, match="has no layer -99"):
            image.features(model, batch, "mean@-99")
    for wrong in ("cls@-2", "mean@2", "mean@x", "meen"):
        with pytest.raises(ConfigError, match="No pooling is called"):
            image.features(model, batch, wrong)


def test_masked_autoencoder_sees_the_whole_picture_in_order(tiny_checkpoint):
    image = Image()
    model, _ = image.load_model(str(tiny_checkpoint("vit_mae")))
    picture = torch.randn(1, 3, 32, 32)
    changed = picture.clone()
    changed[..., 24:, 24:] += 3  # the last patch
    before, after = (image.patch_features(model, {"pixel_values": p}) for p in (picture, changed))
    difference = (before - after).abs().sum(1)[0]
    assert difference.argmax() == 15 and model.config.mask_ratio == 0.75, "aligned, and the configuration is as it was"


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "efficientnet_lite0"])
def test_timm_checkpoints_load_with_proof_and_equal_timm(tmp_path, name):
    timm = pytest.importorskip("timm")
    folder = timm_folder(tmp_path / "timm", name)
    image = Image(Image.Config(image_size=64 if "vit" not in name else None))
    model, report = image.load_model(str(folder))
    assert report.backbone_complete and report.backbone_matched > 50 and not report.missing
    plain = timm.create_model(name, pretrained=False, checkpoint_path=str(folder / "model.safetensors")).eval()
    pixels = torch.randn(2, 3, 224 if "vit" in name else 64, 224 if "vit" in name else 64)
    with torch.inference_mode():
        wanted = plain.forward_head(plain.forward_features(pixels), pre_logits=True)
        got = image.features(model, {"pixel_values": pixels}, image.default_pooling(str(folder)))
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
        Image().load_model(str(folder))


@pytest.mark.parametrize(("arch", "channels"), [("vit", 5), ("dinov2", 1), ("resnet", 4), ("swin", 2), ("timm", 6)])
def test_first_layer_is_adapted_to_the_channels(tiny_checkpoint, tmp_path, arch, channels):
    folder = str(timm_folder(tmp_path / "t")) if arch == "timm" else str(tiny_checkpoint(arch))
    image = Image(Image.Config(channels=channels, image_size=64 if arch == "timm" else None))
    adapted, report = image.load_model(folder)
    plain, _ = Image().load_model(folder)
    side = 64 if arch == "timm" else 32
    gray = torch.rand(2, 1, side, side)
    with torch.inference_mode():
        mine = image.patch_features(adapted, {"pixel_values": gray.expand(-1, channels, -1, -1)})
        theirs = image.patch_features(plain, {"pixel_values": gray.expand(-1, 3, -1, -1)})
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)
    assert any("averaged over 3 channels" in note for note in report.notes) and not report.missing
    processor = image.load_processor(folder)
    assert len(image.shape(processor).mean) == channels
    adapted.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    again, second = Image().load_model(str(tmp_path / "saved"))
    assert second.backbone_complete
    values = [as_reference(picture) for picture in pictures(2, 32, channels)]
    reloaded = Image(Image.Config(image_size=image.config.image_size))
    vectors = reloaded.embed(again, reloaded.load_processor(str(tmp_path / "saved")), values)
    np.testing.assert_allclose(vectors, image.embed(adapted, processor, values), atol=1e-5)


def test_size_and_channels_travel_with_the_processor(tiny_checkpoint, tmp_path):
    processor = Image(Image.Config(image_size=48, channels=2)).load_processor(str(tiny_checkpoint("vit")))
    processor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert saved["size"] == {"height": 48, "width": 48} and len(saved["image_mean"]) == 2


@pytest.mark.parametrize("arch", ["deit", "dinov2_with_registers", "dinov3_vit"])
def test_no_decay_on_tokens_positions_and_layer_scale(tiny_checkpoint, arch):
    model, _ = Image().load_model(str(tiny_checkpoint(arch)))
    groups = parameter_groups(model, Schedule(), TrainingArguments("unused", weight_decay=0.1, use_cpu=True))
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in decayed}
    assert names and not [name for name in names if "token" in name or "position" in name or "layer_scale" in name]


@pytest.mark.parametrize("arch", tiny.IMAGE)
def test_adapters_find_their_layers(tiny_checkpoint, arch):
    model, report = Image().load_model(str(tiny_checkpoint(arch)))
    wrapped = adapters.apply(model, "lora", missing=report.missing, rank=4)
    out = Image().features(wrapped, {"pixel_values": torch.randn(2, 3, 32, 32)}, "mean")
    out.square().mean().backward()
    assert adapters.without_gradient(wrapped) == []


def test_classifiers_get_pictures_with_their_channels_last(tmp_path):
    """Convolutions on a CPU are up to twice as fast that way, and answer the same."""
    image = Image()
    model, _ = image.load_model(
        str(timm_folder(tmp_path)), "AutoModelForImageClassification", new_head=True, num_labels=3
    )
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model.eval()(pixel_values=pixels).logits
        seen: list[bool] = []
        first = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
        first.register_forward_pre_hook(
            lambda m, args: seen.append(args[0].is_contiguous(memory_format=torch.channels_last))
        )
        found = image.forward(model, {"pixel_values": pixels})
    assert seen == [True]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_small_patch16_dinov3", "vit_small_patch16_dinov3_qkvb"])
def test_fused_attention_of_timm_gets_adapters(tmp_path, name):
    folder = timm_folder(tmp_path / "t", name, depth=2, img_size=64)
    model, report = Image().load_model(str(folder))
    # With biases of their own the network reads the fused weights itself: an adapter there would get no gradient.
    assert any("qkv" in target for target in adapters.target_modules(model)) != name.endswith("qkvb")
    wrapped = adapters.apply(model, "lora", missing=report.missing, rank=4)
    batch = {"pixel_values": torch.randn(2, 3, 64, 64)}
    assert Image().patch_features(wrapped, batch).shape[-2:] == (4, 4), "class and register tokens are no patches"
    Image().features(wrapped, batch, "mean").square().mean().backward()
    assert adapters.without_gradient(wrapped) == []


def test_classifier_on_dinov3_comes_from_timm(tiny_checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="start from the same weights as timm has them"):
        Image().load_model(str(tiny_checkpoint("dinov3_vit")), "AutoModelForImageClassification", num_labels=3)
    folder = timm_folder(tmp_path / "t", "vit_small_patch16_dinov3", depth=2, img_size=64)
    model, _ = Image().load_model(str(folder), "AutoModelForImageClassification", num_labels=3, expect_new=("*head*",))
    assert model(torch.randn(1, 3, 64, 64)).logits.shape == (1, 3)


def test_released_efficientnet_lite0(tmp_path):
    """The real checkpoint, converted: complete, and it knows a coffee cup from noise."""
    try:
        folder = demo_images.write_efficientnet_lite0(tmp_path / "lite0")
    except MissingExtraError as error:
        pytest.skip(str(error))
    image = Image()
    model, report = image.load_model(str(folder), "AutoModelForImageClassification")
    assert report.backbone_complete and report.license == "apache-2.0" and not report.missing
    sklearn = pytest.importorskip("sklearn.datasets")
    china, flower = sklearn.load_sample_images().images
    batch = image.collate(
        image.load_processor(str(folder)),
        image.encode(image.load_processor(str(folder)), [as_reference(china), as_reference(flower)]),
    )
    with torch.inference_mode():
        best = model(**batch).logits.argmax(-1).tolist()
    assert best == [698, 985], "ImageNet classes palace and daisy"
