"""Features of raw values that need no checkpoint: what a user would try first, and what errs otherwise than a network does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np


class CheapFeatures(ABC):
    """One kind of features, such as the words of a text or the pixels of a picture.

    Attributes:
        name: for people, such as `"words"`.
        standardize: whether its columns have units of their own, so that each is to be divided by its spread.
        weight: among the cheap features of its kind of data, before the labels are asked; from the development sets
            (`docs/best-answer.md`).
        ridge: whether ridge regression answers beside the logistic one, as for random kernels.
        holds_content: whether `state` holds pieces of the values, such as words: it is published only when the user says so.
    """

    name: str
    standardize: bool = False
    weight: float = 1.0
    ridge: bool = False
    holds_content: bool = False

    def fit(self, values: Sequence[Any]) -> None:  # noqa: B027  # most have nothing to learn
        """Learn what does not depend on labels, such as how common a word is."""

    @abstractmethod
    def rows(self, values: Sequence[Any]) -> Any:
        """Dense or sparse rows `(len(values), width)`; the same for a value whatever the others are."""

    def state(self) -> dict[str, Any]:
        """What `fit` learned, as JSON can hold it."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """The reverse of `state`; ValueError, KeyError or TypeError where it is none of these features."""


class Computed(CheapFeatures):
    """Features that are a function of a value alone."""

    def __init__(
        self,
        name: str,
        function: Callable[[Sequence[Any]], np.ndarray],
        standardize: bool = False,
        weight: float = 1.0,
        ridge: bool = False,
    ) -> None:
        self.name, self.function, self.standardize, self.weight, self.ridge = (
            name,
            function,
            standardize,
            weight,
            ridge,
        )

    def rows(self, values: Sequence[Any]) -> np.ndarray:
        return self.function(values)
