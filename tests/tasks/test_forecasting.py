"""Forecasts: no leak, the same in every batch, covariates, LoRA, TimesFM, from scratch to figures."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from tiny_series import OPTIONS, checkpoint, objective, quiet_load, table, tiny_timesfm

from hf_ssl import evaluate, finetune, pretrain
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.options import FinetuneConfig
from hf_ssl.modalities.timeseries.timeseries import TimeSeries
from hf_ssl.modalities.timeseries.timesfm import timesfm_forecast
from hf_ssl.models import adapters
from hf_ssl.models.loading import load_model
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.objectives.forecast import Forecast
from hf_ssl.stages.fit import fit_task
from hf_ssl.tasks.base import TaskRows
from hf_ssl.tasks.forecasting import Forecasting
from hf_ssl.training.trainer import predict


def fit(data, folder: str, tmp_path, method: str = "full", **task_options: object):
    modality = TimeSeries(TimeSeries.Config(**OPTIONS))
    task = Forecasting(Forecasting.Config(**task_options), modality)
    task.fit_labels(data["train"])
    config = FinetuneConfig(peft=method, lora_r=4)
    with contextlib.redirect_stdout(io.StringIO()):
        done = fit_task(
            task,
            CheckpointRef(folder),
            data["train"],
            None,
            config,
            {"max_steps": 8, "disable_tqdm": True, "bf16": False},
            tmp_path / "work",
            seed=0,
        )
    return task, done


def test_nothing_after_the_cut_reaches_the_weights(tmp_path):
    frame = table()
    clean = quiet_load(frame)
    folder = checkpoint(tmp_path, "patchtst", clean)
    spoiled = quiet_load(
        frame.assign(
            y0=np.where(frame["timestamp"] >= pd.Timestamp("2021") + pd.Timedelta(hours=350), 1e9, frame["y0"])
        )
    )
    states = [fit(data, folder, tmp_path)[1].module.state_dict() for data in (clean, spoiled)]
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


def test_nothing_after_the_test_begins_reaches_any_weight(tmp_path):
    """Pre-training, fine-tuning and the choice of the best point, all with the test span spoiled."""
    frame = table(300)
    states = []
    for name in ("clean", "spoiled"):
        data = quiet_load(frame)
        row = data["test"][0]
        begin = pd.Timestamp(row["start"]) + pd.Timedelta(hours=row["offset"] + row["history"])
        if name == "spoiled":
            data = quiet_load(frame.assign(y0=np.where(frame["timestamp"] >= begin, 1e9, frame["y0"])))
        shared = {
            "data": data, "modality": "timeseries", "output": str(tmp_path / name), "modality_options": OPTIONS,
            "per_device_train_batch_size": 32, "max_steps": 4,
        }  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()):
            pretrain(**shared, model="patchtst", from_config=True, monitor_points=1)
            finetune(**shared, peft="full", task="forecasting", residual=True)
        folders = [tmp_path / name / stage / "model" for stage in ("pretrain", "finetune")]
        states.append([(folder / "model.safetensors").read_bytes() for folder in folders])
    assert states[0] == states[1]


def test_a_residual_head_that_gives_nothing_forecasts_the_last_season(tmp_path):
    data = quiet_load(table())
    task, done = fit(data, checkpoint(tmp_path, "patchtst", data), tmp_path, residual=True)
    with torch.no_grad():
        for parameter in done.module.model.head.parameters():
            parameter.zero_()
    batch = done.module.collate([task.encode(done.encoder, data["test"])[i] for i in range(5)])
    with torch.inference_mode():
        answer = done.module.eval()(**batch).logits
    torch.testing.assert_close(answer[:, :12], answer[:, 12:24], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["patchtst", "patchtsmixer"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_difference_is_shrunk_to_what_helps_on_validation(tmp_path, family, method):
    data = quiet_load(table())
    task, done = fit(data, checkpoint(tmp_path, family, data), tmp_path, method, residual=True)
    rows = TaskRows(task.encode(done.encoder, data["validation"]))
    answer, labels = predict(done.module, rows, done.args)
    steps, last = task.horizon, slice(task.horizon, 2 * task.horizon)
    labels = answer[:, last, :, 0] + 0.4 * (answer[:, :steps, :, 0] - answer[:, last, :, 0])
    note = task.calibrate(done.module, lambda: (answer, labels))
    assert "shrunk to 40%" in note
    shrunk, _ = predict(done.module, rows, done.args)
    np.testing.assert_allclose(shrunk[:, :steps, :, 0], labels, rtol=1e-4, atol=1e-5)
    assert np.abs(shrunk - answer).max() > 1e-3 and np.array_equal(shrunk[:, steps:], answer[:, steps:])
    assert task.calibrate(done.module, lambda: (shrunk, labels)) is None, "all of it is best now"


def test_a_forecast_that_is_no_difference_is_left_alone(tmp_path):
    data = quiet_load(table())
    task, done = fit(data, checkpoint(tmp_path, "patchtst", data), tmp_path)
    assert task.calibrate(done.module, lambda: pytest.fail("validation rows were looked at")) is None


@pytest.mark.parametrize("output", ["point", "normal"])
def test_metrics_do_not_depend_on_the_batch_size(tmp_path, output):
    data = quiet_load(table(channels=2))
    task, done = fit(data, checkpoint(tmp_path, "patchtst", data), tmp_path, forecast_type=output)
    rows = task.encode(done.encoder, data["test"])
    found = []
    for size in (1, 7, 64):
        logits, labels = [], []
        for start in range(0, len(rows), size):
            batch = done.module.collate([rows[i] for i in range(start, min(start + size, len(rows)))])
            with torch.inference_mode():
                logits.append(done.module.eval()(**batch).logits.numpy())
            labels.append(batch["labels"].numpy())
        found.append(task.metrics(np.concatenate(logits), np.concatenate(labels)))
    for name, value in found[0].items():
        assert found[1][name] == pytest.approx(value, rel=1e-4) and found[2][name] == pytest.approx(value, rel=1e-4), (
            name
        )
    assert ("wql" in found[0]) == (output == "normal")
    first = task.predictions(np.concatenate(logits), data["test"], done.encoder)[0]
    assert first["step"] == data["test"][0]["offset"] + 48 and np.shape(first["prediction"]) == (2, 12)


def test_covariates_are_seen_but_not_forecast(tmp_path):
    frame = table(names="a", channels=2)
    data = quiet_load(frame, target_columns=["y0"], past_covariates=["y1"])
    task, done = fit(data, checkpoint(tmp_path, "patchtst", data), tmp_path)
    batch = done.module.collate([task.encode(done.encoder, data["train"])[0]])
    assert (batch["labels"][..., 1] == -100).all() and (batch["labels"][..., 0] != -100).all()
    assert batch["past_values"].shape[2] == 2


@pytest.mark.parametrize("family", ["patchtst", "patchtsmixer"])
def test_covariates_reach_the_forecast_of_a_model_from_scratch(tmp_path, family):
    given = {"target_columns": ["y0"], "past_covariates": ["y1"]}
    data = quiet_load(table(names="a", channels=2), **given)
    past = torch.randn(4, 48, 2)
    changed = past + torch.tensor([0.0, 1.0]) * torch.randn(4, 48, 1)
    reached = {}
    for mixed in (None, False):
        folder = checkpoint(tmp_path, family, data, **given, mix_channels=mixed)
        pooling = {"pooling_type": None} if family == "patchtst" else {}
        model, _ = load_model(folder, "AutoModelForTimeSeriesPrediction", prediction_length=12, **pooling)
        with torch.inference_mode():
            before, after = (model.eval()(past_values=x).prediction_outputs[..., 0] for x in (past, changed))
        reached[mixed] = not torch.allclose(before, after, atol=1e-5)
    assert reached == {None: True, False: False}


def test_lora_with_batch_norm_reloads_to_the_same_forecast(tmp_path):
    data = quiet_load(table())
    task, done = fit(data, checkpoint(tmp_path, "patchtst", data), tmp_path, method="lora")
    assert any("norm" in name for name in adapters.trainable_report(done.module.model).modules)
    batch = done.module.collate([task.encode(done.encoder, data["test"])[i] for i in range(4)])
    with torch.inference_mode():
        wanted = done.module.eval()(**batch).logits
    merged = adapters.merge(done.module.model)
    merged.save_pretrained(tmp_path / "merged")
    loaded = transformers.PatchTSTForPrediction.from_pretrained(tmp_path / "merged").eval()
    del batch["labels"]
    with torch.inference_mode():
        torch.testing.assert_close(
            task.forward(done.encoder.replace(model=loaded), batch), wanted, atol=1e-4, rtol=1e-4
        )


def test_timesfm_learns_with_lora_and_comes_back(tmp_path):
    data, folder = quiet_load(table()), tiny_timesfm(tmp_path)
    task, done = fit(data, folder, tmp_path, method="lora")
    assert done.encoder.report.missing == [] and "lora" in " ".join(
        n for n, p in done.module.named_parameters() if p.requires_grad
    )
    rows = task.encode(done.encoder, data["test"])
    batch = done.module.collate([rows[i] for i in range(6)])
    with torch.inference_mode():
        wanted = done.module.eval()(**batch).logits
    metrics = task.metrics(wanted.numpy(), batch["labels"].numpy())
    assert {"wql", "coverage", "mase_ratio"} <= metrics.keys() and np.isfinite(list(metrics.values())).all()
    past = batch["past_values"]
    merged = adapters.merge(done.module.model, example_batch={"past_values": past[..., 0]})
    merged.save_pretrained(tmp_path / "merged")
    loaded = transformers.AutoModelForTimeSeriesPrediction.from_pretrained(tmp_path / "merged").eval()
    del batch["labels"]
    with torch.inference_mode():
        torch.testing.assert_close(
            task.forward(done.encoder.replace(model=loaded), batch), wanted, atol=1e-4, rtol=1e-4
        )


def test_timesfm_forecasts_do_not_depend_on_padding(tmp_path):
    model = transformers.AutoModelForTimeSeriesPrediction.from_pretrained(tiny_timesfm(tmp_path)).eval()
    series = torch.randn(3, 24, 2) + 5
    seen = torch.ones(3, 24, 2, dtype=torch.bool)
    with torch.inference_mode():
        plain = timesfm_forecast(model, series, seen, 10)
        padded = torch.cat([torch.full((3, 32, 2), 5.0), series], dim=1)
        mask = torch.cat([torch.zeros(3, 32, 2, dtype=torch.bool), seen], dim=1)
        torch.testing.assert_close(timesfm_forecast(model, padded, mask, 10), plain, atol=1e-5, rtol=1e-5)
    assert plain.shape == (3, 10, 2, 10)


def options_of(data, output) -> dict:
    return {"data": data, "modality": "timeseries", "output": str(output), "modality_options": OPTIONS}


def test_stages_from_scratch_to_forecast(tmp_path):
    shared = options_of(quiet_load(table(400)), tmp_path / "run")
    with contextlib.redirect_stdout(io.StringIO()):
        pretrain(
            **shared, model="patchtst", from_config=True, max_steps=6, monitor_points=1, per_device_train_batch_size=16
        )
        finetune(**shared, peft="full", max_steps=6)
        result = evaluate(**shared)
    assert {"mase", "mase_ratio", "mse"} <= result.metrics.keys()
    assert result.metrics["mase_linear"] < 2 * result.metrics["mase_naive"]
    for name in ("forecast", "error_by_step"):
        assert (result.path / f"{name}.svg").read_text().startswith("<svg")
    predictions = pd.read_parquet(result.path / "predictions.parquet")
    assert set(predictions["id"]) == {"a", "b"} and len(predictions["prediction"][0][0]) == 12


def test_the_start_is_measured_and_kept_where_nothing_is_better(tmp_path):
    data = quiet_load(table())
    shared = {
        "data": data,
        "modality": "timeseries",
        "modality_options": OPTIONS,
        "model": checkpoint(tmp_path, "patchtst", data),
    }
    options = {
        "peft": "full",
        "task": "forecasting",
        "residual": True,
        "max_steps": 4,
        "eval_steps": 1,
        "eval_strategy": "steps",
    }
    found = {}
    for name, rate in (("useless", 30.0), ("none", 0.0)):
        with contextlib.redirect_stdout(io.StringIO()):
            found[name] = finetune(**shared, **options, learning_rate=rate, output=str(tmp_path / name)).metrics[
                "validation"
            ]
    assert found["useless"] == pytest.approx(found["none"], rel=1e-4)
    config = transformers.AutoConfig.from_pretrained(tmp_path / "none" / "finetune" / "model")
    assert config.seasonal_residual is True


def test_forecasts_learned_as_differences_carry_over(tmp_path):
    shared = options_of(quiet_load(table(400)), tmp_path / "run")
    with contextlib.redirect_stdout(io.StringIO()):
        pretrain(
            **shared, model="patchtst", from_config=True, objective="forecast", residual=True, loss="mae", max_steps=10, monitor_points=1,
        )  # fmt: skip
        with pytest.raises(ConfigError, match="set residual=true"):
            finetune(**shared, task="forecasting", peft="full", max_steps=2)
        tuned = finetune(
            **shared, task="forecasting", peft="full", residual=True, max_steps=1, learning_rate=0.0, overwrite=True
        )
    heads = [
        transformers.PatchTSTForPrediction.from_pretrained(tmp_path / "run" / stage / "model").head.projection.weight
        for stage in ("pretrain", "finetune")
    ]
    share = float((heads[1] / heads[0]).mean())
    assert round(share, 4) in [tenth / 10 for tenth in range(1, 11)]
    torch.testing.assert_close(share * heads[0], heads[1])  # neither new nor fitted anew, only shrunk
    assert tuned.metrics["validation"]["mase_ratio"] == pytest.approx(1, abs=0.1)
    with pytest.raises(DataError, match="horizon="):
        objective(Forecast, checkpoint(tmp_path, "patchtst", shared["data"]), TimeSeries(), residual=True).rows(
            shared["data"]["unlabeled"].remove_columns("season"), seed=0, training=True
        )
