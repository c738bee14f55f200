"""New data are answered: labels for a table, a folder, tags for words, numbers with intervals, the steps that come next."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import transformers

import hf_ssl
import tiny
from hf_ssl.cli import main
from hf_ssl.core.errors import ConfigError

WORDS = {"good": ["great", "fine", "lovely"], "bad": ["awful", "broken", "poor"]}


def reviews(count: int, seed: int) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    labels = ["good" if row % 2 else "bad" for row in range(count)]
    texts = [f"{rng.choice(WORDS[label])} item number {rng.integers(10**6)} of this shop" for label in labels]
    return texts, labels


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return str(tiny.write_checkpoint("bert", tmp_path_factory.mktemp("start") / "bert"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, minilm):
    folder = tmp_path_factory.mktemp("predict")
    texts, labels = reviews(180, 0)
    pd.DataFrame({"review": texts, "verdict": labels}).to_csv(folder / "train.csv", index=False)
    hf_ssl.finetune(
        data=str(folder / "train.csv"), input_column="review", label_column="verdict", model=str(minilm), max_steps=8,
        output=str(folder / "run"), self_training=0, max_length=24, learning_rate=1e-3,
    )  # fmt: skip
    return folder


@pytest.fixture
def new(tmp_path):
    texts, labels = reviews(30, 1)
    frame = pd.DataFrame({"review": [*texts, texts[0]], "price": range(31)})
    frame.to_csv(tmp_path / "new.csv", index=False)
    return tmp_path / "new.csv", [*labels, labels[0]]


def test_every_row_is_answered_in_order_without_saying_again_how_it_is_read(run, new, tmp_path):
    file, truth = new
    result = hf_ssl.predict(
        data=str(file), output=str(run / "run"), save=str(tmp_path / "a.parquet"), all_classes=True
    )
    found = pd.read_parquet(result.path)
    assert list(found["source_row"]) == list(range(31)) and result.metrics["answers"] == 31
    assert (found["prediction"] == truth).mean() > 0.9
    assert np.allclose(found["probability of good"] + found["probability of bad"], 1)
    best = found[["probability of good", "probability of bad"]].max(axis=1)
    assert np.allclose(found["probability"], best)
    assert all(answer in kept for answer, kept in zip(found["prediction"], found["plausible"], strict=True))
    assert found.loc[30, "prediction"] == found.loc[0, "prediction"]  # a repeated row is answered again
    assert sum(result.metrics["predicted"].values()) == 31


def test_the_pipeline_of_transformers_gives_the_same_answers(run, new, tmp_path):
    file, _ = new
    found = pd.read_parquet(
        hf_ssl.predict(data=str(file), output=str(run / "run"), save=str(tmp_path / "a.parquet")).path
    )
    serve = transformers.pipeline("text-classification", model=str(run / "run" / "finetune" / "model"))
    given = serve(list(pd.read_csv(file)["review"]), truncation=True, max_length=24)
    assert [answer["label"] for answer in given] == list(found["prediction"])
    assert np.allclose(
        [answer["score"] for answer in given], found["probability"], atol=2e-3
    )  # bfloat16, where it is fast


def test_a_model_without_its_run_answers_too_and_files_are_what_their_names_say(run, new, tmp_path):
    file, _ = new
    model = shutil.copytree(run / "run" / "finetune" / "model", tmp_path / "published")
    whole = pd.read_parquet(
        hf_ssl.predict(data=str(file), output=str(run / "run"), save=str(tmp_path / "a.parquet")).path
    )
    options = {"data": str(file), "input_column": "review", "model": str(model)}
    table = pd.read_csv(hf_ssl.predict(**options, save=str(tmp_path / "b.csv")).path)
    assert list(table["prediction"]) == list(whole["prediction"]) and "unlike_training" not in table
    lines = hf_ssl.predict(**options, save=str(tmp_path / "c.jsonl")).path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["prediction"] for line in lines] == list(whole["prediction"])
    (model / "hf_ssl.json").unlink()  # one that was never made here
    again = pd.read_csv(hf_ssl.predict(**options, save=str(tmp_path / "d.csv")).path)
    assert list(again["prediction"]) == list(whole["prediction"])


def test_inputs_unlike_the_training_data_are_marked(run, tmp_path):
    strange = [
        "def f(x): return [y ** 2 for y in x if y]",
        "0x7fff 0xdead 0xbeef",
        "E = m c^2, F = m a",
        "ls -la | grep foo > bar",
    ]
    found = pd.read_parquet(
        hf_ssl.predict(
            data=[*reviews(20, 3)[0], *strange], output=str(run / "run"), save=str(tmp_path / "a.parquet")
        ).path
    )
    assert found["unlike_training"][20:].all() and found["unlike_training"][:20].mean() < 0.2


def test_an_interrupted_call_goes_on_behind_its_last_part(run, new, tmp_path, monkeypatch):
    file, _ = new
    options = {"data": str(file), "output": str(run / "run"), "part_size": 10}
    whole = pd.read_parquet(hf_ssl.predict(**options, save=str(tmp_path / "whole.parquet")).path)
    from hf_ssl.stages import answerer as stage

    calls = []
    real = stage.answer_rows

    def stopping(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(stage, "answer_rows", stopping)
    with pytest.raises(KeyboardInterrupt):
        hf_ssl.predict(**options, save=str(tmp_path / "parts.parquet"))
    assert not (tmp_path / "parts.parquet").exists()
    found = pd.read_parquet(hf_ssl.predict(**options, save=str(tmp_path / "parts.parquet")).path)
    assert len(calls) == 5  # two parts were there, the third was begun, and two are made now
    pd.testing.assert_frame_equal(found, whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "parts.parquet", "whole.parquet"]


def test_the_run_may_have_been_moved(run, tmp_path):
    moved = shutil.copytree(run / "run", tmp_path / "moved")
    ledger = json.loads((moved / "run.json").read_text())
    ledger["stages"]["finetune"]["outputs"]["model"] = str(tmp_path / "gone" / "model")
    (moved / "run.json").write_text(json.dumps(ledger))
    assert hf_ssl.predict(data=["great item"], output=str(moved)).metrics["answers"] == 1


def test_numbers_come_with_intervals_that_hold_them(bert, tmp_path):
    rng = np.random.default_rng(0)
    texts, _ = reviews(400, 0)
    values = np.array([float("great" in text) for text in texts]) + 0.1 * rng.standard_normal(400)
    data = pd.DataFrame({"text": texts, "label": values})
    output = str(tmp_path / "run")
    hf_ssl.finetune(data=data[:300], label_kind="regression", model=bert, output=output, max_steps=5, max_length=24)
    found = pd.read_parquet(hf_ssl.predict(data=data[300:], output=output, confidence=0.8).path)
    held = (found["low"] <= values[300:]) & (values[300:] <= found["high"])
    assert 0.6 < held.mean() < 0.95 and (found["low"] < found["prediction"]).all()


def test_words_and_plain_texts_are_tagged(bert, tmp_path):
    sentences = [["anna", "lives", "in", "paris"], ["paul", "sees", "rome"]] * 20
    tags = [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O", "B-LOC"]] * 20
    data = [{"tokens": words, "ner_tags": named} for words, named in zip(sentences, tags, strict=True)]
    output = str(tmp_path / "run")
    hf_ssl.finetune(data=data, label_kind="tags", model=bert, output=output, max_steps=5, dedup=False, leakage="allow")
    words = pd.read_parquet(hf_ssl.predict(data=[{"tokens": ["paul", "sees", "anna"]}], output=output).path)
    texts = pd.read_parquet(hf_ssl.predict(data=["paul sees anna"], output=output).path)
    assert list(words["prediction"][0]) == list(texts["prediction"][0]) and len(words["prediction"][0]) == 3


def test_the_steps_that_come_next_have_dates_and_intervals(tmp_path):
    days = pd.date_range("2024-01-01", periods=300, freq="D")
    wave = 100 + 10 * np.sin(np.arange(300) * 2 * np.pi / 7)
    frame = pd.concat(
        [
            pd.DataFrame({"item_id": name, "timestamp": days, "target": wave * size})
            for name, size in (("a", 1.0), ("b", 5.0))
        ]
    )
    output, options = str(tmp_path / "run"), {"modality": "timeseries", "horizon": 7, "context_length": 28}
    hf_ssl.finetune(
        data=frame,
        model="patchtst",
        from_config=True,
        output=output,
        peft="full",
        residual=True,
        max_steps=30,
        **options,
    )
    result = hf_ssl.predict(data=frame, output=output)
    found = pd.read_parquet(result.path)
    assert len(found) == 14 and list(found["date"][:2]) == ["2024-10-27T00:00:00", "2024-10-28T00:00:00"]
    coming = 100 + 10 * np.sin(np.arange(300, 307) * 2 * np.pi / 7)
    for name, size in (("a", 1.0), ("b", 5.0)):
        mine = found[found["id"] == name]
        assert np.allclose(mine["prediction"], coming * size, rtol=0.05)
        assert (mine["low"] <= mine["prediction"]).all() and (mine["prediction"] <= mine["high"]).all()


def test_what_cannot_be_is_said_before_anything_is_read(run, tmp_path, minilm, capsys):
    assert main(["predict", "x.csv", "--output", str(tmp_path / "none")]) == 1
    assert "finetune" in capsys.readouterr().err
    assert main(["predict", "x.csv", "--output", str(run / "run"), "--save", "answers.xlsx"]) == 1
    assert ".csv" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="--task"):
        hf_ssl.predict(data=["a"], model=str(minilm))
    with pytest.raises(ConfigError, match="modality"):
        hf_ssl.predict(data=["a"], output=str(run / "run"), modality="image")


def test_the_command_line_says_where_the_answers_are(run, new, tmp_path, capsys):
    file, _ = new
    assert main(["predict", str(file), "--output", str(run / "run"), "--save", str(tmp_path / "out.csv")]) == 0
    assert "out.csv" in capsys.readouterr().err and len(pd.read_csv(tmp_path / "out.csv")) == 31
