"""Which pictures look the same? By a perceptual hash first, then by a thumbnail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from hf_ssl.data.leakage.near_text import Match

HASH_WORDS = 4
MIN_CORRELATION = 0.995
"""Copies in another size and JPEG compression mostly exceed it (median .999 on drawings); of different pairs of trousers in
Fashion-MNIST many reach .99 and almost none .995."""


class LookIndex:
    """Pictures (or anything with a perceptual hash) that look the same: every query against every target.

    Args:
        targets: `(words,)` uint64 each, all of one length; None matches nothing. The first `HASH_WORDS` are hash bits,
            the bytes of the others a thumbnail.
        bits: at most so many differing hash bits; then the thumbnails must correlate, because things of one kind
            (trousers, chest X-rays) have the same outline without being copies.
    """

    def __init__(self, targets: Sequence[np.ndarray | None], bits: int) -> None:
        self.targets, self.bits = list(targets), bits
        known = [target for target in self.targets if target is not None]
        self.rows = np.array([row for row, target in enumerate(self.targets) if target is not None], dtype=np.int64)
        words = np.stack(known) if known else np.zeros((0, HASH_WORDS), np.uint64)
        self.columns = np.ascontiguousarray(words[:, :HASH_WORDS].T)
        self.thumbnails = _standardized(words[:, HASH_WORDS:])

    def search(self, queries: Iterable[np.ndarray | None]) -> Iterator[Match]:
        """The most similar target of every query that has one alike; similarity is the correlation."""
        for number, query in enumerate(queries):
            if query is None or not len(self.rows):
                continue
            # One word of the hash settles nearly every pair, the others are looked at where it does not.
            near = np.flatnonzero(np.bitwise_count(self.columns[0] ^ query[0]) <= self.bits)
            differing = sum(
                np.bitwise_count(column[near] ^ word) for column, word in zip(self.columns, query, strict=False)
            )
            near = near[np.asarray(differing) <= self.bits] if len(near) else near
            if not len(near):
                continue
            alike = self.thumbnails[near] @ _standardized(query[None, HASH_WORDS:])[0]
            best = int(alike.argmax())
            if alike[best] >= MIN_CORRELATION:
                yield Match(number, int(self.rows[near[best]]), float(alike[best]))


def _standardized(words: np.ndarray) -> np.ndarray:
    """Thumbnails as rows of mean 0 and length 1, so that a product of two is their correlation."""
    if not words.shape[1]:
        return np.ones((len(words), 1), dtype=np.float32)
    values = np.ascontiguousarray(words).view(np.uint8).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
