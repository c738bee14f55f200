"""Bad input, through the command line: exit code 1, one paragraph that says what to do, and earlier output untouched."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import hf_ssl
import tiny
from hf_ssl import cli

TEXTS = list(dict.fromkeys(tiny.corpus(200)))[:60]


def _jsonl(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _labeled(folder: Path, classes: int = 2) -> Path:
    rows = [{"text": text, "label": f"c{i % classes}"} for i, text in enumerate(TEXTS)]
    _jsonl(folder / "train.jsonl", rows[:40])
    _jsonl(folder / "test.jsonl", rows[40:])
    return folder


@pytest.fixture
def checkpoint(tiny_checkpoint) -> Path:
    return tiny_checkpoint("bert", "AutoModelForMaskedLM")


@pytest.fixture
def finished(tmp_path, checkpoint) -> Path:
    """A run folder with a finished stage, which no mistake may touch."""
    output = tmp_path / "run"
    given = [f"--data={_labeled(tmp_path / 'good')}", f"--model={checkpoint}", f"--output={output}"]
    assert cli.main(["embed", *given, "--split=test", "--near_duplicates=false"]) == 0
    return output


def _state(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# -- the mistakes: each writes what it needs into a folder and returns the command line ----------------------------------


def empty_folder(folder: Path, checkpoint: Path) -> list[str]:
    (folder / "data").mkdir()
    return ["pretrain", f"--data={folder / 'data'}", f"--model={checkpoint}"]


def no_such_folder(folder: Path, checkpoint: Path) -> list[str]:
    return ["pretrain", f"--data={folder / 'nowhere'}", f"--model={checkpoint}"]


def wrong_encoding(folder: Path, checkpoint: Path) -> list[str]:
    (folder / "data").mkdir()
    for number in range(6):
        (folder / "data" / f"{number}.txt").write_bytes(f"Le père {number} de la rivière".encode("latin-1"))
    return ["pretrain", f"--data={folder / 'data'}", f"--model={checkpoint}"]


def column_missing(folder: Path, checkpoint: Path) -> list[str]:
    table = folder / "posts.csv"
    table.write_text("body,stars\n" + "".join(f"{text},{i % 3}\n" for i, text in enumerate(TEXTS)), encoding="utf-8")
    return ["finetune", f"--data={table}", f"--model={checkpoint}", "--label_column=rating"]


def one_class(folder: Path, checkpoint: Path) -> list[str]:
    return ["finetune", f"--data={_labeled(folder / 'data', classes=1)}", f"--model={checkpoint}"]


def label_unseen_in_train(folder: Path, checkpoint: Path) -> list[str]:
    data = _labeled(folder / "data")
    _jsonl(data / "test.jsonl", [{"text": "A new kind of sentence altogether.", "label": "c7"}])
    return ["finetune", f"--data={data}", f"--model={checkpoint}"]


def more_classes_than_examples(folder: Path, checkpoint: Path) -> list[str]:
    rows = [{"text": text, "label": f"c{i}"} for i, text in enumerate(TEXTS[:12])]
    return ["finetune", f"--data={_jsonl(folder / 'labels.jsonl', rows)}", f"--model={checkpoint}"]


def more_labels_wanted_than_there_are(folder: Path, checkpoint: Path) -> list[str]:
    return ["finetune", f"--data={_labeled(folder / 'data')}", f"--model={checkpoint}", "--labels_per_class=500"]


def unknown_option(folder: Path, checkpoint: Path) -> list[str]:
    data = _labeled(folder / "data")
    return ["pretrain", f"--data={data}", f"--model={checkpoint}", "--mask_ration=0.2", "--epoch=3"]


def value_of_the_wrong_type(folder: Path, checkpoint: Path) -> list[str]:
    return ["pretrain", f"--data={folder}", f"--model={checkpoint}", "--max_steps=three"]


def no_labels(folder: Path, checkpoint: Path) -> list[str]:
    data = _jsonl(folder / "pool.jsonl", [{"text": text} for text in TEXTS])
    return ["finetune", f"--data={data}", f"--model={checkpoint}"]


def no_model_folder(folder: Path, checkpoint: Path) -> list[str]:
    return ["pretrain", f"--data={_labeled(folder / 'data')}", f"--model={folder / 'nowhere'}"]


def _copied(folder: Path, checkpoint: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    copy = Path(shutil.copytree(checkpoint, folder / "checkpoint"))
    return copy, load_file(copy / "model.safetensors")


def wrong_architecture(folder: Path, checkpoint: Path) -> list[str]:
    copy, _ = _copied(folder, checkpoint)
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "vit"}), encoding="utf-8")
    return ["pretrain", f"--data={_labeled(folder / 'data')}", f"--model={copy}"]


def missing_tensors(folder: Path, checkpoint: Path) -> list[str]:
    copy, tensors = _copied(folder, checkpoint)
    kept = {name: tensor for name, tensor in tensors.items() if "layer.1.attention" not in name}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    return ["pretrain", f"--data={_labeled(folder / 'data')}", f"--model={copy}"]


def cut_short(folder: Path, checkpoint: Path) -> list[str]:
    copy, _ = _copied(folder, checkpoint)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-500])
    return ["finetune", f"--data={_labeled(folder / 'data')}", f"--model={copy}"]


class Bomb:
    """Would run code where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (Path.touch, (Path("bomb-went-off"),))  # type: ignore[return-value]


