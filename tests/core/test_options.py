"""Options: one name for one thing, ranges, old names, and every problem at once before anything heavy is imported."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from hf_ssl.core import plugins
from hf_ssl.core.commands import parser_of
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import Options, OptionsError, hints_of, option
from hf_ssl.core.options import COMMANDS, STAGES
from hf_ssl.core.parsing import coerce
from hf_ssl.core.source import config_in, training_arguments
from hf_ssl.models import adapters
from hf_ssl.stages.plan import resolve_recipe, resolve_stage
from hf_ssl.stages.resolve import RESERVED, modality_fields, resolve

PLUGINS = [(kind, name) for kind in ("objectives", "tasks") for name in plugins.names(kind)]
TRAINING = {"pretrain": "objectives", "finetune": "tasks", "compare": "tasks"}


def read(verb: str, *tokens: str) -> dict[str, Any]:
    return parser_of(verb, list(tokens)).read(list(tokens))


def problems_of(stage: str, **given: Any) -> list[str]:
    with pytest.raises(OptionsError) as error:
        resolve_stage(stage, given)
    return error.value.problems


@pytest.mark.parametrize("stage", STAGES)
def test_no_name_means_two_things(stage: str) -> None:
    """Options of a stage, of each plug-in, of each modality and of transformers are told apart by their names alone."""
    own = set(hints_of(STAGES[stage]))
    of_plugins = {
        f"{kind} {name}": set(hints_of(plugins.config_of(kind, name)))
        for kind, name in PLUGINS if TRAINING.get(stage) == kind
    }  # fmt: skip
    of_data = {}
    if "modality_options" in own:
        of_data = {
            name: set(modality_fields(plugins.find("modalities", name))) for name in plugins.names("modalities")
        }
    trainer = set(training_arguments()) - {"seed"} if stage in TRAINING else set()  # the one seed of everything
    groups = {"the stage": own, "transformers": trainer, **of_data, **of_plugins}
    for (first, names), (second, others) in itertools.combinations(groups.items(), 2):
        if not (first in of_data and second in of_data) and not (first in of_plugins and second in of_plugins):
            assert not names & others, f"{first} and {second}"
    assert not RESERVED.keys() & set().union(own, *of_data.values(), *of_plugins.values())


def test_no_old_name_is_a_name_of_today() -> None:
    """Else an old recipe would silently mean something else."""
    for stage, config in COMMANDS.items():
        for old, new in config.renamed.items():
            assert old not in hints_of(config) and new in hints_of(config), stage
    for kind, name in PLUGINS:
        config = plugins.config_of(kind, name)
        assert (
            not config.renamed.keys() & hints_of(config).keys()
            and set(config.renamed.values()) <= hints_of(config).keys()
        )


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_options_read_from_the_source_are_those_of_the_class(kind: str, name: str) -> None:
    light = config_in(Path(plugins.__file__).parent.parent / kind / f"{name.replace('-', '_')}.py")
    real = plugins.find(kind, name).Config
    assert light.__qualname__ == real.__qualname__ and hints_of(light) == hints_of(real)
    assert dataclasses.asdict(light(**_needed(light))) == dataclasses.asdict(real(**_needed(real)))
    for one, other in zip(dataclasses.fields(light), dataclasses.fields(real), strict=True):
        assert dict(one.metadata) == dict(other.metadata)


def _needed(config: type) -> dict[str, Any]:
    return {"teacher": "somewhere"} if "teacher" in hints_of(config) else {}


def test_training_arguments_read_from_the_source_are_transformers_own() -> None:
    from transformers import TrainingArguments

    assert set(training_arguments()) == {item.name for item in dataclasses.fields(TrainingArguments) if item.init}
    assert training_arguments()["learning_rate"].hint is float and training_arguments()["bf16"].hint is bool


def test_methods_are_those_that_the_adapters_know() -> None:
    assert set(hints_of(STAGES["finetune"])["peft"].__args__) == set(adapters.METHODS)


def test_every_pooling_of_an_encoder_is_an_option_and_nothing_else() -> None:
    encoders = [plugins.find("modalities", name).encoder_class() for name in plugins.names("modalities")]
    assert set(plugins.poolings()) == {mode for encoder in encoders for mode in encoder.poolings}
    config = STAGES["embed"]
    for mode in (*plugins.poolings(), "cls+mean", "mean@-2"):
        assert not any("pooling" in problem for problem in config(data="x", output="y", pooling=mode).problems()), mode


@pytest.mark.parametrize(
    ("stage", "tokens", "named"),
    [
        ("pretrain", ["--objective=mlmm"], "mlm"),
        ("pretrain", ["--objective", "mlm", "--mask_ration", "0.2"], "mask_ratio"),
        ("pretrain", ["--objective", "mlm", "--mask_ratio", "1.5"], "below 1"),
        ("finetune", ["--peft", "lroa"], "'lora'"),
        ("finetune", ["--task", "clasification"], "classification"),
        ("embed", ["--pooling", "men"], "'mean'"),
        ("embed", ["--pooling", "cls+men"], "'mean'"),
        ("pretrain", [], "--model"),
        ("compare", ["--model=x", "--labels_per_class", "4,x"], "labels_per_class"),
        ("pretrain", ["--epochs", "3"], "num_train_epochs"),
        ("pretrain", ["--output_dir=x"], "--output"),
        ("evaluate", ["--max_steps=3"], "nothing is trained"),
        ("finetune", ["--modality_options", "x"], "modality_options"),
        ("search", [], "hf-ssl search"),
    ],
)
def test_a_wrong_option_costs_no_import(stage: str, tokens: list[str], named: str, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom hf_ssl.cli import main\nended = main(sys.argv[1:])\n"
        "print(ended, {'torch', 'transformers', 'datasets'} & set(sys.modules))"
    )
    data = [] if stage == "search" else [f"--data={tmp_path / 'data'}"]
    command = [sys.executable, "-c", code, stage, *data, f"--output={tmp_path / 'run'}", *tokens]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "1 set()", done.stderr
    assert named in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_target_that_no_arm_adapts_to_is_told() -> None:
    shared = {"data": "texts", "model": "m", "target": "others"}
    with pytest.raises(OptionsError, match="domain-adversarial"):
        resolve("compare", {**shared, "arms": ["base", "adapted"]})
    resolve("compare", {**shared, "arms": ["base", "adapted+domain-adversarial"]})
    resolve("compare", shared)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    told = problems_of(
        "pretrain", data="x", model="x", objective="mlm", output=str(tmp_path / "run"), mask="wrod", mask_ratio=2,
        seed="many", layer_decay=0, leakage="striip", colour=1, learning_rate="fast", modality_options={"txt_": 1},
    )  # fmt: skip
    assert {problem.partition(":")[0] for problem in told} == {
        "mask", "mask_ratio", "seed", "layer_decay", "leakage", "colour", "learning_rate", "modality_options",
    }  # fmt: skip
    assert any("Did you mean 'word'?" in problem for problem in told)


def test_all_problems_of_all_stages_are_told_at_once(tmp_path: Path) -> None:
    recipe = {
        "data": "x", "model": "x", "output": str(tmp_path / "run"), "sead": 1, "pretrain": {"mask": "wrod"},
        "finetune": {"peft": "lroa"}, "compare": {"num_seeds": 0},
    }  # fmt: skip
    with pytest.raises(OptionsError) as error:
        resolve_recipe(recipe)
    told = "\n".join(error.value.problems)
    assert len(error.value.problems) == 4
    assert all(word in told for word in ("'seed'", "pretrain: mask", "finetune: peft", "compare: num_seeds"))


def test_what_is_missing_is_told_before_anything_is_read(tmp_path: Path) -> None:
    output = str(tmp_path / "run")
    assert problems_of("pretrain", output=output)[0].startswith("data: ")
    assert "--model" in problems_of("finetune", data="x", output=output)[0]
    assert "hf-ssl finetune" in problems_of("evaluate", data="x", output=output)[0]
    assert "from_config" in problems_of("pretrain", data="x", from_config=True, output=output)[0]
    assert "no revisions" in problems_of("pretrain", data="x", model=str(tmp_path), revision="main", output=output)[0]
    assert resolve_recipe(
        {"data": "x", "model": "x", "output": output, "pretrain": {}, "finetune": {}, "evaluate": {}}
    )


@pytest.mark.parametrize(
    "spelled",
    [
        ["--labels_per_class", "4,8,16"], ["--labels_per_class", "4", "8", "16"], ["--labels_per_class=4,8,16"],
        ["--labels_per_class", "[4,8,16]"], ["--labels_per_class", "[4,", "8,", "16]"], ["--labels-per-class", "4,", "8,16"],
    ],
)  # fmt: skip
def test_a_list_may_be_spelled_in_many_ways(spelled: list[str]) -> None:
    assert resolve("compare", read("compare", *spelled)).config.labels_per_class == [4, 8, 16]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["EEG Fp1 [uV]", "EEG Fp2 [uV]"], ["EEG Fp1 [uV]", "EEG Fp2 [uV]"]),
        (["[EEG Fp1 [uV],", "EEG Fp2 [uV]]"], ["EEG Fp1 [uV]", "EEG Fp2 [uV]"]),
        (["['EEG Fp1 [uV]', 'EEG Fp2 [uV]']"], ["EEG Fp1 [uV]", "EEG Fp2 [uV]"]),
        (["['Temp, C (in, out)', 'RH, %']"], ["Temp, C (in, out)", "RH, %"]),
        (["[yes]", "[no]"], ["[yes]", "[no]"]), (["it's", "its"], ["it's", "its"]), (["f(x, y)", "g(x)"], ["f(x, y)", "g(x)"]),
        (["--"], ["--"]), (["---", "--"], ["---", "--"]), (["[--]"], ["--"]), (["-", "-9", "-inf", "-9 (none)"], ["-", "-9", "-inf", "-9 (none)"]),
        (["--none--", "n/a"], ["--none--", "n/a"]), ([">5,000", "<3"], [">5,000", "<3"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("option", ["ignore_columns", "na_values", "label_columns", "keep_columns"])
def test_names_in_a_list_may_hold_brackets_commas_and_dashes(words: list[str], names: list[str], option: str) -> None:
    tokens = [f"--{option}", *words, "--seed", "3"]
    given = read("data", *tokens)
    assert coerce(list[str], given[option]) == names and given["seed"] == "3"
    if len(words) == 1:
        assert coerce(list[str], read("data", f"--{option}={words[0]}")[option]) == names


def test_texts_in_a_list_from_python_stay_as_they_are() -> None:
    assert coerce(list[str], ["Temp, C", "[uV]", "'a'"]) == ["Temp, C", "[uV]", "'a'"]


def test_dashes_before_any_option_are_an_error() -> None:
    with pytest.raises(ConfigError, match="starts with --"):
        read("data", "--")


def test_values_from_yaml_and_python_mean_the_same() -> None:
    for value in ([4, 8], (4, 8), "4,8", ["4", "8"], "[4, 8]"):
        assert coerce(list[int], value) == [4, 8]
    assert coerce(list[int], 4) == [4] and coerce(list[str], "a, b") == ["a", "b"]
    assert coerce(hints_of(STAGES["finetune"])["peft"], "Linear_Probe") == "linear-probe"
    assert coerce(float | None, "none") is None and coerce(bool, "false") is False


OLD = {"budgets": "4,8", "draws": 2, "rank": 4, "alpha": 8, "adapter_dropout": 0.1}


def test_old_names_work_in_python_yaml_and_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text("pretrain:\n  rank: 4\n  keep: last\n  ramp: 0.2\n", encoding="utf-8")
    with pytest.warns(FutureWarning, match="budgets is called labels_per_class"):
        config = resolve("compare", OLD).config
    assert (config.labels_per_class, config.num_seeds, config.lora_r, config.lora_alpha) == ([4, 8], 2, 4, 8)
    with pytest.warns(FutureWarning):
        line = resolve("compare", read("compare", *(f"--{name}={value}" for name, value in OLD.items()))).config
    assert line == config
    tokens = [str(file), "--data=x", "--model=x", f"--output={tmp_path / 'run'}", "--pretrain.patience=0"]
    with pytest.warns(FutureWarning):
        from hf_ssl.core.commands import recipe_of

        recipe = {**recipe_of("run", tokens), **parser_of("run", tokens).read(tokens[1:])}
        config = resolve_recipe(recipe)["pretrain"].config
    assert (config.lora_r, config.keep_checkpoint, config.backbone_warmup_ratio) == (4, "last", 0.2)
    assert config.early_stopping_patience == 0


@pytest.mark.parametrize(
    ("objective", "modality", "old", "new"),
    [
        ("ts-contrastive", "timeseries", {"hide": 0.2, "flip": False, "kernels": 2.0}, ("mask_ratio", "sign_flip", "kernel_weight")),
        ("wav2vec2", "audio", {"mask_ratio": 0.5}, ("mask_time_prob",)),
    ],
)  # fmt: skip
def test_old_names_of_objectives_work(
    objective: str, modality: str, old: dict[str, Any], new: tuple[str, ...]
) -> None:
    given = {"data": "x", "model": "x", "objective": objective, "modality": modality}
    with pytest.warns(FutureWarning):
        resolved = resolve_stage("pretrain", {**given, **old})
    assert [getattr(resolved.plugin, name) for name in new] == list(old.values())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_stage("pretrain", {**given, **dict(zip(new, old.values(), strict=True))}) == resolved


def test_an_option_under_both_names_is_refused() -> None:
    with pytest.warns(FutureWarning):
        assert "twice" in problems_of("compare", data="x", model="x", rank=4, lora_r=8)[0]


def test_ranges_hold_where_a_configuration_is_made() -> None:
    @dataclasses.dataclass
    class Config(Options):
        share: float = option(0.5, "A fraction.", gt=0, lt=1)
        several: list[int] = option([1], "Counts.", ge=1)

        def problems(self) -> list[str]:
            return ["several: too many."] if len(self.several) > 2 else []

    assert Config().several == [1] and Config(share=0.9).share == 0.9
    with pytest.raises(OptionsError) as error:
        Config(share=1.0, several=[1, 2, 0])
    assert [problem.partition(":")[0] for problem in error.value.problems] == ["share", "several", "several"]
    with pytest.raises(ConfigError, match="mask_ratio"):
        plugins.find("objectives", "mlm").Config(mask_ratio=1.0)
    with pytest.raises(ConfigError, match="token, word, span"):
        plugins.find("objectives", "mlm").Config(mask="letters")
    with pytest.raises(TypeError, match="least"):
        option(1, "A mistake of ours.", least=0)
