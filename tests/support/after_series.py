"""Dates, steps and series, second set."""

# A line per file: what is in it, and what must come out.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from after_base import add, told
from data_kinds import Check, Made, asked, wave, write

from hf_ssl.data import DomainData

S = "series"
OPTIONS = {"modality": "timeseries", "horizon": 12, "context_length": 32}


def grid(steps: int, season: int | None = None, frequency: str | None = None, series: int = 1, channels: int = 1, first: str | None = None, values: Sequence[float] | None = None) -> Check:
    """So many series of so many steps, of this step and season, with these values and nothing else in them."""

    def check(data: DomainData) -> bool:
        if "test" not in data or len(data["train"]) != series:
            return False
        row, start = data["test"][0], data["train"][0]
        own = np.array(row["series"], dtype=float)
        length = row["offset"] + own.shape[1]
        fine = length == steps and own.shape[0] == channels
        fine = fine and season in (None, row["season"]) and frequency in (None, row["frequency"])
        if values is not None:
            fine = fine and np.allclose(own[0][-12:], np.array(values, float)[-12:], rtol=1e-4, equal_nan=True)
        return bool(fine and (first is None or str(start.get("start") or "").startswith(first)))

    return check


def dates(stamps: Sequence[Any], check: Check, *, header: str = "date,sales", sep: str = ",", values: Sequence[Any] | None = None, tail: str = "", head: str = "", **options: Any) -> Callable[[Path], Made]:
    """A csv of stamps and values; `tail` follows, `head` goes before."""
    numbers = wave(len(stamps)) if values is None else values
    content = head + header + "\n" + "".join(f"{stamp}{sep}{value}\n" for stamp, value in zip(stamps, numbers, strict=True)) + tail
    return lambda at: (write(at / "sales.csv", content), {**OPTIONS, **options}, check)


def frame(build: Callable[[], pd.DataFrame], check: Check, how: dict[str, Any] | None = None, **options: Any) -> Callable[[Path], Made]:
    return lambda at: (write(at / "load.csv", build().to_csv(index=False, **(how or {}))), {**OPTIONS, **options}, check)


MONTHS, DAYS, HOURS = pd.date_range("2012-01-01", periods=120, freq="MS"), pd.date_range("2023-01-05", periods=500, freq="D"), pd.date_range("2023-01-05", periods=900, freq="h")
monthly = grid(120, 12, "MS", first="2012-01", values=wave(120))
daily = grid(500, 7, "D", first="2023-01-05", values=wave(500))
hourly = grid(900, 24, "h", first="2023-01-05", values=wave(900))

# -- spellings of moments
for form in ("%b-%y", "%y-%b", "%b %y", "%b. %Y", "%m/%Y", "%Y/%m", "%m.%Y", "%Y.%m", "%m-%Y", "%B, %Y", "%Y %m", "%b'%y"):
    add(S, f"months as {form}", dates(MONTHS.strftime(form), monthly, header="date;sales", sep=";"))
GERMAN = ["Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"]
add(S, "months in German", dates([f"{GERMAN[d.month - 1]} {d.year}" for d in MONTHS], monthly))
add(S, "months in French", dates([f"{['janv.', 'févr.', 'mars', 'avr.', 'mai', 'juin', 'juil.', 'août', 'sept.', 'oct.', 'nov.', 'déc.'][d.month - 1]} {d.year}" for d in MONTHS], monthly))
for form in ("%d/%m/%y", "%y/%m/%d", "%y%m%d", "%d%m%Y", "%d-%b-%y", "%a %b %d %Y", "%a, %d %b %Y", "%d %B, %Y", "%Y年%m月%d日", "%Y. %m. %d.", "%d. %m. %Y", "%Y%j", "%Y-%j", "%Y-%m-%d 00:00:00.000", "%m-%d-%Y", "%d %m %Y", "%-d/%-m/%Y", "%-m/%-d/%y", "%Y_%m_%d", "%A, %B %d, %Y"):
    add(S, f"days as {form}", dates(DAYS.strftime(form), daily, header="date;sales", sep=";"))
