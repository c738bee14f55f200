"""Texts with a gap, and the words that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from hf_ssl.hub.pipelines.base import ANSWERS, ServedPipeline, Serving, difference, softmax

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hf_ssl.modalities.encoder import Processor


class FillMask(ServedPipeline):
    """The three likeliest words."""

    tag: ClassVar[str] = "fill-mask"

    def ask(self, value: str, processor: Processor | None) -> str:
        return f"{value} {cast('PreTrainedTokenizerBase', processor).mask_token}"

    def compare(self, serve: Serving, value: str, expected: np.ndarray) -> dict[str, float]:
        rows = serve(value, top_k=3)
        ids = serve.tokenizer(value)["input_ids"]
        chances = softmax(expected[ids.index(serve.tokenizer.mask_token_id)])
        got, wanted = np.array([row["score"] for row in rows]), chances[[row["token"] for row in rows]]
        return {ANSWERS: difference(got, wanted)}

    def usage(self, repo: str, rate: int | None) -> str:
        return (
            "from transformers import pipeline\n"
            f'fill = pipeline("{self.tag}", model="{repo}")\n'
            'print(fill("Good " + fill.tokenizer.mask_token + ".", top_k=2))'
        )
