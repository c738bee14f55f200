"""The candidates of fine-tuning: the saved model is the best simple answer or better, and says which one it began as."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import hf_ssl
import tiny
from hf_ssl.core.errors import CheckpointError
from hf_ssl.modalities.text.text import Text
from hf_ssl.stages.candidates import stratified
from hf_ssl.stages.teacher import Teacher
from hf_ssl.tasks.classification import Classification
from hf_ssl.training.self_training import Pool

WORDS = {"sea": "wave ship sail salt tide".split(), "land": "hill road farm tree barn".split()}


def sentences(count: int, seed: int) -> list[dict[str, str]]:
    """Texts of two topics, told apart by their words."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        topic = ("sea", "land")[number % 2]
        words = [*rng.choice(WORDS[topic], 3), *rng.choice(WORDS["sea"] + WORDS["land"], 2)]
        rows.append({"text": f"{' '.join(map(str, words))} {number}", "label": topic})
    return rows


@pytest.fixture(scope="module")
def data() -> dict[str, datasets.Dataset]:
    return {
        "train": datasets.Dataset.from_list(sentences(12, 0)),
        "test": datasets.Dataset.from_list(sentences(60, 1)),
        "unlabeled": datasets.Dataset.from_list([{"text": row["text"]} for row in sentences(160, 2)]),
    }


@pytest.fixture(scope="module")
def start() -> str:
    """Small real weights where there are some; else the test suite's tiny checkpoint."""
    from hf_ssl.demo import minilm_path

    try:
        return str(minilm_path())
    except hf_ssl.core.errors.HfSslError:
        pytest.skip("needs the demo checkpoint")


def common(data, output: Path) -> dict:
    return {
        "data": data,
        "output": str(output),
        "near_duplicates": False,
        "validation_fraction": 0,
        "dedup": False,
        "leakage": "allow",
    }


@pytest.fixture(scope="module")
def probed(data, start, tmp_path_factory) -> hf_ssl.StageResult:
    """A run whose head is all that was fitted."""
    output = tmp_path_factory.mktemp("probe") / "run"
    return hf_ssl.finetune(model=start, peft="linear-probe", **common(data, output))


def test_a_linear_probe_takes_no_step_and_is_a_plain_model(probed, data):
    """The head is exact: transformers alone gives the answers that evaluate reports."""
    from transformers import pipeline

    assert probed.metrics["steps"] == 0
    result = hf_ssl.evaluate(**common(data, probed.path.parent))
    assert result.metrics["accuracy"] > 0.8
    alone = outputs_of(probed.path.parent, "evaluate").get("model", result.metrics)
    plain = pipeline("text-classification", model=str(probed.path / "model"), device="cpu")
    answers = [one["label"] for one in plain(list(data["test"]["text"]))]
    right = np.mean([answer == truth for answer, truth in zip(answers, data["test"]["label"], strict=True)])
    assert right == pytest.approx(alone["accuracy"], abs=1e-6)


def outputs_of(run: Path, stage: str) -> dict:
    return json.loads((run / "run.json").read_text(encoding="utf-8"))["stages"][stage]["outputs"]


def test_evaluate_and_predict_ask_who_is_ahead(data, tmp_path):
    """The teacher where labels held out say so: its figures are the run's, the plain model's stand beside them."""
    import pyarrow.parquet as pq

    start = tiny.write_checkpoint("bert", tmp_path / "start")
    weights = load_file(start / "model.safetensors")
    for name in [name for name in weights if "word_embeddings" in name]:
        weights[name] = np.zeros_like(weights[name])  # blind to words on any machine; the cheap features are not
    save_file(weights, start / "model.safetensors", {"format": "pt"})
    tuned = hf_ssl.finetune(model=str(start), peft="linear-probe", **common(data, tmp_path / "run"))
    file = tuned.path / "teacher" / "teacher.json"
    assert json.loads((tuned.path / "candidates.json").read_text(encoding="utf-8"))["answer"] in ("vote", "teacher")
    result = hf_ssl.evaluate(**common(data, tmp_path / "run"))
    rows = pq.read_table(result.path / "predictions.parquet").to_pylist()
    outputs = outputs_of(tmp_path / "run", "evaluate")
    for column, metrics in (("prediction", result.metrics), ("model_prediction", outputs["model"])):
        right = np.mean([row[column] == row["truth"] for row in rows])
        assert right == pytest.approx(metrics["accuracy"], abs=1e-6), column
    told = hf_ssl.predict(data=data["test"].remove_columns("label"), output=str(tmp_path / "run"))
    answers = [row["prediction"] for row in pq.read_table(told.path).to_pylist()]
    by_text = {row["id"]: row["prediction"] for row in rows}
    assert len(by_text) == len(answers) == 60
    assert np.mean([a == t for a, t in zip(answers, data["test"]["label"], strict=True)]) == pytest.approx(
        result.metrics["accuracy"], abs=1e-6
    )
    logits, own = np.array([[2.0, 0.0]]), np.array([[0.2, 0.8]])
    teacher = Teacher.load(file.parent)
    np.testing.assert_allclose(np.exp(teacher.together(None, own)), own)
    teacher.model_share = 0.5
    np.testing.assert_allclose(np.exp(teacher.together(logits, own))[0, 0], (0.2 + 1 / (1 + np.exp(-2))) / 2)


