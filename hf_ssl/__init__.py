"""hf_ssl: adapt a self-supervised checkpoint to your own unlabelled data, fine-tune on a few labels, see whether it helped."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Read by torch when it makes its first tensor: on Linux, tensors of 2 MB and more then lie on huge pages. Training on
# processors spends a sixth of its time on page faults without (masked words, MiniLM). THP_MEM_ALLOC_ENABLE=0 switches it off.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

_HOME = {
    "load_data": "data", "open_test": "data", "few_label_subset": "data", "load_model": "models", "load_processor": "models",
    "pretrain": "stages", "finetune": "stages", "evaluate": "stages", "compare": "stages", "embed": "stages", "push": "stages",
    "search": "stages", "run_recipe": "stages",
    "check": "stages", "Objective": "objectives.base", "Task": "tasks.base", "Modality": "modalities.base",
    "HfSslError": "errors", "Rows": "objectives.base", "LossOutput": "trainable", "divide": "trainable",
    "example_rng": "modalities.base", "StageResult": "assembly",
}  # fmt: skip
__all__ = sorted(_HOME)

if TYPE_CHECKING:  # `as`: re-exported, so that type checkers of other packages see the names
    from hf_ssl.assembly import StageResult as StageResult
    from hf_ssl.data import few_label_subset as few_label_subset
    from hf_ssl.data import load_data as load_data
    from hf_ssl.data import open_test as open_test
    from hf_ssl.errors import HfSslError as HfSslError
    from hf_ssl.modalities.base import Modality as Modality
    from hf_ssl.modalities.base import example_rng as example_rng
    from hf_ssl.models import load_model as load_model
    from hf_ssl.models import load_processor as load_processor
    from hf_ssl.objectives.base import Objective as Objective
    from hf_ssl.objectives.base import Rows as Rows
    from hf_ssl.stages import check as check
    from hf_ssl.stages import compare as compare
    from hf_ssl.stages import embed as embed
    from hf_ssl.stages import evaluate as evaluate
    from hf_ssl.stages import finetune as finetune
    from hf_ssl.stages import pretrain as pretrain
    from hf_ssl.stages import push as push
    from hf_ssl.stages import run_recipe as run_recipe
    from hf_ssl.stages import search as search
    from hf_ssl.tasks.base import Task as Task
    from hf_ssl.trainable import LossOutput as LossOutput
    from hf_ssl.trainable import divide as divide


def __getattr__(name: str) -> Any:
    """Public names are loaded when they are first used, so that `import hf_ssl` stays quick (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'hf_ssl' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hf_ssl.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
