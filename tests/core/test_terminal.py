"""How the command line speaks: briefly, in boxes, with its warnings at the end; and the library, which does not."""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import Any

import pytest

from hf_ssl import cli
from hf_ssl.core import terminal
from hf_ssl.core.commands import parser_of
from hf_ssl.core.log import set_verbosity
from hf_ssl.core.run import RunDir, StageRecord
from hf_ssl.core.summary import Summary, clock, hits_summary, next_command, numbers, summary_of

BOX = Summary("pretrain", (("result", "no better"), ("where", "runs/x")), (("a", "b"), ("1", "2")), "hf-ssl compare")
said = logging.getLogger("hf_ssl.somewhere")


def speak(mode: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    with terminal.speaking(mode) as told:
        said.info("pretrain: 10 rows\nand more of it")
        said.info("  a detail")
        said.warning("odd")
        said.warning("odd")
        said.info("pretrain: done")
        told.show(BOX)
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_brief_has_headlines_the_box_and_each_warning_once_at_the_end(capsys):
    out, err = speak("brief", capsys)
    assert out == "" and "a detail" not in err and "and more of it" not in err
    places = [err.index(text) for text in ("pretrain: 10 rows", "pretrain: done", "no better", "WARNING: odd")]
    assert places == sorted(places) and err.count("odd") == 1 and "× 2" in err
    assert "\x1b" not in err, "no color where there is no terminal"


def test_verbose_has_every_line_and_warnings_where_they_arise(capsys):
    _, err = speak("verbose", capsys)
    assert "  a detail" in err and err.index("WARNING: odd") < err.index("pretrain: done")


def test_quiet_says_nothing(capsys):
    assert speak("quiet", capsys) == ("", "")


def test_json_is_one_line_a_stage_with_its_warnings(capsys):
    out, err = speak("json", capsys)
    told = json.loads(out)
    assert (
        err == ""
        and told["stage"] == "pretrain"
        and told["next"] == "hf-ssl compare"
        and [one["message"] for one in told["warnings"]] == ["odd"]
    )


def test_warnings_come_out_when_the_command_fails(capsys):
    with pytest.raises(RuntimeError), terminal.speaking("brief"):
        said.warning("before the fault")
        raise RuntimeError
    assert "before the fault" in capsys.readouterr().err


def test_a_program_that_asked_for_more_keeps_it(capsys):
    set_verbosity("info")
    handlers = list(logging.getLogger("hf_ssl").handlers)
    _, err = speak("brief", capsys)
    assert "  a detail" in err and logging.getLogger("hf_ssl").handlers == handlers


def test_a_terminal_gets_a_frame_and_no_color_none(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.is_styled()
    _, err = speak("brief", capsys)
    assert "╭" in err and "hf-ssl compare" in err
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.is_styled()


def test_flags_are_taken_out_wherever_they_stand():
    assert terminal.modes_of(["-q", "pretrain", "--data", "x"]) == ("quiet", ["pretrain", "--data", "x"])
    assert terminal.modes_of(["embed", "--json"]) == ("json", ["embed"])
    assert terminal.modes_of(["embed"])[0] == "brief"


@pytest.mark.parametrize(
    ("modality", "wanted", "never"),
    [("text", '"A TEXT', "--file"), ("image", "PICTURE", '"A TEXT'), ("audio", "SOUND", '"A TEXT'), ("timeseries", "SERIES", '"A TEXT')],
)  # fmt: skip
def test_the_next_command_suits_the_kind_of_data(modality: str, wanted: str, never: str):
    options: dict[str, Any] = {"output": "runs/a b", "data": "my data", "modality": modality}
    record = summary_record(modality)
    told = next_command("embed", {}, options, record)
    assert wanted in told and never not in told and "--output 'runs/a b'" in told
    tuned = next_command("finetune", {}, options, record)
    assert "--data 'my data'" in tuned and ("--modality" in tuned) == (modality != "text")


def summary_record(modality: str) -> Any:
    return StageRecord(options={"modality": modality})


def test_after_a_comparison_comes_the_model_that_is_there_already(tmp_path):
    given = {"data": "x", "output": str(tmp_path)}
    assert next_command("compare", {}, given, summary_record("text")).startswith("hf-ssl finetune --data x")
    run = RunDir(tmp_path)
    run.stages["finetune"] = StageRecord(status="done")
    run.save()
    assert next_command("compare", {}, given, summary_record("text")) == f"hf-ssl predict NEW-DATA --output {tmp_path}"


def test_figures_of_finetune_say_of_how_many_examples(tmp_path):
    metrics = {"validation": {"accuracy": 1.0}, "validation_examples": 6}
    told = dict(summary_of("finetune", tmp_path, metrics, False, {"output": str(tmp_path)}).lines)
    assert told["result"] == "accuracy 1.000 on 6 for validation"


def test_a_dry_run_leads_nowhere_and_data_without_a_name_are_not_invented():
    assert next_command("push", {}, {}, summary_record("text")) == ""
    assert next_command("push", {"commit": "x"}, {}, summary_record("text"))
    assert "--data DATA" in next_command("pretrain", {}, {"data": object()}, summary_record("text"))


@pytest.mark.parametrize(
    ("choice", "verb", "never"),
    [("as-released", "finetune", "pretrain"), ("task-adaptive", "pretrain", "finetune"), ("adversarial", "finetune", "pretrain"),
     ("another-checkpoint", "gap", "pretrain")],
)  # fmt: skip
def test_after_gap_comes_what_it_advises(choice: str, verb: str, never: str):
    told = next_command("gap", {"advice": {"choice": choice}}, {"data": "x", "model": "m/n"}, summary_record("text"))
    assert f"hf-ssl {verb} " in told and never not in told
    assert parser_of(verb, shlex.split(told)[2:]).read(shlex.split(told)[2:])["data"] == "x"


def test_what_search_finds_is_a_table():
    hits = [
        {"id": "1", "score": 0.9, "label": "space", "text": "an orbit\nabove"},
        {"id": "2", "score": 0.5, "path": "a.txt"},
    ]
    box = hits_summary(hits, "space")
    assert box.table[1] == ("0.900", "space", "an orbit above") and box.table[2][2] == "a.txt"
    assert not hits_summary([], None).table


def test_a_box_without_a_run_folder_still_says_what_there_is(tmp_path: Path):
    box = summary_of("gap", tmp_path, {"distance": 0.25, "rows": 3}, False, {"output": str(tmp_path / "none")})
    assert ("result", "distance 0.250") in box.lines


def test_a_push_says_how_many_files_and_whether_answers_agree(tmp_path: Path):
    metrics = {"files": {"config.json": 9, "README.md": 8}, "compared": ["logits"], "difference": 0.0}
    dry = str(summary_of("push", tmp_path, metrics, False, {"output": str(tmp_path / "none")}).lines)
    sent = str(summary_of("push", tmp_path, metrics | {"url": "https://here/you"}, False, {"output": "none"}).lines)
    assert "2 files" in dry and "nothing uploaded" in dry and "https://here/you" in sent and "nothing" not in sent


def test_numbers_and_times():
    assert numbers({"f1": 0.5, "n": 3}) == "f1 0.500"
    assert [clock(seconds) for seconds in (4, 200, 7500)] == ["4 s", "3 min 20 s", "2 h 5 min"]


def test_errors_are_json_too(capsys):
    assert cli.main(["run", "nowhere.yaml", "--json"]) == 1
    captured = capsys.readouterr()
    assert "nowhere.yaml" in json.loads(captured.out)["error"]["message"] and captured.err == ""


def test_a_number_under_two_names_is_shown_once():
    metrics = {"accuracy": 0.5, "f1_macro": 0.25, "macro_f1": 0.25, "loss": 1.0, "rows": 3, "log_loss": 1.0}
    assert numbers(metrics) == "accuracy 0.500, f1_macro 0.250, loss 1.000, log_loss 1.000"
    assert numbers({"f1_macro": 0.25, "macro_f1": 0.5}) == "f1_macro 0.250, macro_f1 0.500", "two numbers"
