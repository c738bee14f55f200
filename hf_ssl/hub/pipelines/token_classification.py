"""Words of texts and their tags."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hf_ssl.hub.pipelines.base import ANSWERS, Classification, Serving, difference, softmax


class TokenClassification(Classification):
    """The best tag of every token, and its probability."""

    tag: ClassVar[str] = "token-classification"

    def compare(self, serve: Serving, value: str, expected: np.ndarray) -> dict[str, float]:
        chances, numbers = softmax(expected), serve.model.config.label2id
        rows = serve(value, ignore_labels=[])
        wanted = np.array([chances[row["index"]].max() for row in rows])
        same = [numbers[row["entity"]] == chances[row["index"]].argmax() for row in rows]
        return {ANSWERS: difference(np.array([row["score"] for row in rows]) * same, wanted)}
