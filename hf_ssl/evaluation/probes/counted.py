"""N-grams of texts, counted once, and TF-IDF of any subset of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hf_ssl.modalities.text.text import words_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class CountedTexts:
    """Counts of words, or of runs of one to four characters, of texts that many subsets are drawn from.

    Splitting texts into n-grams takes nearly all the time of a TF-IDF baseline, and a comparison draws dozens of subsets of the
    same texts.

    Args:
        texts: all that will be asked about; equal ones are counted once.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        self._counts: dict[str, csr_matrix] = {}

    def counts(self, name: str) -> csr_matrix:
        """`(distinct texts, n-grams)`; `name` is `"words"` or `"characters"`."""
        if name not in self._counts:
            from scipy.sparse import csr_matrix
            from sklearn.feature_extraction.text import CountVectorizer

            if name == "characters":
                vectorizer = CountVectorizer(analyzer="char", ngram_range=(1, 4), lowercase=False)
            else:
                vectorizer = CountVectorizer(token_pattern=None, tokenizer=words_of)
            try:
                self._counts[name] = vectorizer.fit_transform(self.places).tocsr()
            except ValueError:  # no text has any
                self._counts[name] = csr_matrix((len(self.places), 1))
        return self._counts[name]

    def tfidf(
        self, name: str, train: Sequence[str], test: Sequence[str], unlabeled: Sequence[str] = ()
    ) -> tuple[csr_matrix, csr_matrix]:
        """TF-IDF rows of train and test (sublinear, of unit length), as `TfidfVectorizer` fitted on train and unlabeled makes them.

        N-grams that occur in test only are unknown, as they are to a vectorizer that has not seen them.
        """
        from sklearn.feature_extraction.text import TfidfTransformer

        counts = self.counts(name)
        fitted = counts[[self.places[text] for text in (*train, *unlabeled)]]
        known = np.flatnonzero(fitted.getnnz(axis=0))
        if not known.size:  # texts without a word: columns of zeros
            known = np.arange(1)
        weigh = TfidfTransformer(sublinear_tf=True).fit(fitted[:, known])
        rows = [self.places[text] for text in test]
        return weigh.transform(fitted[: len(train), known]), weigh.transform(counts[rows][:, known])
