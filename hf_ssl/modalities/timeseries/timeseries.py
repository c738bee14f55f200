"""Time series: one or many channels of numbers over time, evenly spaced, with gaps."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import ConfigError, DataError, nearest
from hf_ssl.modalities.base import Modality
from hf_ssl.modalities.cheap import CheapFeatures, Computed
from hf_ssl.modalities.timeseries.alike import refuse_other_channels
from hf_ssl.modalities.timeseries.backbones import SeriesProcessor, default_config, read_processor
from hf_ssl.modalities.timeseries.doubtful_values import told_doubts
from hf_ssl.modalities.timeseries.files import SUFFIXES, is_rated, is_ucr_table, position_of_labels, read_series_file
from hf_ssl.modalities.timeseries.grid import DUPLICATES
from hf_ssl.modalities.timeseries.known import shift_known, with_future
from hf_ssl.modalities.timeseries.moments import read_moments
from hf_ssl.modalities.timeseries.names import with_joined_name
from hf_ssl.modalities.timeseries.options import SeriesOptions
from hf_ssl.modalities.timeseries.split import TimeSplit, arrays_of, cut_in_time, spans, standardize, to_forecast
from hf_ssl.modalities.timeseries.stamps import StampOptions
from hf_ssl.modalities.timeseries.steps import season_of
from hf_ssl.modalities.timeseries.table import FILE, Columns, GridOptions, Table, read_rows, series_column
from hf_ssl.modalities.timeseries.unused import tell_classes_of_series
from hf_ssl.modalities.timeseries.values import as_array, beside, labels_of, series_rows, sparklines, standard
from hf_ssl.modalities.timeseries.windows import Windows, fit

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedConfig

    from hf_ssl.data.assemble import Fractions
    from hf_ssl.data.columns import ColumnSpec
    from hf_ssl.data.readers.folders import SourcePart
    from hf_ssl.modalities.base import Notes
    from hf_ssl.modalities.timeseries.encoder import TimeSeriesEncoder
    from hf_ssl.models.reference import CheckpointRef


class TimeSeries(Modality):
    """Series of any length and number of channels.

    Without `horizon` every series is an example of its own (to be classified, say) and splits are made by rows. With
    `horizon` the series are cut in time, once: what lies before the first cut is the pool and the training span, and
    pre-training, fine-tuning and evaluation all see the same cut.
    """

    name = "timeseries"
    column = "series"
    aliases = ("series", "target", "past_values", "values", "signal", "x")
    suffixes = SUFFIXES
    default_objective = "masked-patch"
    regression_class = "AutoModelForTimeSeriesRegression"
    baseline = "random kernels"
    file_column = FILE
    block = 64
    moments = True
    learning_rate = 2e-4
    labeled_class = "AutoModelForTimeSeriesClassification"

    @dataclass
    class Config(SeriesOptions):
        """How series are read, cut and shown to a model."""

    config: Config

    @classmethod
    def default_task(cls, options: dict[str, Any]) -> str:
        """With a horizon: forecasting."""
        given = {**options, **(options.get("modality_options") or {})}
        return "forecasting" if given.get("horizon") else "classification"

    # -- data side --------------------------------------------------------------------------------------------------

    def recognizes(self, file: Path) -> bool:
        """A table of numbers without header is the UCR archive's: a label and a series per line; or values below their start and rate."""
        return is_ucr_table(file) or is_rated(file)

    def read_files(self, files: list[Path], root: Path, quarantine: list[dict[str, str]]) -> datasets.Dataset:
        """One row per series: `series`, `path`, and `label`, `series_name`, `start`, `frequency` where the files have them."""
        import datasets

        found, paths = [], []
        position, told = position_of_labels(files, self.config.label_position)
        self._pending += [told] if told else []
        for file in files:
            lines: list[str] = []
            try:
                records = read_series_file(file, self.config.channels_last, lines, position)
            except (ValueError, OSError, KeyError) as error:
                quarantine.append({"path": str(file), "reason": str(error)})
                continue
            quarantine += [{"path": str(file), "reason": reason, "unit": "rows"} for reason in lines]
            found += records
            paths += [str(file.relative_to(root)) if file.is_relative_to(root) else file.name] * len(records)
        widths = Counter(record.values.shape[0] for record in found)
        if len(widths) > 1:
            raise DataError(
                f"Series of these files have different numbers of channels ({', '.join(f'{widths[n]:,} with {n}' for n in sorted(widths))}). Read "
                "them one by one, or mend the files."
            )
        dataset = series_rows([record.values for record in found]).add_column(
            "path", paths, feature=datasets.Value("string")
        )
        for name, attribute in (
            ("label", "label"),
            ("series_name", "name"),
            ("start", "start"),
            ("frequency", "frequency"),
        ):
            given = [getattr(record, attribute) for record in found]
            if any(value is not None for value in given):
                dataset = dataset.add_column(name, given, feature=datasets.Value("string"))
        return dataset

    def prepare(self, parts: list[Any], spec: ColumnSpec, report: Notes) -> list[Any]:
        """Tables of moments become rows of whole series; series become `(channels, length)` float32."""
        if self.config.horizon is not None:
            return parts
        done, tables = [], dict[str, Table]()
        for part in parts:
            column = series_column(part.dataset, spec.input)
            if column is None:
                table = tables[f"{part.origin}, {part.split}"] = self._table(part, spec, report)
                dataset = series_rows([item.values for item in table.series], spec.input or "series")
                dataset = dataset.add_column("series_name", [item.name for item in table.series])
                label = spec.label or next((c for c in ("label", "class") if c in part.dataset.column_names), None)
                if label:
                    names = self._columns(spec).name
                    dataset = dataset.add_column(label, labels_of(part.dataset, names, label, table))
                report.unit = "series"
                report.account("series").found += len(dataset)
            else:
                dataset = part.dataset
                values = arrays_of(dataset, column)
                dataset = dataset.remove_columns([column])
                dataset = beside(series_rows(values, spec.input or "series"), dataset)
            done.append(replace(part, dataset=dataset))
        refuse_other_channels([*tables], [*tables.values()])
        return done

    def split(
        self, parts: list[Any], spec: ColumnSpec, fractions: Fractions, report: Notes
    ) -> dict[str, datasets.Dataset] | None:
        """With a horizon: cut in time (see `hf_ssl.modalities.timeseries.split`); else None, rows are examples."""
        config = self.config
        if config.horizon is None:
            return None
        if config.horizon < 1:
            raise ConfigError(f"horizon is the number of steps to forecast, at least 1; found {config.horizon}.")
        given = sorted({str(part.split) for part in parts if part.split in ("validation", "test")})
        if given:
            raise DataError(
                f"With horizon={config.horizon} the splits are made in time, but {' and '.join(given)} data are given too. "
                "Put them into one source (they are cut by validation_fraction and test_fraction), or leave horizon out."
            )
        tell_classes_of_series(parts, spec.label, (*config.static_columns, *spec.ignore), report)
        table = self._one_table(parts, spec, report)
        season = config.season or season_of(table.frequency)
        context = self.context()
        shared = table.stamped and config.cut == "shared"
        cut = TimeSplit(config.horizon, context, fractions.validation, fractions.test, config.train_fraction, shared)
        report.decide(
            f"cut in time: the last {fractions.test:.0%} of the span test, {fractions.validation:.0%} before it validate; "
            f"scalers from what lies before; {context} steps of history, {config.horizon} to forecast, season {season}"
        )
        met = season // gcd(config.stride, season)
        if 1 < season != met:
            report.decide(
                f"stride={config.stride}: training windows begin at {met} of the season's {season} places only, and the others stay "
                f"foreign to the model; a stride that shares no factor with {season} meets all"
            )
        if config.train_fraction < 1:
            report.decide(
                f"train keeps the latest {config.train_fraction:.0%} of its span; the pool and the scalers keep all of it"
            )
        report.facts["columns"] = {self.column: ", ".join(table.channels[:20])}
        return cut_in_time(
            table.series,
            cut,
            frequency=table.frequency,
            season=season,
            targets=table.targets or len(table.channels),
            report=report,
            known=table.known,
        )

    def future(self, parts: list[Any], spec: ColumnSpec, report: Notes) -> datasets.Dataset | None:
        """With a horizon: every series with the steps that follow its last observed target, to be forecast."""
        if self.config.horizon is None:
            return None
        table = self._one_table(
            with_future(parts, self._columns(spec).in_full(parts[0].dataset.column_names)), spec, report
        )
        report.facts["columns"] = {self.column: ", ".join(table.channels[:20])}
        return to_forecast(
            table.series, self.config.horizon, frequency=table.frequency, season=self.config.season or season_of(table.frequency),
            targets=table.targets or len(table.channels), report=report, known=table.known,
        )  # fmt: skip

    def _one_table(self, parts: list[Any], spec: ColumnSpec, report: Notes) -> Table:
        """All parts as one table of series, what is known of the future moved to where a window sees it."""
        tables = [self._table(part, spec, report) for part in parts]
        refuse_other_channels([part.origin for part in parts], tables)
        table = tables[0]
        table.series = [item for other in tables for item in other.series]
        if table.known:
            shift_known(table, int(self.config.horizon or 0))
        return table

    def preview(self, value: object) -> tuple[str, bytes | None]:
        """Length, range and course of each channel."""
        return sparklines(as_array(value)), None

    def context(self) -> int:
        """Steps of history of a window."""
        return self.config.context_length or min(512, max(64, 4 * (self.config.horizon or 16)))

    def _table(self, part: SourcePart, spec: ColumnSpec, report: Notes) -> Table:
        column = series_column(part.dataset, spec.input)
        columns, config = self._columns(spec).in_full(part.dataset.column_names), self.config
        if config.duplicates is not None and config.duplicates not in DUPLICATES:
            raise ConfigError(f"duplicates is one of {', '.join(DUPLICATES)}.{nearest(config.duplicates, DUPLICATES)}")
        if column is not None:
            dataset, columns = with_joined_name(part.dataset, columns, {column, columns.stamp, columns.label})
            return read_rows(dataset, column, columns, self._grid(), report, part.origin)
        table = read_moments(part.dataset, columns, self._grid(), report, part.origin)
        return told_doubts(table, bool(columns.targets), report)

    def _grid(self) -> GridOptions:
        own = self.config
        if not 0 <= own.max_missing <= 1:
            raise ConfigError(f"max_missing is a share from 0 to 1, not {own.max_missing}.")
        stamps = StampOptions(own.day_first, own.timestamp_format, own.timestamp_unit)
        return GridOptions(own.frequency, own.duplicates, own.max_missing, stamps)

    def _columns(self, spec: ColumnSpec) -> Columns:
        config = self.config
        targets = tuple(config.target_columns) or ((spec.input,) if spec.input else ())
        return Columns(
            config.timestamp_column, config.item_column or spec.id, targets, tuple(config.past_covariates), tuple(config.known_covariates),
            tuple(config.static_columns), spec.label, config.time_column, tuple(config.skip_items), spec.ignore, spec.na,
        )  # fmt: skip

    def hold_out(
        self, pool: datasets.Dataset, fraction: float, seed: int
    ) -> tuple[datasets.Dataset, datasets.Dataset] | None:
        """Of spans, the latest part of each: rows of a series are no more independent here than between the splits."""
        if "loc" not in pool.column_names:
            return None
        context, kept, held = self.context(), [], []
        for row, values in zip(pool.remove_columns([self.column]), arrays_of(pool), strict=True):
            length = values.shape[1]
            apart = max(context, round(fraction * length))
            if length < 4 * context + apart:
                kept.append({**row, "series": values})
                continue
            kept.append({**row, "series": values[:, : length - apart]})
            start = length - apart - context
            held.append({**row, "series": values[:, start:], "history": context, "offset": start})
        return spans(kept), spans(held or [{**row, "history": 0} for row in kept])

    def examples(self, dataset: datasets.Dataset, count: int) -> list[Any]:
        """Windows of spans, evenly spread; whole series otherwise."""
        if "loc" not in dataset.column_names:
            return arrays_of(dataset)[:count]
        windows = self.windows(dataset, self.context())
        return [
            windows.past(int(place))
            for place in np.unique(np.linspace(0, len(windows) - 1, min(len(windows), count)).astype(int))
        ]

    def validate(self, value: object) -> str | None:
        try:
            array = as_array(value)
        except (ValueError, TypeError):
            return "not a list of numbers, or channels of different lengths"
        if array.size == 0:
            return "empty series"
        if np.isnan(array).all():
            return "series without any observed value"
        return "infinite value" if np.isinf(array).any() else None

    def content_key(self, value: object) -> str:
        """The values as float32; equal numbers are equal content, whatever the source."""
        array = np.ascontiguousarray(as_array(value))
        return hashlib.blake2b(array.tobytes() + str(array.shape).encode(), digest_size=16).hexdigest()

    def fingerprint(self, splits: dict[str, datasets.Dataset]) -> str:
        """Hash of every span, read where it lies in memory."""
        digest = hashlib.sha256()
        for name in sorted(splits):
            for item, key in zip(arrays_of(splits[name]), splits[name]["id"], strict=True):
                digest.update(f"\n{name} {key} {item.shape}".encode())
                digest.update(np.ascontiguousarray(item).tobytes())
        return digest.hexdigest()[:32]

    def describe(self, dataset: datasets.Dataset) -> dict[str, Any]:
        """Lengths, channels, and the share of missing values."""
        arrays = arrays_of(dataset)
        lengths = np.array([item.shape[1] for item in arrays] or [0])
        values = sum(item.size for item in arrays)
        missing = sum(int(np.isnan(item).sum()) for item in arrays)
        return {
            "steps_median": int(np.median(lengths)), "steps_total": int(lengths.sum()),
            "channels": max((item.shape[0] for item in arrays), default=0),
            "missing_percent": round(100 * missing / max(1, values), 2),
        }  # fmt: skip

    def traits(self, value: object) -> dict[str, str]:
        return {"length": f"{as_array(value).shape[-1]:,} steps"}

    def baseline_features(self, values: Sequence[Any]) -> np.ndarray:
        """Random convolution kernels (Rocket, Dempster et al. 2020): share of positive values and maximum of each."""
        from hf_ssl.modalities.timeseries.random_kernels import random_kernel_features

        return random_kernel_features([as_array(value) for value in values])

    def baselines(self) -> dict[str, Callable[[Sequence[Any]], np.ndarray]]:
        """Competing and random kernels with the levels that they scale away, and a few dozen statistics."""
        from hf_ssl.modalities.timeseries.hydra import hydra_features
        from hf_ssl.modalities.timeseries.statistics import series_statistics, with_levels

        def arrays(values: Sequence[Any]) -> list[np.ndarray]:
            return [as_array(value) for value in values]

        return {
            "hydra": lambda values: with_levels(hydra_features(arrays(values)), arrays(values)),
            "random kernels": lambda values: with_levels(self.baseline_features(values), arrays(values)),
            "statistics": lambda values: series_statistics(arrays(values)),
        }

    def cheap_features(self) -> list[CheapFeatures]:
        """The baselines; both kinds of kernels count three times as much as the statistics, and are made for ridge regression."""
        own = {"statistics": (1.0, False)}
        return [Computed(name, found, True, *own.get(name, (3.0, True))) for name, found in self.baselines().items()]

    # -- models of this kind ----------------------------------------------------------------------------------------

    @classmethod
    def encoder_class(cls) -> type[TimeSeriesEncoder]:
        from hf_ssl.modalities.timeseries.encoder import TimeSeriesEncoder

        return TimeSeriesEncoder

    def load_processor(self, ref: CheckpointRef) -> SeriesProcessor:
        """What the checkpoint's configuration says about its input."""
        return read_processor(ref)

    def default_config(self, family: str, data: Mapping[str, datasets.Dataset]) -> PreTrainedConfig:
        """Configuration for a model that is trained from scratch on these data."""
        split = data["unlabeled"] if "unlabeled" in data else data["train"]
        arrays = arrays_of(split)
        longest = max(item.shape[1] for item in arrays)
        context = self.context() if self.config.horizon else self.config.context_length or min(longest, 1024)
        return default_config(family, context, arrays[0].shape[0], self.config)

    def head_class(self, problem_type: str | None) -> str:
        return self.regression_class if problem_type == "regression" else self.labeled_class

    def head_options(self, labels: int) -> dict[str, Any]:
        """Time-series heads count their outputs under a name of their own."""
        return {"num_targets": labels, "loss": "mse"}

    def windows(
        self, dataset: datasets.Dataset, context: int, horizon: int = 0, *, stride: int | None = None
    ) -> Windows:
        """Windows over a split, scaled: spans by the training span's mean and spread, examples each by their own.

        Args:
            stride: distance between windows; default: that of the configuration for spans; half a context for examples.
        """
        arrays = arrays_of(dataset)
        history, shortest = None, min(context, 8)
        loc: np.ndarray | None = None
        scale: np.ndarray | None = None
        if "loc" in dataset.column_names:
            loc, scale = (np.array(dataset[name], np.float32) for name in ("loc", "scale"))
            history = list(dataset["history"])
        elif self.config.standardize == "series":
            pairs = [standardize(item) for item in arrays]
            loc, scale = (np.stack([pair[i] for pair in pairs]) for i in (0, 1))
        own = self.config.stride if history is not None else max(1, context // 2)
        return Windows(
            arrays, context, horizon, stride=stride or own, history=history, shortest=shortest, loc=loc, scale=scale
        )

    def window(self, value: np.ndarray, context: int) -> np.ndarray:
        """One example as the model sees it (before missing values are filled)."""
        if self.config.standardize == "series":
            value = standard(value)
        return fit(value, context)
