"""What a run answers with is published beside its plain model, loads elsewhere, and trusts nobody who wrote it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

import hf_ssl
import tiny
from hf_ssl.core.errors import CheckpointError, ConfigError, DataError
from hf_ssl.core.run import RunDir
from hf_ssl.modalities.text.text import Text
from hf_ssl.stages import published

TOPICS = {"sea": "wave ship sail salt tide".split(), "land": "hill road farm tree barn".split()}


def series(count: int, seed: int) -> tuple[list[np.ndarray], list[str]]:
    """Waves of two lengths in noise."""
    rng, steps = np.random.default_rng(seed), np.arange(64)
    labels = [("slow", "fast")[row % 2] for row in range(count)]
    rates = {"slow": 0.3, "fast": 0.5}
    found = [np.sin(steps * rates[label] + rng.uniform(0, 6)) + rng.normal(0, 0.3, 64) for label in labels]
    return [one[None].astype(np.float32) for one in found], labels


def split(values: list[Any], labels: list[str], column: str) -> datasets.Dataset:
    rows = [value.tolist() if isinstance(value, np.ndarray) else value for value in values]
    return datasets.Dataset.from_dict({column: rows, "label": labels})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Series on an untrained network: the cheap views answer, the plain model knows nothing."""
    folder = tmp_path_factory.mktemp("published") / "run"
    data = {"train": split(*series(40, 0), "series"), "test": split(*series(40, 1), "series")}
    options = {"data": data, "output": str(folder), "modality": "timeseries", "near_duplicates": False}
    hf_ssl.finetune(model="patchtst", from_config=True, peft="linear-probe", standardize="none", **options)
    hf_ssl.evaluate(standardize="none", **options)
    return folder


@pytest.fixture(scope="module")
def staged(run: Path) -> Path:
    """As it would be uploaded; loaded again in a fresh process on the way."""
    pushed = hf_ssl.push(output=str(run), repo="me/waves", license="mit", base_model="unpublished", dry_run=True)
    assert {"the answer", "classes of the answer"} <= set(pushed.metrics["compared"])
    return pushed.path


def test_the_published_answer_is_the_runs_and_needs_no_word_about_the_data(run, staged, tmp_path):
    """From Python and by `predict --model`, with how series are read taken from the repository."""
    values, labels = series(60, 2)
    moved = shutil.copytree(staged, tmp_path / "elsewhere")
    own, theirs = hf_ssl.load_answer(run), hf_ssl.load_answer(moved)
    assert own.classes == theirs.classes == ["fast", "slow"]
    np.testing.assert_allclose(theirs.probabilities(values), own.probabilities(values), atol=1e-5)
    assert np.mean([a == b for a, b in zip(theirs.predict(values), labels, strict=True)]) > 0.9
    answers = pd.read_parquet(hf_ssl.predict(data=values, model=str(moved), save=str(tmp_path / "a.parquet")).path)
    assert list(answers["prediction"]) == theirs.predict(values)
    with pytest.raises(DataError, match="1 of 3"):
        theirs.predict([values[0], np.full((1, 64), np.nan, np.float32), values[1]])


def test_a_moved_run_still_finds_the_start_of_its_teacher(run, tmp_path):
    values, _ = series(6, 3)
    moved = shutil.copytree(run, tmp_path / "moved")
    expected = hf_ssl.load_answer(run).probabilities(values)
    named = json.loads((moved / "finetune/teacher/teacher.json").read_text(encoding="utf-8"))["checkpoint"]["id"]
    assert str(run.parent) not in named
    np.testing.assert_allclose(hf_ssl.load_answer(moved).probabilities(values), expected, atol=1e-6)


