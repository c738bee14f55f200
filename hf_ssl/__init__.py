"""hf_ssl: adapt a self-supervised checkpoint to your own unlabeled data, fine-tune on a few labels, see whether it helped."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from hf_ssl.core import log
from hf_ssl.core.errors import OldNameWarning

log.install()

__version__ = "0.1.0"

_HOME = {
    "load_data": "data", "load_rows": "data", "open_test": "data", "few_label_subset": "data",
    "load_model": "models.loading", "load_processor": "models.loading",
    "pretrain": "stages.pretrain", "finetune": "stages.finetune", "evaluate": "stages.evaluate", "compare": "stages.compare",
    "predict": "stages.predict", "load_answer": "stages.answerer", "adapt": "stages.adapt", "domain_gap": "stages.gap",
    "embed": "stages.embed", "search": "stages.search", "push": "stages.push",
    "import_tf": "stages.import_tf", "write_report": "report",
    "doctor": "stages.doctor",
    "run_recipe": "stages.recipe", "check": "stages.check",
    "Objective": "objectives.base", "Task": "tasks.base", "Modality": "modalities.base",
    "Encoder": "modalities.encoder", "CheckpointRef": "models.reference", "Rows": "objectives.base",
    "HfSslError": "core.errors", "HfSslWarning": "core.errors", "LossOutput": "training.module", "normalize_loss": "training.module",
    "set_verbosity": "core.log", "example_rng": "modalities.rng", "StageResult": "stages.result",
    "Store": "vectors.base", "StoreAddress": "vectors.base", "EmbeddingSpec": "models.embedding",
    "ServedPipeline": "hub.pipelines.base",
}  # fmt: skip
__all__ = sorted(_HOME)

# Old names, for one release.
_RENAMED = {"divide": "normalize_loss"}

if TYPE_CHECKING:  # `as`: re-exported, so that type checkers of other packages see the names
    from hf_ssl.core.errors import HfSslError as HfSslError
    from hf_ssl.core.errors import HfSslWarning as HfSslWarning
    from hf_ssl.core.log import set_verbosity as set_verbosity
    from hf_ssl.data import few_label_subset as few_label_subset
    from hf_ssl.data import load_data as load_data
    from hf_ssl.data import load_rows as load_rows
    from hf_ssl.data import open_test as open_test
    from hf_ssl.hub.pipelines.base import ServedPipeline as ServedPipeline
    from hf_ssl.modalities.base import Modality as Modality
    from hf_ssl.modalities.encoder import Encoder as Encoder
    from hf_ssl.modalities.rng import example_rng as example_rng
    from hf_ssl.models.embedding import EmbeddingSpec as EmbeddingSpec
    from hf_ssl.models.loading import load_model as load_model
    from hf_ssl.models.loading import load_processor as load_processor
    from hf_ssl.models.reference import CheckpointRef as CheckpointRef
    from hf_ssl.objectives.base import Objective as Objective
    from hf_ssl.objectives.base import Rows as Rows
    from hf_ssl.report import write_report as write_report
    from hf_ssl.stages.adapt import adapt as adapt
    from hf_ssl.stages.answerer import load_answer as load_answer
    from hf_ssl.stages.check import check as check
    from hf_ssl.stages.compare import compare as compare
    from hf_ssl.stages.doctor import doctor as doctor
    from hf_ssl.stages.embed import embed as embed
    from hf_ssl.stages.evaluate import evaluate as evaluate
    from hf_ssl.stages.finetune import finetune as finetune
    from hf_ssl.stages.gap import domain_gap as domain_gap
    from hf_ssl.stages.import_tf import import_tf as import_tf
    from hf_ssl.stages.predict import predict as predict
    from hf_ssl.stages.pretrain import pretrain as pretrain
    from hf_ssl.stages.push import push as push
    from hf_ssl.stages.recipe import run_recipe as run_recipe
    from hf_ssl.stages.result import StageResult as StageResult
    from hf_ssl.stages.search import search as search
    from hf_ssl.tasks.base import Task as Task
    from hf_ssl.training.module import LossOutput as LossOutput
    from hf_ssl.training.module import normalize_loss as normalize_loss
    from hf_ssl.vectors.base import Store as Store
    from hf_ssl.vectors.base import StoreAddress as StoreAddress


def __getattr__(name: str) -> Any:
    """Public names are loaded when they are first used, so that `import hf_ssl` stays quick (PEP 562)."""
    if name in _RENAMED:
        warnings.warn(OldNameWarning(f"hf_ssl.{name} is called hf_ssl.{_RENAMED[name]} now."), stacklevel=2)
        name = _RENAMED[name]
    if name not in _HOME:
        raise AttributeError(f"module 'hf_ssl' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hf_ssl.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