def pickled_code(folder: Path, checkpoint: Path) -> list[str]:
    copy, _ = _copied(folder, checkpoint)
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    return ["pretrain", f"--data={_labeled(folder / 'data')}", f"--model={copy}"]


def other_models_tokenizer(folder: Path, checkpoint: Path) -> list[str]:
    copy, _ = _copied(folder, checkpoint)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(copy)
    tokenizer.add_tokens([f"word{i}" for i in range(50)])
    tokenizer.save_pretrained(copy)
    return ["pretrain", f"--data={_labeled(folder / 'data')}", f"--model={copy}"]


def revision_of_a_folder(folder: Path, checkpoint: Path) -> list[str]:
    return ["pretrain", f"--data={_labeled(folder / 'data')}", f"--model={checkpoint}", "--revision=v2"]


MISTAKES: dict[Callable[[Path, Path], list[str]], list[str]] = {
    empty_folder: ["No files found"],
    no_such_folder: ["nowhere"],
    wrong_encoding: ["not utf-8", "encoding=", "cp1252"],
    column_missing: ["rating", "body", "stars"],
    one_class: ["same class (c0)", "two are needed", "unlabeled"],
    label_unseen_in_train: ["c7", "Move some to train"],
    more_classes_than_examples: ["too few", "label more"],
    more_labels_wanted_than_there_are: ["fewer than 500", "Ask for at most 18"],
    unknown_option: ["'mask_ratio'", "epoch", "num_train_epochs"],
    value_of_the_wrong_type: ["max_steps", "three", "integer"],
    no_labels: ["no labels", "--label_column"],
    no_model_folder: ["nowhere", "nothing was fetched"],
    wrong_architecture: ["vit", "AutoModel"],
    missing_tensors: ["did not load completely", "layer.1.attention", "right checkpoint"],
    cut_short: ["damaged or was cut short", "download it again"],
    pickled_code: ["never unpickles", "safetensors"],
    other_models_tokenizer: ["embedding rows", "another model's tokenizer"],
    revision_of_a_folder: ["has no revisions", "--revision"],
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_mistake_is_explained_and_loses_nothing(mistake, checkpoint, finished, tmp_path, monkeypatch, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mistake").mkdir()
    before, stages_before = _state(finished), json.loads((finished / "run.json").read_text())["stages"]
    command = [*mistake(tmp_path / "mistake", checkpoint), f"--output={finished}", "--near_duplicates=false"]
    said.readouterr()
    assert cli.main(command) == 1
    text = said.readouterr().err
    message = text[text.index("error: ") :].strip()
    assert text.count("error: ") == 1 and "Traceback" not in text and "\n\n" not in message and len(message) < 1500
    for part in MISTAKES[mistake]:
        assert part in message, message
    after, ledger = _state(finished), json.loads((finished / "run.json").read_text())
    assert ledger["stages"]["embed"] == stages_before["embed"], "the finished stage stays finished"
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed <= {"run.json", *(f"data/report.{kind}" for kind in ("html", "json", "txt", "examples.json"))}
    assert "embed/embeddings.parquet" in before and not (tmp_path / "bomb-went-off").exists()
    assert cli.main(["embed", f"--data={tmp_path / 'good'}", f"--output={finished}", f"--model={checkpoint}",
                     "--split=test", "--near_duplicates=false"]) == 0  # fmt: skip
    assert "already done" in said.readouterr().err


# The others are found only once the stage has begun; the folder then holds the ledger that says so.
EARLY = [
    empty_folder, no_such_folder, wrong_encoding, column_missing, one_class, label_unseen_in_train,
    more_classes_than_examples, unknown_option, value_of_the_wrong_type,
]  # fmt: skip


@pytest.mark.parametrize("mistake", EARLY, ids=lambda mistake: mistake.__name__)
def test_mistakes_in_data_and_options_leave_no_folder_behind(mistake, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mistake").mkdir()
    assert cli.main([*mistake(tmp_path / "mistake", checkpoint), f"--output={tmp_path / 'new'}"]) == 1
    assert not (tmp_path / "new").exists()


def test_output_folder_in_use_by_other_files(checkpoint, tmp_path, said):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("mine", encoding="utf-8")
    data = _labeled(tmp_path / "data")
    assert cli.main(["pretrain", f"--data={data}", f"--model={checkpoint}", f"--output={tmp_path / 'thesis'}"]) == 1
    assert "--output" in said.readouterr().err
    assert _state(tmp_path / "thesis").keys() == {"chapter1.tex"}


def test_output_folder_in_use_by_another_process(finished, checkpoint, tmp_path, said):
    ledger = json.loads((finished / "run.json").read_text())
    import platform

    running = {"status": "running", "pid": 1, "host": platform.node(), "inputs": "x"}
    (finished / "run.json").write_text(json.dumps({**ledger, "stages": {**ledger["stages"], "pretrain": running}}))
    before = _state(finished)
    given = [f"--data={tmp_path / 'good'}", f"--model={checkpoint}", f"--output={finished}", "--overwrite"]
    assert cli.main(["pretrain", *given]) == 1
    told = said.readouterr().err
    assert "process 1" in told and "--output" in told
    assert _state(finished) == before


def test_other_options_in_the_same_folder(finished, checkpoint, tmp_path, said):
    before = _state(finished)
    given = [f"--data={tmp_path / 'good'}", f"--model={checkpoint}", f"--output={finished}", "--near_duplicates=false"]
    other = ["embed", *given, "--split=test", "--normalize_embeddings=false"]
    assert cli.main(other) == 1, "vectors of other options are not replaced without a word"
    assert _state(finished) == before and cli.main([*other, "--overwrite"]) == 0
    assert cli.main(["pretrain", *given, "--max_steps=1", "--monitor_points=1"]) == 0
    before = _state(finished)
    assert cli.main(["pretrain", *given, "--max_steps=2", "--monitor_points=1"]) == 1
    assert "--overwrite" in said.readouterr().err and _state(finished) == before


def test_pickled_tensors_are_read_with_a_note(checkpoint, tmp_path, said):
    copy, tensors = _copied(tmp_path, checkpoint)
    (copy / "model.safetensors").unlink()
    torch.save(tensors, copy / "pytorch_model.bin")
    given = [f"--data={_labeled(tmp_path / 'data')}", f"--model={copy}", f"--output={tmp_path / 'run'}"]
    assert cli.main(["pretrain", *given, "--max_steps=1", "--monitor_points=1", "--near_duplicates=false"]) == 0
    assert "read with torch.load(weights_only=True)" in said.readouterr().err


def test_documents_longer_than_the_window(checkpoint, tmp_path, said):
    """Nothing is lost in pre-training, and fine-tuning says what it does not read."""
    rows = [{"text": " ".join([text] * 60), "label": "ab"[i % 2]} for i, text in enumerate(TEXTS[:24])]
    data = _jsonl(tmp_path / "long.jsonl", rows)
    given = [f"--data={data}", f"--model={checkpoint}", "--near_duplicates=false", f"--output={tmp_path / 'run'}"]
    assert cli.main(["pretrain", *given, "--max_steps=1", "--monitor_points=1"]) == 0
    assert cli.main(["finetune", *given, "--max_steps=1", "--early_stopping_patience=0"]) == 0
    text = said.readouterr().err
    assert text.count("inputs fill the window of") == 1 and "--max_length" in text


def test_endless_stream_is_cut_and_said(checkpoint, tmp_path, said):
    drawn = []

    def endless():
        while True:
            drawn.append(1)
            yield {"text": f"{TEXTS[len(drawn) % 60]} number {len(drawn)}"}

    result = hf_ssl.pretrain(
        data=endless(), max_examples=50, model=str(checkpoint), output=str(tmp_path / "run"), max_steps=1, monitor_points=1,
        near_duplicates=False,
    )  # fmt: skip
    assert result.metrics["steps"] == 1 and len(drawn) <= 52
    assert "50" in said.readouterr().err