def test_the_report_names_every_candidate_and_the_reason(probed):
    report = json.loads((probed.path / "candidates.json").read_text(encoding="utf-8"))
    frozen = {"frozen probe", "first token", "last layers", "layers"}
    assert frozen | {"words", "characters", "vote", "taught head", "teacher"} == report["candidates"].keys()
    assert (
        report["judged"]
        and report["start"] in ("frozen probe", "taught head")
        and "cross-validation" in report["reason"]
    )
    ledger = json.loads((probed.path.parent / "run.json").read_text(encoding="utf-8"))
    assert ledger["stages"]["finetune"]["outputs"]["candidates"] == report


def test_training_goes_on_from_the_head_and_evaluate_measures_the_teacher_beside_it(data, start, tmp_path):
    tuned = hf_ssl.finetune(model=start, max_steps=2, **common(data, tmp_path / "run"))
    assert tuned.metrics["steps"] == 2
    report = json.loads((tuned.path / "candidates.json").read_text(encoding="utf-8"))
    result = hf_ssl.evaluate(**common(data, tmp_path / "run"))
    outputs = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["stages"]["evaluate"]["outputs"]
    assert (tuned.path / "teacher").is_dir() == report["teacher_ahead"] == ("teacher" in outputs)
    assert result.metrics["accuracy"] > 0.8


def _task(names: list[str]) -> Classification:
    task = Classification(Classification.Config(max_length=32), Text())
    feature = datasets.Features({"label": datasets.ClassLabel(names=names)})
    task.fit_labels(datasets.Dataset.from_dict({"label": [0, 1]}, features=feature))
    return task


def test_a_kept_teacher_answers_as_it_did(data, start, tmp_path):
    """Saved and read again, on texts that it never saw, with the vocabulary of its words."""
    from hf_ssl.stages.candidates import study
    from hf_ssl.tasks.base import TaskModule

    task = _task(["land", "sea"])
    names = datasets.ClassLabel(names=["land", "sea"])
    train = datasets.Dataset.from_list(sentences(12, 0)).cast_column("label", names)
    train = train.add_column("id", [f"t{i}" for i in range(12)])
    pool = datasets.Dataset.from_dict({"text": list(data["unlabeled"]["text"]), "id": [f"p{i}" for i in range(160)]})
    encoder = Text().load(start, task.auto_class, new_head=True, **task.model_options())
    encoder.adapt_head()
    module = TaskModule(encoder, task)
    found = study(task, module, train, task.encode(encoder, train), Pool(pool), 0)
    found.teacher.save(tmp_path / "teacher")
    asked = data["test"].remove_columns(["label"])
    first = found.teacher.answers(task, asked)
    again = Teacher.load(tmp_path / "teacher").answers(task, asked)
    np.testing.assert_allclose(again, first, atol=1e-4)
    truth = np.array([name == "sea" for name in data["test"]["label"]]).astype(int)
    assert (first.argmax(1) == truth).mean() > 0.85
    damaged = load_file(tmp_path / "teacher" / "teacher.safetensors")
    del damaged["view.0.bias"]
    save_file(damaged, tmp_path / "teacher" / "teacher.safetensors")
    with pytest.raises(CheckpointError, match="teacher.*finetune again"):
        Teacher.load(tmp_path / "teacher")


def test_samples_hold_every_class():
    """Never the first rows of a file sorted by class."""
    y = np.repeat(np.arange(5), [4000, 500, 50, 5, 1])
    rows = stratified(y, 2000, 0)
    assert set(y[rows]) == set(range(5)) and 1900 <= len(rows) <= 2100
    assert np.bincount(y[rows])[0] == pytest.approx(4000 * 2000 / len(y), rel=0.01)
    assert stratified(y[:10], 2000, 0).tolist() == list(range(10))


def test_vectors_are_computed_once():
    asked: list[str] = []

    def read(part: datasets.Dataset) -> dict[str, np.ndarray]:
        asked.extend(part["id"])
        return {"head": np.array([[float(name[1:])] for name in part["id"]])}

    rows = datasets.Dataset.from_dict({"id": [f"p{i}" for i in range(10)]})
    pool = Pool(rows)
    assert pool.read(rows.select([3, 1]), read)["head"].ravel().tolist() == [3, 1]
    assert pool.read(rows.select(range(4)), read)["head"].ravel().tolist() == [0, 1, 2, 3]
    assert sorted(asked) == ["p0", "p1", "p2", "p3"]
    pool.read(rows.select([3]), read, keep=False)
    assert asked.count("p3") == 2