def test_the_card_has_the_figures_of_both_and_no_path(run, staged):
    card = (staged / "README.md").read_text(encoding="utf-8")
    measured = json.loads((run / "evaluate/metrics.json").read_text(encoding="utf-8"))
    for who, accuracy in (
        ("the answer in `answer/`", measured["accuracy"]),
        ("the plain model", measured["model"]["accuracy"]),
    ):
        assert f"| {who} | {accuracy:.4f} |" in card, who
    assert 'load_answer("me/waves")' in card
    manifest = json.loads((staged / "hf_ssl.json").read_text(encoding="utf-8"))
    assert manifest["answer"] is True and manifest["modality_options"] == {"standardize": "none"}
    assert {file.suffix for file in staged.rglob("*") if file.is_file()} <= {".json", ".safetensors", ".md"}
    assert not any(str(run).encode() in file.read_bytes() for file in staged.rglob("*") if file.is_file())


@pytest.mark.slow
def test_the_answer_can_be_left_out(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    options = {"output": str(copy), "repo": "me/plain", "license": "mit", "base_model": "unpublished", "dry_run": True}
    folder = hf_ssl.push(answer=False, **options).path
    assert not (folder / "answer").exists() and "load_answer" not in (folder / "README.md").read_text()
    assert "fine-tuned model" in repr(hf_ssl.load_answer(folder))


def test_on_random_weights_the_vote_answers_even_where_the_labels_cannot_tell(tmp_path):
    """Four labels, all right in cross-validation whoever is asked: the head of an untrained network is right by luck."""
    data, folder = {"train": split(*series(4, 0), "series")}, str(tmp_path / "run")
    hf_ssl.finetune(
        data=data, output=folder, model="patchtst", from_config=True, modality="timeseries", peft="linear-probe", standardize="none",
        validation_fraction=0, near_duplicates=False,
    )  # fmt: skip
    assert "the fine-tuned model" not in repr(hf_ssl.load_answer(folder))


Edit = Callable[[dict[str, Any], dict[str, np.ndarray]], object]


def changed(staged: Path, folder: Path, edit: Edit) -> Path:
    copy = Path(shutil.copytree(staged, folder / "hostile"))
    settings, weights = copy / "answer/teacher.json", copy / "answer/teacher.safetensors"
    said, tensors = json.loads(settings.read_text(encoding="utf-8")), load_file(weights)
    edit(said, tensors)
    settings.write_text(json.dumps(said), encoding="utf-8")
    save_file(tensors, weights)
    return copy


HOSTILE: dict[str, Edit] = {
    "a folder of the reader": lambda said, _: said["checkpoint"].update(id="/etc"),
    "a way out": lambda said, _: said["checkpoint"].update(id="../../secret"),
    "a branch that may move": lambda said, _: said["checkpoint"].update(id="evil/model", revision="main"),
    "no checkpoint": lambda said, _: said["checkpoint"].update(id=""),
    "shares": lambda said, _: said["views"][0].update(share=7.0),
    "a negative share": lambda said, _: said["views"][0].update(share=-0.1),
    "a share that is no number": lambda said, _: said["views"][0].update(share="x"),
    "NaN": lambda _, tensors: tensors["view.0.weight"].fill(np.nan),
    "too few classes": lambda said, _: said["classes"].pop(),
    "no views": lambda said, _: said.update(views=[]),
    "views that are no list": lambda said, _: said.update(views="abc"),
    "an unknown view": lambda said, _: said["views"][1].update(name="os.system"),
    "another width": lambda _, tensors: tensors.update({"view.1.weight": tensors["view.1.weight"][:, :5].copy()}),
    "three dimensions": lambda _, tensors: tensors.update({"view.1.weight": tensors["view.1.weight"][None]}),
    "foreign tensors": lambda _, tensors: tensors.update({"extra.backdoor": np.zeros(3, np.float32)}),
    "a share of the model": lambda said, _: said.update(model_share=-3),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_answer_is_refused(kind, staged, tmp_path):
    folder = changed(staged, tmp_path, HOSTILE[kind])
    with pytest.raises(CheckpointError):
        hf_ssl.load_answer(folder).probabilities(series(2, 0)[0])


def test_files_that_are_too_large_or_no_json_are_refused(staged, tmp_path, monkeypatch):
    copy = Path(shutil.copytree(staged, tmp_path / "copy"))
    (copy / "answer/teacher.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"teacher\.json"):
        hf_ssl.load_answer(copy)
    (copy / "answer/teacher.safetensors").write_bytes(b"\xff" * 100)
    shutil.copyfile(staged / "answer/teacher.json", copy / "answer/teacher.json")
    with pytest.raises(CheckpointError, match="cannot be read"):
        hf_ssl.load_answer(copy)
    monkeypatch.setitem(published.LARGEST, "teacher.safetensors", 10)
    with pytest.raises(CheckpointError, match="at most 10"):
        hf_ssl.load_answer(staged)


def test_what_a_repository_says_of_itself_imports_nothing(staged, tmp_path, monkeypatch):
    """Kinds of data and tasks of others go by dotted path, which a stranger's file must not choose."""
    (tmp_path / "evil_plugin.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    copy = Path(shutil.copytree(staged, tmp_path / "copy"))
    said = json.loads((copy / "hf_ssl.json").read_text(encoding="utf-8"))
    said |= {
        "modality": "evil_plugin:Thing",
        "task": "evil_plugin:Thing",
        "modality_options": {"horizon": {"a": 1}, "season": "/etc"},
    }
    (copy / "hf_ssl.json").write_text(json.dumps(said), encoding="utf-8")
    answer = hf_ssl.load_answer(copy, modality="timeseries", standardize="none")
    assert answer.predict(series(2, 0)[0])


def sentences(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Of two topics, told apart by their words."""
    rng = np.random.default_rng(seed)
    labels = [("sea", "land")[row % 2] for row in range(count)]
    both = [*TOPICS["sea"], *TOPICS["land"]]
    words = [[*rng.choice(TOPICS[label], 3), *rng.choice(both, 2)] for label in labels]
    return [
        f"one two three four five six seven {' '.join(map(str, own))} {row}" for row, own in enumerate(words)
    ], labels


def test_words_of_texts_are_published_only_when_told_to(tmp_path):
    """Where the network's window ends before what tells the topics apart, words answer, and words are the user's."""
    start = tiny.write_checkpoint("bert", tmp_path / "start")
    pool = datasets.Dataset.from_dict({"text": sentences(160, 2)[0]})
    tuned = hf_ssl.finetune(
        data={"train": split(*sentences(12, 0), "text"), "unlabeled": pool}, model=str(start), output=str(tmp_path / "run"),
        peft="linear-probe", near_duplicates=False, validation_fraction=0, dedup=False, max_length=6,
    )  # fmt: skip
    staged, run = Path(shutil.copytree(tuned.path / "model", tmp_path / "staged")), RunDir(str(tmp_path / "run"))
    assert published.stage_answer(run, staged, Text(), None, None) is None and not (staged / "answer").exists()
    assert published.stage_answer(run, staged, Text(), True, None) is not None
    asked = sentences(20, 3)[0]
    answer, own = hf_ssl.load_answer(staged), hf_ssl.load_answer(tmp_path / "run")
    assert "the fine-tuned model" not in repr(answer)
    np.testing.assert_allclose(answer.probabilities(asked), own.probabilities(asked), atol=1e-4)
    said = json.loads((staged / "answer/teacher.json").read_text(encoding="utf-8"))
    words = next(view for view in said["views"] if view["name"] == "words")
    words["state"]["vocabulary"]["ship"] = 10**6
    (staged / "answer/teacher.json").write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(CheckpointError, match="words are damaged"):
        hf_ssl.load_answer(staged).predict(asked)


def test_answers_that_are_no_classes_are_asked_for_by_predict(tmp_path):
    values, _ = series(24, 4)
    rows = datasets.Dataset.from_dict(
        {"series": [one.tolist() for one in values], "label": [float(one.std()) for one in values]}
    )
    folder = str(tmp_path / "run")
    hf_ssl.finetune(data={"train": rows}, output=folder, model="patchtst", from_config=True, modality="timeseries", max_steps=1,
                    label_kind="regression", near_duplicates=False)  # fmt: skip
    with pytest.raises(ConfigError, match="predict"):
        hf_ssl.load_answer(folder)
