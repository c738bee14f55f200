"""Metrics: values against scikit-learn, scipy and seqeval; offline, in memory, in float64."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import warnings

import evaluate
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.evaluation.metrics import metrics
from hf_ssl.evaluation.metrics.decomposable import DECOMPOSABLE
from hf_ssl.evaluation.metrics.metrics import F1, METRICS, Accuracy, RocAuc, SpanF1, compute, metric
from hf_ssl.evaluation.metrics.ranking import SCORES, calibration_error, roc_auc
from hf_ssl.evaluation.metrics.spans import spans

CLASS_ORACLES = {
    "accuracy": sk.accuracy_score,
    "f1_macro": lambda r, p: sk.f1_score(r, p, average="macro"),
    "f1_micro": lambda r, p: sk.f1_score(r, p, average="micro"),
    "f1_weighted": lambda r, p: sk.f1_score(r, p, average="weighted"),
    "matthews_correlation": sk.matthews_corrcoef,
}
LABEL_ORACLES = {
    "multilabel_accuracy": sk.accuracy_score,
    "multilabel_f1_macro": lambda r, p: sk.f1_score(r, p, average="macro", zero_division=np.nan),
    "multilabel_f1_micro": lambda r, p: sk.f1_score(r, p, average="micro", zero_division=0),
    "multilabel_f1_weighted": lambda r, p: sk.f1_score(r, p, average="weighted", zero_division=0),
}


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_class_metrics_equal_scikit_learn(data):
    n, classes = data.draw(st.integers(2, 40)), data.draw(st.integers(2, 6))
    labels = st.lists(st.integers(0, classes - 1), min_size=n, max_size=n).filter(lambda row: len(set(row)) > 1)
    predictions, references = data.draw(labels), data.draw(labels)
    ours = compute(list(CLASS_ORACLES), predictions=predictions, references=references)
    for name, oracle in CLASS_ORACLES.items():
        assert ours[name] == pytest.approx(oracle(references, predictions), abs=1e-12), name


def test_multilabel_metrics_equal_scikit_learn():
    rng = np.random.default_rng(0)
    for _ in range(30):
        n, labels = rng.integers(1, 30), rng.integers(2, 6)
        predictions, references = rng.integers(0, 2, (2, n, labels))
        predictions[:, 0] = references[:, 0] = 0  # a label that never occurs is left out of the macro mean
        ours = compute(list(LABEL_ORACLES), predictions=predictions, references=references)
        for name, oracle in LABEL_ORACLES.items():
            assert ours[name] == pytest.approx(oracle(references, predictions), abs=1e-12, nan_ok=False), name


def test_ranking_metrics_equal_scikit_learn():
    rng = np.random.default_rng(1)
    for _ in range(20):
        n, classes = 60, 4
        logits = rng.normal(size=(n, classes)).round(1)  # rounding makes ties
        scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        references = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
        ours = compute(["roc_auc", "average_precision"], scores=scores, references=references)
        assert ours["roc_auc"] == pytest.approx(sk.roc_auc_score(references, scores, multi_class="ovr"), abs=1e-12)
        onehot = np.eye(classes, dtype=int)[references]
        assert ours["average_precision"] == pytest.approx(sk.average_precision_score(onehot, scores), abs=1e-12)
        many = rng.integers(0, 2, (n, classes))
        ours = compute(["roc_auc", "average_precision"], scores=logits, references=many)
        assert ours["roc_auc"] == pytest.approx(sk.roc_auc_score(many, logits), abs=1e-12)
        assert ours["average_precision"] == pytest.approx(sk.average_precision_score(many, logits), abs=1e-12)
        binary = many[:, 0]
        for column in (logits[:, 0], np.column_stack([-logits[:, 0], logits[:, 0]])):
            ours = compute(["roc_auc", "average_precision"], scores=column, references=binary)
            assert ours["roc_auc"] == pytest.approx(sk.roc_auc_score(binary, logits[:, 0]), abs=1e-12)
            assert ours["average_precision"] == pytest.approx(
                sk.average_precision_score(binary, logits[:, 0]), abs=1e-12
            )


def test_regression_metrics_equal_scipy_and_keep_float64():
    rng = np.random.default_rng(2)
    predictions, references = rng.normal(size=(2, 50)).round(1)
    ours = compute(["pearson", "spearman", "mae", "rmse"], predictions=predictions, references=references)
    assert ours["pearson"] == pytest.approx(stats.pearsonr(predictions, references)[0], abs=1e-12)
    assert ours["spearman"] == pytest.approx(stats.spearmanr(predictions, references)[0], abs=1e-12)
    assert ours["mae"] == pytest.approx(sk.mean_absolute_error(references, predictions), abs=1e-12)
    assert ours["rmse"] == pytest.approx(sk.root_mean_squared_error(references, predictions), abs=1e-12)
    # The float32 features of the Hub's metrics lose this digit.
    assert compute(["mae"], predictions=[1.0000000001], references=[1.0])["mae"] == pytest.approx(1e-10, rel=1e-4)
    several = compute(["mae", "rmse"], predictions=np.ones((3, 2)), references=np.zeros((3, 2)))
    assert several == {"mae": 1.0, "rmse": 1.0}


def test_calibration_error_by_hand():
    # Confidences .55 (wrong) and .95 (right), in different bins: (|0 - .55| + |1 - .95|) / 2.
    scores = [[0.55, 0.45], [0.05, 0.95]]
    assert compute(["calibration_error"], scores=scores, references=[1, 1])["calibration_error"] == pytest.approx(0.3)
    # In one bin the gaps cancel before the absolute value is taken: |1/2 - .92|.
    assert calibration_error([[0.92, 0.08], [0.92, 0.08]], [0, 1]) == pytest.approx(0.42)
    assert calibration_error([0.08, 0.92], [0, 1]) == pytest.approx(0.08), "(n,) scores are those of class 1"
    assert calibration_error([[1.0, 0.0]], [0]) == 0.0
    with pytest.raises(DataError, match="softmax"):
        calibration_error([[2.0, -1.0]], [0])


def test_calibration_error_of_a_calibrated_model_vanishes():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=200_000)
    assert calibration_error(p, (rng.uniform(size=p.size) < p).astype(int)) < 0.005
    bold = np.where(p > 0.5, (1 + p) / 2, p / 2)  # half-way to certainty: off by 1/8 on average
    assert calibration_error(bold, (rng.uniform(size=p.size) < p).astype(int)) == pytest.approx(0.125, abs=0.005)


def random_tags(rng: random.Random, prefixes: str, length: int) -> list[str]:
    return [p if p == "O" else f"{p}-{rng.choice(['PER', 'LOC'])}" for p in rng.choices(prefixes, k=length)]


@pytest.mark.parametrize(("scheme", "prefixes"), [("IOB2", "BIIO"), ("BIOES", "BIIEESO")])
def test_span_f1_equals_seqeval_strict(scheme, prefixes):
    seqeval = pytest.importorskip("seqeval.metrics")
    from seqeval import scheme as schemes

    oracle_scheme = {"IOB2": schemes.IOB2, "BIOES": schemes.IOBES}[scheme]
    rng, checked = random.Random(0), 0
    for _ in range(300):
        lengths = [rng.randint(1, 12) for _ in range(4)]
        true = [random_tags(rng, prefixes, length) for length in lengths]
        said = [[tag if rng.random() < 0.7 else rng.choice(row) for tag in row] for row in true]
        ours = SpanF1(scheme).compute(predictions=said, references=true)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = seqeval.classification_report(
                true, said, mode="strict", scheme=oracle_scheme, output_dict=True, zero_division=0
            )
        for kind, numbers in report.items():
            suffix = {"micro avg": ""}.get(kind, f"_{kind}")
            if kind in ("macro avg", "weighted avg"):
                continue
            for ours_name, theirs in (("f1", "f1-score"), ("precision", "precision"), ("recall", "recall")):
                assert ours[f"span_{ours_name}{suffix}"] == pytest.approx(numbers[theirs], abs=1e-12), (true, said)
            checked += numbers["support"] > 0
    assert checked > 500


def test_span_f1_is_strict():
    # seqeval's default mode calls this a hit.
    assert compute(["span_f1"], predictions=[["I-PER", "I-PER"]], references=[["B-PER", "I-PER"]])["span_f1"] == 0
    assert spans(["B-A", "I-B", "B-A", "I-A"]) == {("A", 0, 1), ("A", 2, 4)}
    assert spans(["B-A", "I-A", "O", "S-A", "B-A", "E-A"], "BIOES") == {("A", 3, 4), ("A", 4, 6)}
    result = compute(["span_f1"], predictions=[["S-A", "O"], ["O"]], references=[["S-A", "S-B"], ["O"]])
    assert result["span_f1_A"] == 1 and result["span_f1_B"] == 0 and result["span_f1"] == pytest.approx(2 / 3)
    assert compute(["span_f1"], predictions=[["O"]], references=[["O"]])["span_f1"] == 0
    with pytest.raises(DataError, match="IOB2"):
        spans(["NOUN"])
    with pytest.raises(DataError, match="Sentence 1 has 1 predicted tags and 2"):
        compute(["span_f1"], predictions=[["O"], ["O"]], references=[["O"], ["O", "O"]])
    with pytest.raises(ConfigError, match="IOB2"):
        spans(["O"], "IOB1")


def test_works_in_combine_and_in_batches():
    rng = np.random.default_rng(0)
    references, scores = rng.integers(0, 3, 30), rng.random((30, 3))
    predictions = scores.argmax(1)
    combined = evaluate.combine([Accuracy(), F1("macro"), F1("micro"), RocAuc()])
    whole = combined.compute(predictions=predictions, references=references, scores=scores)
    assert set(whole) == {"accuracy", "f1_macro", "f1_micro", "roc_auc"}
    for start in range(0, 30, 7):
        part = slice(start, start + 7)
        combined.add_batch(predictions=predictions[part], references=references[part], scores=scores[part])
    assert combined.compute() == whole
    for p, r, s in zip(predictions, references, scores, strict=True):
        combined.add(prediction=p, reference=r, scores=s)
    assert combined.compute() == whole


def test_needs_no_network_and_no_writable_home(tmp_path):
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        "from hf_ssl.evaluation.metrics.metrics import compute\n"
        "print(compute(['accuracy', 'f1_macro'], predictions=[0, 1], references=[0, 0]))\n"
        "print(compute(['span_f1'], predictions=[['O']], references=[['O']])['span_f1'])\n"
    )
    blocker = tmp_path / "file"
    blocker.write_text("")
    below = str(blocker / "below")  # nothing can be created below a file, not even by root
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HF_HOME": below, "XDG_CACHE_HOME": below, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{'accuracy': 0.5, 'f1_macro': 0.33")
    assert list(tmp_path.iterdir()) == [blocker]


def test_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "metrics")
    monkeypatch.chdir(tmp_path)
    for name in METRICS:
        if metric(name).input_name == "scores":
            compute([name], scores=[0.2, 0.9], references=[0, 1])
    compute(["accuracy", "f1_macro", "mae"], predictions=[0, 1], references=[0, 1])
    assert list(tmp_path.rglob("*")) == []


def test_every_name_has_a_formula_and_a_direction():
    formulas = {**DECOMPOSABLE, **SCORES}
    # Only for resampling: of words and pixels, summed by sentence or picture, and of forecasts where the future has gaps.
    summed = {"word_accuracy", "word_f1_macro", "mean_iou", "observed_mae"}
    assert set(METRICS) | summed == set(formulas)
    for name in METRICS:
        made = metric(name)
        assert made.key == name
        assert made.higher_is_better == (
            name not in ("mae", "rmse", "calibration_error", "eer") and name[:3] not in ("wer", "cer")
        )
        if name in DECOMPOSABLE:
            assert DECOMPOSABLE[name].higher_is_better == made.higher_is_better


def test_errors_teach():
    with pytest.raises(ConfigError, match="Did you mean 'f1_macro'"):
        compute(["f1-marco"], predictions=[0], references=[0])
    with pytest.raises(ConfigError, match="macro"):
        F1("makro")
    with pytest.raises(DataError, match="roc_auc reads `scores=`"):
        compute(["roc_auc"], predictions=[0, 1], references=[0, 1])
    with pytest.raises(DataError, match="Found 2 predictions for 3 references"):
        compute(["accuracy"], predictions=[0, 1], references=[0, 1, 1])
    with pytest.raises(DataError, match="multilabel_"):
        compute(["f1_macro"], predictions=[[0, 1]], references=[[0, 1]])
    with pytest.raises(DataError, match="class numbers"):
        compute(["accuracy"], predictions=[0.7], references=[1])
    with pytest.raises(DataError, match="0 or 1"):
        compute(["multilabel_f1_micro"], predictions=[[2, 1]], references=[[0, 1]])
    with pytest.raises(DataError, match="NaN"):
        compute(["mae"], predictions=[float("nan")], references=[1.0])
    with pytest.raises(DataError, match="NaN"):
        compute(["roc_auc"], scores=[float("nan"), 0.0], references=[0, 1])
    with pytest.raises(DataError, match="class 3 but scores for 3"):
        compute(["roc_auc"], scores=[[0.1, 0.2, 0.7]], references=[3])
    with pytest.raises(DataError):
        compute(["accuracy"], predictions=[], references=[])


def test_degenerate_data_give_nan_and_say_so():
    with pytest.warns(UserWarning, match="more than one class"):
        assert np.isnan(compute(["roc_auc"], scores=[0.1, 0.2], references=[1, 1])["roc_auc"])
    with pytest.warns(UserWarning, match="more than one class"):
        assert np.isnan(compute(["average_precision"], scores=[0.1, 0.2], references=[0, 0])["average_precision"])
    with pytest.warns(UserWarning, match="2 of 3 classes"):
        assert roc_auc([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], [0, 1]) == 1.0
    with pytest.warns(UserWarning, match="constant"):
        assert np.isnan(compute(["spearman"], predictions=[1, 1], references=[1, 2])["spearman"])
    assert compute(["matthews_correlation"], predictions=[1, 1], references=[0, 1])["matthews_correlation"] == 0


def test_one_metric_is_usable_again_after_an_error():
    accuracy = Accuracy()
    with pytest.raises(ValueError):
        accuracy.compute(predictions=[0, 1], references=[0])
    assert accuracy.compute(predictions=[0, 1], references=[0, 1]) == {"accuracy": 1.0}


def test_ten_thousand_items_take_well_under_a_second():
    rng = np.random.default_rng(0)
    references, scores = rng.integers(0, 20, 10_000), rng.dirichlet(np.ones(20), 10_000)
    start = time.perf_counter()
    names = ["accuracy", "f1_macro", "matthews_correlation", "roc_auc", "calibration_error"]
    metrics.compute(names, predictions=scores.argmax(1), scores=scores, references=references)
    assert time.perf_counter() - start < 3


def test_macro_f1_over_the_classes_that_the_references_hold() -> None:
    """A class that is only predicted counts as 0 in `f1_macro` (scikit-learn's default) and not at all in the other."""
    predictions, references = np.array([0, 0, 1, 2, 1]), np.array([0, 0, 1, 1, 1])
    found = metrics.compute(("f1_macro", "f1_macro_present"), predictions=predictions, references=references)
    assert found["f1_macro"] == pytest.approx(sk.f1_score(references, predictions, average="macro"))
    assert found["f1_macro_present"] == pytest.approx(
        sk.f1_score(references, predictions, average="macro", labels=[0, 1])
    )
    assert found["f1_macro_present"] > found["f1_macro"]