@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.1}, {"class_weight": "balanced"}, {"focal_gamma": 2.0}],
    ids=lambda o: next(iter(o), "plain"),
)  # fmt: skip
def test_one_hot_soft_labels_give_the_loss_of_labels(options):
    task = Classification(Classification.Config(**options), Text())
    labels = torch.tensor([0, 1, 2, 2, 2, 0])
    features = datasets.Features({"label": datasets.ClassLabel(names=["a", "b", "c"])})
    task.fit_labels(datasets.Dataset.from_dict({"label": labels.tolist()}, features=features))
    logits = torch.randn(6, 3)
    wanted, _ = task.loss(logits, labels)
    torch.testing.assert_close(task.soft_loss(logits, torch.eye(3)[labels]), wanted)


def test_one_label_a_class_and_no_pool_still_trains_and_says_that_nobody_can_judge(tiny_checkpoint, tmp_path, caplog):
    rows = [{"text": text, "label": "ab"[n % 2]} for n, text in enumerate(tiny.corpus(8)[:8])]
    given = {"train": datasets.Dataset.from_list(rows[:2]), "test": datasets.Dataset.from_list(rows[2:])}
    start = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
    tuned = hf_ssl.finetune(model=start, max_steps=1, **common(given, tmp_path / "run"))
    report = json.loads((tuned.path / "candidates.json").read_text(encoding="utf-8"))
    assert report["candidates"] == {} and report["judged"] is False and "cannot judge" in report["reason"]
    assert "cannot judge" in caplog.text


def test_training_that_does_not_pay_is_left_out(data, tmp_path):
    """Rehearsed on parts of the labels: either the network was better there and has been trained, or it is its start."""
    start = str(tiny.write_checkpoint("bert", tmp_path / "start"))
    tuned = hf_ssl.finetune(model=start, **common(data, tmp_path / "run"))
    report = json.loads((tuned.path / "candidates.json").read_text(encoding="utf-8"))
    verdict = json.loads((tuned.path / "rehearsal.json").read_text(encoding="utf-8"))
    assert report["trained network"] == verdict["scores"] and (tuned.metrics["steps"] > 0) == verdict["pays"]
    assert not (tuned.path / "rehearsal").exists(), "trainings on parts of the labels leave nothing behind"
    if verdict["pays"]:
        return
    probe = hf_ssl.finetune(model=start, peft="linear-probe", **common(data, tmp_path / "probe"))
    ours, theirs = (load_file(one.path / "model" / "model.safetensors") for one in (tuned, probe))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        np.testing.assert_array_equal(tensor, theirs[name], err_msg=name)


@pytest.mark.parametrize(
    ("right", "sure", "pays"), [(0.95, 0.8, True), (0.6, 0.8, False), (0.5, 0.8, False), (0.6, 0.9, False)]
)
def test_a_rehearsal_asks_for_more_than_luck(right, sure, pays):
    """40 labels, 60 % of them right at the start: two thirds more are no luck, the same number with more confidence is no gain."""
    from hf_ssl.evaluation.probes.taught import Answered
    from hf_ssl.stages.rehearsal import judged

    y = np.arange(40) % 2

    def answers(share: float, sure: float) -> np.ndarray:
        hit = np.arange(40) < round(share * 40)
        chances = np.full((40, 2), 1 - sure)
        chances[np.arange(40), np.where(hit, y, 1 - y)] = sure
        return chances

    found = judged(Answered.of(answers(0.6, 0.8), y), Answered.of(answers(right, sure), y), answers(0.6, 0.8), y)
    assert found.pays is pays and (found.share > 0) is pays


@pytest.mark.parametrize(
    ("held", "better", "trainings"), [(40, 0.3, 1), (40, -0.1, 1), (40, 0.0, 3), (20, 0.3, 2), (5, 0.3, 3)]
)
def test_a_rehearsal_ends_once_enough_labels_give_a_verdict(held, better, trainings):
    """Three folds; half of the labels are right at the start. Clearly more or fewer right is a verdict, as many right is none."""
    from hf_ssl.evaluation.probes.soft import Head
    from hf_ssl.stages.candidates import Findings, Fold
    from hf_ssl.stages.rehearsal import rehearse

    y = np.arange(3 * held) % 2
    head = Head(np.zeros((2, 2)), np.zeros(2))

    def answers(rows: np.ndarray, share: float) -> np.ndarray:
        hit = np.arange(len(rows)) < round(share * len(rows))
        chances = np.full((len(rows), 2), 0.3)
        chances[np.arange(len(rows)), np.where(hit, y[rows], 1 - y[rows])] = 0.7
        return chances

    parts = [np.arange(held) + held * number for number in range(3)]
    folds = [
        Fold(
            np.setdiff1d(np.arange(3 * held), rows),
            rows,
            head,
            np.zeros((0, 2)),
            answers(rows, 0.5),
            answers(rows, 0.5),
        )
        for rows in parts
    ]
    found = Findings(head, "frozen probe", "", {}, np.arange(0), np.zeros((0, 2)), None, False, 3 * held, folds)
    asked = []

    def train(known: Findings, fold: Fold) -> np.ndarray:
        assert known.folds == []
        asked.append(len(fold.held))
        return answers(fold.held, 0.5 + better)

    verdict = rehearse(found, y, train)
    assert len(asked) == trainings and verdict.pays is (better > 0) and f"of {sum(asked):,} labels" in verdict.reason
