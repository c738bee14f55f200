"""How good frozen features are, measured with small models fitted on the labeled budget only.

No probe ever sees the labels of what it is scored on: scaling and regularization are chosen by cross-validation inside
the training part. One protocol alone misleads (masked-image models probe badly and fine-tune well), so a report should
show the linear probe and the nearest-neighbor probe side by side.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import ConfigError, DataError, nearest
from hf_ssl.core.threads import one_blas_thread
from hf_ssl.evaluation.probes.counted import CountedTexts

if TYPE_CHECKING:
    from scipy.sparse import spmatrix
    from sklearn.base import BaseEstimator

C_GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
SCALINGS = ("l2", "standard")
PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")
SELECTION_FOLDS = 3


def fixed_c(dimensions: int) -> float:
    """The C used where there are too few labels to choose one: C = 5 on rows of unit length.

    Within .02 macro-F1 of the best C at 4, 16 and 64 labels a class, both for 384-d MiniLM features of 20 Newsgroups
    and for raw 8x8 digits. `linear_model` scales rows to length sqrt(d), hence the division.
    """
    return 5.0 / dimensions


@dataclass(frozen=True)
class ProbePrediction:
    """What a probe says about the test items.

    Args:
        predictions: `(n,)` classes or numbers, `(n, labels)` zeros and ones.
        scores: `(n, classes)` or `(n, labels)` probabilities or votes; `None` for regression.
        classes: the class of each column of `scores`; `None` unless single-label.
        chosen: the settings used and how they were chosen, for the report.
    """

    predictions: np.ndarray
    scores: np.ndarray | None
    classes: np.ndarray | None
    chosen: dict[str, Any]


def clean_features(*arrays: np.ndarray) -> list[np.ndarray]:
    """Finite float32 matrices of one width (twice the speed of float64, and the features came as such)."""
    matrices = [np.asarray(array, np.float32) for array in arrays]
    if any(matrix.ndim != 2 or matrix.shape[1] != matrices[0].shape[1] for matrix in matrices):
        raise DataError(f"Features must be (items, dimensions) of one width; found {[m.shape for m in matrices]}.")
    if not all(np.isfinite(matrix).all() for matrix in matrices):
        raise DataError("The features hold NaN or infinity; look at evaluation.health for when that began.")
    return matrices


def check_problem(problem_type: str, y: np.ndarray, items: int) -> None:
    if problem_type not in PROBLEM_TYPES:
        raise ConfigError(
            f"Unknown problem type {problem_type!r}.{nearest(problem_type, PROBLEM_TYPES)} Known: {PROBLEM_TYPES}."
        )
    if len(y) != items:
        raise DataError(f"Found {len(y)} labels for {items} feature rows.")
    if (y.ndim == 2) != (problem_type == "multi_label_classification") and problem_type != "regression":
        raise DataError(f"Labels of shape {y.shape} do not fit problem_type={problem_type!r}.")
    if problem_type == "single_label_classification" and len(np.unique(y)) < 2:
        raise DataError("A probe needs labeled examples of at least two classes; found one.")


def linear_model(scaling: str, c: float, problem_type: str) -> Any:
    """Scaling and a linear model as one scikit-learn pipeline. `c` is the inverse penalty in all three."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    # Unit rows times sqrt(d): coordinates of about unit size, so that one grid of C serves both scalings.
    scaler = StandardScaler() if scaling == "standard" else FunctionTransformer(_unit_rows)
    if problem_type == "regression":
        return make_pipeline(scaler, Ridge(alpha=1 / c))
    model = LogisticRegression(C=c, max_iter=1000, tol=1e-3)
    return make_pipeline(scaler, model if problem_type == PROBLEM_TYPES[0] else OneVsRestClassifier(model))


def _unit_rows(x: np.ndarray) -> np.ndarray:
    """Rows of length sqrt(d)."""
    from sklearn.preprocessing import normalize

    return normalize(x) * np.sqrt(x.shape[1])


