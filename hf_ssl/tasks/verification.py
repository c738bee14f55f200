"""Is it the same speaker? Vectors whose cosine answers, for speakers that training never heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from hf_ssl.core.errors import DataError
from hf_ssl.core.fields import option
from hf_ssl.evaluation.metrics import metrics, speech
from hf_ssl.modalities.audio import backbones
from hf_ssl.modalities.audio.encoder import AudioEncoder
from hf_ssl.modalities.batching import brought
from hf_ssl.models.structure import unwrap_peft
from hf_ssl.tasks.base import Task

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality


class Verification(Task[AudioEncoder]):
    """Verification of identity (speaker, bird, machine): pairs of clips are the same or not.

    Training is a classification of the training identities on the unit sphere, with the score of the right one lowered
    by a margin: `-log exp(s (cos_y - m)) / (exp(s (cos_y - m)) + sum_j exp(s cos_j))` (Wang et al. 2018, Additive Margin
    Softmax, arXiv:1801.05599). Measured is the equal error rate over all pairs of clips of validation or test, whose
    identities are others.

    The saved model is an ordinary classifier; a vector is the projection's mean over time, `hf-ssl embed` aside.
    """

    needs: ClassVar = AudioEncoder
    label_kind: ClassVar = "identity"
    unit: ClassVar = "pair"
    is_default: ClassVar = True
    problem_type: ClassVar = "single_label_classification"
    primary_metric: ClassVar = "eer"
    greater_is_better: ClassVar = False
    metric_names: ClassVar = ("eer",)

    @dataclass
    class Config(Task.Config):
        """Options of `verification`."""

        margin: float = option(0.2, "How much closer than others the right identity must be.", ge=0)
        scale: float = option(30.0, "Inverse temperature of the softmax over cosines.", gt=0)

    config: Config

    def __init__(self, config: Config, modality: Modality) -> None:
        super().__init__(config, modality)
        self.places: torch.Tensor = torch.zeros(0, dtype=torch.long)

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        super().fit_labels(train)
        names = train.features[self.label_column].names
        known = sorted(set(train[self.label_column]))
        if len(known) < 2:
            raise DataError("Verification learns from at least two identities; the training data have one.")
        self.label_names = [names[number] for number in known]
        self.places = torch.full((len(names),), -100, dtype=torch.long)
        self.places[known] = torch.arange(len(known))

    def forward(self, encoder: AudioEncoder, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """`(clips, width + identities)`: the unit vector, and its cosine with every training identity (plus its bias)."""
        head, vector = _trained(unwrap_peft(encoder.model).classifier), backbones.pooled(encoder.model, inputs)
        if hasattr(head, "layernorm"):  # the audio spectrogram transformer's head
            head, vector = head.dense, head.layernorm(vector)
        vector = functional.normalize(vector.float(), dim=-1)
        cosines = vector @ functional.normalize(head.weight.float(), dim=-1).T + head.bias
        return torch.cat([vector, cosines], dim=-1)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.places = brought(self.places, labels.device)
        wanted = self.places[labels]
        scores = logits[:, -len(self.label_names) :]
        margin = self.config.margin * (wanted[:, None] == torch.arange(scores.shape[1], device=wanted.device))
        total = functional.cross_entropy(
            self.config.scale * (scores - margin), wanted, reduction="sum", ignore_index=-100
        )
        return total, (wanted != -100).sum()

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        scores, same = speech.trials(logits[:, : -len(self.label_names)], labels)
        return metrics.compute(self.metric_names, scores=scores, references=same)

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: AudioEncoder) -> list[Any]:
        """The training identity that is closest, and how close."""
        cosines = logits[:, -len(self.label_names) :]
        return [{"prediction": self.label_names[int(row.argmax())], "cosine": float(row.max())} for row in cosines]


def _trained(head: Any) -> Any:
    """The copy of a head that PEFT trains, where there is one."""
    copies = getattr(head, "modules_to_save", None)
    return copies[head.active_adapters[0]] if copies is not None else head
