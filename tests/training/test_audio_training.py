"""Audio through the Trainer: exact resume, two processes, whole stages, the tasks' traps."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import audio_process
import numpy as np
import pytest
import torch
import transformers

import sounds
import tiny
from hf_ssl import embed, evaluate, finetune, pretrain
from hf_ssl.core.errors import TrainingError
from hf_ssl.models.loading import load_model
from hf_ssl.training.trainer import train

soundfile = pytest.importorskip("soundfile", reason='needs the audio extra: pip install "hf_ssl[audio]"')


@pytest.mark.parametrize("name", ["wav2vec2", "masked-spectrogram", "hubert-units"])
def test_resumed_run_equals_the_uninterrupted_one_bit_for_bit(name, tmp_path):
    """Masks, negatives, Gumbel noise and temperature, the codebook's use and the units go on where they were."""
    settings = {
        "max_steps": 9,
        "save_strategy": "steps",
        "save_steps": 7,
        "optim": "adamw_torch",
        "learning_rate": 1e-3,
    }
    whole, rows = audio_process.build(name, tmp_path / "start")
    train(whole, rows, audio_process.options(tmp_path / "whole", 4, **settings), tmp_path / "whole")
    part = tmp_path / "part"
    shutil.copytree(tmp_path / "whole/checkpoints/checkpoint-7", part / "checkpoints/checkpoint-7")
    resumed, rows = audio_process.build(name, tmp_path / "start")
    torch.manual_seed(99)
    train(resumed, rows, audio_process.options(part, 4, **settings), part, resume=True)
    start, _ = audio_process.build(name, tmp_path / "start")
    moved = 0
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[key]), key
        moved += not torch.equal(tensor, start.state_dict()[key])
    assert moved > 20


def run(name: str, where: Path, batch: int, accumulation: int, result: str, processes: int = 1) -> dict:
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--master_port=29617"]
    script = str(Path(audio_process.__file__))
    command = (command if processes > 1 else [sys.executable]) + [
        script,
        name,
        str(where),
        str(batch),
        str(accumulation),
        result,
    ]
    import os

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(where / f"{result}.pt", weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wav2vec2", "masked-spectrogram"])
def test_one_process_accumulation_and_two_processes_take_the_same_steps(name, tmp_path):
    """Four clips a step, in one batch, in two micro-batches, on two processes: unequal numbers of hidden frames in each."""
    one = run(name, tmp_path, 4, 1, "one")
    for result, other in (
        ("accumulated", run(name, tmp_path, 2, 2, "accumulated")),
        ("two", run(name, tmp_path, 2, 1, "two", processes=2)),
    ):
        for key, tensor in one.items():
            torch.testing.assert_close(
                other[key], tensor, atol=2e-5, rtol=2e-4, msg=lambda m, k=key, r=result: f"{r} {k}: {m}"
            )


def labeled_folder(root: Path, per_class: int = 12) -> Path:
    """Low and high voices, a class each, and a pool."""
    rng = np.random.default_rng(0)
    for number in range(2 * per_class):
        kind = "low high".split()[number % 2]
        tone = sounds.tone(250 if kind == "low" else 1800, 0.3 + 0.01 * number) + 0.05 * rng.normal(
            size=round((0.3 + 0.01 * number) * 16_000)
        )
        for split, shift in (("train", 0), ("test", 100)):
            path = root / split / kind / f"{number + shift}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, tone + 0.1 * sounds.voice(number + shift, len(tone) / 16_000), 16_000)
    for number in range(48):
        path = root / "unlabeled" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sounds.voice(1_000 + number, 0.2 + 0.02 * number), 16_000)
    return root


def base(tmp_path: Path, auto_class: str = "AutoModel", norm: str = "layer") -> str:
    return str(tiny.write_checkpoint("wav2vec2", tmp_path / "base", auto_class, feat_extract_norm=norm))


