"""A run folder as one page, `report.html`: read from the files that the stages left, never from models."""

from __future__ import annotations

from hf_ssl.report.page import write_report

__all__ = ["write_report"]
