"""Fine-tuning for a domain without labels, from end to end: every kind of data, the domains that options name, what is told."""

from __future__ import annotations

import importlib
import json
import random
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

import hf_ssl
import tiny
from hf_ssl import cli
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.fields import OptionsError
from hf_ssl.stages.candidates import Findings

SHORT: dict[str, Any] = {"max_steps": 4, "per_device_train_batch_size": 4, "near_duplicates": False}


def sentences(count: int, site: str, labeled: bool, seed: int) -> list[dict[str, Any]]:
    """Two classes by subject; the second site begins every sentence alike."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        subject = (("the nurse", "a patient"), ("our engineer", "this compiler"))[number % 2]
        text = f"{draw.choice(subject)} {draw.choice(tiny.VERBS)} {draw.choice(tiny.OBJECTS)} {number} {seed}"
        text = text if site == "north" else f"during the last quarter, near the {site}: {text}"
        found.append({"text": text, "site": site, "label": ("clinic", "works")[number % 2] if labeled else None})
    return found


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return str(tiny.write_checkpoint("bert", tmp_path_factory.mktemp("bert"), "AutoModel"))


@pytest.mark.parametrize("kind", ["text", "image", "audio", "timeseries"])
def test_every_kind_of_data(kind, tiny_checkpoint, tmp_path):
    """The target is another source; no tensor of the critic is in the model that is saved."""
    given = importlib.import_module(f"contract_{kind}").Kind()
    labeled = given.labeled("classification")
    data = datasets.DatasetDict({"train": labeled.select(range(12)), "validation": labeled.select(range(12, 16))})
    target = given.unlabeled().select(range(10))
    shared = {
        **SHORT, "data": data, "modality": kind, "model": str(given.checkpoint(tiny_checkpoint, "classification")), "peft": "lora",
        "leakage": "allow", "test_fraction": 0.0, "max_steps": 2,
    }  # fmt: skip
    adapted = hf_ssl.finetune(**shared, target=target, output=str(tmp_path / "adapted"))
    alone = hf_ssl.finetune(**shared, self_training=0, output=str(tmp_path / "alone"))
    told = adapted.metrics["domains"]
    assert told["method"] == "dann" and told["domains"] == ["source", "target"] and "domains" not in alone.metrics
    names = []
    for result in (adapted, alone):
        with safe_open(result.path / "model" / "model.safetensors", "pt") as file:
            names.append(sorted(file.keys()))
    assert names[0] == names[1] and not any("critic" in name or "inner" in name for name in names[0])


def test_the_vote_of_the_source_does_not_answer_for_the_target(tmp_path):
    """It would be the same whatever the domain method did to the network. Where that has random weights, a vote answers otherwise."""
    draw = np.random.default_rng(5)
    source, target = (
        [{"series": (np.sin(np.arange(64) / (2 + row % 2)) + draw.normal(0, noise, 64)).tolist(), "label": "ab"[row % 2]} for row in range(40)]
        for noise in (0.1, 0.5)
    )  # fmt: skip
    shared = {
        **SHORT, "data": source, "modality": "timeseries", "model": "patchtst", "from_config": True, "test_fraction": 0.0,
        "self_training": 0, "peft": "full",
    }  # fmt: skip
    found = {}
    for name, more in (("alone", {}), ("adapted", {"target": [{"series": row["series"]} for row in target]})):
        result = hf_ssl.finetune(**shared, output=str(tmp_path / name), **more)
        found[name] = json.loads((result.path / "candidates.json").read_text()), (result.path / "teacher").exists()
    assert found["alone"][0]["teacher_ahead"] and found["alone"][1]
    assert not found["adapted"][0]["teacher_ahead"] and not found["adapted"][1]
    assert "target" in found["adapted"][0]["reason"]


def test_an_answer_for_another_domain_is_the_networks():
    none: Any = None
    ahead = Findings(None, "frozen probe", "why", {}, np.zeros(0, int), np.zeros((0, 2)), none, True, 8)
    found = ahead.for_another_domain()
    assert ahead.teacher_ahead and not found.teacher_ahead and "target" in found.reason
    assert found.for_another_domain() is found


def test_domains_of_a_column_and_what_is_told(bert, tmp_path):
    data = [*sentences(50, "north", True, 1), *sentences(50, "harbour", False, 2)]
    output = tmp_path / "run"
    shared = {**SHORT, "data": data, "model": bert, "output": str(output), "domain_column": "site", "max_steps": 30}
    shared["early_stopping_patience"] = 50  # the head starts at the best probe: no point after it need be better
    result = hf_ssl.finetune(**shared, domain_method="cdan", peft="full", learning_rate=1e-3)
    told = json.loads((output / "run.json").read_text())["stages"]["finetune"]["metrics"]["domains"]
    assert told == result.metrics["domains"]
    assert told["targets"] == ["harbour"] and told["selected_by"] == "infomax" and told["labels_used"] == "source only"
    assert 0 <= told["critic_accuracy"] <= 1 and told["critic_chance"] == 0.5
    assert told["distance_before"]["distance"] > told["distance_before"]["null_high"]
    lines = [json.loads(line) for line in (result.path / "domains.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 30] and lines[0]["weight"] < lines[-1]["weight"]
    AutoModelForSequenceClassification.from_pretrained(result.path / "model")
    page = (output / "report.html").read_text(encoding="utf-8")
    for when in ("before", "after"):
        assert (
            "source" in (result.path / f"map_{when}.svg").read_text(encoding="utf-8")
            and f"finetune-map_{when}" in page
        )
    assert hf_ssl.finetune(**shared, domain_method="cdan", peft="full", learning_rate=1e-3).skipped


def test_weight_zero_is_the_run_without_domains(bert, tmp_path):
    """The whole stage: order, dropout, adapters, schedule, saved file."""
    data, target = sentences(40, "north", True, 1), sentences(30, "harbour", True, 2)
    shared = {**SHORT, "data": data, "model": bert, "early_stopping_patience": 0, "ignore_columns": ["site"]}
    alone = hf_ssl.finetune(**shared, self_training=0, output=str(tmp_path / "alone"))
    both = hf_ssl.finetune(**shared, target=target, domain_weight=0.0, output=str(tmp_path / "both"))
    weights = [load_file(result.path / "model" / "model.safetensors") for result in (alone, both)]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name


def test_hidden_labels_are_not_looked_at(bert, tmp_path):
    """With other labels in the target domain everything comes out alike, the point that is kept included."""
    found = []
    for flipped in (False, True):
        rows = [*sentences(40, "north", True, 1), *sentences(40, "harbour", True, 2)]
        for row in rows[40:] if flipped else []:
            row["label"] = {"clinic": "works", "works": "clinic"}[row["label"]]
        data = datasets.DatasetDict(
            {"train": datasets.Dataset.from_list(rows[:30] + rows[40:70]), "validation": datasets.Dataset.from_list(rows[30:40] + rows[70:])}
        )  # fmt: skip
        result = hf_ssl.finetune(
            **SHORT, data=data, model=bert, output=str(tmp_path / str(flipped)), domain_column="site", test_fraction=0.0,
            target_domains=["harbour"], domain_selection="dev",
        )  # fmt: skip
        assert result.metrics["domains"]["domains"] == ["north", "harbour"]
        found.append(load_file(result.path / "model" / "model.safetensors"))
    for name, tensor in found[0].items():
        assert torch.equal(tensor, found[1][name]), name


def test_three_domains_and_a_critic_that_does_not_learn(bert, tmp_path, caplog):
    data = [
        *sentences(60, "north", True, 1), *sentences(60, "harbour", True, 2), *sentences(120, "clinic", False, 3),
    ]  # fmt: skip
    result = hf_ssl.finetune(
        **SHORT, data=data, model=bert, output=str(tmp_path / "run"), domain_column="site",
        domain_method="domain_toy:Quiet",
    )  # fmt: skip
    told = result.metrics["domains"]
    assert told["domains"] == ["harbour", "north", "clinic"] and told["targets"] == ["clinic"]
    assert any("collapsed" in text and "critic" in text for text in told["warnings"]), told
    assert "collapsed" in caplog.text


def test_held_out_rows_are_no_company(bert, tmp_path, caplog):
    """Rows of the target that are also in test are taken away, or the run is refused, as `leakage` says."""
    data = sentences(40, "north", True, 1)
    test = sentences(20, "harbour", True, 2)
    target = [*sentences(30, "harbour", False, 3), *test]
    shared = {**SHORT, "data": data, "test": test, "target": target, "model": bert, "ignore_columns": ["site"]}
    hf_ssl.finetune(**shared, output=str(tmp_path / "strip"))
    assert "20 of 50 rows" in caplog.text
    with pytest.raises(DataError, match="Leakage: 20 rows"):
        hf_ssl.finetune(**shared, output=str(tmp_path / "fail"), leakage="fail")


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"domain_column": "site", "target_domains": ["harbor"]}, DataError, "'harbour'"),
        ({"domain_column": "site", "target_domains": ["north", "harbour"]}, DataError, "nothing to learn from"),
        ({"domain_column": "sight"}, DataError, "domain_column"),
        ({"domain_column": "site", "domain_method": "danm"}, OptionsError, "dann"),
        ({"domain_column": "site", "peft": "linear-probe"}, OptionsError, "lora or full"),
        ({"target_domains": ["north"]}, OptionsError, "Give --domain_column"),
        ({"domain_column": "site", "target": []}, OptionsError, "one of the two"),
        ({"domain_column": "site", "domain_method": "json:JSONDecoder"}, ConfigError, "DomainMethod"),
    ],
)
def test_what_is_refused(options, error, told, bert, tmp_path):
    data = [*sentences(20, "north", True, 1), *sentences(20, "harbour", False, 2)]
    with pytest.raises(error, match=told):
        hf_ssl.finetune(**SHORT, data=data, model=bert, output=str(tmp_path / "run"), **options)


def test_one_domain_alone_is_refused(bert, tmp_path):
    with pytest.raises(DataError, match="1 values"):
        hf_ssl.finetune(
            **SHORT,
            data=sentences(20, "north", True, 1),
            model=bert,
            output=str(tmp_path / "run"),
            domain_column="site",
        )


def test_the_command_line_names_the_methods(capsys):
    assert cli.main(["finetune", "--help"]) == 0
    told = capsys.readouterr().out
    assert "--domain_method {cdan,coral,dann,mmd}" in told and "--target " in told


def test_data_read_without_the_column_say_so(bert, tmp_path):
    data = hf_ssl.load_data([*sentences(20, "north", True, 1), *sentences(20, "harbour", False, 2)], near_duplicates=False,
                            ignore_columns=["site"], verbose=False)  # fmt: skip
    with pytest.raises(DataError, match="top of a recipe"):
        hf_ssl.finetune(**SHORT, data=data, model=bert, output=str(tmp_path / "run"), domain_column="site")


def test_path_of_the_journal_is_new_with_every_run(bert, tmp_path):
    data = [*sentences(30, "north", True, 1), *sentences(30, "harbour", False, 2)]
    shared = {**SHORT, "data": data, "model": bert, "output": str(tmp_path / "run"), "domain_column": "site"}
    shared["early_stopping_patience"] = 50
    steps = []
    for more in ({"max_steps": 20}, {"max_steps": 10, "overwrite": True}):
        result = hf_ssl.finetune(**{**shared, **more})
        lines = Path(result.path / "domains.jsonl").read_text().splitlines()
        steps.append([json.loads(line)["step"] for line in lines])
    assert steps == [[10, 20], [10]]
