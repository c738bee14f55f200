"""Several stages in order: `hf-ssl run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hf_ssl.stages.adapt import adapt
from hf_ssl.stages.base import StageResult
from hf_ssl.stages.compare import compare
from hf_ssl.stages.data import data
from hf_ssl.stages.embed import embed
from hf_ssl.stages.evaluate import evaluate
from hf_ssl.stages.finetune import finetune
from hf_ssl.stages.gap import domain_gap
from hf_ssl.stages.import_tf import import_tf
from hf_ssl.stages.inputs import read_data
from hf_ssl.stages.plan import plan, resolve_recipe, resolve_stage
from hf_ssl.stages.predict import predict
from hf_ssl.stages.pretrain import pretrain
from hf_ssl.stages.push import push
from hf_ssl.stages.report import report
from hf_ssl.stages.resolve import split_sections
from hf_ssl.stages.search import search

VERBS = {
    "pretrain": pretrain, "finetune": finetune, "evaluate": evaluate, "compare": compare, "embed": embed, "search": search,
    "push": push, "import-tf": import_tf, "data": data, "predict": predict, "adapt": adapt, "gap": domain_gap,
    "report": report,
}  # fmt: skip


def run_recipe(
    recipe: dict[str, Any], ended: Callable[[str, StageResult, dict[str, Any]], None] | None = None
) -> dict[str, StageResult]:
    """Run the stages of a recipe in order; a stage that has finished with the same inputs is skipped.

    Args:
        recipe: shared options at the top, one mapping per stage (`pretrain:`, `finetune:` …), as in a recipe's YAML.
        ended: called after each stage with its name, its result and its options.

    Raises:
        OptionsError: every problem of every stage's options, before the first one starts.
    """
    resolve_recipe(recipe)  # every problem of every stage, before the first one starts
    results: dict[str, StageResult] = {}
    loaded: Any = None
    for stage, options in plan(recipe).items():
        named = options.get("data")
        if "data" not in split_sections(recipe)[1][stage] and loaded is not None:
            options["data"] = loaded
        elif "data" in options:
            loaded = options["data"] = read_data(resolve_stage(stage, options).config)
        results[stage] = VERBS[stage](**options)
        if ended is not None:
            ended(stage, results[stage], {**options, "data": named})
    return results
