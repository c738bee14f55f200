"""Several stages in order: `hf-ssl run`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hf_ssl.stages.inputs import read_data
from hf_ssl.stages.plan import plan, resolve_recipe, resolve_stage
from hf_ssl.stages.resolve import split_sections

if TYPE_CHECKING:
    from hf_ssl.stages.result import StageResult


def _late(function: str, module: str) -> Callable[..., StageResult]:
    """The function, imported when it is called: a command that only reads data does not wait for torch."""

    def call(**options: Any) -> StageResult:
        result: StageResult = getattr(importlib.import_module(f"hf_ssl.stages.{module}"), function)(**options)
        return result

    return call


VERBS = {
    **{verb: _late(verb, verb) for verb in ("adapt", "compare", "data", "embed", "evaluate", "finetune", "predict")},
    **{verb: _late(verb, verb) for verb in ("pretrain", "push", "report", "search")},
    "gap": _late("domain_gap", "gap"),
    "import-tf": _late("import_tf", "import_tf"),
}


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
