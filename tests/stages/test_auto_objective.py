"""`--objective auto`: a few steps of each objective, and the one that a probe on the labels likes best is what pre-training goes on with."""

from __future__ import annotations

import json

import pytest
from shop import reviews, write_reviews

import hf_ssl
import tiny
from hf_ssl.cli import main
from hf_ssl.core.errors import ConfigError, TrainingError
from hf_ssl.core.run import RunDir
from hf_ssl.stages import adapt
from hf_ssl.stages.auto_objective import ObjectiveTrial, decided


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(write_reviews(tmp_path_factory.mktemp("reviews"), 80, labels=(40, 0)))


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return str(tiny.write_checkpoint("bert", tmp_path_factory.mktemp("start") / "bert", "AutoModelForMaskedLM"))


@pytest.fixture(scope="module")
def options(data, start, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "run"
    return {
        "data": data, "model": start, "output": str(output), "objective": "auto", "trial_steps": 5, "max_steps": 6, "monitor_points": 1,
        "per_device_train_batch_size": 8,
    }  # fmt: skip


@pytest.fixture(scope="module")
def chosen(options):
    return RunDir(options["output"]), hf_ssl.pretrain(**options)


def test_every_objective_is_tried_and_the_choice_is_in_the_ledger(chosen):
    run, result = chosen
    choice = RunDir(run.path).stage("pretrain").outputs["objective_choice"]
    assert [trial["name"] for trial in choice["trials"]] == ["mlm", "simcse", "instance-identity", "properties"]
    assert choice["judged"] and choice["steps"] == 5 and "standard error" in choice["reason"]
    assert RunDir(run.path).stage("pretrain").options["objective"] == choice["name"] and result.metrics["steps"] == 6
    gains = {trial["name"]: trial["gain"] for trial in choice["trials"]}
    error = next(trial["error"] for trial in choice["trials"] if trial["gain"] == max(gains.values()))
    assert gains[choice["name"]] >= max(gains.values()) - error
    assert sorted(path.name for path in (run.path / "objective").iterdir()) == ["choice.json"]  # trials leave nothing


def test_asked_again_nothing_is_tried_again(chosen, options):
    before = (chosen[0].path / "objective" / "choice.json").stat().st_mtime_ns
    assert hf_ssl.pretrain(**options).skipped
    assert (chosen[0].path / "objective" / "choice.json").stat().st_mtime_ns == before


def test_without_labels_it_says_that_it_cannot_judge(start, tmp_path, caplog):
    texts = reviews(80, 2)[0]
    hf_ssl.pretrain(data={"unlabeled": [{"text": text} for text in texts]}, model=start, objective="auto", max_steps=2,
                    monitor_points=1, output=str(tmp_path / "run"))  # fmt: skip
    choice = json.loads((tmp_path / "run" / "objective" / "choice.json").read_text(encoding="utf-8"))
    assert choice["name"] == "mlm" and not choice["judged"] and choice["trials"] == []
    assert "cannot judge" in caplog.text


def test_the_command_line_takes_auto_and_refuses_what_belongs_to_one_objective(chosen, options, capsys):
    typed = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    assert main(["pretrain", *typed]) == 0  # the same run: nothing is left to be done
    assert main(["pretrain", *typed, "--mlm_probability", "0.3"]) != 0
    assert "instead of auto" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="trial_steps"):
        hf_ssl.pretrain(**{**options, "trial_steps": 0})


def test_the_first_within_one_standard_error_is_taken():
    def choice(*gains: tuple[float | None, float]):
        return decided([ObjectiveTrial(f"o{n}", gain, error, "measured") for n, (gain, error) in enumerate(gains)], 40)

    assert choice((0.01, 0.01), (0.02, 0.015)).name == "o0"
    assert choice((0.01, 0.01), (0.04, 0.015)).name == "o1"
    assert "shown to help" in choice((-0.01, 0.01), (-0.05, 0.02)).reason
    assert not choice((None, 0.0)).judged
    failed = [ObjectiveTrial("o0", outcome="cannot be trained: no"), ObjectiveTrial("o1", 0.0, 0.01, "measured")]
    assert decided(failed, 40).name == "o1"
    with pytest.raises(TrainingError, match="cannot be trained"):
        decided(failed[:1], 40)


@pytest.mark.slow
def test_adapt_chooses_too(data, start, tmp_path, monkeypatch):
    for name, value in (("ENOUGH_STEPS", 6), ("FEWEST_STEPS", 4), ("TRIAL_STEPS", 5)):
        monkeypatch.setattr(adapt, name, value)
    result = hf_ssl.adapt(data=data, model=start, output=str(tmp_path / "run"), objective="auto", budget="3m")
    choice = json.loads((tmp_path / "run" / "adapt" / "objective.json").read_text(encoding="utf-8"))
    assert [attempt["name"] for attempt in result.metrics["attempts"]] == ["as-released", choice["name"]]
    assert choice["judged"] and all(trial["outcome"] for trial in choice["trials"])
