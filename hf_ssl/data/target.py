"""Unlabeled data of another domain, read beside the labeled ones and kept apart from what is held out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hf_ssl.core.errors import DataError
from hf_ssl.core.option_groups import DataOptions
from hf_ssl.data.columns import LABEL_ALIASES, TAG_ALIASES
from hf_ssl.data.leakage.guard import LeakCheck, remove_leakage
from hf_ssl.data.load import load_data
from hf_ssl.data.report import DataReport
from hf_ssl.data.rows import Rows

if TYPE_CHECKING:
    import datasets

    from hf_ssl.data.domain import DomainData
    from hf_ssl.modalities.base import Modality

logger = logging.getLogger(__name__)


def unlabeled_data(source: object, options: DataOptions) -> DomainData:
    """Read a source without its labels, with the options of another one where they are about form.

    Raises:
        DataError: it cannot be read.
    """
    labels = [*LABEL_ALIASES, *TAG_ALIASES, *options.label_columns, *([options.label_column] or [])]
    ignored = [*options.ignore_columns, *(name for name in labels if name)]
    given = {item.name: getattr(options, item.name) for item in fields(DataOptions)}
    form = DataOptions(**given | {
        "data": None, "unlabeled": None, "validation": None, "test": None, "labels_file": None, "label_column": None,
        "label_columns": [], "label_kind": None, "tokens_column": None, "tags_column": None, "sentence_column": None,
        "tag_scheme": None, "domain_column": None, "group_column": None, "id_column": None, "keep_columns": [],
        "folder_labels": False, "ignore_columns": [name for name in dict.fromkeys(ignored) if name != options.input_column],
    })  # fmt: skip
    return load_data(source, form, verbose=False)


def target_data(
    source: object, data: Mapping[str, datasets.Dataset], options: DataOptions, modality: Modality
) -> tuple[datasets.Dataset, str]:
    """Unlabeled rows of the domain to adapt to, without those that are in validation or test.

    Args:
        source: anything that `load_data` reads; its labels are not looked at, its own test rows are left alone.
        data: the labeled data.
        options: of the labeled data; `leakage` says what is done about rows that are held out there.
        modality: object of the kind of data.

    Returns:
        the rows, and their fingerprint.

    Raises:
        DataError: nothing can be read or is left.
    """
    found = unlabeled_data(source, options)
    if "unlabeled" not in found:
        raise DataError(f"target: there are only {', '.join(found)} rows in it. Give the training or unlabeled part.")
    kept, report = without_held_out(found["unlabeled"], data, options, modality)
    for text, code in zip(report.warnings, report.warning_codes, strict=True):
        logger.warning("target: %s", text, extra={"code": code})
    return kept, found.fingerprint


def without_held_out(
    rows: datasets.Dataset, data: Mapping[str, datasets.Dataset], options: DataOptions, modality: Modality
) -> tuple[datasets.Dataset, DataReport]:
    """Rows that are, exactly or nearly, in neither validation nor test of other data; and what was found.

    The report's fact `leaks` counts them, `exact` and `near`.
    """
    column, report = modality.column, DataReport(1.0)
    held = [
        data[name].select_columns([column, "id"]) for name in ("validation", "test") if column in _columns(data, name)
    ]
    if not held or column not in rows.column_names:
        return rows, report
    import datasets as library

    return _compared(rows, library.concatenate_datasets(held), options.leakage, options, modality, report), report


def shared_rows(
    one: datasets.Dataset, other: datasets.Dataset, options: DataOptions, modality: Modality
) -> tuple[int, int]:
    """Rows of the first that are in the second: exact copies, and near ones."""
    report, column = DataReport(1.0), modality.column
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is kept: nothing is, it is counted
        _compared(
            one.select_columns([column, "id"]),
            other.select_columns([column, "id"]),
            "allow",
            options,
            modality,
            report,
        )
    leaks = report.facts["leaks"]
    return sum(leak["exact"] for leak in leaks), sum(leak["near"] for leak in leaks)


def _compared(
    rows: datasets.Dataset,
    held: datasets.Dataset,
    mode: str,
    options: DataOptions,
    modality: Modality,
    report: DataReport,
) -> datasets.Dataset:
    column = modality.column

    def keyed(dataset: datasets.Dataset) -> Rows:
        return Rows(dataset, [modality.content_key(value) for value in dataset[column]], [None] * len(dataset))

    def values(dataset: datasets.Dataset) -> Iterable[tuple[Any, ...]]:
        return ((value,) for value in dataset[column])

    check = LeakCheck(mode, options.near_duplicates, options.near_threshold)
    return remove_leakage({"unlabeled": keyed(rows), "test": keyed(held)}, values, modality, check, report)[
        "unlabeled"
    ].dataset


def _columns(data: Mapping[str, datasets.Dataset], name: str) -> list[str]:
    return list(data[name].column_names) if name in data else []