@pytest.mark.parametrize(
    "objective, norm, extra",
    [
        ("wav2vec2", "group", {"peft": "lora"}),
        ("masked-spectrogram", "layer", {}),
        ("hubert-units", "layer", {"clusters": 5}),
    ],
)
def test_stages_run_from_pool_to_measured_model(objective, norm, extra, tmp_path):
    auto_class = "AutoModelForPreTraining" if objective == "wav2vec2" else "AutoModel"
    options = {
        "data": str(labeled_folder(tmp_path / "data")), "modality": "audio", "output": str(tmp_path / "run"),
        "validation_fraction": 0.25,
    }  # fmt: skip
    adapted = pretrain(
        **options, model=base(tmp_path, auto_class, norm), objective=objective, max_steps=4, monitor_points=2, eval_fraction=0.5,
        per_device_train_batch_size=4, **extra,
    )  # fmt: skip
    assert 0 < adapted.metrics["kept"]["fraction_masked"] < 1 and adapted.metrics["audio_seconds_seen"] > 0
    config = transformers.AutoConfig.from_pretrained(adapted.path / "model")
    assert config.layerdrop == 0.1 and config.mask_time_prob == 0.05, "what was switched off for training is back"
    load_model(str(adapted.path / "model"))
    tuned = finetune(**options, max_steps=6, per_device_train_batch_size=8, early_stopping_patience=0)
    assert (tuned.path / "model" / "preprocessor_config.json").is_file()
    measured = evaluate(**options)
    assert measured.metrics["accuracy"] >= 0.9, "two tones are told apart"
    vectors = embed(**options, split="test")
    assert vectors.metrics["vectors"] == 24 and vectors.metrics["dimensions"] == 64
    answer = transformers.pipeline("audio-classification", str(tuned.path / "model"))
    assert answer(sounds.tone(250, 0.5))[0]["label"] == "low"


def test_regression_and_layer_mixture_through_a_stage(tmp_path):
    root = labeled_folder(tmp_path / "data")
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        for path in sorted(root.rglob("*.wav")):
            writer.writerow([str(path), 250.0 if path.parent.name == "low" else 1800.0])
    options = {"data": str(tmp_path / "t.csv"), "modality": "audio", "label_kind": "regression", "layer_sum": True}
    tuned = finetune(
        **options, model=base(tmp_path), output=str(tmp_path / "run"), max_steps=4, early_stopping_patience=0
    )
    model = transformers.AutoModelForAudioClassification.from_pretrained(tuned.path / "model")
    weights = model.layer_weights.detach()
    assert model.config.use_weighted_layer_sum and not torch.allclose(weights, weights.mean())


