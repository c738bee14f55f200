"""Small tables of series and small models for them, for the tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import transformers

from hf_ssl.data import load_data
from hf_ssl.modalities.timeseries.timeseries import TimeSeries

OPTIONS = {"horizon": 12, "context_length": 48, "width": 32, "layers": 2, "frequency": "h"}


def table(rows: int = 500, names: str = "ab", channels: int = 1, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frames = []
    for number, name in enumerate(names):
        step = np.arange(rows)
        columns = {
            f"y{c}": (10.0**number) * (np.sin(step * 2 * np.pi / 24 + c) + 0.1 * rng.standard_normal(rows)) + 5 * c
            for c in range(channels)
        }
        frames.append(
            pd.DataFrame({"item_id": name, "timestamp": pd.date_range("2021", periods=rows, freq="h"), **columns})
        )
    return pd.concat(frames)


def quiet_load(frame: pd.DataFrame, **options: object):
    return load_data(frame, "timeseries", verbose=False, **{**OPTIONS, **options})


def checkpoint(tmp_path, family: str, data, **options: object) -> str:
    modality = TimeSeries(TimeSeries.Config(**{**OPTIONS, **options}))
    torch.manual_seed(0)
    transformers.AutoModel.from_config(modality.default_config(family, data)).save_pretrained(tmp_path / family)
    return str(tmp_path / family)


def objective(kind, folder: str, modality: TimeSeries, **config: object):
    return kind(modality.load(folder, kind.auto_class, expect_new=("*",)), kind.Config(**config))


def tiny_timesfm(tmp_path, horizon: int = 16, layers: int = 2) -> str:
    config = transformers.TimesFm2_5Config(
        patch_length=8, context_length=64, horizon_length=horizon, hidden_size=32, intermediate_size=32, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=4, head_dim=8, output_quantile_len=horizon, max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.TimesFm2_5ModelForPrediction(config).save_pretrained(tmp_path / "timesfm")
    return str(tmp_path / "timesfm")
