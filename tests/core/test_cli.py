"""The command line and the options behind it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from hf_ssl import cli
from hf_ssl.core.commands import parser_of
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.parsing import coerce
from hf_ssl.stages.resolve import resolve, split_sections


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_help_of_every_verb(verb, capsys):
    assert cli.main([verb, "--help"]) == 0
    assert cli.VERBS[verb] in capsys.readouterr().out


def test_help_imports_nothing_heavy():
    code = "import sys\nfrom hf_ssl.cli import main\nmain(['--help'])\nmain(['pretrain', '--objective', 'mlm', '--help'])\n"
    code += "print({'torch', 'transformers', 'datasets'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip().endswith("set()")


def test_reading_data_does_not_wait_for_torch(tmp_path):
    (tmp_path / "notes.csv").write_text("text\none note\nanother note\n", encoding="utf-8")
    code = f"import sys\nfrom hf_ssl.cli import main\nmain(['data', {str(tmp_path / 'notes.csv')!r}])\n"
    code += "print({'torch', 'transformers'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip().endswith("set()")


def test_unknown_verb_names_the_nearest(capsys):
    assert cli.main(["pretrian"]) == 1
    assert "'pretrain'" in capsys.readouterr().err


def test_errors_are_one_line_and_exit_one(capsys):
    assert cli.main(["run", "nowhere.yaml"]) == 1
    error = capsys.readouterr().err
    assert "nowhere.yaml" in error and "Traceback" not in error


def read(verb: str, *tokens: str) -> dict[str, Any]:
    return parser_of(verb, list(tokens)).read(list(tokens))


def test_tokens():
    tokens = [
        "--seed",
        "3",
        "--bf16",
        "--no-near-duplicates",
        "--labels_per_class",
        "4",
        "16",
        "--mask=span",
        "--pretrain.max_steps",
        "5",
    ]
    assert read("compare", *tokens) == {
        "seed": "3", "bf16": True, "near_duplicates": False, "labels_per_class": ["4", "16"], "mask": "span", "pretrain.max_steps": "5",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="starts with --"):
        read("compare", "seed", "3")


def test_values_mean_what_users_mean():
    assert coerce(float, "2e-1") == 0.2
    assert coerce(list[int], "4,16") == [4, 16]
    assert coerce(int | None, "none") is None
    with pytest.raises(ConfigError):
        coerce(int, "three")


def test_same_options_in_python_and_on_the_command_line():
    python = resolve("compare", {"labels_per_class": [4, 16], "seed": 3, "learning_rate": 2e-4})
    line = resolve("compare", read("compare", "--labels_per_class", "4,16", "--seed", "3", "--learning-rate", "2e-4"))
    assert python == line


def test_sections_come_in_the_order_of_the_stages():
    shared, sections = split_sections(
        {"seed": 1, "compare": None, "pretrain": {"max_steps": 2}, "pretrain.max_steps": "9"}
    )
    assert shared == {"seed": 1} and list(sections) == ["pretrain", "compare"]
    assert sections["pretrain"]["max_steps"] == "9", "the command line wins over the file"
    with pytest.raises(ConfigError, match="pretrain"):
        split_sections({"pretrian.seed": 1})


def test_recipes_gallery(tmp_path, capsys):
    assert cli.main(["recipes"]) == 0
    assert "text_topic_classification" in capsys.readouterr().out
    assert cli.main(["recipes", "cp", "text_topic_classification", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["text_topic_classification.yaml"]
    assert cli.main(["recipes", "show", "text_topik_classification"]) == 1
    assert "text_topic_classification" in capsys.readouterr().err


def test_help_of_a_command_names_the_options_of_what_was_chosen(capsys):
    assert cli.main(["pretrain", "--objective", "mlm", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "\nmlm:\n" in shown and "--mask {token,word,span}" in shown


def test_in_a_recipe_only_the_last_stage_names_the_next_command(tmp_path, monkeypatch, capsys):
    from hf_ssl.stages import recipe
    from hf_ssl.stages.result import StageResult

    (tmp_path / "notes.csv").write_text(
        "text,label\n" + "".join(f"note {i} on warmth,{'ab'[i % 2]}\n" for i in range(20)), encoding="utf-8"
    )
    (tmp_path / "recipe.yaml").write_text(
        f"data: {tmp_path / 'notes.csv'}\nmodel: {tmp_path}\noutput: {tmp_path / 'run'}\npretrain:\n  objective: mlm\n"
        "finetune:\n  task: classification\n",
        encoding="utf-8",
    )
    for stage in ("pretrain", "finetune"):
        monkeypatch.setitem(recipe.VERBS, stage, lambda **_: StageResult(tmp_path / "run", {}))
    assert cli.main(["run", str(tmp_path / "recipe.yaml"), "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [(one["stage"], one["next"].split(" --")[0]) for one in told] == [
        ("pretrain", ""),
        ("finetune", "hf-ssl evaluate"),
    ]


@pytest.mark.parametrize("verb", ["pretrain", "finetune", "compare", "embed", "evaluate", "adapt", "predict", "gap"])
def test_data_may_be_named_first_of_all_without_their_option(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    said = []
    for given in (["nowhere.csv"], ["--data", "nowhere.csv"]):
        assert cli.main([verb, *given, "--output", "run"]) == 1
        said.append(capsys.readouterr().err)
    assert said[0] == said[1] and "unrecognized" not in said[0]
