"""How often words, and runs of characters, occur in a text: TF-IDF, the baseline that every text model has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_ssl.modalities.cheap import CheapFeatures
from hf_ssl.modalities.text.text import words_of

LONGEST = 500
"""Characters of a text, from its beginning, that runs of characters are counted in: all of them would take longer than a
small network."""
MOST = 50_000
"""Runs of characters that are kept, the most frequent ones."""


class Ngrams(CheapFeatures):
    """TF-IDF rows.

    Args:
        kind: `"words"`, or `"characters"`: runs of two to four, case and blanks kept (molecules, code, emoji).
    """

    holds_content = True

    def __init__(self, kind: str) -> None:
        self.name = kind
        self.vectorizer = self._made()

    def _made(self, vocabulary: Mapping[str, int] | None = None) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        if self.name == "words":
            return TfidfVectorizer(sublinear_tf=True, token_pattern=None, tokenizer=words_of, vocabulary=vocabulary)
        return TfidfVectorizer(
            sublinear_tf=True, analyzer="char", ngram_range=(2, 4), lowercase=False, max_features=MOST,
            vocabulary=vocabulary,
        )  # fmt: skip

    def _texts(self, values: Sequence[Any]) -> list[str]:
        texts = [" ".join(value) if isinstance(value, (tuple, list)) else str(value) for value in values]
        return texts if self.name == "words" else [text[:LONGEST] for text in texts]

    def fit(self, values: Sequence[Any]) -> None:
        texts = self._texts(values)
        try:
            self.vectorizer.fit(texts)
        except ValueError:  # no text has a word: every row is empty
            self.vectorizer = self._made({"": 0}).fit(texts)

    def rows(self, values: Sequence[Any]) -> Any:
        return self.vectorizer.transform(self._texts(values))

    def state(self) -> dict[str, Any]:
        found = {str(word): int(place) for word, place in self.vectorizer.vocabulary_.items()}
        return {"vocabulary": found, "idf": [round(float(value), 6) for value in self.vectorizer.idf_]}

    def restore(self, state: Mapping[str, Any]) -> None:
        vocabulary, idf = dict(state["vocabulary"]), np.asarray(state["idf"], np.float64)
        if sorted(vocabulary.values()) != list(range(len(idf))) or not np.isfinite(idf).all() or idf.ndim != 1:
            raise ValueError("vocabulary and weights do not fit together")
        self.vectorizer = self._made(vocabulary)
        self.vectorizer.idf_ = idf
