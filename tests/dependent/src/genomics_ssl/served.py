"""A pipeline of one's own: sequences are shown as letters with spaces between them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from hf_ssl import ServedPipeline


class SequenceClassification(ServedPipeline):
    """Text classification of a sequence's letters."""

    tag: ClassVar[str] = "text-classification"

    def compare(self, serve: Any, value: Any, expected: np.ndarray) -> dict[str, float]:
        rows = serve(" ".join(value), function_to_apply="none", top_k=None)
        got = {row["label"]: row["score"] for row in rows}
        wanted = {serve.model.config.id2label[place]: float(score) for place, score in enumerate(expected)}
        return {"answers": max(abs(got[name] - wanted[name]) for name in wanted)}

    def usage(self, repo: str, rate: int | None) -> str:
        return (
            "from transformers import pipeline\n"
            f'classify = pipeline("{self.tag}", model="{repo}")\n'
            'print(classify("A C G T"))'
        )
