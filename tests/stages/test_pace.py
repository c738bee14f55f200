"""What of a fine-tuning fits into a given time: counted as it is done, with no clock in the tests."""

from __future__ import annotations

import pytest

from hf_ssl.stages import pace as stage
from hf_ssl.stages.pace import Pace


class Counted(dict):
    """Splits of which only the sizes are asked."""

    def __init__(self, kind: str, **sizes: int) -> None:
        super().__init__({name: range(size) for name, size in sizes.items()})
        self.label_kind = kind


def seconds_of(pace: Pace, data: Counted) -> float:
    """The least time, to a tenth of a second, in which all of it fits."""
    return next(tenth / 10 for tenth in range(1, 20_000) if not pace.tuning(data, tenth / 10, "lora"))


CLASSES = Counted("class", train=270, unlabeled=1500)


def test_a_rehearsal_is_counted_and_without_time_for_it_the_head_alone_is_fitted():
    pace = Pace({"train": 0.01, "unlabeled": 0.01})
    whole = seconds_of(pace, CLASSES)
    rows = 270 + 270  # of the pool as many as labels
    training = 2 * -(-rows // stage.BATCH) * stage.BATCH * 0.01 * stage.BACKWARD  # two epochs see 800 rows
    reading = 270 * 0.01 * 1.5 + stage.POOL * 0.01 * 1.5
    assert whole == pytest.approx(stage.TRAININGS * training + reading, rel=0.1)
    assert pace.tuning(CLASSES, 0.8 * whole, "lora")["peft"] == "linear-probe"
    assert "max_steps" in pace.tuning(CLASSES, 0.6 * whole, "full"), "who asked for all weights gets some steps of it"


def test_a_format_that_trains_faster_than_it_is_read_counts():
    slow, fast = Pace({"train": 0.01, "unlabeled": 0.01}), Pace({"train": 0.01, "unlabeled": 0.01}, training=0.5)
    assert seconds_of(fast, CLASSES) < 0.8 * seconds_of(slow, CLASSES)


def test_less_time_takes_less_of_the_pool_first():
    pace = Pace({"train": 0.01, "unlabeled": 0.05})
    few = pace.tuning(CLASSES, 60.0, "lora")
    assert 0 < few["self_training"] < stage.POOL
    assert pace.tuning(CLASSES, 30.0, "lora")["self_training"] < few["self_training"]


def test_amounts_are_trained_without_a_rehearsal_and_by_the_steps_that_fit():
    pace, amounts = Pace({"train": 0.01}), Counted("regression", train=270)
    whole = seconds_of(pace, amounts)
    steps = pace.tuning(amounts, 0.5 * whole, "lora")["max_steps"]
    assert stage.FEWEST_STEPS <= steps < 6 * -(-270 // stage.BATCH)
    assert pace.tuning(amounts, 0.001, "lora")["peft"] == "linear-probe"
