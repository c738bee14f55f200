"""Each recipe for series runs to its end on a user's folder, with a few steps."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import transformers
from tiny_series import tiny_timesfm

from hf_ssl import run_recipe
from hf_ssl.core.errors import MissingExtraError
from hf_ssl.core.parsing import from_yaml
from hf_ssl.demo import series as demo_series


def recipe(repository: Path, name: str, **options: object) -> dict:
    return {**from_yaml(repository / "recipes" / f"{name}.yaml"), **options}


def run(options: dict) -> dict:
    for stage in ("pretrain", "finetune"):
        if stage in options:
            options[stage] = {**options[stage], "max_steps": 3}
    with contextlib.redirect_stdout(io.StringIO()):
        return run_recipe(options)


@pytest.fixture
def hourly(tmp_path: Path) -> Path:
    step = np.arange(1500)
    wave, stamps = (
        np.sin(step * 2 * np.pi / 24) + 0.1 * np.sin(step * 0.37),
        pd.date_range("2021", periods=1500, freq="h"),
    )
    frames = [
        pd.DataFrame({"item_id": name, "timestamp": stamps, "target": wave * size})
        for name, size in (("a", 1.0), ("b", 50.0))
    ]
    (tmp_path / "data").mkdir()
    pd.concat(frames).to_csv(tmp_path / "data" / "hourly.csv", index=False)
    return tmp_path


@pytest.fixture
def labeled(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    values = np.stack(
        [np.sin(np.arange(100) * (0.2 + 0.2 * (i % 2))) + 0.1 * rng.standard_normal(100) for i in range(80)]
    )
    for part, rows in (("unlabeled", range(40)), ("train", range(40, 60)), ("test", range(60, 80))):
        (tmp_path / "data" / part).mkdir(parents=True)
        if part == "unlabeled":
            np.save(tmp_path / "data" / part / "series.npy", values[:40].astype(np.float32))
            continue
        lines = ["\t".join([str(row % 2 + 1), *(f"{v:.5f}" for v in values[row])]) for row in rows]
        (tmp_path / "data" / part / "all.tsv").write_text("\n".join(lines))
    return tmp_path


def test_forecasting(repository, hourly):
    results = run(recipe(repository, "series_forecasting", data=str(hourly / "data"), output=str(hourly / "run")))
    assert results["evaluate"].metrics["mase_ratio"] > 0
    assert (results["evaluate"].path / "error_by_step.svg").is_file()


@pytest.mark.parametrize("name", ["series_classification", "series_anomaly"])
def test_labeled_series(repository, labeled, name):
    results = run(recipe(repository, name, data=str(labeled / "data"), output=str(labeled / "run")))
    assert ("accuracy" if name.endswith("classification") else "roc_auc") in results["evaluate"].metrics
    transformers.AutoModel.from_pretrained(results["pretrain"].path / "model")


def test_timesfm(repository, hourly):
    model = tiny_timesfm(hourly, horizon=32, layers=1)
    options = {"data": str(hourly / "data"), "model": model, "output": str(hourly / "run")}
    results = run(recipe(repository, "series_timesfm_lora", **options))
    assert {"wql", "coverage"} <= results["evaluate"].metrics.keys()
    assert (results["finetune"].path / "adapter" / "adapter_config.json").is_file()


def test_demo_folders_are_what_the_recipes_need(tmp_path):
    try:
        folder = demo_series.write_ucr("ECG5000", tmp_path / "ecg", per_class=2)
    except MissingExtraError as error:
        pytest.skip(str(error))
    assert len((folder / "train" / "few.tsv").read_text().splitlines()) == 10
