"""Pairs of real texts and how alike they are, made from the groups of 20 Newsgroups: for sentence embeddings."""

from __future__ import annotations

import random
from pathlib import Path

from hf_ssl import demo
from hf_ssl.demo.text import Row


def newsgroup_pairs(split: str = "train", limit: int = 1000, seed: int = 0) -> list[Row]:
    """Pairs of 20 Newsgroups posts and how alike their topics are; no post is in two pairs.

    Args:
        split: `"train"` or `"test"`.
        limit: pairs, a third of each score.
        seed: of the draw.

    Returns:
        Rows with `text`, `text_pair` and `score`: 2 for the same group, 1 for another group of the same hierarchy
        (such as `rec.autos` and `rec.motorcycles`), 0 for different hierarchies.

    Raises:
        MissingExtraError: when the data are not installed.
    """
    rng = random.Random(seed)
    posts = demo.newsgroups(split)
    rng.shuffle(posts)
    pairs: list[Row] = []
    while len(pairs) < limit:
        score, first = len(pairs) % 3, posts.pop()
        place = next((place for place, other in enumerate(posts) if topic_score(first, other) == score), None)
        if place is not None:  # a group may be alone in its hierarchy
            pairs.append({"text": first["text"], "text_pair": posts.pop(place)["text"], "score": score})
    return pairs


def topic_score(first: Row, second: Row) -> int:
    """2 for the same group, 1 for the same hierarchy, 0 otherwise."""
    one, two = first["label"], second["label"]
    return 2 if one == two else int(one.split(".")[0] == two.split(".")[0])


def write_newsgroup_pairs(
    folder: str | Path, *, pool_limit: int | None = None, pairs: int = 300, test_pairs: int = 600, seed: int = 0
) -> Path:
    """Write what a user who wants sentence embeddings has: many texts, and some pairs with a score.

    Args:
        folder: made when missing; files in it are replaced.
        pool_limit: at most so many unlabeled posts (default: all).
        pairs, test_pairs: rows of `train.csv` and `test.csv`.
        seed: of every draw.

    Returns:
        The folder, with `unlabeled.jsonl` (text), `train.csv` and `test.csv` (text, text_pair, score).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    posts = demo.newsgroups("train", pool_limit, seed)
    demo.write_jsonl(folder / "unlabeled.jsonl", [{"text": row["text"]} for row in posts])
    for split, limit in (("train", pairs), ("test", test_pairs)):
        rows = newsgroup_pairs(split, limit, seed)
        demo.write_csv(folder / f"{split}.csv", rows, ("text", "text_pair", "score"))
    return folder


WRITERS = {"newsgroup-pairs": write_newsgroup_pairs}
