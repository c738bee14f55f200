"""SetFit: few labels of texts, by contrasting pairs of them (Tunstall et al. 2022, arXiv:2209.11055)."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
        from sentence_transformers import SentenceTransformer
        from sklearn.linear_model import LogisticRegression

        rows = datasets.Dataset.from_dict({"text": list(asked.values), "label": asked.labels.tolist()})
        with _quietly(), tempfile.TemporaryDirectory(prefix="hf_ssl_setfit_") as place:
            # Not `from_pretrained`, which would read a pickled head where the folder has one.
            model: Any = SetFitModel(SentenceTransformer(asked.start), LogisticRegression(random_state=asked.seed))
            args = TrainingArguments(
                output_dir=place, num_epochs=1, batch_size=16, seed=asked.seed, report_to="none", show_progress_bar=False,
                save_strategy="no",
            )  # fmt: skip
            Trainer(model=model, args=args, train_dataset=rows).train()
            chances = np.asarray(model.predict_proba(list(asked.test), as_numpy=True, show_progress_bar=False))
        classes = np.asarray(model.model_head.classes_)
        return ProbePrediction(classes[chances.argmax(1)], chances, classes, {"probe": "setfit"})


@contextmanager
def _quietly() -> Iterator[None]:
    """setfit writes its progress to the terminal, which is the comparison's."""
    from datasets.utils import logging as progress

    logger = logging.getLogger("setfit")
    level, shown = logger.level, progress.is_progress_bar_enabled()
    logger.setLevel(logging.WARNING)
    progress.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if shown:
            progress.enable_progress_bar()
