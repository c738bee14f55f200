"""Was a checkpoint already tuned with labels? Then unsupervised training on top of it usually takes away more than it gives.

Sentence encoders lose what pairs of texts had taught them when they go on with masked words (TSDAE, Wang et al. 2021,
arXiv:2104.06979, table 5: masked words after supervised training cost points, before it they give some).
"""

from __future__ import annotations

import re
from typing import Any

from hf_ssl.models.checkpoint import read_json
from hf_ssl.models.pooling import LINEAGE
from hf_ssl.models.reference import CheckpointRef

_HEADS = re.compile(
    r"For(Sequence|Token|Image|Audio|Video|AudioFrame)Classification|ForQuestionAnswering|ForMultipleChoice|ForCTC|"
    r"ForObjectDetection|For(Semantic|Universal|Instance)Segmentation|ForXVector"
)
_SENTENCES = ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json")
_TAG = re.compile(r"(^|[._-])ft_|_ft($|[._-])")
_NAMES = re.compile(
    r"(^|[/_.-])(all|multi-qa|paraphrase|msmarco|nli|snli|mnli|sst-?2|squad2?|finetuned|fine-tuned|bge|gte|e5|instructor|setfit)([_.-]|$)",
    re.IGNORECASE,
)
ADVICE = (
    "Unsupervised training from a checkpoint that was tuned with labels usually hurts it. The point before the first step is kept "
    "where nothing beats it; starting from the checkpoint it was made of, if there is one, is the better way."
)


def tuned_with_labels(checkpoint: CheckpointRef | str) -> str | None:
    """Why a checkpoint looks as if it had been tuned with labels, in a few words; None where nothing says so.

    Looked at, surest first: what hf_ssl wrote beside its models, the files of sentence-transformers, a head for labels in
    `config.json`, timm's tag (`ft_`: fine-tuned), the name. Only the last is a guess.

    Args:
        checkpoint: of a folder or the Hub; its weights are not read.
    """
    ref = CheckpointRef(checkpoint) if isinstance(checkpoint, str) else checkpoint
    own = _json(ref, LINEAGE)
    if own.get("stage"):
        return "hf_ssl's finetune made it" if own["stage"] == "finetune" else None
    config = _json(ref, "config.json")
    heads = [name for name in config.get("architectures") or () if _HEADS.search(str(name))]
    if heads:
        return f"its head is for labels ({heads[0]})"
    found = next((name for name in _SENTENCES if ref.file(name) is not None), None)
    if found is not None:
        return f"sentence-transformers wrote it ({found}), which trains on labeled pairs"
    pretrained = config.get("pretrained_cfg")
    tag = str(pretrained.get("tag") or "") if isinstance(pretrained, dict) else ""
    if _TAG.search(tag) or (_is_timm(ref, config) and _TAG.search(ref.id.rpartition("/")[2])):
        return f"timm's tag says fine-tuned ({tag or ref.id.rpartition('.')[2]})"
    name = ref.id.rstrip("/").rpartition("/")[2]
    if ref.folder is None and (guess := _NAMES.search(name)):
        return f"its name has {guess.group(2)!r} (a guess)"
    return None


def _is_timm(ref: CheckpointRef, config: dict[str, Any]) -> bool:
    return ref.id.startswith("timm/") or "pretrained_cfg" in config


def _json(ref: CheckpointRef, name: str) -> dict[str, Any]:
    file = ref.file(name)
    return {} if file is None else read_json(file)