def smallest_class(y: np.ndarray, problem_type: str) -> int:
    """Folds that the labels can bear: the size of the smallest class, or half the items where there are no classes."""
    return int(np.unique(y, return_counts=True)[1].min()) if problem_type == PROBLEM_TYPES[0] else len(y) // 2


def splitter(problem_type: str, folds: int, seed: int) -> Any:
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = StratifiedKFold if problem_type == PROBLEM_TYPES[0] else KFold
    return kind(folds, shuffle=True, random_state=seed)


def grouped_folds(
    y: np.ndarray, groups: Sequence[Any] | None, problem_type: str, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Folds that keep groups together; None without groups, or where a fold would ask for a class it never saw."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    if groups is None or len(set(groups)) < folds:
        return None
    numbers = np.unique([str(group) for group in groups], return_inverse=True)[1]
    single = problem_type == PROBLEM_TYPES[0]
    kind = StratifiedGroupKFold(folds, shuffle=True, random_state=seed) if single else GroupKFold(folds)
    found = list(kind.split(y, y if single else None, numbers))
    whole = all(len(held) and (not single or len(set(y[kept])) == len(set(y))) for kept, held in found)
    return found if whole else None


@contextlib.contextmanager
def _constant_labels() -> Iterator[None]:
    """With few examples a label may be on all of them, or on none: then that is the answer, and no news."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Label .* is present in all training examples", category=UserWarning)
        yield


def _select(
    candidates: dict[tuple[str, float], Any],
    x: np.ndarray,
    y: np.ndarray,
    problem_type: str,
    seed: int,
    groups: Sequence[Any] | None = None,
) -> tuple[tuple[str, float] | None, str]:
    """The candidate with the best cross-validated score; `None` when a class has too few examples for two folds.

    Equal scores, common with few labels, go to the first candidate: list the stronger penalties first.
    """
    import sklearn
    from sklearn.model_selection import cross_val_score

    folds = min(SELECTION_FOLDS, smallest_class(y, problem_type))
    if folds < 2:
        return None, "fixed: a class has fewer than 2 labeled examples"
    # Macro-F1, as reported: log loss preferred penalties that cost .03 macro-F1 at 64 labels a class.
    scoring: Any = {
        "single_label_classification": _macro_f1,
        "multi_label_classification": _log_likelihood_per_label,  # F1 at .5 is 0 for most labels when they are rare
        "regression": "neg_mean_squared_error",
    }[problem_type]
    grouped = grouped_folds(y, groups, problem_type, folds, seed)
    chosen_folds = grouped or splitter(problem_type, folds, seed)
    with _constant_labels(), sklearn.config_context(skip_parameter_validation=True, assume_finite=True):
        scores = {
            key: cross_val_score(model, x, y, cv=chosen_folds, scoring=scoring).mean()
            for key, model in candidates.items()
        }
    how = f"{folds}-fold cross-validation on the labeled budget" + (", groups kept together" if grouped else "")
    return max(scores, key=lambda key: scores[key]), how


def _macro_f1(model: BaseEstimator, x: np.ndarray, y: np.ndarray) -> float:
    """As scikit-learn's `"f1_macro"`, over the classes that are there or answered; its checks take longer than the fits."""
    answered = model.predict(x)
    classes, codes = np.unique(np.concatenate([y, answered]), return_inverse=True)
    truth, answer = codes[: len(y)], codes[len(y) :]
    right, there, said = (np.bincount(one, minlength=len(classes)) for one in (truth[truth == answer], truth, answer))
    return float((2 * right / (there + said)).mean())


def _log_likelihood_per_label(model: BaseEstimator, x: np.ndarray, y: np.ndarray) -> float:
    p = np.clip(model.predict_proba(x), 1e-7, 1 - 1e-7)
    return float((y * np.log(p) + (1 - y) * np.log(1 - p)).mean())


@one_blas_thread()
def linear_probe(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    *,
    seed: int = 0,
    c_grid: Sequence[float] = C_GRID,
    problem_type: str = "single_label_classification",
    groups: Sequence[Any] | None = None,
) -> ProbePrediction:
    """Logistic regression (multinomial; one-vs-rest for multi-label) or ridge on frozen features.

    Scaling (`"standard"`, or rows of equal length: `"l2"`) and C are chosen by stratified cross-validation on the
    training part; where a class has a single example, `"l2"` and `fixed_c` are used and `chosen` says so.

    Args:
        train_x, test_x: `(n, d)` features.
        train_y: `(n,)` classes or numbers, or `(n, labels)` zeros and ones.
        seed: of the cross-validation folds.
        c_grid: inverse penalties; for ridge alpha = 1 / C.
        problem_type: as in `transformers`: one of `PROBLEM_TYPES`.
        groups: `(n,)` patient, household, author … of each training row. The test rows come from others: cross-validation
            keeps a group in one fold (where every class has groups enough), or it would choose too weak a penalty.

    Raises:
        DataError: shapes disagree, features are not finite, or there is one class only.
    """
    train_x, test_x = clean_features(train_x, test_x)
    train_y = np.asarray(train_y)
    check_problem(problem_type, train_y, len(train_x))
    candidates = {(scaling, c): linear_model(scaling, c, problem_type) for c in sorted(c_grid) for scaling in SCALINGS}
    best, how = _select(candidates, train_x, train_y, problem_type, seed, groups)
    scaling, c = best or ("l2", fixed_c(train_x.shape[1]))
    with _constant_labels():
        model = linear_model(scaling, c, problem_type).fit(train_x, train_y)
    chosen = {"probe": "linear", "scaling": scaling, "C": c, "selected_by": how}
    return _prediction(model, test_x, problem_type, chosen)


def _prediction(
    model: BaseEstimator, test_x: np.ndarray | spmatrix, problem_type: str, chosen: dict[str, Any]
) -> ProbePrediction:
    single = problem_type == "single_label_classification"
    scores = None if problem_type == "regression" else model.predict_proba(test_x)
    return ProbePrediction(model.predict(test_x), scores, model.classes_ if single else None, chosen)


def knn_probe(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    *,
    k: int = 20,
    temperature: float = 0.07,
    problem_type: str = "single_label_classification",
) -> ProbePrediction:
    """Cosine nearest neighbors, each voting with weight exp(similarity / T) (Wu et al. 2018, section 3.4).

    `k=20` and `T=0.07` are those of DINO's evaluation; k is cut to the number of training items. Nothing is fitted.
    Regression and multi-label take the weighted mean of the neighbors' targets.
    """
    from sklearn.neighbors import KNeighborsRegressor

    train_x, test_x = clean_features(train_x, test_x)
    train_y = np.asarray(train_y)
    check_problem(problem_type, train_y, len(train_x))
    k = min(k, len(train_x))
    classes = None
    if problem_type == "single_label_classification":
        classes, codes = np.unique(train_y, return_inverse=True)
        targets = np.eye(len(classes))[codes]
    else:
        targets = train_y.astype(np.float64)

    def weights(distances: np.ndarray) -> np.ndarray:
        nearer = distances.min(axis=1, keepdims=True).astype(np.float64) - distances  # of votes that sum to 1
        return np.exp(nearer / temperature)

    # The weighted mean of the neighbors' one-hot rows is their vote.
    votes = KNeighborsRegressor(k, metric="cosine", weights=weights).fit(train_x, targets).predict(test_x)
    chosen = {"probe": "knn", "k": k, "temperature": temperature}
    if classes is not None:
        return ProbePrediction(classes[votes.argmax(axis=1)], votes, classes, chosen)
    if problem_type == "regression":
        return ProbePrediction(votes, None, None, chosen)
    return ProbePrediction((votes > 0.5).astype(int), votes, None, chosen)


@one_blas_thread()
def tfidf_probe(
    train_texts: Sequence[str],
    train_y: Sequence[Any] | np.ndarray,
    test_texts: Sequence[str],
    *,
    seed: int = 0,
    c_grid: Sequence[float] = (3.0, 10.0, 100.0),
    unlabeled: Sequence[str] = (),
    problem_type: str = "single_label_classification",
    groups: Sequence[Any] | None = None,
    ngrams: Sequence[str] = ("words", "characters"),
    counted: CountedTexts | None = None,
) -> ProbePrediction:
    """The baseline without any pretraining: TF-IDF, then logistic regression (or ridge).

    Words or runs of one to four characters, and C, are chosen by cross-validation on the labeled budget: molecules, emoji, code
    and scripts without blanks have no words, or their words do not say it. Single words, because pairs of them cost .03
    macro-F1 at 4 and 16 labels a class of 20 Newsgroups (on held-out training posts), where a weak baseline would flatter the
    rest.

    Args:
        train_texts, train_y, test_texts: labeled texts, their classes, and texts to answer for.
        seed: of the cross-validation folds.
        c_grid: inverse penalties.
        unlabeled: texts that only the frequencies of words are taken from.
        groups: as in `linear_probe`.
        ngrams: what to choose among: `"words"`, `"characters"`.
        counted: n-grams of all these texts and maybe more, for calls on many subsets of the same texts.

    On some tasks (spam) it beats a pretrained encoder, which is worth knowing before adapting one.
    """
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    y = np.asarray(train_y)
    check_problem(problem_type, y, len(train_texts))
    counted = counted or CountedTexts([*train_texts, *test_texts, *unlabeled])
    views = {name: _tfidf(name, counted, train_texts, test_texts, unlabeled) for name in ngrams}
    x = np.concatenate([train for train, _ in views.values()], axis=1)
    test = np.concatenate([asked for _, asked in views.values()], axis=1)
    edges = np.cumsum([0, *(train.shape[1] for train, _ in views.values())]).tolist()
    parts = {name: slice(first, last) for name, first, last in zip(views, edges, edges[1:], strict=False)}

    def model(name: str, c: float) -> Any:
        if problem_type == "regression":
            fit: Any = Ridge(alpha=1 / c)
        else:
            logistic = LogisticRegression(C=c, max_iter=2000, tol=1e-6)
            fit = logistic if problem_type == PROBLEM_TYPES[0] else OneVsRestClassifier(logistic)
        return make_pipeline(FunctionTransformer(_columns, kw_args={"part": parts[name]}), fit)

    # Words first: of equal scores, common with few labels, the first wins.
    candidates = {(name, c): model(name, c) for name in views for c in sorted(c_grid)}
    best, how = _select(candidates, x, y, problem_type, seed, groups)
    name, c = best or (ngrams[0], 10.0)
    chosen = {"probe": "tfidf", "ngrams": name, "C": c, "selected_by": how}
    with _constant_labels():
        fitted = model(name, c).fit(x, y)
    return _prediction(fitted, test, problem_type, chosen)


def _columns(x: np.ndarray, part: slice) -> np.ndarray:
    return x[:, part]


def _tfidf(
    name: str, counted: CountedTexts, train: Sequence[str], test: Sequence[str], unlabeled: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """TF-IDF rows of train and test, in coordinates of the span of the training rows, `(n, at most len(train))`."""
    sparse, asked = counted.tfidf(name, train, test, unlabeled)
    # The optimum of penalized logistic regression lies in the span of the training rows. Coordinates in that span give
    # the same model as the tens of thousands of words, much sooner.
    gram = (sparse @ sparse.T).toarray()
    values, vectors = np.linalg.eigh(gram)
    kept = values > 1e-10 * max(values.max(), 1e-10)
    if not kept.any():
        return np.zeros((len(train), 1)), np.zeros((len(test), 1))
    basis = vectors[:, kept] / np.sqrt(values[kept])
    return gram @ basis, (asked @ sparse.T) @ basis