for form in ("%m/%d/%Y %I:%M%p", "%d/%m/%Y %I:%M:%S %p", "%Y-%m-%d %H", "%Y-%m-%d-%H", "%Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%dT%H:%M+00:00", "%d.%m.%y %H:%M", "%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S +0000", "%Y%m%dT%H%M%S", "%Y%m%d %H:%M", "%Y-%m-%d %H:%M:%S UTC", "%d-%m-%Y %H.%M", "%Y-%m-%d %H:%M:%S.%f", "%Y/%m/%d %H:%M", "%d/%m/%Y, %H:%M", "%H:%M %d/%m/%Y", "%Y-%m-%d %Hh"):
    add(S, f"hours as {form}", dates(HOURS.strftime(form), hourly, header="date;sales", sep=";"))
add(S, "hours with a.m. and p.m.", dates([d.strftime("%d/%m/%Y %I:%M ") + ("a.m." if d.hour < 12 else "p.m.") for d in HOURS], hourly))
add(S, "hours from 1 to 24", dates([(d - pd.Timedelta(hours=1)).strftime("%Y-%m-%d ") + f"{(d - pd.Timedelta(hours=1)).hour + 1:02d}:00" for d in HOURS + pd.Timedelta(hours=1)], grid(900, 24, "h", values=wave(900))))
add(S, "midnight without its clock, day first", dates([d.strftime("%d/%m/%Y") if d.hour == 0 else d.strftime("%d/%m/%Y %H:%M") for d in HOURS], hourly))
add(S, "Excel's damage: half of the dates turned", dates([d.strftime("%Y-%d-%m 00:00:00") if d.day <= 12 else d.strftime("%d/%m/%Y") for d in DAYS], asked))
add(S, "two spellings in one column", dates([d.strftime("%Y-%m-%d") if n < 250 else d.strftime("%d/%m/%Y") for n, d in enumerate(DAYS)], daily))
add(S, "times of day alone", dates(HOURS.strftime("%H:%M"), asked))
add(S, "days and months without years", dates(DAYS[:300].strftime("%d %b"), asked))
add(S, "names of weekdays", dates(DAYS.strftime("%A"), asked))
# -- numbers
NANO = DAYS.as_unit("ns").asi8
add(S, "epoch seconds as 1.67e9", dates([f"{t / 1e9:.9e}" for t in NANO], daily))
add(S, "epoch seconds with .0", dates([f"{t / 1e9:.1f}" for t in NANO], daily))
add(S, "epoch of the sixties", dates(pd.date_range("1961-01-05", periods=500, freq="D").as_unit("ns").asi8 // 10**9, told(lambda data: True)))
add(S, "days since 1970", dates(NANO // (86400 * 10**9), told(lambda data: True)))
add(S, "days since 1970, unit given", dates(NANO // (86400 * 10**9), daily, timestamp_unit="days"), False)
add(S, "MATLAB's days", dates(range(738891, 738891 + 500), told(lambda data: True)))
add(S, "Julian days", dates([f"{2459949.5 + n}" for n in range(500)], told(lambda data: True)))
add(S, "ticks of .NET", dates([621355968000000000 + t // 100 for t in NANO], told(lambda data: True)))
add(S, "Excel's days with a fraction", dates([f"{44931 + n / 24:.6f}" for n in range(900)], told(lambda data: True)))
add(S, "Excel's days with a fraction, unit given", dates([f"{44931 + n / 24:.6f}" for n in range(900)], hourly, timestamp_unit="excel"), False)
add(S, "year and day of the year, within a year", dates([f"{d.year}{d.day_of_year:03d}" for d in DAYS[:300]], told(lambda data: True)))
add(S, "year and week", dates([f"{d.isocalendar().year}{d.isocalendar().week:02d}" for d in pd.date_range("2015-01-05", periods=200, freq="W-MON")], grid(200, 52, "W")))
add(S, "year and week, within a year", dates([f"2015{week:02d}" for week in range(1, 53)], told(lambda data: True), horizon=2, context_length=8))
add(S, "year and quarter", dates([f"{2000 + n // 4}{n % 4 + 1}" for n in range(60)], told(lambda data: True)))
add(S, "years with a fraction", dates([f"{1959 + (n + 0.5) / 12:.4f}" for n in range(120)], asked))
add(S, "seconds since the beginning", dates(range(0, 500 * 60, 60), grid(500), header="time,value"))
add(S, "milliseconds since the beginning", dates(range(0, 500 * 250, 250), grid(500), header="time,value"))
add(S, "seconds with a fraction since the beginning", dates([f"{n * 0.02:.2f}" for n in range(500)], grid(500), header="time,value"))
add(S, "a counter with gaps", dates([n for n in range(560) if n % 10], grid(559), header="t,value"))
# -- steps
for alias, steps, season, found in (("W-MON", 200, 52, "W"), ("W-SAT", 200, 52, "W"), ("14D", 120, None, "14D"), ("BQE", 60, 4, "QS"), ("QE-JAN", 60, 4, "QS"), ("YE-JUN", 60, 1, "YS"), ("2D", 200, None, "2D"), ("4h", 900, None, "4h"), ("8h", 900, 3, "8h"), ("12h", 900, 2, "12h"), ("20min", 900, 72, "20min"), ("2min", 900, None, "2min"), ("500ms", 900, None, None), ("3MS", 60, 4, "QS"), ("4MS", 60, 3, "4MS"), ("5YS", 60, None, None), ("BMS", 120, 12, "MS"), ("WOM-3FRI", 120, 12, "MS")):
    add(S, f"step {alias}", dates(pd.date_range("1961-01-01", periods=steps, freq=alias).strftime("%Y-%m-%d %H:%M:%S.%f"), grid(steps, season, found, values=wave(steps))))
for alias, real in (("7D", "7D"), ("1D", "D"), ("60min", "h"), ("1h", "h"), ("24h", "D"), ("weekly", "7D"), ("hourly", "h"), ("60T", "h"), ("15T", "15min"), ("1MS", "MS"), ("Q-DEC", "QE"), ("A-DEC", "YE"), ("W-TUE", "W-TUE"), ("M", "ME"), ("BM", "BME"), ("C", "B"), ("D", "D"), ("bimonthly", "2MS"), ("SM", "SME")):
    stamps = pd.date_range("2012-01-01", periods=150, freq=real)
    add(S, f"step given as {alias}", dates(stamps.strftime("%Y-%m-%d %H:%M:%S"), grid(150, values=wave(150)), frequency=alias))
add(S, "first and fifteenth of the month", dates(pd.date_range("2012-01-01", periods=200, freq="SMS").strftime("%Y-%m-%d"), told(lambda data: data["test"][0]["offset"] + len(data["test"][0]["series"][0]) == 200)))
add(S, "Sundays to Thursdays", dates([d.strftime("%Y-%m-%d") for d in pd.date_range("2021-01-03", periods=700) if d.weekday() not in (4, 5)], told(lambda data: True)))
add(S, "Mondays to Saturdays", dates([d.strftime("%Y-%m-%d") for d in pd.date_range("2021-01-04", periods=700) if d.weekday() != 6], told(lambda data: True)))
add(S, "daily with a month per jump", dates([d.strftime("%Y-%m-%d") for d in DAYS if d.month % 2], asked))
add(S, "irregular events", dates([(DAYS[0] + pd.Timedelta(seconds=int(s))).strftime("%Y-%m-%d %H:%M:%S") for s in np.sort(np.random.default_rng(0).integers(0, 10**7, 500))], asked))
add(S, "hours with a second of jitter", dates([(d + pd.Timedelta(seconds=n % 3)).strftime("%Y-%m-%d %H:%M:%S") for n, d in enumerate(HOURS)], told(hourly)))
add(S, "hours in New York, wall clock with names", dates([t.strftime("%Y-%m-%d %H:%M ") + t.tzname() for t in pd.date_range("2023-01-05", periods=4000, freq="h", tz="America/New_York")], grid(4000, 24, "h")))
add(S, "offsets with summer time, without colon", dates([t.strftime("%Y-%m-%dT%H:%M:%S%z") for t in pd.date_range("2023-01-05", periods=4000, freq="h", tz="Europe/Berlin")], grid(4000, 24, "h", values=wave(4000))), False)
add(S, "days of local midnight with offsets", dates([t.isoformat() for t in pd.date_range("2023-01-05", periods=500, freq="D", tz="Europe/Berlin")], lambda data: daily(data) or data["test"][0]["frequency"] == "D" and bool(data.report["warnings"])))
for form in ("{y}-Q{q}", "Q{q}-{y}", "{q}Q{y}", "{q}Q{s}", "{y}q{q}", "{y}.Q{q}", "Q{q} '{s}", "{y}:{q}", "{y}-{q}", "{y} Q{q}", "FY{y} Q{q}"):
    add(S, f"quarters as {form}", dates([form.format(y=2000 + n // 4, q=n % 4 + 1, s=f"{n // 4:02d}") for n in range(60)], grid(60, 4, "QS", first="2000-01", values=wave(60))))
add(S, "half-years", dates([f"{1970 + n // 2} H{n % 2 + 1}" for n in range(80)], grid(80, 2)))
WEEKS = pd.date_range("2015-01-05", periods=200, freq="W-MON")
for name, spell in (("W5 2015", lambda d: f"W{d.isocalendar().week} {d.isocalendar().year}"), ("2015 W05", lambda d: f"{d.isocalendar().year} W{d.isocalendar().week:02d}"), ("week ranges", lambda d: f"{d:%Y-%m-%d}/{d + pd.Timedelta(days=6):%Y-%m-%d}"), ("2015-05", lambda d: f"{d.isocalendar().year}-{d.isocalendar().week:02d}"), ("05/2015", lambda d: f"{d.isocalendar().week:02d}/{d.isocalendar().year}")):
    add(S, f"weeks as {name}", dates([spell(d) for d in WEEKS], grid(200, 52, "W", values=wave(200)), header="week,sales"))
# -- which column is what
ROSSMANN = pd.concat([pd.DataFrame({"Store": s, "Dept": d, "Date": DAYS.strftime("%Y-%m-%d"), "Weekly_Sales": wave(500, 7 + s + 3 * d)}) for s in (1, 2) for d in (1, 2, 3)])
add(S, "store and department", frame(lambda: ROSSMANN, grid(500, 7, "D", 6)))
add(S, "store and family by text", frame(lambda: ROSSMANN.assign(Store=ROSSMANN.Store.map(lambda s: f"s{s}"), Dept=ROSSMANN.Dept.map(lambda d: f"family {d}")), grid(500, 7, "D", 6)))
add(S, "store and department, given", frame(lambda: ROSSMANN, grid(500, 7, "D", 6), item_column="Store,Dept"))
for name in ("location", "well", "machine", "unit", "household", "LCLid", "asset_id", "plant", "turbine", "variable", "ticker", "patient_id", "zone", "state", "key", "name"):
    add(S, f"three series by {name}", frame(lambda name=name: pd.concat([pd.DataFrame({name: k, "date": HOURS, "load": wave(900, 24 + k)}) for k in (1, 2, 3)]), grid(900, 24, "h", 3)))
add(S, "names of series with zeros in front", frame(lambda: pd.concat([pd.DataFrame({"item_id": f"{k:03d}", "date": HOURS, "load": wave(900, 24 + k)}) for k in (1, 2)]), grid(900, 24, "h", 2)), False)
add(S, "names of series as floats", frame(lambda: pd.concat([pd.DataFrame({"item_id": float(k), "date": HOURS, "load": wave(900, 24 + k)}) for k in (1, 2)]), grid(900, 24, "h", 2)), False)
add(S, "id counts rows", frame(lambda: pd.DataFrame({"id": range(500), "date": DAYS, "sales": wave(500)}), daily))
add(S, "series with another start each", frame(lambda: pd.concat([pd.DataFrame({"store": k, "date": DAYS[100 * k :], "sales": wave(500)[100 * k :]}) for k in (0, 1, 2)]), lambda data: len(data["train"]) == 3))
add(S, "series that follow each other", frame(lambda: pd.concat([pd.DataFrame({"store": k, "date": DAYS[150 * k : 150 * k + 150], "sales": wave(150)}) for k in (0, 1, 2)]), told(lambda data: True)))
BEIJING = pd.DataFrame({"No": range(1, 901), "year": HOURS.year, "month": HOURS.month, "day": HOURS.day, "hour": HOURS.hour, "pm2.5": wave(900), "TEMP": wave(900) + 1})
add(S, "Beijing's air", frame(lambda: BEIJING, grid(900, 24, "h", channels=2, values=wave(900))), False)
add(S, "Beijing's air, with words", frame(lambda: BEIJING.assign(cbwd=["NW", "SE", "cv"] * 300), grid(900, 24, "h", channels=2, values=wave(900))))
add(S, "electricity of numbered clients", frame(lambda: pd.DataFrame({"date": HOURS, **{str(k): wave(900) + k for k in range(6)}, "OT": wave(900)}), grid(900, 24, "h", channels=7, values=wave(900))), False)
add(S, "LD2011_2014", frame(lambda: pd.DataFrame({"": HOURS, "MT_001": wave(900), "MT_002": wave(900)}), grid(900, 24, "h", channels=2, values=wave(900)), {"sep": ";", "decimal": ","}))
add(S, "household power", frame(lambda: pd.DataFrame({"Date": HOURS.strftime("%d/%m/%Y"), "Time": HOURS.strftime("%H:%M:%S"), "Global_active_power": [str(v) if n % 90 != 7 else "?" for n, v in enumerate(wave(900))]}), grid(900, 24, "h", values=wave(900)), {"sep": ";"}), False)
add(S, "year and quarter columns", frame(lambda: pd.DataFrame({"Year": [2000 + n // 4 for n in range(60)], "Quarter": [n % 4 + 1 for n in range(60)], "gdp": wave(60)}), grid(60, 4, "QS", values=wave(60))))
add(S, "year and week columns", frame(lambda: pd.DataFrame({"year": [d.isocalendar().year for d in WEEKS], "week": [d.isocalendar().week for d in WEEKS], "flu": wave(200)}), grid(200, 52, "W")))
add(S, "year and name of the month", frame(lambda: pd.DataFrame({"Year": MONTHS.year, "Month": MONTHS.strftime("%b"), "sales": wave(120)}), monthly))
add(S, "a row per year, a column per month", frame(lambda: pd.DataFrame(wave(120).reshape(10, 12), columns=["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]).assign(Year=range(2012, 2022)), lambda data: monthly(data) or bool(data.report["warnings"])))
add(S, "hours from 1 to 24 in a column", frame(lambda: pd.DataFrame({"date": HOURS.strftime("%Y-%m-%d"), "hour": HOURS.hour + 1, "load": wave(900)}), grid(900, 24, "h", values=wave(900))))
add(S, "half hours from 1 to 48", frame(lambda: pd.DataFrame({"SETTLEMENT_DATE": pd.date_range("2023-01-05", periods=960, freq="30min").strftime("%Y-%m-%d"), "SETTLEMENT_PERIOD": np.tile(range(1, 49), 20), "ND": wave(960)}), grid(960, 48, "30min", values=wave(960))))
WORLD = pd.DataFrame({"Country Name": ["A", "B"], "Code": ["AAA", "BBB"], **{f"{1961 + n} [YR{1961 + n}]": [v, v + 1] for n, v in enumerate(wave(60))}})
add(S, "a column per year, World Bank's", frame(lambda: WORLD, grid(60, 1, None, 2)))
add(S, "a column per day, Johns Hopkins'", frame(lambda: pd.DataFrame({"Province": ["x", "y"], "Lat": [1.5, 2.5], **{f"{d.month}/{d.day}/{d:%y}": [v, v + 1] for d, v in zip(DAYS, wave(500), strict=True)}}), grid(500, 7, "D", 2)))
add(S, "a column per month, with names", frame(lambda: pd.DataFrame({"product": ["x", "y"], **{d.strftime("%b %Y"): [v, v + 1] for d, v in zip(MONTHS, wave(120), strict=True)}}), grid(120, 12, "MS", 2)))
add(S, "M5: columns d_1 d_2 …", frame(lambda: pd.DataFrame({"id": ["x", "y"], "store_id": ["CA", "TX"], **{f"d_{n + 1}": [v, v + 1] for n, v in enumerate(wave(500))}}), lambda data: len(data["train"]) == 2))
add(S, "a row of dates, a row of values", frame(lambda: pd.DataFrame([["sales", *wave(120)]], columns=["date", *MONTHS.strftime("%Y-%m-%d")]), lambda data: monthly(data) or bool(data.report["warnings"])))


def several(build: Callable[[int], pd.DataFrame], check: Check, **options: Any) -> Callable[[Path], Made]:
    """One file per sensor."""

    def make(at: Path) -> Made:
        for n in range(3):
            write(at / "d" / f"sensor_{'abc'[n]}.csv", build(n).to_csv(index=False))
        return at / "d", {**OPTIONS, **options}, check

    return make


add(S, "a file per series", several(lambda n: pd.DataFrame({"date": HOURS, "load": wave(900, 24 + n)}), grid(900, 24, "h", 3)))
add(S, "a file per series, each its own time", several(lambda n: pd.DataFrame({"date": HOURS[300 * n : 300 * n + 300], "load": wave(300, 24)}), told(lambda data: True)))
add(S, "a file per year", lambda at: ([write(at / "d" / f"load_{y}.csv", pd.DataFrame({"date": HOURS[450 * k : 450 * k + 450], "load": wave(900)[450 * k : 450 * k + 450]}).to_csv(index=False)) for k, y in enumerate((2023, 2024))] and at / "d", OPTIONS, hourly))
# -- values
for name, spell in (
    ("percent", lambda v: f"{v}%"), ("dollars", lambda v: f"${v}"), ("euros behind", lambda v: f"{v} €"), ("kWh behind", lambda v: f"{v} kWh"), ("Swiss thousands", lambda v: f"{v * 100:,.2f}".replace(",", "'")),
    ("thousands in quotes", lambda v: f'"{v * 100:,.2f}"'), ("blanks for thousands", lambda v: f"{v * 100:,.2f}".replace(",", " ")), ("commas in quotes", lambda v: f'"{v:.2f}"'.replace(".", ",")), ("exponents", lambda v: f"{v:.6E}"),
    ("an approximate sign", lambda v: f"~{v}"), ("stars", lambda v: f"{v}*"), ("blanks around", lambda v: f"  {v} "),
):  # fmt: skip
    scale = 100 if "thousand" in name else 1
    add(S, f"values with {name}", dates(DAYS.strftime("%Y-%m-%d"), grid(500, 7, "D", values=wave(500) * scale), values=[spell(v) for v in wave(500)]))
SIGNED = wave(500) - 100
add(S, "values with a true minus", dates(DAYS.strftime("%Y-%m-%d"), grid(500, values=SIGNED), values=[f"{v:.2f}".replace("-", "\u2212") for v in SIGNED]))
add(S, "values in accountants' parentheses", dates(DAYS.strftime("%Y-%m-%d"), grid(500, values=SIGNED), values=[f"{v:.2f}" if v >= 0 else f"({-v:.2f})" for v in SIGNED]))
add(S, "values with the minus behind", dates(DAYS.strftime("%Y-%m-%d"), grid(500, values=SIGNED), values=[f"{v:.2f}" if v >= 0 else f"{-v:.2f}-" for v in SIGNED]))
add(S, "values with one comma and three digits", dates(DAYS.strftime("%Y-%m-%d"), told(lambda data: True), values=[f'"{int(v * 30):,}"' if int(v * 30) > 999 else f'"1,{int(v)}"' for v in wave(500)]))
for word in ("NULL", "-", "--", "n/a", "NaN", "#DIV/0!", "#N/A", ".", "…", "missing", "***", "<0.1", "No data", "-9999"):
    add(S, f"missing as {word}", dates(DAYS.strftime("%Y-%m-%d"), lambda data: daily(data) or bool(data.report["warnings"]), values=[word if n in (7, 9, 80) else v for n, v in enumerate(wave(500))]))
add(S, "a sum at the end", dates(DAYS.strftime("%Y-%m-%d"), told(daily), tail=f"Total,{wave(500).sum():.2f}\n"))
add(S, "a note at the end", dates(DAYS.strftime("%Y-%m-%d"), daily, tail="\nSource: our own records, 2024\n"))
add(S, "a long title above", dates(DAYS.strftime("%Y-%m-%d"), daily, head="Sales of all shops, daily, thousands\n\n"))
add(S, "switches on and off", dates(DAYS.strftime("%Y-%m-%d"), lambda data: bool(data.report["warnings"]), values=["on" if n % 3 else "off" for n in range(500)]))
add(S, "newest first", dates(DAYS[::-1].strftime("%Y-%m-%d"), daily, values=wave(500)[::-1]), False)
add(S, "newest first, day first", dates(DAYS[::-1].strftime("%d/%m/%Y"), daily, values=wave(500)[::-1]))
add(S, "a byte order mark", lambda at: (write(at / "a.csv", pd.DataFrame({"Date": DAYS, "Sales": wave(500)}).to_csv(index=False), "utf-8-sig"), OPTIONS, daily), False)
# -- whole series and their own formats


def raw(name: str, content: str | bytes, check: Check, **options: Any) -> Callable[[Path], Made]:
    return lambda at: (write(at / "d" / name, content), {"modality": "timeseries", **options}, check)


def array(check: Check, name: str = "a.npy", many: bool = False, **arrays: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        (at / "d").mkdir(parents=True, exist_ok=True)
        if many:
            np.savez(at / "d" / name, **arrays)
        else:
            np.save(at / "d" / name, arrays["x"], allow_pickle=True)
        return at / "d", {"modality": "timeseries"}, check

    return make


def shapes(count: int, channels: int, length: int) -> Check:
    def check(data: DomainData) -> bool:
        found = [np.array(v).shape for split in data for v in data[split]["series"]]
        return len(found) >= count and set(found) == {(channels, length)}

    return check


GLUON = [{"start": "2023-01-05", "target": wave(500).tolist(), "item_id": f"s{n}", "freq": "D"} for n in range(3)]


def gluon(change: Callable[[dict[str, Any], int], dict[str, Any]], check: Check, **options: Any) -> Callable[[Path], Made]:
    rows = [change(dict(row), n) for n, row in enumerate(GLUON)]
    return lambda at: (write(at / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows)), {**OPTIONS, **options}, check)


add(S, "GluonTS", gluon(lambda row, n: row, grid(500, 7, "D", 3, first="2023-01-05")), False)
add(S, "GluonTS, starts in UTC", gluon(lambda row, n: {**row, "start": "2023-01-05T00:00:00Z"}, grid(500, 7, "D", 3, first="2023-01-05")), False)
add(S, "GluonTS, starts with the day first", gluon(lambda row, n: {**row, "start": f"{n + 5:02d}/01/2023"}, lambda data: {str(r["start"])[:7] for r in data["train"]} == {"2023-01"}))
add(S, "GluonTS, a start that is none", gluon(lambda row, n: {**row, "start": "the fifth"}, asked))
add(S, "GluonTS, without step", gluon(lambda row, n: {k: v for k, v in row.items() if k != "freq"}, told(lambda data: True)))
add(S, "GluonTS, steps that differ", gluon(lambda row, n: {**row, "freq": "DhD"[n]}, asked))
add(S, "GluonTS, words among the values", gluon(lambda row, n: {**row, "target": ["NaN" if k == 9 else v for k, v in enumerate(row["target"])]}, lambda data: True))
add(S, "GluonTS, None among the values", gluon(lambda row, n: {**row, "target": [None if k == 9 else v for k, v in enumerate(row["target"])]}, grid(500, 7, "D", 3)), False)
add(S, "stamps and values of two lengths", gluon(lambda row, n: {"item_id": n, "timestamp": DAYS[:499].strftime("%Y-%m-%d").tolist(), "target": row["target"]}, asked))
NOISE = np.random.default_rng(0).standard_normal((60, 6, 128)).astype(np.float32)
add(S, "array of channels first", array(shapes(60, 6, 128), x=NOISE), False)
add(S, "array of channels last", array(shapes(60, 6, 128), x=NOISE.transpose(0, 2, 1)))
add(S, "array of one series", array(asked, x=NOISE[0, 0]))
add(S, "array of objects", array(asked, x=np.array([[1.0, 2.0], [1.0]], dtype=object)))
add(S, "array of words", array(asked, x=np.array([["a", "b"], ["c", "d"]])))
add(S, "array of complex numbers", array(asked, x=NOISE[:, 0] + 1j))
add(S, "arrays called X_train and y_train", array(lambda data: data.label_names == ["0", "1"], "a.npz", True, X_train=NOISE, y_train=np.arange(60) % 2))
add(S, "arrays X and Y", array(lambda data: data.label_names == ["0", "1"], "a.npz", True, X=NOISE, Y=np.arange(60) % 2))
add(S, "arrays of two lengths", array(asked, "a.npz", True, x=NOISE, y=np.arange(59) % 2))
TS = "@problemName x\n@timeStamps false\n@univariate {u}\n@classLabel true a b\n@data\n"
add(S, "ts whose channels differ in number", raw("a.ts", TS.format(u="false") + "".join(("1,2,3:4,5,6:a\n" if n % 5 else "1,2,3:b\n").replace("1,", f"{n},") for n in range(40)), asked))
add(S, "ts without header", raw("a.ts", "".join(f"{n},2,3,4,5,6,7,8:a\n" for n in range(40)), asked))
add(S, "ts that lacks its last label", raw("a.ts", TS.format(u="true") + "".join(f"{n},2,3,4,5,6,7,8:{'ab'[n % 2]}\n" for n in range(40)) + "1,2,3", told(lambda data: sum(data.num_rows[s] for s in ("train", "validation", "test")) == 40)))
add(S, "ts with a label nobody declared", raw("a.ts", TS.format(u="true") + "".join(f"{n},2,3,4,5,6,7,8:{'abc'[n % 3]}\n" for n in range(60)), told(lambda data: True)))
ARFF = "@relation x\n@attribute v0 numeric\n@attribute v1 numeric\n@attribute v2 numeric\n@attribute class {'big one',small}\n@data\n"
add(S, "arff with quoted classes", raw("a.arff", ARFF + "".join(f"{n},{n + 1},{n + 2},{chr(39) + 'big one' + chr(39) if n % 2 else 'small'}\n" for n in range(40)), lambda data: data.label_names == ["big one", "small"]))
add(S, "arff, sparse", raw("a.arff", ARFF + "".join(f"{{0 {n + 1}, 2 5, 3 small}}\n" for n in range(40)), asked))
add(S, "arff with the class first", raw("a.arff", "@relation x\n@attribute class {a,b}\n@attribute v0 numeric\n@attribute v1 numeric\n@data\n" + "".join(f"{'ab'[n % 2]},{n},{n + 1}\n" for n in range(40)), lambda data: data.label_names == ["a", "b"]))
add(S, "tsf of an unknown step", raw("a.tsf", "@attribute series_name string\n@attribute start_timestamp date\n@frequency fortnightly\n@horizon 12\n@missing true\n@equallength false\n@data\nT1:2012-01-01 00-00-00:" + ",".join(map(str, wave(200))) + "\n", asked, horizon=12, context_length=32))
add(S, "tsf", raw("a.tsf", "# made up\n@relation x\n@attribute series_name string\n@attribute start_timestamp date\n@frequency daily\n@horizon 12\n@missing true\n@equallength false\n@data\n" + "".join(f"T{n}:2023-01-05 00-00-00:" + ",".join(map(str, wave(500))) + "\n" for n in range(3)), grid(500, 7, "D", 3, first="2023-01-05"), horizon=12, context_length=32), False)
add(S, "UCR by blanks", raw("X_TRAIN.txt", "".join(f"  {n % 2 + 1:.7e}  " + "  ".join(f"{v: .7e}" for v in NOISE[n, 0]) + "\n" for n in range(40)), lambda data: data.label_names == ["1", "2"]))
add(S, "UCR by tabs", raw("X_TRAIN.tsv", "".join(f"{n % 2 + 1}\t" + "\t".join(f"{v:.6f}" for v in NOISE[n, 0]) + "\n" for n in range(40)), lambda data: data.label_names == ["1", "2"]), False)
add(S, "a row per series, with a header", raw("a.csv", ",".join(["label", *(f"t{n}" for n in range(128))]) + "\n" + "".join(",".join(map(str, [f"c{n % 2}", *NOISE[n, 0]])) + "\n" for n in range(40)), lambda data: data.label_names == ["c0", "c1"] and shapes(40, 1, 128)(data)))
