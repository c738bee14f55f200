"""`hf-ssl data SOURCE`: read, report, show examples; nothing is trained."""

from __future__ import annotations

import logging
from pathlib import Path

from hf_ssl.data.examples import as_text
from hf_ssl.stages.inputs import read_data
from hf_ssl.stages.resolve import resolve
from hf_ssl.stages.result import StageResult

logger = logging.getLogger(__name__)


def data(**options: object) -> StageResult:
    """Read data as every stage would, and report what was found, without training.

    Args:
        options: those of `hf_ssl.core.options.DataConfig`; `data` is the source.

    Returns:
        `metrics`: the data report; `path`: the folder that `save` names (the current one where it names none).

    Raises:
        DataError: the data cannot be used as given.
    """
    config = resolve("data", options).config
    found = read_data(config)
    shown = found.examples(config.examples) if config.examples else []
    if shown:
        logger.info("examples:\n" + as_text(shown))
    if config.save is not None:
        Path(config.save).mkdir(parents=True, exist_ok=True)
        written = found.save_report(Path(config.save), examples=config.examples)
        logger.info(f"saved: {written}" + (f", {written.with_suffix('.html').name}" if shown else ""))
    return StageResult(Path(config.save or "."), found.report)
