"""The hand-over from data to everything else: a `DatasetDict` that remembers how it was made."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.data.examples import SHOWN, Example, as_json, as_page, examples_of
from hf_ssl.data.report import render

if TYPE_CHECKING:
    from hf_ssl.data.stream.stream import Stream
    from hf_ssl.modalities.base import Modality

logger = logging.getLogger(__name__)


class DomainData(datasets.DatasetDict):
    """Splits `unlabeled`, `train`, `validation` and `test` (those that exist) with canonical columns.

    Behaves as any `datasets.DatasetDict`; methods such as `map` return a plain one, because after them the report no
    longer describes the data.

    Attributes:
        report: JSON-safe facts about the data: rows, classes, what was dropped and why. Holds no content.
        modality_name: kind of data, such as `"text"`.
        stream: the pool, where it is read as it is needed (`streaming=True`); there is no split `unlabeled` then.
    """

    stream: Stream | None = None

    def __init__(
        self,
        splits: Mapping[str, datasets.Dataset],
        report: dict[str, Any],
        modality_name: str,
        modality: Modality | None = None,
    ) -> None:
        super().__init__(splits)
        self.report = report
        self.modality_name = modality_name
        self._modality = modality

    @property
    def fingerprint(self) -> str:
        """Hash of the canonical content of every split, in order; the same in every process and on every machine."""
        return str(self.report["fingerprint"])

    @property
    def label_kind(self) -> str | None:
        """`"class"`, `"multilabel"`, `"regression"`, `"tags"`, or None without labels."""
        return self.report["label_kind"]

    @property
    def label_names(self) -> list[str]:
        """Names of the classes or tags in the order of their numbers (empty for regression and without labels)."""
        return list(self.report["label_names"])

    def report_text(self) -> str:
        """The report as a table for a terminal."""
        return render(self.report)

    def examples(self, count: int = SHOWN) -> list[Example]:
        """A few rows of every split and class, as a person sees them; empty where nobody knows how to show them."""
        return [] if self._modality is None else list(examples_of(self, self._modality, count))

    def save_report(self, path: str | Path, examples: int = SHOWN) -> Path:
        """Write the report as `PATH.json` and `PATH.txt`; a folder gets `data.json` and `data.txt`.

        Examples of every split and class go into a page of their own, `PATH.html` (and `PATH.examples.json`), because they hold
        content: the report may be published, they never are.

        Args:
            path: name without suffix, or a folder.
            examples: so many of every split and class; 0: no page.

        Returns:
            The JSON file.
        """
        path = Path(path)
        stem = path / "data" if path.is_dir() else path.with_suffix("") if path.suffix in {".json", ".txt"} else path
        stem.parent.mkdir(parents=True, exist_ok=True)
        written = stem.with_name(stem.name + ".json")
        written.write_text(json.dumps(self.report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        stem.with_name(stem.name + ".txt").write_text(self.report_text() + "\n", encoding="utf-8")
        shown = self.examples(examples) if examples else []
        stem.with_name(stem.name + ".examples.json").write_text(as_json(shown), encoding="utf-8")
        if shown:
            page = as_page(shown, f"Data: {self.report['source']}")
            stem.with_name(stem.name + ".html").write_text(page, encoding="utf-8")
        return written


def open_test(data: DomainData, reason: str) -> datasets.Dataset:
    """The one door to the test split: says in the report when and why it was opened.

    Model selection, early stopping and hyper-parameters use `validation`; the test split is opened after them, once.
    A second opening is allowed (one comparison measures several models) but is recorded and warned about when its
    reason is another one.

    Args:
        data: what `load_data` returned.
        reason: what the numbers are for, such as `"final evaluation of runs/reviews"`.

    Raises:
        DataError: there is no test split, or no reason is given.
    """
    if not reason.strip():
        raise DataError('Opening the test split needs a reason for the record, such as "final evaluation".')
    if "test" not in data:
        raise DataError(
            f"There is no test split to open; the splits are {', '.join(data)}. Give test=... or test_fraction."
        )
    opened = data.report["test_opened"]
    if any(earlier["reason"] != reason for earlier in opened):
        logger.warning(
            f"The test split was opened before ({opened[-1]['reason']}); choices made since then are choices on test data."
        )
    opened.append(
        {"reason": reason, "rows": len(data["test"]), "time": datetime.now(UTC).isoformat(timespec="seconds")}
    )
    return data["test"]
