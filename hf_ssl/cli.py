"""`hf-ssl VERB`: parse, call one function, print the next command. No logic here."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from hf_ssl.core.errors import ConfigError, HfSslError, nearest
from hf_ssl.core.log import set_verbosity
from hf_ssl.core.options import COMMANDS
from hf_ssl.core.parsing import from_tokens, from_yaml

logger = logging.getLogger(__name__)

VERBS = {
    "pretrain": "continue self-supervised pre-training in your domain",
    "finetune": "fine-tune on a few labels, with adapters",
    "evaluate": "open the test split once and measure",
    "compare": "did adapting help? base against adapted",
    "embed": "turn data into vectors: parquet, FAISS, Milvus",
    "search": 'nearest neighbors of a text or a file: hf-ssl search "TEXT" --output RUN',
    "push": "publish on the Hub: merged weights, processor, model card; reloaded and compared first",
    "import-tf": "import a model of TensorFlow Hub: hf-ssl import-tf SOURCE --output FOLDER",
    "run": "run a recipe: hf-ssl run RECIPE.yaml [--option value]",
    "check": "read the data, take one real step, estimate time and memory",
    "recipes": "hf-ssl recipes ls | show NAME | cp NAME [FOLDER]",
}
NEXT = {
    "pretrain": "hf-ssl compare --output {output} --data ...   (did it help?)   or   hf-ssl finetune --output {output} --data ...",
    "finetune": "hf-ssl evaluate --output {output} --data ...",
    "evaluate": "AutoModel...from_pretrained('{output}/finetune/model')",
    "compare": "less {output}/compare/table.md",
    "embed": 'hf-ssl search "a text like those" --output {output}',
    "push": "open the address above",
    "import-tf": "hf-ssl pretrain --model {output} --data ...   (pictures: --modality image)",
}


def main(argv: list[str] | None = None) -> int:
    """Entry point.

    Returns:
        0, or 1 for an error the user can mend, or 130 when interrupted.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    if not tokens or tokens[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    verb, rest = tokens[0], tokens[1:]
    # Read by torch when it makes its first tensor: on Linux, tensors of 2 MB and more then lie on huge pages. Training on
    # processors spends a sixth of its time on page faults without (masked words, MiniLM). This process is the command's own.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    set_verbosity("info")
    try:
        if verb not in VERBS:
            raise ConfigError(f"No command is called {verb!r}.{nearest(verb, VERBS)} Commands: {', '.join(VERBS)}.")
        if "-h" in rest or "--help" in rest:
            print(help_of(verb, rest))
            return 0
        _call(verb, rest)
    except HfSslError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"{stop or 'interrupted'}. Go on with: hf-ssl {' '.join(tokens)} --resume", file=sys.stderr)
        return 130
    return 0


def overview() -> str:
    """What `hf-ssl --help` prints."""
    lines = "\n".join(f"  {verb:10} {text}" for verb, text in VERBS.items())
    what = "hf-ssl: adapt a pretrained model to your domain, fine-tune it on a few labels, see whether it helped"
    return f"{what}\n\n{lines}\n\nhf-ssl VERB --help lists the options of a command."


def help_of(verb: str, rest: list[str] | None = None) -> str:
    """Options of a command, from the same text as the docs; with `--objective X` and the like also those of X."""
    lines = [f"hf-ssl {verb}: {VERBS[verb]}", ""]
    if verb in COMMANDS:
        lines += _options(COMMANDS[verb])
        given = from_tokens([token for token in rest or [] if token not in ("-h", "--help")])
        for kind, chosen in (("modalities", "modality"), ("objectives", "objective"), ("tasks", "task")):
            if chosen in given:
                from hf_ssl.core.plugins import find

                shared = {item.name for item in dataclasses.fields(COMMANDS[verb])}
                own = _options(find(kind, given[chosen]).Config, without=shared)
                lines += ["", f"Options of {given[chosen]}:", *(own or ["  (none)"])]
        plugin = {"pretrain": "objective", "finetune": "task", "compare": "task"}.get(verb)
        if plugin:
            from hf_ssl.core.plugins import names

            lines.append(
                f"\n--{plugin}: {', '.join(names(plugin + 's'))}. Its own options, and every transformers.TrainingArguments field, are options too."
            )
        lines.append("--config FILE.yaml reads options from a file; the command line wins.")
    return "\n".join(lines)


