"""After the import everything goes on: `--model tf:SOURCE`, masked words, fine-tuning, comparing, publishing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import runs
from tf_models import archive

from hf_ssl import import_tf, pretrain, push, run_recipe
from hf_ssl.cli import main
from hf_ssl.core.errors import CheckpointError, ConfigError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_SSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tensorflow" / "models"


def test_a_tensorflow_model_goes_through_every_stage_and_is_published(tmp_path: Path, cache: Path) -> None:
    run = tmp_path / "run"
    results = run_recipe(
        {
            "data": runs.rows(60, 0, labeled=True), "unlabeled": runs.rows(60, 1000, labeled=False), "near_duplicates": False,
            "model": f"tf:{archive('bert_tf2')}", "output": str(run),
            "pretrain": {"objective": "mlm", "max_steps": 2, "monitor_points": 1, "keep_checkpoint": "last"},
            "finetune": {"labels_per_class": 8, "max_steps": 2, "early_stopping_patience": 0, "lora_r": 2, "self_training": 0},
            "evaluate": {},
            "compare": {"labels_per_class": [2], "num_seeds": 2, "probe_draws": 2, "finetune_arms": False}, "embed": {"split": "test"},
        }
    )  # fmt: skip
    assert list(results) == ["pretrain", "finetune", "evaluate", "compare", "embed"]
    assert len(list(cache.iterdir())) == 1  # imported once, for all stages
    base = json.loads((run / "run.json").read_text())["base"]
    assert base["id"] == "tensorflow:bert_tf2" and base["source"].startswith(str(cache))
    report = json.loads((run / "pretrain" / "load_report.json").read_text())
    assert report["backbone_complete"] and not report["missing"]  # the head for masked words came along
    staged = push(output=str(run), repo="me/topics", license="apache-2.0", dry_run=True)
    card = (staged.path / "README.md").read_text()
    assert "TensorFlow model `bert_tf2`" in card and "base_model:" not in card and str(tmp_path) not in card


@pytest.mark.parametrize("name", ["albert_tf2", "electra_tf2"])
def test_masked_words_are_learned_on_the_other_families(name: str, tmp_path: Path) -> None:
    done = pretrain(
        data=runs.rows(40, 0, labeled=False), model=f"tf:{archive(name)}", output=str(tmp_path / "run"), objective="mlm",
        max_steps=2, monitor_points=1, near_duplicates=False,
    )  # fmt: skip
    assert done.metrics["steps"] == 2


def test_pictures_are_told_apart_by_an_imported_simclr(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    images = pytest.importorskip("PIL.Image")
    import numpy as np

    rng = np.random.default_rng(0)
    (tmp_path / "pool").mkdir()
    for number in range(12):
        images.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "pool" / f"{number}.png")
    done = pretrain(
        data=str(tmp_path / "pool"), modality="image", model=f"tf:{archive('simclr')}", output=str(tmp_path / "run"),
        objective="simclr", image_size=32, max_steps=2, monitor_points=1, per_device_train_batch_size=4, near_duplicates=False,
    )  # fmt: skip
    assert done.metrics["steps"] == 2


def test_a_changed_source_is_imported_anew(tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "model.tar.gz"
    for name in ("bert_tf2", "bert_tf1"):
        source.write_bytes(archive(name).read_bytes())
        pretrain(data=runs.rows(20, 0, labeled=False), model=f"tf:{source}", output=str(tmp_path / name), max_steps=1,
                 monitor_points=1, near_duplicates=False)  # fmt: skip
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("model, message", [("tf:nowhere", "no 'nowhere'"), ("tf:tfhub:google/yamnet/1", "YAMNet")])
def test_a_stage_names_what_is_wrong_with_the_model(model: str, message: str, tmp_path: Path) -> None:
    with pytest.raises((CheckpointError, ConfigError), match=message):
        pretrain(data=runs.rows(20, 0, labeled=False), model=model, output=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-tf", str(archive("bert_tf2")), "--output", str(tmp_path / "out"), "--license", "mit"]) == 0
    told = capsys.readouterr().err
    assert "44 of 45 variables" in told and f"hf-ssl pretrain --model {tmp_path / 'out'}" in told
    assert main(["import-tf", "--help"]) == 0 and "--tf_python" in capsys.readouterr().out
    assert main(["import-tf"]) == 1 and "SavedModel" in capsys.readouterr().err
    assert main(["import-tf", str(archive("bert_tf2")), "--output", str(tmp_path / "out")]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main(["import-tf", str(archive("bert_tf2")), "--output", "x", "--max_steps", "3"]) == 1
    assert "nothing is trained" in capsys.readouterr().err


def test_python_and_yaml_take_the_same_options(tmp_path: Path) -> None:
    (tmp_path / "import.yaml").write_text(f"source: {archive('bert_tf1')}\noutput: {tmp_path / 'yaml'}\n")
    assert main(["import-tf", "--config", str(tmp_path / "import.yaml")]) == 0
    import_tf(source=str(archive("bert_tf1")), output=str(tmp_path / "python"))
    assert (tmp_path / "yaml" / "model.safetensors").read_bytes() == (
        tmp_path / "python" / "model.safetensors"
    ).read_bytes()
