"""`new_words`: a domain's own words through a whole run: chosen, warmed up, saved, and used by the stages after it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import hf_ssl
import tiny
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.plugins import find
from hf_ssl.core.run import RunDir
from hf_ssl.modalities.text.text import Text
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.objectives.mlm import MaskedLanguageModeling
from hf_ssl.stages.base import save_model
from hf_ssl.stages.build import build_objective, continuation
from hf_ssl.stages.resolve import resolve
from hf_ssl.training.trainer import arguments, train

WORDS = ["cardiomyopathy", "thrombocytopenia", "angiography"]
TEXTS = [f"{text[:-1]} {WORDS[i % 3]} again." for i, text in enumerate(dict.fromkeys(tiny.corpus(150)))]
ROWS = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(TEXTS[:40])]
DATA = {
    "train": datasets.Dataset.from_list(ROWS[:24]),
    "test": datasets.Dataset.from_list(ROWS[24:]),
    "unlabeled": datasets.Dataset.from_dict({"text": TEXTS[40:]}),
}


def _build(folder: str, objective: str, **options: Any) -> Any:
    given = {"data": "x", "model": folder, "objective": objective, "new_words": 2, **options}
    resolved = resolve("pretrain", given, find("objectives", objective).Config)
    pool = datasets.Dataset.from_dict({"text": TEXTS, "id": [f"i{n}" for n in range(len(TEXTS))]})
    built = build_objective(resolved.config, resolved.plugin, Text(), CheckpointRef(folder), pool)
    return resolved.config, pool, *built


@pytest.fixture
def checkpoint(tiny_checkpoint: Any) -> str:
    return str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))


@pytest.mark.parametrize("objective", ["mlm", "simcse", "tsdae"])
def test_run_with_new_words_and_the_stages_after_it(objective, checkpoint, tmp_path, said):
    output = tmp_path / "run"
    shared = {"data": DATA, "model": checkpoint, "output": str(output), "near_duplicates": False}
    result = hf_ssl.pretrain(
        **shared,
        objective=objective,
        new_words=2,
        max_steps=4,
        monitor_points=1,
        keep_checkpoint="last",
        max_length=24,
    )
    ledger = json.loads((output / "run.json").read_text(encoding="utf-8"))
    words = ledger["stages"]["pretrain"]["outputs"]["vocabulary"]["new_words"]
    assert sorted(words) == sorted(WORDS[:2])
    before, after = ledger["stages"]["pretrain"]["outputs"]["vocabulary"]["tokens_per_word"]
    assert after < before
    assert json.loads((result.path / "load_report.json").read_text(encoding="utf-8"))["new_words"] == words
    assert "2 new words: " in said.readouterr().err

    tokenizer, start = AutoTokenizer.from_pretrained(result.path / "model"), AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModel.from_pretrained(result.path / "model")
    for word in words:
        assert len(tokenizer(word, add_special_tokens=False)["input_ids"]) == 1
    table, old = (
        model.get_input_embeddings().weight,
        AutoModel.from_pretrained(checkpoint).get_input_embeddings().weight,
    )
    assert len(table) == len(old) + 2 == len(tokenizer) == len(start) + 2
    new = tokenizer.convert_tokens_to_ids(words[0])
    mean = old[start(words[0], add_special_tokens=False)["input_ids"]].mean(0)
    assert not torch.allclose(table[new], mean, atol=1e-5), "the new vectors have learned"

    compared = hf_ssl.compare(**shared, labels_per_class=[4], num_seeds=1, probe_draws=1, max_steps=1)
    assert compared.metrics["test_examples"] == 16
    tuned = hf_ssl.finetune(**{**shared, "model": None}, max_steps=1, early_stopping_patience=0)
    assert len(AutoTokenizer.from_pretrained(tuned.path / "model")) == len(tokenizer)
    assert AutoModel.from_pretrained(tuned.path / "model").config.vocab_size == len(table)


@pytest.mark.parametrize("peft", ["full", "lora"])
@pytest.mark.parametrize("objective", ["mlm", "simcse"])
def test_new_rows_warm_up_while_the_old_ones_stand_still(objective, peft, checkpoint, tmp_path):
    config, pool, module, added = _build(checkpoint, objective, peft=peft, max_length=24, head_warmup=0.5)
    rows = module.rows(pool, seed=0, training=True)
    args = arguments(
        tmp_path, seed=0, defaults={},
        overrides={"max_steps": 8, "per_device_train_batch_size": 4, "bf16": False, "save_strategy": "no", "weight_decay": 0.1},
    )  # fmt: skip
    schedule = continuation(module, module.encoder.report.missing, config, args.learning_rate, added)
    (name,) = schedule.rows
    assert schedule.rows[name] == list(added.ids)
    before = {n: p.detach().clone() for n, p in module.named_parameters()}
    old = torch.ones(len(before[name]), dtype=torch.bool)
    old[list(added.ids)] = False
    seen: dict[int, dict[str, torch.Tensor]] = {}

    @dataclasses.dataclass
    class Look:
        def due(self, step: int, total: int) -> bool:
            return step in (4, 8)

        def at(self, step: int, total: int) -> bool:
            seen[step] = {n: p.detach().clone() for n, p in module.named_parameters() if p.requires_grad}
            return False

        def saved(self, checkpoint: Path) -> None:
            raise AssertionError("nothing is saved in this run")

    train(module, rows, args, tmp_path, schedule=schedule, measure=Look())
    table = seen[4][name]
    assert torch.equal(table[old], before[name][old]), "old words stand still, weight decay included"
    assert not torch.equal(table[~old], before[name][~old])
    body = [n for n, layer in schedule.depth.items() if layer is not None and n != name]
    assert all(torch.equal(seen[4][n], before[n]) for n in body)
    assert not torch.equal(seen[8][name][old], before[name][old]), "then the whole table moves"
    assert any(not torch.equal(seen[8][n], before[n]) for n in body)


def test_saved_model_and_tokenizer_are_what_was_trained(checkpoint, tmp_path):
    _, pool, module, _ = _build(checkpoint, "mlm", peft="lora", max_length=24)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn_like(parameter))
    batch = module.encoder.processor(TEXTS[:3], padding=True, return_tensors="pt")
    wanted = module.eval().model(**batch).logits
    save_model(module.encoder, tmp_path / "model", RunDir(tmp_path / "run"))
    config = dataclasses.replace(resolve("pretrain", {"new_words": 0}, MaskedLanguageModeling.Config).config)
    own = MaskedLanguageModeling.Config()
    again, added = build_objective(config, own, Text(), CheckpointRef(str(tmp_path / "model")), pool)
    report = again.encoder.report
    assert added is None and report.backbone_complete and not report.missing
    assert again.encoder.processor(TEXTS[:3], padding=True, return_tensors="pt")["input_ids"].equal(batch["input_ids"])
    torch.testing.assert_close(again.eval().model(**batch).logits, wanted, atol=1e-4, rtol=1e-4)


def test_no_word_is_worth_adding(checkpoint):
    pool = datasets.Dataset.from_dict({"text": tiny.corpus(30)})
    config = resolve("pretrain", {"new_words": 5}, MaskedLanguageModeling.Config).config
    with pytest.raises(ConfigError, match="Leave new_words out"):
        build_objective(config, MaskedLanguageModeling.Config(), Text(), CheckpointRef(checkpoint), pool)
