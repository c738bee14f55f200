"""Pictures through every stage: a folder of files, a checkpoint, and what comes out loads without this package."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers

pil = pytest.importorskip("PIL.Image")

import contract_image  # noqa: E402
from contract_image import pictures  # noqa: E402

import hf_ssl  # noqa: E402
import tiny  # noqa: E402
from hf_ssl.core.errors import ConfigError, MissingExtraError  # noqa: E402
from hf_ssl.demo import images as demo_images  # noqa: E402
from hf_ssl.tasks.base import TaskModule, TaskRows, head_inputs  # noqa: E402
from hf_ssl.tasks.classification import Classification, mixed, other_views  # noqa: E402


@pytest.fixture(scope="module")
def fashion(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "fashion"
    try:
        return demo_images.write_fashion_mnist(folder, per_class=6, pool_limit=120, test_limit=60, files="png")
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    return demo_images.write_small_network(
        folder, side=28, channels=3, hidden_sizes=[16, 32], depths=[1, 1], embedding_size=16
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory, fashion, network):
    output = tmp_path_factory.mktemp("runs") / "fashion"
    recipe = {
        "data": str(fashion), "modality": "image", "model": str(network), "output": str(output),
        "pretrain": {"objective": "simclr", "max_steps": 4, "per_device_train_batch_size": 32, "monitor_points": 1,
                     "keep_checkpoint": "last", "learning_rate": 1e-3},
        "finetune": {"max_steps": 3, "early_stopping_patience": 0, "mixup": 0.2},
        "evaluate": {},
        "embed": {"split": "test"},
        "compare": {"labels_per_class": [2], "num_seeds": 2, "probe_draws": 2, "finetune_arms": False},
    }  # fmt: skip
    return output, recipe, hf_ssl.run_recipe(recipe)


def test_every_stage_ran_and_the_monitors_are_there(run):
    output, _, results = run
    assert set(results) == {"pretrain", "finetune", "evaluate", "embed", "compare"}
    records = [json.loads(line) for line in (output / "pretrain" / "monitor.jsonl").read_text().splitlines()]
    wanted = {"eval_loss", "feature_std", "effective_rank", "uniformity", "alignment", "cosine_drift", "probe"}
    assert wanted <= records[0].keys() and records[-1]["cosine_drift"] > 0
    assert results["evaluate"].metrics["accuracy"] >= 0
    assert "pixels" in (output / "compare" / "table.md").read_text()


def test_result_loads_as_a_pipeline(run, fashion):
    output, _, _ = run
    served = transformers.pipeline("image-classification", model=str(output / "finetune" / "model"))
    picture = pil.open(next(fashion.rglob("test/*/*.png"))).convert("L")
    answer = served(picture, top_k=10)
    assert len(answer) == 10 and {item["label"] for item in answer} == set(
        name.replace("/", "-") for name in demo_images.FASHION_CLASSES
    )


def test_adapted_backbone_gives_the_embedded_vectors(run, fashion):
    output, _, _ = run
    table = pq.read_table(output / "embed" / "embeddings.parquet")
    model = transformers.AutoModel.from_pretrained(output / "pretrain" / "model").eval()
    processor = transformers.AutoImageProcessor.from_pretrained(output / "pretrain" / "model")
    assert processor.size == {"height": 28, "width": 28} and len(processor.image_mean) == 3
    files = sorted(fashion.rglob("test/*/*.png"))
    stack = np.stack([np.asarray(pil.open(file)) for file in files])[:, None].repeat(3, axis=1) / 255
    pixels = torch.tensor((stack - 0.3) / 0.35, dtype=torch.float32)
    with torch.inference_mode():
        vectors = model(pixels).last_hidden_state.mean((2, 3)).numpy()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    mine = np.array(table["vector"].to_pylist())
    assert len(mine) == 60
    for row in mine[:5]:
        assert np.abs(vectors - row).max(1).min() < 1e-5


def test_masked_autoencoder_ends_as_a_classifier(tmp_path, fashion):
    start = tiny.write_checkpoint("vit_mae", tmp_path / "mae")
    recipe = {
        "data": str(fashion), "modality": "image", "model": str(start), "output": str(tmp_path / "run"),
        "pretrain": {"objective": "mae", "max_steps": 2, "per_device_train_batch_size": 16, "keep_checkpoint": "last", "monitor_points": 1},
        "finetune": {"max_steps": 2, "early_stopping_patience": 0},
    }  # fmt: skip
    hf_ssl.run_recipe(recipe)
    config = json.loads((tmp_path / "run" / "pretrain" / "model" / "config.json").read_text())
    assert config["model_type"] == "vit"
    model = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "run" / "finetune" / "model")
    assert model.config.num_labels == 10


def test_dino_with_adapters_through_the_stage(tmp_path, fashion):
    start = tiny.write_checkpoint("dinov2", tmp_path / "dinov2")
    result = hf_ssl.pretrain(
        data=str(fashion), modality="image", model=str(start), output=str(tmp_path / "run"), objective="dino", peft="lora",
        lora_r=4, domain="satellite", local_views=2, prototypes=64, head_hidden=32, head_out=16, max_steps=2,
        per_device_train_batch_size=8, monitor_points=1, keep_checkpoint="last",
    )  # fmt: skip
    assert {"teacher_entropy", "prototypes_used"} <= result.metrics["kept"].keys()
    _, info = transformers.AutoModel.from_pretrained(result.path / "model", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]


def test_timm_network_through_the_stages(tmp_path, fashion):
    from timm_models import timm_folder

    start = timm_folder(tmp_path / "timm")
    recipe = {
        "data": str(fashion), "modality": "image", "model": str(start), "output": str(tmp_path / "run"), "image_size": 32,
        "pretrain": {"objective": "simclr", "max_steps": 2, "per_device_train_batch_size": 8, "keep_checkpoint": "last", "monitor_points": 1,
                     "eval_fraction": 0.4},
        "finetune": {"max_steps": 2, "early_stopping_patience": 0, "labels_per_class": 2},
    }  # fmt: skip
    results = hf_ssl.run_recipe(recipe)
    assert results["finetune"].metrics["steps"] == 2
    ledger = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["stages"]
    assert all(0 <= ledger[stage]["metrics"]["data_wait_percent"] <= 100 for stage in ("pretrain", "finetune"))
    model = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "run" / "finetune" / "model")
    assert model.config.pretrained_cfg["input_size"] == [3, 32, 32] and model.config.num_labels == 10
    assert set(model.config.id2label.values()) == {name.replace("/", "-") for name in demo_images.FASHION_CLASSES}
    assert (tmp_path / "run" / "finetune" / "adapter").is_dir()


def test_segmentation_learns_masks(tmp_path):
    import pandas as pd

    rows = []
    for number, picture in enumerate(pictures(24)):
        for name, array in ((f"{number}.png", picture), (f"{number}m.png", (picture[..., 0] > 127).astype(np.uint8))):
            pil.fromarray(array).save(tmp_path / name)
        rows.append({"image": f"{number}.png", "mask": f"{number}m.png"})
    pd.DataFrame(rows).to_csv(tmp_path / "train.csv", index=False)
    start = tiny.write_checkpoint("segformer", tmp_path / "start")
    recipe = {
        "data": str(tmp_path / "train.csv"), "modality": "image", "model": str(start), "output": str(tmp_path / "run"),
        "label_column": "mask", "finetune": {"peft": "full", "max_steps": 60, "early_stopping_patience": 0, "learning_rate": 3e-3},
        "evaluate": {},
        "compare": {"adapted": str(tmp_path / "run" / "finetune" / "model"), "labels_per_class": [6],
            "num_seeds": 2, "probe_draws": 2, "max_steps": 2},
    }  # fmt: skip
    results = hf_ssl.run_recipe(recipe)
    table = json.loads((tmp_path / "run" / "compare" / "table.json").read_text())["Fine-tuned"]
    line = table["lines"][0]
    assert table["metric"] == "mean_iou" and line["adapted"]["mean"] > 0.6 > line["base"]["mean"]
    assert line["difference"]["units"] == results["compare"].metrics["test_examples"], "a picture is what is resampled"
    assert line["others"]["commonest class"]["mean"] < 0.5
    assert results["evaluate"].metrics["pixel_accuracy"] > 0.8 and results["evaluate"].metrics["mean_iou"] > 0.6
    served = transformers.pipeline("image-segmentation", model=str(tmp_path / "run" / "finetune" / "model"))
    assert {item["label"] for item in served(pil.fromarray(pictures(1)[0]))} <= {"class 0", "class 1"}


@pytest.fixture
def classifier(tiny_checkpoint):
    """A classifier of three classes with the options of the task, and a batch of six pictures."""

    def make(**options):
        kind = contract_image.Kind()
        task = Classification(Classification.Config(**options), kind.modality)
        data = kind.labeled("classification")
        task.fit_labels(data)
        folder = str(tiny_checkpoint("vit"))
        torch.manual_seed(0)
        encoder = kind.modality.load(folder, task.auto_class, **task.model_options())
        rows = TaskRows(task.encode(encoder, data))
        module = TaskModule(encoder, task).eval()
        return module, rows, module.collate([rows[number] for number in range(6)])

    return make


@torch.no_grad()
def test_answers_are_averaged_over_views_only_when_asked_and_only_in_evaluation(classifier):
    assert Classification.Config().tta == "none"
    plain, _, batch = classifier()
    mirrored = {**batch, "pixel_values": batch["pixel_values"].flip(-1)}
    one, other = (plain(**given).logits.softmax(-1) for given in (batch, mirrored))
    assert not torch.allclose(one, other, atol=1e-4)
    module, rows, _ = classifier(tta="flip")
    torch.testing.assert_close(module(**batch).logits.softmax(-1), (one + other) / 2)
    torch.testing.assert_close(module(**mirrored).logits, module(**batch).logits)
    module.train()
    torch.testing.assert_close(module(**batch).logits, plain(**batch).logits)
    crops, _, _ = classifier(tta="crops")
    chances = crops(**batch).logits.softmax(-1)
    torch.testing.assert_close(chances.sum(-1), torch.ones(6))
    assert not torch.allclose(chances, module.eval()(**batch).logits.softmax(-1), atol=1e-5)
    np.testing.assert_allclose(head_inputs(module, rows)[0], head_inputs(plain, rows)[0], atol=1e-6)


def test_what_answers_are_averaged_over():
    pixels = torch.arange(16.0).expand(1, 1, 16, 16).clone()
    assert len(list(other_views({"pixel_values": pixels}, "flip"))) == 1
    views = [view["pixel_values"] for view in other_views({"pixel_values": pixels}, "crops")]
    assert len(views) == 11 and all(view.shape == pixels.shape for view in views)
    assert views[1][..., 0].mean() < 1 and views[3][..., -1].mean() > 14, "left and right corners"
    torch.testing.assert_close(views[2], views[1].flip(-1))
    with pytest.raises(ConfigError, match="pictures"):
        next(other_views({"input_ids": pixels}, "flip"))


@pytest.mark.parametrize("option", ["mixup", "cutmix"])
def test_loss_of_mixed_pictures_is_mixed(classifier, option):
    module, _, batch = classifier(**{option: 1.0})
    module.train()
    torch.manual_seed(3)
    output = module(**batch)
    torch.manual_seed(3)
    _, (other, share) = mixed(
        {"pixel_values": batch["pixel_values"]}, module.task.config.mixup, module.task.config.cutmix
    )
    assert 0 < share < 1
    terms = [
        torch.nn.functional.cross_entropy(output.logits, labels)
        for labels in (batch["labels"], batch["labels"][other])
    ]
    torch.testing.assert_close(output.loss, share * terms[0] + (1 - share) * terms[1])
    module.eval()
    torch.testing.assert_close(module(**batch).logits, classifier()[0](**batch).logits)


def test_mixtures_keep_their_share():
    pixels = torch.stack([torch.full((3, 8, 8), float(value)) for value in range(4)])
    made, (other, share) = mixed({"pixel_values": pixels}, 1.0, 0.0)
    torch.testing.assert_close(made["pixel_values"], share * pixels + (1 - share) * pixels[other])
    made, (other, share) = mixed({"pixel_values": pixels}, 0.0, 1.0)
    kept = (made["pixel_values"] == pixels).float().mean((1, 2, 3))
    for row in range(4):
        assert other[row] == row or kept[row].item() == pytest.approx(share)
    with pytest.raises(ConfigError, match="pictures"):
        mixed({"input_ids": pixels}, 1.0, 0.0)
