"""What a peer is: a tool of others that learns from the same labels and answers the same test items.

One file adds one peer. It is named with `--peers`, imports its tool inside its methods, and says by itself what it is for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hf_ssl.core.errors import ConfigError, MissingExtraError
from hf_ssl.evaluation.probes.probes import ProbePrediction


@dataclass(frozen=True)
class Asked:
    """What a peer is given.

    Args:
        values, labels: labeled examples; `(n,)` classes or numbers, or `(n, labels)` zeros and ones.
        test: examples to answer for.
        vectors, test_vectors: frozen features `(n, width)` of the start checkpoint, where the peer reads them.
        problem_type: as in `transformers`.
        seed: of whatever is drawn.
        start: folder or Hub id of the start checkpoint.
        groups: of the labeled examples, where the data have groups.
    """

    values: Sequence[Any]
    labels: np.ndarray
    test: Sequence[Any]
    vectors: np.ndarray | None
    test_vectors: np.ndarray | None
    problem_type: str
    seed: int
    start: str
    groups: Sequence[Any] | None = None


class Peer:
    """Base class of a peer.

    Attributes:
        modules: what must be importable.
        pip: what installs it.
        modalities: kinds of data it is for; empty: all.
        label_kinds: kinds of labels it learns from.
        reads_vectors: whether it is given frozen features.
        draws: labeled subsets of every size that it is asked for, at most: few where it is slow.
    """

    modules: ClassVar[tuple[str, ...]] = ()
    pip: ClassVar[str] = ""
    modalities: ClassVar[tuple[str, ...]] = ()
    label_kinds: ClassVar[tuple[str, ...]] = ("class",)
    reads_vectors: ClassVar[bool] = False
    draws: ClassVar[int] = 20

    @property
    def name(self) -> str:
        """As users type it."""
        return type(self).__module__.rpartition(".")[2].replace("_", "-")

    def check(self, modality: str, label_kind: str) -> None:
        """Whether it can take part.

        Raises:
            MissingExtraError: it is not installed; the message has the pip line.
            ConfigError: it is for other data or labels.
        """
        missing = [module for module in self.modules if importlib.util.find_spec(module) is None]
        if missing:
            raise MissingExtraError(f"The peer {self.name} needs {', '.join(missing)}. Run: pip install {self.pip}")
        if self.modalities and modality not in self.modalities:
            raise ConfigError(f"The peer {self.name} is for {', '.join(self.modalities)}, not for {modality}.")
        if label_kind not in self.label_kinds:
            raise ConfigError(
                f"The peer {self.name} learns from labels of kind {', '.join(self.label_kinds)}; the data have {label_kind}."
            )

    def answer(self, asked: Asked) -> ProbePrediction:
        """Learn from the labels and answer for the test examples."""
        raise ConfigError(f"The peer {self.name} does not give labels of examples.")
