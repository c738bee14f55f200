"""SetFit: few labels of texts, by contrasting pairs of them (Tunstall et al. 2022, arXiv:2209.11055)."""

from __future__ import annotations

import tempfile
from typing import Any, ClassVar

import numpy as np

from hf_ssl.core.errors import ConfigError
from hf_ssl.evaluation.peers.base import Asked, Peer
from hf_ssl.evaluation.probes.probes import ProbePrediction


class SetFit(Peer):
    """SetFit from the same start checkpoint, with the settings of its own documentation (one epoch over the pairs)."""

    modules: ClassVar = ("setfit",)
    pip: ClassVar = "setfit"
    modalities: ClassVar = ("text",)
    draws: ClassVar = 3

    def answer(self, asked: Asked) -> ProbePrediction:
        """See `Peer.answer`.

        Raises:
            ConfigError: the installed setfit does not work with the installed transformers.
        """
        import datasets

        try:
            from setfit import SetFitModel, Trainer, TrainingArguments
        except ImportError as error:
            raise ConfigError(
                f"The installed setfit does not work with the installed transformers ({error}). Leave setfit out of --peers, or "
                "compare in an environment that has both."
            ) from error
        rows = datasets.Dataset.from_dict({"text": list(asked.values), "label": asked.labels.tolist()})
        model: Any = SetFitModel.from_pretrained(asked.start)
        with tempfile.TemporaryDirectory(prefix="hf_ssl_setfit_") as place:
            args = TrainingArguments(output_dir=place, num_epochs=1, batch_size=16, seed=asked.seed, report_to="none")
            Trainer(model=model, args=args, train_dataset=rows).train()
        chances = np.asarray(model.predict_proba(list(asked.test), as_numpy=True))
        classes = np.asarray(model.model_head.classes_)
        return ProbePrediction(classes[chances.argmax(1)], chances, classes, {"probe": "setfit"})
