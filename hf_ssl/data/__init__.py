"""Any source → a `DatasetDict` with canonical columns, honest splits, a leakage guard and a report."""

from __future__ import annotations

from hf_ssl.data.domain import DomainData, open_test
from hf_ssl.data.load import load_data, load_rows
from hf_ssl.data.splits import few_label_subset, labeled_subset

__all__ = ["DomainData", "few_label_subset", "labeled_subset", "load_data", "load_rows", "open_test"]
