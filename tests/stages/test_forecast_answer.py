"""What a forecasting run answers with: never below the best simple forecast on its validation span, with covariates, kept and asked again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import retail
import tiny_series
from safetensors.numpy import load_file, save_file

import hf_ssl
from hf_ssl.cli import main
from hf_ssl.core.errors import CheckpointError, ConfigError, DataError, HfSslError
from hf_ssl.core.run import RunDir

HORIZON = 14
AHEAD = pd.Timestamp("2022-09-20")


@pytest.fixture(scope="module")
def shops() -> pd.DataFrame:
    return retail.panel(6, 290)


@pytest.fixture(scope="module")
def run(shops: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three steps of a network that knows nothing, on the shops up to a day."""
    folder = tmp_path_factory.mktemp("shops") / "run"
    shared = {
        "data": shops[shops["date"] < AHEAD],
        "output": str(folder),
        "modality": "timeseries",
        "horizon": HORIZON,
    }
    hf_ssl.finetune(model="patchtst", from_config=True, peft="full", max_steps=3, **shared, **retail.OPTIONS)
    hf_ssl.evaluate(**shared, **retail.OPTIONS)
    return folder


@pytest.fixture
def kept(run: Path, tmp_path: Path) -> Iterator[Path]:
    """What the run answers with, put back afterwards."""
    own = run / "finetune" / "teacher"
    shutil.copytree(own, tmp_path / "safe")
    yield own
    shutil.rmtree(own)
    shutil.copytree(tmp_path / "safe", own)


def test_the_answer_is_no_worse_than_any_simple_forecast_and_the_run_says_so(run: Path) -> None:
    found = json.loads((run / "finetune" / "candidates.json").read_text(encoding="utf-8"))
    errors = {name: way["mae"] for name, way in found["candidates"].items()}
    assert set(errors) == {"fine-tuned model", "seasonal-naive", "smoothing", "linear", "boosting", "mixture"}
    assert errors["mixture"] <= min(errors.values()) and errors["boosting"] < 0.8 * errors["smoothing"]
    assert found["answer"] == "mixture" and found["teacher_ahead"]
    assert RunDir(run).stage("finetune").outputs["candidates"] == found
    measured = json.loads((run / "evaluate" / "metrics.json").read_text(encoding="utf-8"))
    assert measured["mase"] < 0.85 * measured["model"]["mase"] and measured["mase"] < 0.85 * measured["mase_naive"]
    assert "boosting" in measured["answer"] and 0.5 < measured["coverage"] <= 1
    rows = pd.read_parquet(run / "evaluate" / "predictions.parquet")
    assert {"prediction", "model_prediction", "quantiles"} <= set(rows.columns)


@pytest.mark.parametrize("by_command", [False, True])
def test_the_real_future_is_forecast_with_what_is_known_of_it(
    run: Path, shops: pd.DataFrame, tmp_path: Path, by_command: bool
) -> None:
    past, ahead = shops[shops["date"] < AHEAD], shops[shops["date"] >= AHEAD]
    ahead = ahead[ahead["date"] < AHEAD + pd.Timedelta(days=HORIZON)]
    table = ahead.drop(columns=["kind", "size"]).assign(sales=-1e9)  # what is not known yet is not read
    file = tmp_path / "answers.parquet"
    if by_command:
        past.to_csv(tmp_path / "past.csv", index=False)
        table.to_csv(tmp_path / "ahead.csv", index=False)
        given = [str(tmp_path / "past.csv"), "--future", str(tmp_path / "ahead.csv")]
        assert main(["predict", *given, "--output", str(run), "--save", str(file)]) == 0
    else:
        hf_ssl.predict(data=past, future=table, output=str(run), save=str(file))
    found = pd.read_parquet(file)
    assert len(found) == 6 * HORIZON and found["date"].min() == "2022-09-20T00:00:00"
    merged = found.merge(
        ahead.assign(date=ahead["date"].dt.strftime("%Y-%m-%dT00:00:00")),
        left_on=["id", "date"],
        right_on=["shop", "date"],
    )
    assert len(merged) == len(found)
    size = merged.groupby("id")["sales"].transform("mean")
    assert np.mean(np.abs(merged["prediction"] - merged["sales"]) / size) < 0.25
    assert all((np.diff(row) >= 0).all() for row in found["quantiles"])
    assert (found["low"] <= found["high"]).all()


def test_another_future_is_another_forecast(run: Path, shops: pd.DataFrame, tmp_path: Path) -> None:
    past, ahead = shops[shops["date"] < AHEAD], shops[shops["date"] >= AHEAD].drop(columns="sales")
    found = []
    for promo in (0, 1):
        told = ahead.assign(promo=promo, price=3.0 - 0.3 * promo, holiday=0)
        path = hf_ssl.predict(data=past, future=told, output=str(run), save=str(tmp_path / f"{promo}.parquet")).path
        found.append(pd.read_parquet(path))
    suburb = [f"shop {number}" for number in (1, 4)]  # where promotions count most
    plain, promoted = (table[table["id"].isin(suburb)]["prediction"].mean() for table in found)
    assert promoted > 1.2 * plain