def test_patches_of_a_spectrogram_and_several_labels_a_clip_through_stages(tmp_path):
    """AST, whose classifier takes a mask over patches if any, and labels that are measured by mean average precision."""
    root = labeled_folder(tmp_path / "data")
    for split in ("train", "test"):
        with (tmp_path / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label"])
            for path in sorted((root / split).rglob("*.wav")):
                parity = ("even", "odd")[int(path.stem) // 2 % 2]
                writer.writerow([str(path), f"{path.parent.name}|{parity}"])
    fields = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    torch.manual_seed(0)
    transformers.ASTModel(transformers.ASTConfig(num_mel_bins=32, max_length=60, **fields)).save_pretrained(
        tmp_path / "base"
    )
    transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=60).save_pretrained(tmp_path / "base")
    options = {"modality": "audio", "output": str(tmp_path / "run")}
    pretrain(
        **options, data=str(root), model=str(tmp_path / "base"), objective="masked-spectrogram", max_steps=4, monitor_points=1,
        mask_span=2, eval_fraction=0.5, per_device_train_batch_size=4, peft="lora",
    )  # fmt: skip
    options |= {
        "data": {split: str(tmp_path / f"{split}.csv") for split in ("train", "test")},
        "label_kind": "multilabel",
    }
    finetune(
        **options,
        max_steps=30,
        learning_rate=3e-3,
        per_device_train_batch_size=8,
        early_stopping_patience=0,
        peft="full",
    )
    measured = evaluate(**options)
    assert measured.metrics["average_precision"] > 0.6, "low and high are told apart; even and odd are chance"


def test_two_views_of_clips_through_a_stage_with_adapters(tmp_path):
    root = labeled_folder(tmp_path / "data")
    base = tiny.write_checkpoint("whisper", tmp_path / "base")
    result = pretrain(
        data=str(root), modality="audio", model=str(base), objective="simclr", output=str(tmp_path / "run"), max_steps=8,
        per_device_train_batch_size=16, learning_rate=3e-3, peft="lora", temperature=0.5, view_share=0.9, view_noise=20.0,
        keep_checkpoint="last", monitor_points=1, eval_fraction=0.3,
    )  # fmt: skip
    start, end = result.metrics["start"], result.metrics["kept"]
    assert end["eval_loss"] < 0.95 * start["eval_loss"] and end["effective_rank"] > 2 and end["cosine_drift"] > 1e-4
    again, report = load_model(str(result.path / "model"))
    assert report.matched == report.compared and type(again).__name__ == "WhisperModel"


def test_transcripts_through_a_stage_and_the_pipeline(tmp_path):
    """Two tones, two letters: the head learns them, and a plain pipeline reads the saved folder."""
    rows, rng = [], np.random.default_rng(0)
    for number in range(40):
        letters = "".join(rng.choice(list("ab"), size=2 + number % 2))
        sound = np.concatenate(
            [sounds.tone(300 if letter == "a" else 2000, 0.15) for letter in letters for _ in range(1)]
        )
        silence = np.zeros(800, np.float32)
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.concatenate([silence, sound + 0.01 * rng.normal(size=len(sound)), silence]), 16_000)
        rows.append({"path": str(path), "transcript": letters.upper() + "."})
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "transcript"])
        writer.writeheader()
        writer.writerows(rows)
    options = {
        "data": str(tmp_path / "t.csv"),
        "modality": "audio",
        "label_kind": "transcript",
        "output": str(tmp_path / "run"),
    }
    tuned = finetune(
        **options, model=base(tmp_path), max_steps=30, early_stopping_patience=0, peft="lora", learning_rate=3e-3
    )
    measured = evaluate(**options)
    assert (
        set(measured.metrics) >= {"wer", "cer", "wer_plain", "cer_plain"} and 0 <= measured.metrics["cer_plain"] <= 1.5
    )
    reader = transformers.pipeline("automatic-speech-recognition", str(tuned.path / "model"))
    assert isinstance(reader(sounds.tone(300, 0.3))["text"], str)
    names = reader.tokenizer.get_vocab()
    assert {"a", "b", "|", "<pad>"} <= names.keys() and names["<pad>"] == 0


def test_verification_measures_identities_that_training_never_heard(tmp_path):
    rows = []
    for number in range(60):
        path = tmp_path / f"{number}.wav"
        speaker = number % 10
        tone = sounds.tone(200 + 150 * speaker, 0.3) + 0.05 * np.random.default_rng(number).normal(size=4800)
        soundfile.write(path, tone, 16_000)
        rows.append([str(path), f"s{speaker}"])
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "speaker"], *rows])
    options = {
        "data": str(tmp_path / "t.csv"),
        "modality": "audio",
        "label_column": "speaker",
        "label_kind": "identity",
    }
    options["output"] = str(tmp_path / "run")
    finetune(**options, model=base(tmp_path), max_steps=6, early_stopping_patience=0)
    measured = evaluate(**options)
    assert 0 <= measured.metrics["eer"] < 0.5


def test_collapse_of_the_codebook_stops_the_run(tmp_path, monkeypatch):
    from hf_ssl.objectives.wav2vec2 import Wav2Vec2

    root = labeled_folder(tmp_path / "data")
    monkeypatch.setattr(
        Wav2Vec2, "detect_collapse", lambda self, record, start: "The codebook collapsed: a test says so."
    )
    with pytest.raises(TrainingError, match="Collapse at step 2: The codebook collapsed"):
        pretrain(
            data=str(root), modality="audio", output=str(tmp_path / "run"), model=base(tmp_path, "AutoModelForPreTraining"),
            objective="wav2vec2", max_steps=4, monitor_points=2, eval_fraction=0.5, per_device_train_batch_size=4,
        )  # fmt: skip
