"""What others may rely on. A change here is a change of the version: see Semantic Versioning, and CHANGELOG.md."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import hf_ssl

# Name → parameters of a function; public methods of a base class that one derives from.
FUNCTIONS = {
    "check": "recipe",
    "compare": "**options",
    "normalize_loss": "total, own_count, num_items_in_batch",
    "embed": "**options",
    "evaluate": "**options",
    "example_rng": "seed, epoch, example",
    "finetune": "**options",
    "load_answer": "model, *, revision, token, start, **options",
    "import_tf": "**options",
    "pretrain": "**options",
    "push": "*, token, **options",
    "run_recipe": "recipe, ended",
    "search": "**options",
    "set_verbosity": "level",
}
MORE = {
    "few_label_subset",
    "load_data",
    "load_model",
    "load_processor",
    "open_test",
    "predict",
    "adapt",
    "load_rows",
    "write_report",
    "domain_gap",
    "doctor",
}
CLASSES = {
    "Modality": "baseline_features content_key describe encoder_class load load_processor pooling read_files shingles",
    "Encoder": "collate embed example_values features load logits plain_model preprocess replace save size spec view_store views",
    "CheckpointRef": "file weights",
    "Objective": "fits collate describe export is_head metrics rows",
    "Rows": "set_epoch",
    "Task": "fits collate_inputs collate_labels encode fit_labels forward inputs loss max_length metrics model_options predictions probe_targets "
    "warm_start",
    "Store": "add all_vectors close discard open search",
    "StoreAddress": "of",
    "EmbeddingSpec": "from_json require_same to_json",
    "ServedPipeline": "ask class_names compare usage write_example",
    "HfSslError": "",
    "HfSslWarning": "",
    "LossOutput": "",
    "StageResult": "",
}


def test_public_names() -> None:
    assert set(hf_ssl.__all__) == set(FUNCTIONS) | MORE | set(CLASSES)
    for name in hf_ssl.__all__:
        assert getattr(hf_ssl, name) is not None
        assert name in dir(hf_ssl)


def test_each_has_its_place_in_the_reference(repository: Path) -> None:
    page = (repository / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: (\S+)\.(\w+)$", page, re.M)
    assert {name for _, name in shown} >= set(hf_ssl.__all__)
    for module, name in shown:
        assert getattr(importlib.import_module(module), name), name


def test_parameters_of_functions() -> None:
    for name, expected in FUNCTIONS.items():
        assert _parameters(getattr(hf_ssl, name)) == expected, name
    for name in MORE:
        assert inspect.getdoc(getattr(hf_ssl, name)), name


def test_what_a_subclass_may_count_on() -> None:
    """Methods may be added (with a default); none may go."""
    for name, methods in CLASSES.items():
        kind = getattr(hf_ssl, name)
        assert isinstance(kind, type), name
        own = {method for method in dir(kind) if callable(getattr(kind, method, None))}
        assert set(methods.split()) <= own, f"{name} lost {set(methods.split()) - own}"


def test_version_is_semantic() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+([.-]?(a|b|rc|dev)\d+)?", hf_ssl.__version__)


def _parameters(function: object) -> str:
    shown = []
    for parameter in inspect.signature(function).parameters.values():  # type: ignore[arg-type]
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        shown.append(("**" if parameter.kind is parameter.VAR_KEYWORD else "") + parameter.name)
    return ", ".join(shown)