def test_what_is_wrong_with_a_future_is_said(
    run: Path, shops: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    past, ahead = shops[shops["date"] < AHEAD], shops[shops["date"] >= AHEAD]
    shared = {"data": past, "output": str(run), "save": str(tmp_path / "a.parquet")}
    with pytest.raises(DataError, match=r"no column price, only .*promo"):
        hf_ssl.predict(**shared, future=ahead.drop(columns="price"))
    with pytest.raises(HfSslError, match=r"does not fit|no time stamp"):
        hf_ssl.predict(**shared, future=ahead.assign(date="soon"))
    hf_ssl.predict(**shared, future=ahead[ahead["date"] < AHEAD + pd.Timedelta(days=3)])
    assert "6 of 6 series" in caplog.text and "--future TABLE" in caplog.text


def test_the_network_alone_where_that_is_asked_for_or_best(tmp_path: Path) -> None:
    frame = tiny_series.table(260, "ab")
    start = tiny_series.checkpoint(tmp_path, "patchtst", tiny_series.quiet_load(frame))
    shared: dict[str, Any] = {
        "data": frame,
        "modality": "timeseries",
        "model": start,
        "peft": "full",
        **tiny_series.OPTIONS,
    }
    hf_ssl.finetune(**shared, output=str(tmp_path / "run"), max_steps=2, forecasters=[])
    assert not (tmp_path / "run/finetune/candidates.json").exists()
    assert "answer" not in json.loads(json.dumps(RunDir(tmp_path / "run").stage("finetune").outputs))
    for names, words in (
        (["bosting"], "Did you mean 'boosting'"),
        (["a.b:C"], "--peers"),
        (["timesfm"], "needs a checkpoint"),
    ):
        with pytest.raises(ConfigError, match=words):
            hf_ssl.finetune(**shared, output=str(tmp_path / "run"), overwrite=True, forecasters=names)


def test_a_released_model_is_a_part_of_the_answer(tmp_path: Path) -> None:
    """TimesFM of random weights here: asked, measured, and without a share."""
    frame = tiny_series.table(260, "ab")
    start = tiny_series.checkpoint(tmp_path, "patchtst", tiny_series.quiet_load(frame))
    name = f"timesfm@{tiny_series.tiny_timesfm(tmp_path)}"
    hf_ssl.finetune(
        data=frame, modality="timeseries", model=start, peft="full", max_steps=2, forecasters=["smoothing", name], output=str(tmp_path / "run"),
        **tiny_series.OPTIONS,
    )  # fmt: skip
    found = json.loads((tmp_path / "run/finetune/candidates.json").read_text(encoding="utf-8"))
    assert set(found["candidates"]) == {"fine-tuned model", "smoothing", name, "mixture"}
    assert name not in found["teacher"]["shares"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda said: said["forecasters"][0].update(name="os:system"), "names the forecaster"),
        (lambda said: said["forecasters"][0].update(share=7.0), "share"),
        (lambda said: said.update(levels=[0.5]), "quantiles"),
        (lambda said: said.update(forecasters=[]), "shares"),
        (lambda said: said.pop("forecasters"), "forecasters"),
        (lambda said: said["forecasters"][-1].update(state={"names": 3}), "cannot be read"),
    ],
)
def test_a_damaged_answer_is_refused(
    run: Path, kept: Path, shops: pd.DataFrame, tmp_path: Path, change: Any, words: str
) -> None:
    said = json.loads((kept / "teacher.json").read_text(encoding="utf-8"))
    change(said)
    (kept / "teacher.json").write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(CheckpointError, match=words):
        hf_ssl.predict(data=shops, output=str(run), save=str(tmp_path / "a.parquet"))


def test_quantiles_out_of_order_are_refused(run: Path, kept: Path, shops: pd.DataFrame, tmp_path: Path) -> None:
    arrays = load_file(kept / "teacher.safetensors")
    save_file({**arrays, "apart": np.ascontiguousarray(arrays["apart"][..., ::-1])}, kept / "teacher.safetensors")
    with pytest.raises(CheckpointError, match="not in order"):
        hf_ssl.predict(data=shops, output=str(run), save=str(tmp_path / "a.parquet"))


def test_another_horizon_is_refused_and_the_plain_model_alone_is_published(
    run: Path, shops: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(HfSslError, match=r"horizon|steps"):
        hf_ssl.predict(
            data=shops,
            output=str(run),
            modality_options={"horizon": 7, **retail.OPTIONS},
            save=str(tmp_path / "a.parquet"),
        )
    with pytest.raises(ConfigError, match="stays in the run"):
        hf_ssl.push(
            output=str(run), repo="me/shops", license="mit", base_model="unpublished", dry_run=True, answer=True
        )
