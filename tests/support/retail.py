"""A made-up panel of shops, for tests of covariates: no real table with promotions and prices comes as a package.

Sales are multiplicative: the shop's size and slow drift, a week whose shape depends on the kind of shop, a year, promotions and prices whose
effect depends on the kind, holidays that empty city shops and fill those of the suburbs, and noise. So everything but the drift and the noise
can be known from covariates, calendar and kind, and a model that does not see them cannot know it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

KNOWN, STATIC = ["promo", "price", "holiday"], ["kind", "size"]
OPTIONS = {
    "timestamp_column": "date", "item_column": "shop", "target_columns": ["sales"], "known_covariates": KNOWN, "static_columns": STATIC,
}  # fmt: skip
WEEKS = {
    "city": [1.1, 1.1, 1.1, 1.1, 1.3, 0.9, 0.4], "suburb": [0.8, 0.8, 0.8, 0.9, 1.1, 1.6, 1.0], "station": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
}  # fmt: skip
PROMOTED, ELASTIC, HOLIDAY = (
    {"city": 1.3, "suburb": 1.9, "station": 1.05}, {"city": -1.0, "suburb": -2.5, "station": -0.3}, {"city": 0.3, "suburb": 1.5, "station": 0.8},
)  # fmt: skip


def panel(shops: int = 12, days: int = 500, seed: int = 0) -> pd.DataFrame:
    """Columns `shop`, `date`, `sales`, `promo`, `price`, `holiday`, `kind`, `size`, one row per shop and day."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2022-01-01", periods=days, freq="D")
    off = rng.random(days) < 0.03
    year = 1 + 0.15 * np.cos(2 * np.pi * (np.asarray(dates.day_of_year) - 350) / 365.25)
    frames = []
    for number in range(shops):
        kind, size = list(WEEKS)[number % 3], float(np.round(np.exp(rng.normal(4, 0.8)), 1))
        promo = np.repeat(rng.random(days // 7 + 1) < 0.2, 7)[:days]
        price = np.repeat(np.round(rng.choice([2.5, 2.8, 3.0, 3.2], days // 21 + 1), 2), 21)[:days] - 0.3 * promo
        drift = np.exp(np.cumsum(rng.normal(0, 0.01, days)))
        sales = (
            size
            * year
            * drift
            * np.array(WEEKS[kind])[np.asarray(dates.day_of_week)]
            * np.exp(rng.normal(0, 0.1, days))
        )
        sales = (
            sales
            * np.where(promo, PROMOTED[kind], 1.0)
            * (price / 3.0) ** ELASTIC[kind]
            * np.where(off, HOLIDAY[kind], 1.0)
        )
        frames.append(
            pd.DataFrame(
                {
                    "shop": f"shop {number}",
                    "date": dates,
                    "sales": np.round(sales, 1),
                    "promo": promo.astype(int),
                    "price": price,
                    "holiday": off.astype(int),
                    "kind": kind,
                    "size": size,
                }
            )  # fmt: skip
        )
    return pd.concat(frames, ignore_index=True)
