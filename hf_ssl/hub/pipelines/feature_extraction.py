"""Texts and the vectors of their tokens."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hf_ssl.hub.pipelines.base import ANSWERS, TEXT, ServedPipeline, Serving, difference


class FeatureExtraction(ServedPipeline):
    """The last hidden states."""

    tag: ClassVar[str] = "feature-extraction"
    example: ClassVar[str] = TEXT

    def compare(self, serve: Serving, value: str, expected: np.ndarray) -> dict[str, float]:
        return {ANSWERS: difference(np.asarray(serve(value)[0], dtype=np.float32), expected)}

    def usage(self, repo: str, rate: int | None) -> str:
        return (
            "from transformers import pipeline\n"
            f'extract = pipeline("{self.tag}", model="{repo}")\n'
            f'print(len(extract("{self.example}")[0]))'
        )
