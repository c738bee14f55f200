"""Frozen features and a support vector machine: what AutoGluon's and other few-shot tools do with a checkpoint."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from hf_ssl.evaluation.peers.base import Asked, Peer
from hf_ssl.evaluation.probes.probes import ProbePrediction, clean_features, grouped_folds, smallest_class, splitter

GRID = {"svc__C": [0.1, 1.0, 10.0, 100.0], "svc__kernel": ["linear", "rbf"]}
FOLDS = 3


class Svm(Peer):
    """A support vector machine on frozen features of the start checkpoint.

    Few-shot classification in AutoGluon's multimodal predictor is this: vectors of a frozen foundation model and an SVM (Shi et
    al. 2021; `FewShotSVMPredictor`). Kernel and C are chosen by cross-validation on the labels, where every class has two.
    """

    reads_vectors: ClassVar = True

    def answer(self, asked: Asked) -> ProbePrediction:
        """See `Peer.answer`."""
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import Normalizer, StandardScaler
        from sklearn.svm import SVC

        assert asked.vectors is not None and asked.test_vectors is not None  # reads_vectors
        known, test = clean_features(asked.vectors, asked.test_vectors)
        model: Any = make_pipeline(
            Normalizer(), StandardScaler(), SVC(C=1.0, kernel="linear", random_state=asked.seed)
        )
        folds = min(FOLDS, smallest_class(asked.labels, asked.problem_type))
        chosen: dict[str, Any] = {"probe": "svm", "selected_by": "fixed: a class has fewer than 2 labeled examples"}
        if folds >= 2:
            grouped = grouped_folds(asked.labels, asked.groups, asked.problem_type, folds, asked.seed)
            cut = grouped or splitter(asked.problem_type, folds, asked.seed)
            search = GridSearchCV(model, GRID, cv=cut, scoring="f1_macro").fit(known, asked.labels)
            model = search.best_estimator_
            chosen = {
                "probe": "svm",
                **search.best_params_,
                "selected_by": f"{folds}-fold cross-validation on the labels",
            }
        else:
            model.fit(known, asked.labels)
        return ProbePrediction(np.asarray(model.predict(test)), None, None, chosen)
