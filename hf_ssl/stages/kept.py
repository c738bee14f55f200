"""What a run answers with instead of its plain model: the vote of a task with classes, or a mixture of forecasts."""

from __future__ import annotations

from pathlib import Path

from hf_ssl.models.checkpoint import read_json
from hf_ssl.stages.forecast_answer import KIND, Mixture
from hf_ssl.stages.teacher import FOLDER, SETTINGS, Teacher


def kept_teacher(folder: Path) -> Teacher | Mixture | None:
    """What fine-tuning kept in its folder, if it did.

    Raises:
        CheckpointError: files are missing, damaged, or not what they say.
    """
    place = folder / FOLDER
    if not (place / SETTINGS).is_file():
        return None
    kind = read_json(place / SETTINGS).get("kind")
    return Mixture.load(place) if kind == KIND else Teacher.load(place)
