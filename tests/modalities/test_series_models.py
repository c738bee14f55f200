"""Models on time series: what is hidden stays hidden, channels are alike, forecasts do not depend on padding or batches."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch
import transformers
from tiny_series import OPTIONS, checkpoint, objective, quiet_load, table

from hf_ssl import evaluate, finetune
from hf_ssl.core.errors import ConfigError, DataError, MissingExtraError
from hf_ssl.data import load_data
from hf_ssl.demo import series as demo_series
from hf_ssl.modalities.timeseries.backbones import MASK_NAMES
from hf_ssl.modalities.timeseries.random_kernels import RandomKernels
from hf_ssl.modalities.timeseries.timeseries import TimeSeries
from hf_ssl.modalities.timeseries.windows import fill
from hf_ssl.models.loading import load_model
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.objectives.forecast import Forecast
from hf_ssl.objectives.masked_patch import MaskedPatch
from hf_ssl.objectives.ts_contrastive import SeriesContrastive
from hf_ssl.tasks.anomaly import Anomaly
from hf_ssl.tasks.forecasting import Forecasting


@pytest.mark.parametrize("family", ["patchtst", "patchtsmixer"])
@pytest.mark.parametrize("kind", [MaskedPatch, Forecast, SeriesContrastive])
def test_families_learn_with_every_objective(tmp_path, family, kind):
    data, modality = quiet_load(table(channels=2)), TimeSeries(TimeSeries.Config(**OPTIONS))
    module = objective(kind, checkpoint(tmp_path, family, data), modality)
    rows = module.rows(data["unlabeled"], seed=0, training=True)
    batch = module.collate([rows[i] for i in range(0, len(rows), 9)][:32])
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = module.train()(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all() and losses[-1] < 0.9 * losses[0]


def test_hidden_steps_cannot_be_seen_and_missing_ones_are_not_counted(tmp_path):
    frame = table(names="a")
    frame.loc[frame.index[100:130], "y0"] = np.nan
    data, modality = quiet_load(frame), TimeSeries(TimeSeries.Config(**OPTIONS))
    module = objective(
        MaskedPatch, checkpoint(tmp_path, "patchtst", data, patch_length=8, patch_stride=4), modality, mask_ratio=0.4
    )
    rows = module.rows(data["unlabeled"], seed=0, training=True)
    chosen = [rows[i] for i in (0, 70, 90)]
    batch = module.collate(chosen)
    usable = [(~np.isnan(past[:, 0])).sum() for past, _ in chosen]
    assert chosen[0][1].sum() == round(0.4 * 11) and usable[1] < 48
    other = [(np.where(np.isnan(past), np.nan, past + 0), mask) for past, mask in chosen]
    hidden = batch["past_observed_mask"] == 0
    for (past, _), mask in zip(other, hidden.numpy(), strict=True):
        past[mask & ~np.isnan(past)] += 7.0  # only what is hidden changes
    again = module.collate(other)
    torch.testing.assert_close(again["past_values"], batch["past_values"], rtol=0, atol=0)
    assert not torch.equal(again["truth"], batch["truth"])
    truth, counted = batch["truth"], batch["labels"] != -100
    missing = np.isnan(chosen[1][0][:, 0])
    assert missing.any() and counted.sum() == sum(
        (~np.isnan(np.lib.stride_tricks.sliding_window_view(past[:, 0], 8)[::4][mask[0]])).sum()
        for past, mask in chosen
    )
    loss = module.eval()(**batch).loss
    truth[1, missing] = 1e6
    torch.testing.assert_close(module(**{**batch, "truth": truth}).loss, loss)


def test_an_encoder_never_masks(tmp_path):
    data, modality = quiet_load(table()), TimeSeries(TimeSeries.Config(**OPTIONS))
    module = objective(MaskedPatch, checkpoint(tmp_path, "patchtst", data), modality)
    values = [np.random.default_rng(i).normal(size=(1, 48)) for i in range(3)]
    first, second = (module.adapted.embed(values) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    exported = module.export()
    exported.save_pretrained(tmp_path / "out")
    encoder = transformers.AutoModel.from_pretrained(tmp_path / "out")
    assert encoder.config.do_mask_input is False
    np.testing.assert_allclose(module.adapted.replace(model=encoder).embed(values), first, atol=1e-5)
    masking = transformers.PatchTSTModel(
        transformers.PatchTSTConfig(**{**encoder.config.to_dict(), "do_mask_input": True})
    ).eval()
    a, b = (module.adapted.replace(model=masking).embed(values) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_channels_are_alike(tmp_path):
    data = quiet_load(table(channels=3, names="a"))
    modality = TimeSeries(TimeSeries.Config(**OPTIONS))
    folder = checkpoint(tmp_path, "patchtst", data)
    model, _ = load_model(folder, "AutoModelForTimeSeriesPrediction", pooling_type=None, prediction_length=12)
    past = torch.randn(4, 48, 3)
    order = [2, 0, 1]
    with torch.inference_mode():
        answer = model(past_values=past).prediction_outputs
        torch.testing.assert_close(model(past_values=past[..., order]).prediction_outputs, answer[..., order])
        changed = past.clone()
        changed[..., 0] += torch.randn(4, 48)
        torch.testing.assert_close(model(past_values=changed).prediction_outputs[..., 1:], answer[..., 1:])
    assert modality.load_processor(CheckpointRef(folder)).flexible


def test_released_channel_count_follows_the_data_or_is_refused(tmp_path):
    wide, narrow = quiet_load(table(channels=3, names="a")), quiet_load(table(names="a"))
    modality = TimeSeries(TimeSeries.Config(**OPTIONS))
    folder = checkpoint(tmp_path, "patchtst", wide)
    assert modality.load(folder, dataset=narrow["train"]).model.config.num_input_channels == 1
    config = transformers.AutoConfig.from_pretrained(folder, channel_attention=True)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "mixed")
    with pytest.raises(DataError, match="mixes 3 channels, the data have 1"):
        modality.load(str(tmp_path / "mixed"), dataset=narrow["train"])


def test_context_shorter_than_a_patch_is_refused():
    data = quiet_load(table())
    with pytest.raises(DataError, match="one patch of 64"):
        TimeSeries(TimeSeries.Config(**{**OPTIONS, "patch_length": 64})).default_config("patchtst", data)
    with pytest.raises(ConfigError, match="Did you mean 'patchtst'"):
        TimeSeries(TimeSeries.Config(**OPTIONS)).default_config("patchts", data)
    with pytest.raises(DataError, match="cut in time"):
        Forecasting(Forecasting.Config(), TimeSeries()).fit_labels(data["train"].remove_columns("loc"))


def test_anomalies_score_higher(tmp_path):
    rng = np.random.default_rng(0)
    values, labels = [], []
    for row in range(120):
        wave = np.sin(np.arange(48) / 3 + rng.uniform(0, 6)) + 0.05 * rng.standard_normal(48)
        if row % 6 == 0:
            wave[20:26] += 3 * rng.standard_normal(6)
        values.append(wave[None].tolist())
        labels.append("odd" if row % 6 == 0 else "fine")
    import datasets

    rows = datasets.Dataset.from_dict({"series": values, "label": labels})
    options = {key: value for key, value in OPTIONS.items() if key in ("width", "layers")}
    data = load_data(rows, "timeseries", verbose=False)
    shared = {"data": data, "modality": "timeseries", "modality_options": options, "output": str(tmp_path / "run")}
    modality = TimeSeries(TimeSeries.Config(**options))
    torch.manual_seed(0)
    transformers.AutoModel.from_config(modality.default_config("patchtst", data)).save_pretrained(tmp_path / "start")
    with contextlib.redirect_stdout(io.StringIO()):
        finetune(
            **shared,
            model=str(tmp_path / "start"),
            task="anomaly",
            peft="full",
            max_steps=200,
            early_stopping_patience=0,
            learning_rate=3e-3,
        )
        result = evaluate(**shared)
    assert result.metrics["roc_auc"] > 0.9
    with pytest.raises(ConfigError, match="Did you mean 'fine'"):
        Anomaly(Anomaly.Config(normal="fien"), TimeSeries()).fit_labels(data["train"])


def test_packaged_series_are_what_the_page_says():
    try:
        values, labels = demo_series.ucr("FordA", "TEST")
    except MissingExtraError as error:
        pytest.skip(str(error))
    assert values.shape == (1320, 500) and set(labels) == {-1, 1}


@pytest.mark.parametrize("family", ["patchtst", "patchtsmixer"])
def test_instance_scaling_comes_back_for_constant_and_empty_channels(tmp_path, family):
    data = quiet_load(table(names="a", channels=3))
    model, _ = load_model(checkpoint(tmp_path, family, data), "AutoModel")
    rng = np.random.default_rng(0)
    series = np.stack([rng.normal(5, 1e3, 48), np.full(48, 1e6), np.full(48, np.nan)]).astype(np.float32)
    past, seen = (torch.from_numpy(part) for part in fill(series.T[None]))
    with torch.inference_mode():
        found = model.eval()(past_values=past, **{MASK_NAMES[family]: seen})
    assert torch.isfinite(found.last_hidden_state).all() and (found.scale > 0).all()
    back = (past - found.loc) / found.scale * found.scale + found.loc
    torch.testing.assert_close(back, past, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(found.loc[0, 0, 1], torch.tensor(1e6))


def test_kernels_can_be_targets_and_levels_can_be_kept(tmp_path):
    data, modality = quiet_load(table()), TimeSeries(TimeSeries.Config(**OPTIONS))
    folder = checkpoint(tmp_path, "patchtst", data, rescale=False)
    module = objective(SeriesContrastive, folder, modality, kernel_weight=2.0)
    rows = module.rows(data["unlabeled"], seed=0, training=True)
    chosen = [rows[i] for i in range(0, len(rows), 40)]
    batch = module.collate(chosen)
    whole = [row[0].T for row in chosen]
    again = RandomKernels(1, 48, 256)(torch.from_numpy(np.stack(whole)))
    torch.testing.assert_close(batch["responses"], again)
    assert "spectra" not in batch and batch["responses"].shape == (len(chosen), 512)
    output = module(**batch)
    assert output.loss.item() == pytest.approx(
        (output.scalars["contrast"] + 2 * output.scalars["kernels"]).item(), rel=1e-4
    )
    low, high = (torch.full((1, 48, 1), level) for level in (-1.0, 2.0))
    with torch.inference_mode():
        vectors = [module.backbone.eval()(past_values=x).last_hidden_state for x in (low, high)]
    assert not torch.allclose(*vectors)  # a model that rescales sees the same in both
