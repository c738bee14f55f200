"""What a forecaster is: it may learn from windows of all series, and it forecasts windows.

One file adds one. `compare` sets them beside the arms, `finetune` mixes its answer from them. They are found by name; where one
needs a checkpoint of its own, that follows the name: `timesfm@google/timesfm-2.5-200m-transformers`.
"""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError, MissingExtraError
from hf_ssl.modalities.timeseries.origins import Origins


class Forecaster:
    """Base class of a forecaster.

    Attributes:
        title: how tables call it.
        modules: what must be importable.
        pip: what installs it.
        learns: whether it learns from the training span of all series; else every window is forecast by itself.
        few: whether windows take so long that choices look at few of them.
        checkpoint_example: a checkpoint that it could be given; empty where it needs none.

    Args:
        checkpoint: folder or Hub id, where it needs one.
    """

    title: ClassVar[str] = ""
    modules: ClassVar[tuple[str, ...]] = ()
    pip: ClassVar[str] = ""
    learns: ClassVar[bool] = False
    few: ClassVar[bool] = False
    checkpoint_example: ClassVar[str] = ""

    def __init__(self, checkpoint: str | None = None) -> None:
        self.checkpoint = checkpoint

    @property
    def name(self) -> str:
        """As users type it."""
        own = type(self).__module__.rpartition(".")[2].replace("_", "-")
        return f"{own}@{self.checkpoint}" if self.checkpoint else own

    def check(self) -> None:
        """Whether it can take part.

        Raises:
            MissingExtraError: it is not installed; the message has the pip line.
            ConfigError: a checkpoint is missing, or too much.
        """
        if self.checkpoint_example and not self.checkpoint:
            raise ConfigError(
                f"The forecaster {self.name} needs a checkpoint, a folder or a Hub id, behind an @: {self.name}@{self.checkpoint_example}"
            )
        if self.checkpoint and not self.checkpoint_example:
            raise ConfigError(f"The forecaster {self.name} takes no checkpoint: leave @{self.checkpoint} out.")
        missing = [module for module in self.modules if importlib.util.find_spec(module) is None]
        if missing:
            raise MissingExtraError(
                f"The forecaster {self.name} needs {', '.join(missing)}. Run: pip install {self.pip}"
            )

    def learn(self, train: Origins, held: Origins | None, loss: str) -> None:
        """Learn from the training span.

        Args:
            train: its windows.
            held: windows of a later time, to choose settings by.
            loss: `"mae"` or `"mse"`.

        Raises:
            DataError: too few windows.
        """

    def windows(self, horizon: int, targets: int) -> int:
        """How many training windows it makes use of."""
        return max(50, 8000 // targets)

    @abstractmethod
    def forecast(self, asked: Origins) -> np.ndarray:
        """The next steps, `(windows, horizon, targets)`, standardized and finite."""

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What it has learned, as JSON and as arrays; nothing where it learns nothing."""
        return {}, {}

    def restore(self, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Know it again.

        Raises:
            ValueError, KeyError, TypeError: it does not fit together.
        """


def forecaster(name: str) -> Forecaster:
    """The forecaster behind a name, or `NAME@CHECKPOINT`.

    Raises:
        ConfigError: there is none.
    """
    kind, _, checkpoint = name.partition("@")
    return plugins.find("forecasters", kind)(checkpoint or None)


def is_forecaster(name: str) -> bool:
    """Whether one that ships with hf_ssl has that name."""
    return name.partition("@")[0].replace("_", "-") in plugins.names("forecasters")
