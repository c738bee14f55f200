"""One command tries what the time allows, keeps the best, and leaves a run that every other command goes on with."""

from __future__ import annotations

import json
import time

import pytest
from shop import reviews, write_reviews

import hf_ssl
import tiny
from hf_ssl.cli import main
from hf_ssl.core.errors import RunFolderError
from hf_ssl.core.run import RunDir
from hf_ssl.core.summary import summary_of
from hf_ssl.stages import adapt as stage


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "ENOUGH_STEPS", 25)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(write_reviews(tmp_path_factory.mktemp("reviews"), 120, labels=(60, 0), test=(40, 1)))


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return str(tiny.write_checkpoint("bert", tmp_path_factory.mktemp("start") / "bert", "AutoModelForMaskedLM"))


@pytest.fixture(scope="module")
def adapted(data, start, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "run"
    return output, hf_ssl.adapt(data=data, model=start, output=str(output), budget="4m")


def test_every_way_was_tried_in_the_order_that_tells_most(adapted):
    _, result = adapted
    tried = result.metrics["attempts"]
    # The head of mlm is in the checkpoint; the last two take what time is left.
    assert [attempt["name"] for attempt in tried] == [
        "as-released",
        "mlm",
        "simcse",
        "instance-identity",
        "properties",
    ]
    assert [attempt["outcome"] for attempt in tried] == ["done"] * 5
    assert all(attempt["score"] is not None and attempt["seconds"] > 0 for attempt in tried)
    assert [attempt["steps"] > 0 for attempt in tried] == [False, True, True, True, True]


def test_what_is_kept_is_the_best_and_measured_once(adapted):
    output, result = adapted
    scores = {attempt["name"]: attempt["score"] for attempt in result.metrics["attempts"]}
    kept = {attempt["name"]: attempt["kept"] for attempt in result.metrics["attempts"]}
    chosen = result.metrics["kept"]
    assert scores[chosen] >= scores["as-released"]
    assert chosen == "as-released" or "no better" not in kept[chosen]
    assert 0 <= result.metrics["test"]["accuracy"] <= 1
    opened = json.loads((output / "data" / "report.json").read_text())["test_opened"]
    assert len(opened) == 1


def test_the_run_goes_on_like_any_other(adapted, data):
    output, _ = adapted
    assert RunDir(output).stage("finetune").done and (output / "finetune" / "model" / "model.safetensors").is_file()
    assert str(output / "finetune") in RunDir(output).output("finetune")
    assert hf_ssl.predict(data=["great item", "awful item"], output=str(output)).metrics["answers"] == 2
    assert hf_ssl.push(
        output=str(output), repo="me/reviews", license="mit", base_model="unpublished", dry_run=True
    ).path.is_dir()


def test_the_page_shows_the_ways_and_the_command_that_was_typed(adapted, data):
    output, result = adapted
    page = (output / "report.html").read_text(encoding="utf-8")
    commands = page.partition("<h3>Commands</h3>")[2].partition("</pre>")[0]
    assert f"hf-ssl adapt --data {data}" in commands and "DomainData" not in commands
    assert all(f">{attempt['name']}<" in page for attempt in result.metrics["attempts"])
    assert f"Kept {result.metrics['kept']}" in page
    assert RunDir(output).stage("adapt").done


def test_what_was_not_trained_is_not_said_to_be(data, start, tmp_path):
    """Where the head was fitted in closed form, no method and no steps are named; not in the terminal, page or card."""
    output = tmp_path / "run"
    options = {"data": data, "model": start, "output": str(output), "peft": "linear-probe"}
    result = hf_ssl.finetune(**options)
    told = RunDir(output).stage("finetune").outputs["untrained"]
    lines = dict(summary_of("finetune", result.path, result.metrics, False, options).lines)
    assert told in lines["did"] and "step" not in lines["did"]
    page = (output / "report.html").read_text(encoding="utf-8")
    assert told in page and "steps 0" not in page
    pushed = hf_ssl.push(output=str(output), repo="me/reviews", license="mit", base_model="unpublished", dry_run=True)
    card = (pushed.path / "README.md").read_text(encoding="utf-8")
    assert told in card and "0 optimizer steps" not in card


def test_stopping_keeps_the_best_so_far_and_resuming_tries_the_rest(data, start, tmp_path, monkeypatch):
    real, calls = stage.pretrain, []

    def stopping(**options):
        if options.get("objective") == "simcse" and "max_steps" in options and not calls:
            calls.append(1)
            raise KeyboardInterrupt
        return real(**options)

    monkeypatch.setattr(stage, "pretrain", stopping)
    options = {"data": data, "model": start, "output": str(tmp_path / "run"), "budget": "4m"}
    with pytest.raises(KeyboardInterrupt):
        hf_ssl.adapt(**options)
    assert hf_ssl.predict(data=["great item"], output=str(tmp_path / "run")).metrics["answers"] == 1
    before = (tmp_path / "run" / "trials" / "mlm" / "run.json").read_bytes()
    with pytest.raises(RunFolderError, match="--resume.*--overwrite"):  # as after any other stage that was stopped
        hf_ssl.adapt(**options)
    assert (tmp_path / "run" / "trials" / "mlm" / "run.json").read_bytes() == before
    result = hf_ssl.adapt(**options, resume=True)
    assert [attempt["outcome"] for attempt in result.metrics["attempts"]] == ["done"] * 5
    assert (tmp_path / "run" / "trials" / "mlm" / "run.json").read_bytes() == before  # what was done is not done again


def test_a_start_that_pre_training_kept_is_not_tuned_again_and_others_get_its_time(data, start, tmp_path, monkeypatch):
    """The released checkpoint was fine-tuned already: the same weights would give the same score."""
    pretrain, finetune, tuned = stage.pretrain, stage.finetune, []

    def keeps_its_start(**options):
        result = pretrain(**options)
        file = (
            next(folder for folder in (result.path, *result.path.parents) if (folder / "run.json").is_file())
            / "run.json"
        )
        run = json.loads(file.read_text())
        run["stages"]["pretrain"]["metrics"] |= {"kept_step": 0, "outcome": "no better than the start"}
        file.write_text(json.dumps(run))
        return result

    monkeypatch.setattr(stage, "pretrain", keeps_its_start)
    monkeypatch.setattr(stage, "finetune", lambda **options: tuned.append(options["output"]) or finetune(**options))
    result = hf_ssl.adapt(data=data, model=start, output=str(tmp_path / "run"), budget="4m")
    first, *others = result.metrics["attempts"]
    assert len(tuned) == 1 and result.metrics["kept"] == "as-released"
    assert [one["name"] for one in others] == ["mlm", "simcse", "instance-identity", "properties"], (
        "there was time for these as well"
    )
    assert all(one["score"] == first["score"] and one["outcome"] == "done" for one in others)


def test_the_last_objective_gets_the_time_that_is_left(data, start, tmp_path):
    options = {"data": data, "model": start, "objective": "mlm"}
    only = hf_ssl.adapt(**options, output=str(tmp_path / "only"), budget="4m").metrics["attempts"][1]
    first = hf_ssl.adapt(data=data, model=start, output=str(tmp_path / "both"), budget="4m").metrics["attempts"][1]
    assert only["steps"] == stage.LONGER * first["steps"], "neither is held back by the time"


def test_without_labels_one_objective_has_all_of_the_time(start, tmp_path):
    texts, _ = reviews(80, 0)
    result = hf_ssl.adapt(data={"text": texts}, model=start, output=str(tmp_path / "run"), budget="4m")
    assert [one["name"] for one in result.metrics["attempts"]] == ["mlm"]


def test_a_short_time_is_kept_to(data, start, tmp_path):
    began = time.monotonic()
    result = hf_ssl.adapt(data=data, model=start, output=str(tmp_path / "run"), budget="1s")
    assert result.metrics["kept"] == "as-released" and result.metrics["test"]
    assert [attempt["outcome"].partition(":")[0] for attempt in result.metrics["attempts"][1:]] == ["not tried"] * 2
    assert time.monotonic() - began < 60
    outcomes = [attempt["outcome"] for attempt in result.metrics["attempts"][1:]]
    assert all(str(stage.FEWEST_STEPS) in told and "--budget" in told for told in outcomes), "what would do is said"
    assert "--budget" in result.metrics["why"]
    released = result.metrics["attempts"][0]["seconds"]
    would_do = [60 * int(told.rpartition(" ")[2].removesuffix("m")) for told in outcomes]
    assert min(would_do) > 2 * released, "there is time for the start and for another way"


def test_what_had_no_time_is_tried_by_a_call_that_goes_on_with_more_of_it(data, start, tmp_path):
    options = {"data": data, "model": start, "output": str(tmp_path / "run"), "objective": "mlm"}
    first = hf_ssl.adapt(**options, budget="1s")
    longer = hf_ssl.adapt(**options, budget="4m")
    assert longer.skipped and longer.metrics == first.metrics, "done is done, as with any other stage"
    result = hf_ssl.adapt(**options, budget="4m", resume=True)
    assert [attempt["outcome"] for attempt in result.metrics["attempts"]] == ["done"] * 2
    assert result.metrics["attempts"][0] == first.metrics["attempts"][0]


def test_a_folder_with_other_work_is_left_alone(data, start, tmp_path):
    options = {"data": data, "model": start, "output": str(tmp_path / "run"), "peft": "linear-probe"}
    hf_ssl.finetune(**options)
    before = (tmp_path / "run" / "run.json").read_bytes()
    for more in ({}, {"resume": True}):
        with pytest.raises(RunFolderError, match="finetune.*--overwrite"):
            hf_ssl.adapt(**options, **more)
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    options |= {"budget": "1s"}
    assert hf_ssl.adapt(**options, overwrite=True).metrics["kept"] == "as-released"
    with pytest.raises(RunFolderError, match="other options.*--overwrite"):
        hf_ssl.adapt(**{**options, "seed": 1})
    again = hf_ssl.adapt(**{**options, "seed": 1}, overwrite=True)
    assert not again.skipped and RunDir(tmp_path / "run").stage("adapt").options["seed"] == 1


def test_without_labels_there_are_a_model_and_vectors(start, tmp_path):
    texts = reviews(120, 2)[0]
    result = hf_ssl.adapt(data=texts, model=start, output=str(tmp_path / "run"), budget="3m", objective="mlm")
    assert result.metrics["kept"] == "mlm" and result.metrics["vectors"] > 100
    assert RunDir(tmp_path / "run").stage("pretrain").done


def test_an_objective_that_does_not_fit_is_noted_and_the_rest_goes_on(data, start, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "objectives_for", lambda config, modality: ["simclr", "mlm"])
    result = hf_ssl.adapt(data=data, model=start, output=str(tmp_path / "run"), budget="4m")
    outcomes = {attempt["name"]: attempt["outcome"] for attempt in result.metrics["attempts"]}
    assert outcomes["mlm"] == "done" and outcomes["simclr"] != "done"


def test_what_is_wrong_is_said_before_anything_is_read(tmp_path, capsys):
    assert main(["adapt", "nowhere", "--output", str(tmp_path / "run"), "--budget", "soon"]) == 1
    told = capsys.readouterr().err
    assert "budget" in told and "30m" in told
    assert main(["adapt", "nowhere", "--output", str(tmp_path / "run")]) == 1
    assert "--model" in capsys.readouterr().err
