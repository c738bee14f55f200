"""Near-duplicate search: which queries share at least 85 % of their pieces with some target?

MinHash with banded buckets answers that with false negatives: 4 bands of 15 hashes, the usual choice for 64
permutations and a threshold of 0.85, find a pair of similarity s with probability 1 - (1 - s^15)^4, which is 31 % at
0.85 and 60 % at 0.9. A leakage guard should not miss, and it need not: all pairs above a Jaccard threshold are found
*exactly*, and faster, with a prefix filter (Chaudhuri, Ganti & Kaushik 2006, "A primitive operator for similarity
joins"; Bayardo, Ma & Srikant 2007, "Scaling up all pairs similarity search"). If |A ∩ B| >= t |A ∪ B|, then B has at
least ceil(t |A|) of A's pieces; so, with the pieces in one fixed order, B has one of A's first |A| - ceil(t |A|) + 1.
With the rarest pieces first, almost no other pair shares one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

CHUNK = 4096


def hash_pieces(pieces: Iterable[str]) -> np.ndarray:
    """Distinct pieces as sorted 64-bit numbers, `(len(set(pieces)),)` uint64.

    Python's own string hash is by far the fastest; it differs between processes, the *matches* do not.
    """
    numbers = np.fromiter(map(hash, pieces), dtype=np.int64)
    return np.unique(numbers).view(np.uint64) if len(numbers) else np.empty(0, dtype=np.uint64)


@dataclass(frozen=True)
class Match:
    """A query row, the first target row found above the threshold, and their Jaccard similarity."""

    query: int
    target: int
    similarity: float


class NearIndex:
    """Targets (validation and test rows), indexed by their rarest pieces.

    Args:
        targets: one array of `hash_pieces` per row; rows without pieces are never matched.
        threshold: Jaccard similarity from which two rows are near-duplicates, in (0, 1].
    """

    def __init__(self, targets: Sequence[np.ndarray], threshold: float = 0.85) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must be in (0, 1], got {threshold}")
        self.threshold = threshold
        self.targets = targets
        lengths = np.array([len(pieces) for pieces in targets], dtype=np.int64)
        flat = np.concatenate(targets) if len(targets) else np.empty(0, dtype=np.uint64)
        owners = np.repeat(np.arange(len(targets)), lengths)
        self.vocabulary, pieces, counts = np.unique(flat, return_inverse=True, return_counts=True)
        # Rank 0 is the rarest piece among the targets; ties keep the order of the vocabulary.
        self.rank = np.empty(len(counts), dtype=np.int64)
        self.rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
        ranks, owners, place = _sorted_within(self.rank[pieces], owners, lengths)
        keep = place < (lengths - _needed(lengths, threshold) + 1)[owners]
        order = np.argsort(ranks[keep], kind="stable")
        self.posted = owners[keep][order]
        self.starts = np.searchsorted(ranks[keep][order], np.arange(len(counts) + 1))

    def search(self, queries: Iterable[np.ndarray]) -> Iterator[Match]:
        """Matches of each query, at most one per query, in query order. `queries` may be a generator."""
        stream = iter(queries)
        first = 0
        while chunk := list(islice(stream, CHUNK)):
            yield from self._search_chunk(chunk, first)
            first += len(chunk)

    def _search_chunk(self, chunk: list[np.ndarray], first: int) -> Iterator[Match]:
        if not len(self.vocabulary):
            return
        lengths = np.array([len(pieces) for pieces in chunk], dtype=np.int64)
        flat = np.concatenate(chunk)
        owners = np.repeat(np.arange(len(chunk)), lengths)
        spot = np.minimum(np.searchsorted(self.vocabulary, flat), len(self.vocabulary) - 1)
        known = self.vocabulary[spot] == flat
        shared = np.bincount(owners[known], minlength=len(chunk))
        needed = _needed(lengths, self.threshold)
        # Most queries end here: too few of their pieces occur anywhere among the targets.
        hopeful = (shared >= needed) & (lengths > 0)
        known &= hopeful[owners]
        ranks, owners, place = _sorted_within(self.rank[spot[known]], owners[known], np.where(hopeful, shared, 0))
        probe = place < (shared - needed + 1)[owners]
        ranks, owners = ranks[probe], owners[probe]
        bounds = np.searchsorted(owners, np.arange(len(chunk) + 1))
        for row in np.flatnonzero(hopeful).tolist():
            match = self._verify(chunk[row], ranks[bounds[row] : bounds[row + 1]])
            if match is not None:
                yield Match(first + row, *match)

    def _verify(self, query: np.ndarray, ranks: np.ndarray) -> tuple[int, float] | None:
        tried: set[int] = set()
        for rank in ranks.tolist():
            for target in self.posted[self.starts[rank] : self.starts[rank + 1]].tolist():
                if target in tried:
                    continue
                tried.add(target)
                similarity = jaccard(query, self.targets[target], at_least=self.threshold)
                if similarity >= self.threshold:
                    return target, similarity
        return None


def search_all(indexes: Mapping[str, NearIndex], queries: Iterable[np.ndarray]) -> dict[str, list[int]]:
    """Queries that match each index; every query's pieces are made once and only a few thousand are held at a time."""
    stream = iter(queries)
    found: dict[str, list[int]] = {name: [] for name in indexes}
    first = 0
    while chunk := list(islice(stream, CHUNK)):
        for name, index in indexes.items():
            found[name] += [first + match.query for match in index.search(chunk)]
        first += len(chunk)
    return found


def jaccard(a: np.ndarray, b: np.ndarray, at_least: float = 0.0) -> float:
    """Jaccard similarity of two outputs of `hash_pieces` (0.0 early when the sizes alone rule out `at_least`)."""
    small, large = sorted((len(a), len(b)))
    if small == 0 or small < at_least * large:
        return 0.0
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (small + large - shared)


def _needed(lengths: np.ndarray, threshold: float) -> np.ndarray:
    # The small slack keeps 0.85 * 20 = 17.000000000000004 from asking for 18 pieces.
    return np.ceil(threshold * lengths - 1e-9).astype(np.int64)


def _sorted_within(
    ranks: np.ndarray, owners: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort the pieces of every row by rank; also each piece's place in its row."""
    order = np.lexsort((ranks, owners))
    place = np.arange(len(ranks)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return ranks[order], owners[order], place