def _options(config: type, without: Any = ()) -> list[str]:
    """One line per field: name, help, default."""
    lines = []
    for item in dataclasses.fields(config):
        if item.name not in without:
            factory = item.default_factory
            default = item.default if factory is dataclasses.MISSING else factory()
            lines.append(f"  --{item.name:20} {item.metadata.get('help', '')} [{default}]")
    return lines


def _call(verb: str, rest: list[str]) -> None:
    if verb == "recipes":
        _recipes(rest)
        return
    if verb in ("run", "check"):
        if not rest or rest[0].startswith("--"):
            raise ConfigError(
                f"Name a recipe: hf-ssl {verb} RECIPE.yaml. `hf-ssl recipes ls` lists the ones that come along."
            )
        recipe = merge(from_yaml(_find_recipe(rest[0])), from_tokens(rest[1:]))
        import hf_ssl

        result = hf_ssl.run_recipe(recipe) if verb == "run" else hf_ssl.check(recipe)
        if verb == "check":
            print(json.dumps(result, indent=2))
        return
    if verb == "search" and rest and not rest[0].startswith("--"):
        rest = ["--query", *rest]
    if verb == "import-tf" and rest and not rest[0].startswith("--"):
        rest = ["--source", *rest]
    given = from_tokens(rest)
    options = {**(from_yaml(given.pop("config")) if "config" in given else {}), **given}
    from hf_ssl.stages.recipe import VERBS as CALLED

    answer = CALLED[verb](**options)
    if verb == "search":
        for hit in answer.metrics["hits"]:
            print(json.dumps(hit, ensure_ascii=False))
        return
    if "commit" in answer.metrics or verb != "push":  # a dry run leads nowhere
        logger.info(f"next: {NEXT[verb].format(output=options.get('output', 'runs/default'))}")


def merge(recipe: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Command-line options over a recipe's: `--seed 1` wins over the top level, `--pretrain.max_steps 5` over a section."""
    return {**recipe, **given}


def _gallery() -> Path:
    shipped = Path(__file__).parent / "_recipes"
    return shipped if shipped.is_dir() else Path(__file__).parent.parent / "recipes"


def _find_recipe(name: str) -> Path:
    path = Path(name)
    shipped = _gallery() / f"{path.stem}.yaml"
    return path if path.exists() or not shipped.exists() else shipped


def _recipes(rest: list[str]) -> None:
    files = {path.stem: path for path in sorted(_gallery().glob("*.yaml"))}
    action, names = (rest[0] if rest else "ls"), rest[1:]
    if action == "ls":
        for name, path in files.items():
            print(f"{name:32} {path.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')}")
        return
    if action not in ("show", "cp") or not names:
        raise ConfigError("Usage: hf-ssl recipes ls | show NAME | cp NAME [FOLDER]")
    if names[0] not in files:
        raise ConfigError(
            f"No recipe is called {names[0]!r}.{nearest(names[0], files)} `hf-ssl recipes ls` lists them."
        )
    if action == "show":
        print(files[names[0]].read_text(encoding="utf-8"), end="")
        return
    folder = Path(names[1] if len(names) > 1 else ".")
    for source in files[names[0]].parent.glob(f"{names[0]}.*"):
        target = folder / source.name
        if target.exists():
            raise ConfigError(f"{target} exists already; name another folder.")
        folder.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        print(target)


if __name__ == "__main__":
    sys.exit(main())
