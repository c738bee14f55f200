"""The three lines of a card that load and use what was published. `reloading` runs them as they stand."""

from __future__ import annotations

from typing import Any

TEXT = "The bridge was closed after the storm."
FILL = """from transformers import pipeline
fill = pipeline("fill-mask", model="{repo}")
print(fill("Good " + fill.tokenizer.mask_token + ".", top_k=2))"""
CLASSIFY = """from transformers import pipeline
classify = pipeline("{tag}", model="{repo}")
print(classify("{example}"))"""
LISTEN = """import soundfile, transformers
{verb} = transformers.pipeline("{tag}", model="{repo}")
print({verb}(soundfile.read("clip.wav", dtype="float32")[0]))  # mono, {rate:,} samples a second"""
SEGMENT = """from transformers import pipeline
segment = pipeline("{tag}", model="{repo}")
print([area["label"] for area in segment("photo.png")])"""
SERVE = """from transformers import pipeline
serve = pipeline("{tag}", model="{repo}")
print(len(serve("{example}")[0]))"""
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
ROWS = """from datasets import load_dataset
rows = load_dataset("{repo}", split="train")
print(rows)"""


def of_model(repo: str, auto_class: str, tag: str | None, modality: Any, config: dict[str, Any]) -> str:
    """Lines for a model or a backbone.

    Args:
        tag: its pipeline, when there is one and it can be tried.
        config: its config.json.
    """
    kind = str(modality.processor)
    example = "photo.png" if kind == "image" else TEXT
    if tag == "fill-mask":
        return FILL.format(repo=repo)
    if tag is not None and kind == "audio":  # a file's name would need ffmpeg
        verb = "classify" if tag.endswith("classification") else "transcribe"
        return LISTEN.format(repo=repo, tag=tag, verb=verb, rate=modality.config.sampling_rate)
    if tag == "image-segmentation":
        return SEGMENT.format(repo=repo, tag=tag)
    if tag is not None and tag.endswith("classification"):
        return CLASSIFY.format(repo=repo, tag=tag, example=example)
    if kind == "text":
        return ENCODE.format(repo=repo, kind=auto_class, example=example)
    if tag is not None:
        return SERVE.format(repo=repo, tag=tag, example=example)
    if "context_length" in config and "num_input_channels" in config:
        shape = f"1, {config['context_length']}, {config['num_input_channels']}"
        return SERIES.format(repo=repo, kind=auto_class, shape=shape)
    return LOAD.format(repo=repo, kind=auto_class)


def of_adapter(repo: str, auto_class: str, base: str, revision: str | None, options: dict[str, Any]) -> str:
    """Lines for an adapter: its base first, as others find it."""
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    at = f', revision="{revision}"' if revision else ""
    return ADAPT.format(kind=auto_class, base=base, given=at + given, repo=repo)
