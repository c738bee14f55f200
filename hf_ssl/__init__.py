"""hf_ssl: adapt a self-supervised checkpoint to your own unlabelled data, fine-tune on a few labels, see whether it helped."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "load_data": "data", "open_test": "data", "few_label_subset": "data", "load_model": "models", "load_processor": "models",
    "pretrain": "stages", "finetune": "stages", "evaluate": "stages", "compare": "stages", "embed": "stages", "push": "stages",
    "search": "stages", "run_recipe": "stages",
    "check": "stages", "Objective": "objectives.base", "Task": "tasks.base", "Modality": "modalities.base",
    "HfSslError": "errors",
}  # fmt: skip
__all__ = sorted(_HOME)

if TYPE_CHECKING:
    from hf_ssl.data import few_label_subset, load_data, open_test
    from hf_ssl.errors import HfSslError
    from hf_ssl.modalities.base import Modality
    from hf_ssl.models import load_model, load_processor
    from hf_ssl.objectives.base import Objective
    from hf_ssl.stages import check, compare, embed, evaluate, finetune, pretrain, push, run_recipe, search
    from hf_ssl.tasks.base import Task


def __getattr__(name: str) -> Any:
    """Public names are loaded when they are first used, so that `import hf_ssl` stays quick (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'hf_ssl' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hf_ssl.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
