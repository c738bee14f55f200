"""Sounds and what is said in them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hf_ssl.hub.pipelines.base import ANSWERS, ServedPipeline, Serving, difference, listening, logits_of, save_clip


class SpeechRecognition(ServedPipeline):
    """Scores of symbols, and the words that greedy decoding makes of them."""

    tag: ClassVar[str] = "automatic-speech-recognition"

    def compare(self, serve: Serving, value: np.ndarray, expected: np.ndarray) -> dict[str, float]:
        rate = serve.feature_extractor.sampling_rate
        got = logits_of(serve.model, serve.feature_extractor(value, sampling_rate=rate))
        said = serve.tokenizer.decode(expected.argmax(-1))
        return {
            "words": 0.0 if serve(value)["text"] == said else float("inf"),
            ANSWERS: difference(got, expected),
        }

    def usage(self, repo: str, rate: int | None) -> str:
        return listening("transcribe", self.tag, repo, rate)

    def write_example(self, value: np.ndarray, rate: int | None) -> None:
        save_clip(value, rate)
