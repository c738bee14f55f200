"""Every image recipe runs, on made-up pictures and tiny weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from places import RECIPES as RECIPES_FOLDER

import tiny
from hf_ssl import cli, load_data
from hf_ssl.core.errors import MissingExtraError
from hf_ssl.core.parsing import from_yaml
from hf_ssl.data import few_label_subset
from hf_ssl.demo import images as demo_images

pil = pytest.importorskip("PIL.Image", reason='needs the image extra: pip install "hf_ssl[image]"')

from contract_image import pictures  # noqa: E402

RECIPES = sorted(path.stem for path in RECIPES_FOLDER.glob("image_*.yaml"))
SMALL = {
    "pretrain": {"max_steps": 2, "monitor_points": 1, "per_device_train_batch_size": 4, "eval_fraction": 0.5},
    "finetune": {"max_steps": 2, "early_stopping_patience": 0, "lora_r": 2},
    "evaluate": {},
    "compare": {"labels_per_class": "2", "num_seeds": 2, "probe_draws": 2, "max_steps": 1},
}
# What makes heads and views small; options of one objective only.
OWN = {"dino": {"prototypes": 16, "head_hidden": 32, "head_out": 16, "local_views": 2}}
START = {"mae": "vit_mae", "dino": "dinov2", "simclr": "resnet"}


def data(folder: Path) -> Path:
    """unlabeled/, train/CLASS/ and test/CLASS/, as the heads of the recipes say."""
    for seed, (split, count) in enumerate((("unlabeled", 12), ("train", 16), ("test", 8))):
        for number, picture in enumerate(pictures(count, seed=seed)):
            place = folder / split / ("" if split == "unlabeled" else "ab"[number % 2])
            place.mkdir(parents=True, exist_ok=True)
            pil.fromarray(picture).save(place / f"{number}.png")
    return folder


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_runs(recipe: str, repository: Path, tmp_path: Path) -> None:
    file = repository / "recipes" / f"{recipe}.yaml"
    content = from_yaml(file)
    objective = content["pretrain"]["objective"]
    model = tiny.write_checkpoint(START[objective], tmp_path / "start")
    given = {"data": data(tmp_path / "data"), "model": model, "output": tmp_path / "run", "near_duplicates": False}
    stages = [stage for stage in content if stage in SMALL]
    given |= {f"{stage}.{name}": value for stage in stages for name, value in SMALL[stage].items()}
    given |= {f"pretrain.{name}": value for name, value in OWN.get(objective, {}).items()}
    assert cli.main(["run", recipe, *[f"--{name}={value}" for name, value in given.items()]]) == 0
    ledger = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert {stage: entry["status"] for stage, entry in ledger["stages"].items()} == dict.fromkeys(stages, "done")


@pytest.mark.parametrize("recipe", RECIPES)
def test_demo_pictures_have_labels_enough_for_the_comparison(recipe: str, repository: Path, tmp_path: Path) -> None:
    """Validation takes its part of the demo's labels; what is left must do for every budget of the recipe."""
    budgets = (from_yaml(repository / "recipes" / f"{recipe}.yaml").get("compare") or {}).get("budgets", [])
    try:
        folder = demo_images.write_fashion_mnist(tmp_path / "data", pool_limit=40, test_limit=20)
    except MissingExtraError as error:
        pytest.skip(str(error))
    train = load_data(folder, "image", verbose=False)["train"]
    for budget in budgets:
        assert len(few_label_subset(train, budget)) == 10 * budget
