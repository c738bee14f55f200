"""`hf-ssl report RUN`: the run's page, written anew."""

from __future__ import annotations

import logging
from typing import Any

from hf_ssl.report import write_report
from hf_ssl.stages.resolve import resolve
from hf_ssl.stages.result import StageResult

logger = logging.getLogger(__name__)


def report(**options: Any) -> StageResult:
    """Write `report.html` from what the run folder holds; stages do so by themselves as they end.

    Args:
        options: those of `hf_ssl.core.options.ReportConfig`.

    Returns:
        `path`: the file.

    Raises:
        RunFolderError: no stage has run in the folder.
    """
    config = resolve("report", options).config
    file = write_report(config.output, content=config.content)
    logger.info(f"report: {file} ({file.stat().st_size / 1000:,.0f} kB)")
    return StageResult(file, {"bytes": file.stat().st_size})
