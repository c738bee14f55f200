"""The promises of a store of vectors."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hf_ssl.core.errors import HfSslError
from hf_ssl.models.embedding import EmbeddingSpec

if TYPE_CHECKING:
    from hf_ssl.vectors.base import Store

OpenStore: TypeAlias = "Callable[[Path, EmbeddingSpec | None], Store]"
"""`(folder, what made the vectors that are to be added; None only to search)` to a store in that folder."""
STORED = EmbeddingSpec("tiny", None, "a" * 64, "text", "mean", False, None, 8)


def points(count: int, seed: int = 0) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Vectors `(count, 8)` of different lengths, and the rows that go with them."""
    found = np.random.default_rng(seed).normal(size=(count, STORED.dimensions)).astype(np.float32)
    rows: list[dict[str, Any]] = [
        {"id": f"row {number}", "content": f"{number:032x}", "split": "train", "label": "ab"[number % 2]}
        for number in range(count)
    ]
    return found * np.linspace(1, 3, count, dtype=np.float32)[:, None], rows


def what_goes_in_is_found_and_comes_out(open_store: OpenStore, place: Path) -> None:
    """In pieces, through the same object, and through another one later."""
    found, rows = points(300)
    with open_store(place, STORED) as made:
        added = [made.add(found[start : start + 128], rows[start : start + 128]) for start in (0, 128, 256)]
        assert added == [128, 128, 44]
        assert made.search(found[:1], 1)[0][0]["id"] == "row 0" and len(made) == 300
    with open_store(place, None) as again:
        assert again.spec == STORED
        back, told = again.all_vectors()
        order = np.argsort([row["content"] for row in told])
        np.testing.assert_allclose(back[order], found, atol=1e-6)
        assert [told[number] for number in order] == rows
        hits = again.search(2 * found[:20], 5)
        unit = found / np.linalg.norm(found, axis=1, keepdims=True)
        exact = np.sort(unit[:20] @ unit.T, axis=1)[:, ::-1][:, :5]
        np.testing.assert_allclose([[hit["score"] for hit in of] for of in hits], exact, atol=1e-5)
        assert [of[0]["id"] for of in hits] == [row["id"] for row in rows[:20]]
        assert len(again.search(found[:1], 1000)[0]) == 300, "more than there are: all of them"


def two_ids_with_the_same_content_are_two_rows(open_store: OpenStore, place: Path) -> None:
    found, rows = points(10)
    found[1], rows[1]["content"] = found[0], rows[0]["content"]
    with open_store(place, STORED) as made:
        assert made.add(found, rows) == 10
        assert made.add(found, rows) == 0, "the same again is not new"
        assert {hit["id"] for hit in made.search(found[:1], 2)[0]} == {"row 0", "row 1"}


def the_same_row_is_updated(open_store: OpenStore, place: Path) -> None:
    found, rows = points(10)
    with open_store(place, STORED) as made:
        made.add(found, rows)
    more, others = points(12, seed=1)
    with open_store(place, STORED) as again:
        assert again.add(found[7:8], [{**rows[7], "label": "changed"}]) == 0
        assert again.add(more[10:], others[10:]) == 2
    with open_store(place, None) as last:
        assert len(last) == 12
        back, told = last.all_vectors()
        of = {row["id"]: number for number, row in enumerate(told)}
        assert told[of["row 7"]]["label"] == "changed" and told[of["row 6"]]["label"] == rows[6]["label"]
        np.testing.assert_allclose(back[of["row 6"]], found[6], atol=1e-6)


def strangers_and_impossible_questions_are_refused(open_store: OpenStore, place: Path) -> None:
    found, rows = points(5)
    _refused(lambda: open_store(place, None), "")
    with open_store(place, STORED) as made:
        made.add(found, rows)
        for k in (0, -1):
            _refused(functools.partial(made.search, found[:1], k), "at least 1")
    _refused(lambda: open_store(place, replace(STORED, weights_sha="b" * 64)), "must not be mixed")
    with open_store(place, None) as still:
        assert len(still) == 5


def _refused(call: Callable[[], object], why: str) -> None:
    try:
        call()
    except HfSslError as error:
        assert why in str(error), f"{error} does not say: {why}"
    else:
        raise AssertionError(f"not refused: {why or 'there is no such store'}")


STORE_CHECKS: tuple[Callable[[OpenStore, Path], None], ...] = (
    what_goes_in_is_found_and_comes_out, two_ids_with_the_same_content_are_two_rows, the_same_row_is_updated,
    strangers_and_impossible_questions_are_refused,
)  # fmt: skip


def check_store(open_store: OpenStore) -> None:
    """Try every promise of a store of vectors.

    Args:
        open_store: `(folder, spec)` to a store in that folder, such as
            `lambda folder, spec: MyStore.open(StoreAddress("", folder), spec)`.

    Raises:
        AssertionError: a promise is not kept.
    """
    for check in STORE_CHECKS:
        with tempfile.TemporaryDirectory() as place:
            check(open_store, Path(place))
