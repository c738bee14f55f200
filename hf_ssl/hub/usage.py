"""The lines of a card that load what was published, where no pipeline serves it. `reload_check` runs them as they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_ssl.hub.pipelines.base import TEXT
from hf_ssl.models.checkpoint import read_json

ENCODE = """from transformers import AutoTokenizer, {kind}
tokenizer, model = AutoTokenizer.from_pretrained("{repo}"), {kind}.from_pretrained("{repo}")
print(model(**tokenizer("{example}", return_tensors="pt"))[0].shape)"""
SERIES = """import torch, transformers
model = transformers.{kind}.from_pretrained("{repo}").eval()
print(type(model(past_values=torch.zeros({shape}))).__name__)"""
LOAD = """from transformers import {kind}
model = {kind}.from_pretrained("{repo}")
print(type(model).__name__)"""
ADAPT = """from peft import PeftModel
from transformers import {kind}
model = PeftModel.from_pretrained({kind}.from_pretrained("{base}"{given}), "{repo}")"""
ANSWER = """from hf_ssl import load_answer
answer = load_answer("{repo}")
print(answer)  # answer.predict(data): a list of values, a table, a folder; answer.probabilities(data)"""
ROWS = """from datasets import load_dataset
rows = load_dataset("{repo}", split="train")
print(rows)"""


def of_class(repo: str, auto_class: str, folder: Path) -> str:
    """Lines for a model that no pipeline serves, by what lies beside its weights.

    Args:
        folder: staged, with config.json and the processor.
    """
    config = read_json(folder / "config.json")
    if (folder / "tokenizer_config.json").is_file() and not (folder / "preprocessor_config.json").is_file():
        return ENCODE.format(repo=repo, kind=auto_class, example=TEXT)
    if "context_length" in config and "num_input_channels" in config:
        shape = f"1, {config['context_length']}, {config['num_input_channels']}"
        return SERIES.format(repo=repo, kind=auto_class, shape=shape)
    return LOAD.format(repo=repo, kind=auto_class)


def of_adapter(repo: str, auto_class: str, base: str, revision: str | None, options: dict[str, Any]) -> str:
    """Lines for an adapter: its base first, as others find it."""
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    at = f', revision="{revision}"' if revision else ""
    return ADAPT.format(kind=auto_class, base=base, given=at + given, repo=repo)
