"""The commands, their examples, and which options each has: those of the stage, of the plug-ins named so far, and of training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import hints_of
from hf_ssl.core.launch import LaunchOptions
from hf_ssl.core.options import AUTO, COMMANDS, STAGES
from hf_ssl.core.parser import COMMON, Parser, fields_of, groups_of, old_names, peek
from hf_ssl.core.parsing import from_yaml
from hf_ssl.core.source import training_arguments

VERBS = {
    "demo": "see it work: real text, a real model, a first result in a minute",
    "adapt": "all in one: try what a time budget allows, keep the best, measure it: hf-ssl adapt DATA --model M --budget 30m",
    "data": "read data and report what was found, with examples: hf-ssl data SOURCE",
    "gap": "how far is the checkpoint from your data, and what is worth trying: hf-ssl gap DATA --model MODEL",
    "pretrain": "continue self-supervised pre-training in your domain",
    "finetune": "fine-tune on a few labels, with adapters",
    "evaluate": "open the test split once and measure",
    "predict": "label new data, or forecast what comes next: hf-ssl predict DATA --output RUN",
    "compare": "what helped, and what to use? arms, probes and baselines in one table",
    "report": "one page of what a run found: hf-ssl report RUN",
    "embed": "turn data into vectors: parquet, FAISS, Milvus",
    "search": 'nearest neighbors of a text or a file: hf-ssl search "TEXT" --output RUN',
    "push": "publish on the Hub: merged weights, processor, model card; reloaded and compared first",
    "import-tf": "import a model of TensorFlow Hub: hf-ssl import-tf SOURCE --output FOLDER",
    "run": "run a recipe: hf-ssl run RECIPE.yaml [--option value]",
    "check": "run every stage of a recipe for a few steps, estimate time, memory and disk",
    "doctor": "what this machine can do, what is missing, and how fast it is",
    "ui": "the whole way in a browser, on this machine only: hf-ssl ui",
    "new": "write an objective or a task of your own, with its test: hf-ssl new objective NAME",
    "recipes": "hf-ssl recipes ls | show NAME | cp NAME [FOLDER]",
    "completion": "let the shell complete options: hf-ssl completion bash | zsh | fish",
}
EXAMPLES = {
    "doctor": ("hf-ssl doctor", "hf-ssl doctor --hub false --json", "hf-ssl doctor --output /large/disk"),
    "ui": ("hf-ssl ui", "hf-ssl ui --folder my-projects --port 7861 --browser false"),
    "new": ("hf-ssl new objective my-order", "hf-ssl new task rare-classes --folder src/mine"),
    "demo": (
        "hf-ssl demo",
        "hf-ssl demo --first                  (the first picture only)",
        "hf-ssl demo --output runs/look -v    (every line of what is done)",
    ),
    "adapt": (
        "hf-ssl adapt reviews/ --model answerdotai/ModernBERT-base --budget 30m --output runs/reviews",
        "hf-ssl adapt scans/ --modality image --model timm/resnet50.a1_in1k --group_column patient --budget 2h",
        "hf-ssl adapt reviews/ --output runs/reviews --model intfloat/e5-small --budget 1h --resume        (more time)",
    ),
    "data": (
        "hf-ssl data reviews/",
        "hf-ssl data sales.csv --modality timeseries --horizon 12 --day_first true",
        "hf-ssl data scans/ --modality image --group_column patient --save report/",
    ),
    "gap": (
        "hf-ssl gap reviews/ --model answerdotai/ModernBERT-base          (the pool against the inputs of test)",
        "hf-ssl gap scans/ --modality image --model timm/resnet50.a1_in1k --domain_column site",
        "hf-ssl gap reviews/ --model intfloat/e5-small --target tickets.csv",
    ),
    "pretrain": (
        "hf-ssl pretrain --data reviews/ --model answerdotai/ModernBERT-base --output runs/reviews",
        "hf-ssl pretrain --data scans/ --modality image --model timm/resnet50.a1_in1k --objective simclr --peft lora",
        "hf-ssl pretrain --config pretrain.yaml --seed 1 --resume",
    ),
    "finetune": (
        "hf-ssl finetune --data reviews/ --output runs/reviews                 (from what the run has pre-trained)",
        "hf-ssl finetune --data reviews/ --model intfloat/e5-small --peft full --learning_rate 3e-5",
        "hf-ssl finetune --data reviews/ --output runs/reviews --labels_per_class 16 --class_weight balanced",
    ),
    "evaluate": (
        "hf-ssl evaluate --data reviews/ --output runs/reviews",
        "hf-ssl evaluate --data reviews/ --output runs/reviews --split validation",
        "hf-ssl evaluate --data reviews/ --output runs/reviews --test other.csv",
    ),
    "predict": (
        "hf-ssl predict new-reviews.csv --output runs/reviews",
        "hf-ssl predict new-scans/ --output runs/scans --save findings.csv --all_classes",
        "hf-ssl predict sales.csv --output runs/sales --confidence 0.8          (the steps after the last known ones)",
        "hf-ssl predict new-reviews.csv --model me/reviews --save labels.csv   (a published model, without a run)",
    ),
    "compare": (
        "hf-ssl compare --data reviews/ --output runs/reviews",
        "hf-ssl compare --data reviews/ --output runs/reviews --labels_per_class 4,16,64 --num_seeds 5",
        "hf-ssl compare --data reviews/ --output runs/reviews --no-finetune-arms     (frozen probes only)",
        "hf-ssl compare --data reviews/ --output runs/reviews --arms base,adapted,random --protocols knn,full --budget 30m",
    ),
    "report": (
        "hf-ssl report runs/reviews",
        "hf-ssl report runs/reviews --no_content                                (no rows of the data on it)",
    ),
    "embed": (
        "hf-ssl embed --data reviews/ --output runs/reviews",
        "hf-ssl embed --data reviews/ --model intfloat/e5-small --store faiss",
        "hf-ssl embed --data reviews/ --output runs/reviews --split test --pooling mean",
    ),
    "search": (
        'hf-ssl search "broken on arrival" --output runs/reviews',
        'hf-ssl search "broken on arrival" --output runs/reviews --k 20 --store faiss',
        "hf-ssl search --file scan.png --output runs/scans",
    ),
    "push": (
        "hf-ssl push --output runs/reviews --repo me/reviews --dry_run",
        "hf-ssl push --output runs/reviews --repo me/reviews --license apache-2.0 --private",
        "hf-ssl push --output runs/reviews --repo me/reviews-lora --what adapter --create_pr",
    ),
    "import-tf": (
        "hf-ssl import-tf bert_en_cased_L-12/ --output models/bert",
        "hf-ssl import-tf kaggle:google/experts-bert/tensorFlow2/pubmed/2 --output models/pubmed --license apache-2.0",
        "hf-ssl import-tf electra.tar.gz --output models/electra --part discriminator --check tf",
    ),
    "run": (
        "hf-ssl run text_topic_classification --data my-data --output runs/topics",
        "hf-ssl run my.yaml --seed 1 --pretrain.max_steps 200",
        "hf-ssl run my.yaml --data my-data --launch ddp --num_processes 4",
    ),
    "check": (
        "hf-ssl check text_topic_classification --data my-data",
        "hf-ssl check my.yaml --pretrain.per_device_train_batch_size 16",
        "hf-ssl check my.yaml --output /large/disk/run",
    ),
}
# What several processes can share.
LAUNCHED = ("adapt", "pretrain", "finetune", "evaluate", "predict", "compare", "embed", "run")
# Which plug-in a stage has, and whether it trains.
PLUGIN = {"pretrain": "objectives", "finetune": "tasks", "compare": "tasks"}


def parser_of(verb: str, tokens: list[str]) -> Parser:
    """The parser of a command.

    Args:
        tokens: what follows the command: `--objective mlm` adds the options of `mlm`, a recipe's name those of its stages.

    Raises:
        ConfigError: a plug-in, a recipe or a file of options that is named does not exist.
    """
    if verb in COMMANDS:
        parser = Parser(verb, VERBS[verb], EXAMPLES[verb])
        named = peek(tokens, "config", "modality", "objective", "task")
        given = {**(from_yaml(named["config"]) if named.get("config") else {}), **named}
        _add_stage(parser, verb, given)
        text = "Read options from a YAML file; the command line wins."
        parser.add("configuration file", {"config": (str, text, None, ())})
        _add_launch(parser, verb)
        return parser
    parser = Parser(verb, VERBS[verb], EXAMPLES.get(verb, ()), usage=f"hf-ssl {verb} NAME [OPTIONS]")
    if verb in ("run", "check") and tokens and not tokens[0].startswith("--"):
        _add_recipe(parser, {**recipe_of(verb, tokens), **peek(tokens, "modality", "objective", "task")})
    _add_launch(parser, verb)
    return parser


def _add_launch(parser: Parser, verb: str) -> None:
    if verb in LAUNCHED:
        parser.add("several processes", fields_of(LaunchOptions))


def recipe_of(verb: str, tokens: list[str]) -> dict[str, Any]:
    """The recipe that is named first: a file, or one of those that come along.

    Raises:
        ConfigError: none is named, or it cannot be read.
    """
    if not tokens or tokens[0].startswith("--"):
        raise ConfigError(
            f"Name a recipe: hf-ssl {verb} RECIPE.yaml. `hf-ssl recipes ls` lists the ones that come along."
        )
    path = Path(tokens[0])
    shipped = gallery() / f"{path.stem}.yaml"
    return from_yaml(path if path.is_file() or not shipped.exists() else shipped)


def gallery() -> Path:
    """Folder of the recipes that come along."""
    package = Path(__file__).parent.parent
    shipped = package / "_recipes"
    return shipped if shipped.is_dir() else package.parent / "recipes"


def completing(words: list[str]) -> Parser:
    """The parser for what has been typed so far after `hf-ssl`, for a shell that asks how it may go on."""
    verb = words[0] if words and words[0] in VERBS else None
    try:
        parser = parser_of(verb, words[1:]) if verb else Parser("", "")
    except ConfigError:  # half a name of a plug-in or of a file
        parser = parser_of(str(verb), [])
    parser.add_argument("verb", choices=VERBS)
    if verb in ("run", "check", "recipes"):
        parser.add_argument("name", choices=sorted(path.stem for path in gallery().glob("*.yaml")))
    return parser


def _add_stage(parser: Parser, stage: str, given: Mapping[str, Any], prefix: str = "") -> None:
    """Options of a stage: its own by group, those of its plug-in and of the modality, and those of training."""
    config = COMMANDS[stage]
    fields = fields_of(config, prefix)
    if "modality" in hints_of(config):
        fields[f"{prefix}modality"] = _named(fields[f"{prefix}modality"], "modalities")
    if "domain_method" in hints_of(config):
        fields[f"{prefix}domain_method"] = _named(fields[f"{prefix}domain_method"], "domain_methods")
    chosen = {}
    for kind, name in (("modalities", "modality"), (PLUGIN.get(stage, ""), PLUGIN.get(stage, "").rstrip("s"))):
        if name in hints_of(config):
            fields[f"{prefix}{name}"] = _named(fields[f"{prefix}{name}"], kind)
            if given.get(name) and given[name] != AUTO:
                chosen[str(given[name])] = plugins.config_of(kind, str(given[name]))
    for title, names in groups_of(config, stage).items():
        parser.add(
            f"{prefix}{title}" if prefix else title, {f"{prefix}{name}": fields[f"{prefix}{name}"] for name in names}
        )
    for name, kind_config in chosen.items():
        parser.add(f"{prefix}{name}", fields_of(kind_config, prefix))
    if stage in PLUGIN:
        training = {
            f"{prefix}{name}": (field.hint, field.help or "See transformers.TrainingArguments.", None, ())
            for name, field in training_arguments().items()
        }
        title = f"{prefix}training (these and all other fields of transformers.TrainingArguments)"
        parser.add(title, training, shown=[f"{prefix}{name}" for name in COMMON])
    old = old_names([name.removeprefix(prefix) for name in parser.known], [config, *chosen.values()])
    parser.add("", {f"{prefix}{name}": (Any, "", None, ()) for name in old}, shown=())


def _add_recipe(parser: Parser, recipe: Mapping[str, Any]) -> None:
    """`--data` for every stage that has it, `--pretrain.max_steps` for one."""
    shared = {name: value for name, value in recipe.items() if name not in STAGES}
    stages = [stage for stage in STAGES if stage in recipe]
    for stage in stages:
        own = recipe[stage] if isinstance(recipe[stage], dict) else {}
        _add_stage(parser, stage, {**shared, **own}, prefix=f"{stage}.")
    for stage in stages:
        _add_stage_options(parser, stage, shared)


def _add_stage_options(parser: Parser, stage: str, shared: Mapping[str, Any]) -> None:
    """Without a stage's name in front: options of every stage that has them."""
    fields = fields_of(STAGES[stage])
    for title, names in groups_of(STAGES[stage], stage).items():
        parser.add(f"every stage: {title}", {name: fields[name] for name in names})
    if shared.get("modality"):
        parser.add(
            f"every stage: {shared['modality']}", fields_of(plugins.config_of("modalities", str(shared["modality"])))
        )
    old = old_names(parser.known, [STAGES[stage]])
    parser.add("", {name: (Any, "", None, ()) for name in old}, shown=())


def _named(field: tuple[Any, str, Any, Any], kind: str) -> tuple[Any, str, Any, Any]:
    """The names of plug-ins as choices that the help and the shell show; dotted paths are allowed as well."""
    return (*field[:3], [*([AUTO] if kind == "objectives" else []), *plugins.names(kind)])
