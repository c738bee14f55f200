"""Pairs of real texts and how alike they are, made from the groups of 20 Newsgroups: for sentence embeddings."""

from __future__ import annotations

import random
from collections.abc import Callable
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


# Topics that two groups of places speak of: what the one calls science is about medicine, what the other does about space.
SITES = {
    "computers": (("comp.graphics", "comp.sys.ibm.pc.hardware"), ("comp.windows.x", "comp.sys.mac.hardware")),
    "recreation": (("rec.autos", "rec.sport.baseball"), ("rec.motorcycles", "rec.sport.hockey")),
    "science": (("sci.crypt", "sci.med"), ("sci.electronics", "sci.space")),
    "politics": (("talk.politics.guns",), ("talk.politics.mideast",)),
}


def write_newsgroup_sites(
    folder: str | Path,
    *,
    per_class: int = 25,
    pool_limit: int | None = None,
    test_limit: int | None = None,
    seed: int = 0,
) -> Path:
    """Write topics with a shift of domain: labels from one site, a model for another.

    Args:
        folder: made when missing; files in it are replaced.
        per_class: labeled posts of every topic, all of the site `north`.
        pool_limit, test_limit: at most so many unlabeled posts of each site, and test posts (default: all).
        seed: of every draw.

    Returns:
        The folder, with `unlabeled.jsonl` (text, site; of both), `labels.csv` (text, label, site; of `north`) and `test.csv` (of `south`).
    """
    topic_of = {group: (topic, site) for topic, sides in SITES.items()
                for site, groups in zip(("north", "south"), sides, strict=True) for group in groups}  # fmt: skip
    draw, parts = random.Random(seed), {}
    for split in ("train", "test"):
        rows = [row | dict(zip(("label", "site"), topic_of[row["label"]], strict=True))
                for row in demo.newsgroups(split) if row["label"] in topic_of]  # fmt: skip
        draw.shuffle(rows)
        parts[split] = {site: [row for row in rows if row["site"] == site] for site in ("north", "south")}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pool = [row for rows in parts["train"].values() for row in rows[:pool_limit]]
    demo.write_jsonl(folder / "unlabeled.jsonl", [{"text": row["text"], "site": row["site"]} for row in pool])
    columns = ("text", "label", "site")
    demo.write_csv(folder / "labels.csv", demo.few_labels(parts["train"]["north"], per_class, seed), columns)
    demo.write_csv(folder / "test.csv", parts["test"]["south"][:test_limit], columns)
    return folder


WRITERS: dict[str, Callable[..., Path]] = {
    "newsgroup-pairs": write_newsgroup_pairs,
    "newsgroup-sites": write_newsgroup_sites,
}
