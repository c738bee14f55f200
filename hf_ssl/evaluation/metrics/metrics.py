"""Metrics as `evaluate.Metric` objects that work without a network.

`evaluate.load("accuracy")` downloads a script from a Hub Space; these classes are made directly instead, and go into
`evaluate.combine([...])` like any other metric:

    >>> import evaluate
    >>> from hf_ssl.evaluation.metrics.metrics import F1, Accuracy
    >>> scores = evaluate.combine([Accuracy(), F1("macro"), F1("micro")])
    >>> scores.compute(predictions=[0, 1, 1], references=[0, 1, 2])
    {'accuracy': 0.666..., 'f1_macro': 0.555..., 'f1_micro': 0.666...}

They keep everything in memory (nothing is written to `HF_HOME`) and in float64 (the float32 features of the Hub's
metrics turn a mean squared error of 0.175 into 0.17499999).

Degenerate data: F1, Matthews and span F1 are 0 where nothing can be right (the scikit-learn convention); ranking and
correlation metrics are NaN with a warning where the data leave them undefined; NaN or infinity in an input, unequal
lengths and empty inputs are a `DataError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import evaluate
import numpy as np
from datasets import Features, List, Value

from hf_ssl.core.errors import ConfigError, DataError, nearest
from hf_ssl.evaluation.comparison.resampling import metric_function
from hf_ssl.evaluation.metrics.decomposable import precision_recall_f1
from hf_ssl.evaluation.metrics.ranking import calibration_error
from hf_ssl.evaluation.metrics.spans import span_counts
from hf_ssl.evaluation.metrics.speech import NORMALIZERS

if TYPE_CHECKING:
    from datasets.features.features import FeatureType

    from hf_ssl.evaluation.metrics import Answers

AVERAGES = ("macro", "macro_present", "micro", "weighted")
TEXT_NORMALIZERS = tuple(end.lstrip("_") for end in NORMALIZERS)


class InMemoryMetric(evaluate.Metric):
    """An `evaluate.Metric` that touches neither network nor disk.

    A subclass says its `key` (the name of its formula in `DECOMPOSABLE` or `SCORES`, and of its value in the result), its
    `features_` (one `Features`, or alternatives in order) and which input it reads besides `references`.
    """

    key: str
    features_: ClassVar[Features | list[Features]]
    input_name: ClassVar[str] = "predictions"
    higher_is_better: ClassVar[bool] = True

    def __init__(self, config_name: str | None = None):
        super().__init__(config_name, keep_in_memory=True)

    def _build_data_dir(self) -> str:
        return ""  # the base class would create a folder in HF_HOME, which may be read-only

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="",
            inputs_description=f"\nInputs: {self.input_name}, references.\n",
            features=self.features_,
        )

    def _compute(self, **inputs: Answers) -> dict[str, float]:
        # evaluate.combine hands every metric all inputs of the others; take what this one declares.
        values, references = inputs[self.input_name], inputs["references"]
        if not len(references):
            raise DataError(f"{self.name} has no test items to score.")
        return self._score(values, references)

    def _score(self, values: Answers, references: Answers) -> dict[str, float]:
        return {self.key: metric_function(self.key)(values, references)}


def _pair(feature: FeatureType, name: str = "predictions", references: FeatureType | None = None) -> Features:
    return Features({name: feature, "references": feature if references is None else references})


_CLASSES = _pair(Value("int64"))
_LABELS = _pair(List(Value("int64")))
_NUMBERS = _pair(Value("float64"))
_NUMBER_ROWS = _pair(List(Value("float64")))
_TEXTS = _pair(Value("string"))
_TRIALS = _pair(Value("float64"), "scores", Value("int64"))
_TAGS = _pair(List(Value("string")))
_ROWS_OF_SCORES = [
    _pair(List(Value("float64")), "scores", Value("int64")),
    _pair(List(Value("float64")), "scores", List(Value("int64"))),
    _pair(Value("float64"), "scores", Value("int64")),
]


class Accuracy(InMemoryMetric):
    """Share of items whose class is right. Inputs: class numbers. Key: `accuracy`."""

    key = "accuracy"
    features_ = _CLASSES


class MultilabelAccuracy(InMemoryMetric):
    """Share of items with *every* label right (subset accuracy). Inputs: rows of 0/1. Key: `multilabel_accuracy`."""

    key = "multilabel_accuracy"
    features_ = _LABELS


class F1(InMemoryMetric):
    """F1 over classes; `average` is one of `averages`. Key: `f1_<average>`.

    `"macro"` averages the classes that occur among predictions or references, as scikit-learn does: a class that the test
    data do not hold counts as 0 once it is predicted. `"macro_present"` averages the classes that the references hold.
    """

    features_ = _CLASSES
    prefix: ClassVar[str] = "f1"
    averages: ClassVar[tuple[str, ...]] = AVERAGES

    def __init__(self, average: str = "macro"):
        if average not in self.averages:
            known = ", ".join(self.averages)
            raise ConfigError(f"Unknown average {average!r}; known: {known}.{nearest(average, self.averages)}")
        self.key = f"{self.prefix}_{average}"
        super().__init__(config_name=average)


class MultilabelF1(F1):
    """F1 over labels that can hold together. Inputs: rows of 0/1. Key: `multilabel_f1_<average>`."""

    features_ = _LABELS
    prefix = "multilabel_f1"
    averages = ("macro", "micro", "weighted")


class MatthewsCorrelation(InMemoryMetric):
    """Matthews correlation, multi-class (Gorodkin 2004); 0 when one side is constant. Key: `matthews_correlation`."""

    key = "matthews_correlation"
    features_ = _CLASSES


class RocAuc(InMemoryMetric):
    """Area under the ROC curve: binary, one-vs-rest macro, or multi-label macro. Key: `roc_auc`."""

    key = "roc_auc"
    features_ = _ROWS_OF_SCORES
    input_name = "scores"


class AveragePrecision(InMemoryMetric):
    """Average precision, mean over classes or labels (mAP). Key: `average_precision`."""

    key = "average_precision"
    features_ = _ROWS_OF_SCORES
    input_name = "scores"


class CalibrationError(InMemoryMetric):
    """Expected calibration error of the top label, 15 equal-width bins (Guo et al. 2017). Key: `calibration_error`."""

    key = "calibration_error"
    features_ = [_ROWS_OF_SCORES[0], _ROWS_OF_SCORES[2]]
    input_name = "scores"
    higher_is_better = False

    def __init__(self, bins: int = 15):
        self.bins = bins
        super().__init__()

    def _score(self, values: Answers, references: Answers) -> dict[str, float]:
        return {"calibration_error": calibration_error(values, references, self.bins)}


class Pearson(InMemoryMetric):
    """Pearson correlation; NaN with a warning when a column is constant. Key: `pearson`."""

    key = "pearson"
    features_ = _NUMBERS


class Spearman(InMemoryMetric):
    """Spearman rank correlation; NaN with a warning when a column is constant. Key: `spearman`."""

    key = "spearman"
    features_ = _NUMBERS


class MeanAbsoluteError(InMemoryMetric):
    """Mean absolute error, in the unit of the target. Key: `mae`."""

    key = "mae"
    features_ = [_NUMBERS, _NUMBER_ROWS]
    higher_is_better = False


class QuadraticKappa(InMemoryMetric):
    """Cohen's kappa with quadratic weights, of grades as numbers; 0 is chance, 1 perfect. Key: `quadratic_kappa`."""

    key = "quadratic_kappa"
    features_ = _NUMBERS


class RootMeanSquaredError(InMemoryMetric):
    """Root mean squared error, in the unit of the target. Key: `rmse`."""

    key = "rmse"
    features_ = [_NUMBERS, _NUMBER_ROWS]
    higher_is_better = False


class ErrorRate(InMemoryMetric):
    """Errors over length of the references; texts go through a normalizer first. Key: `wer`, or `wer_<normalizer>`.

    Args:
        unit: `"wer"` counts words, `"cer"` characters.
        normalizer: `""` changes nothing, `"plain"` is `speech.plain` (case and punctuation), `"basic"` is Whisper's.
    """

    features_ = _TEXTS
    higher_is_better = False

    def __init__(self, unit: str = "wer", normalizer: str = ""):
        if normalizer not in TEXT_NORMALIZERS:
            raise ConfigError(
                f"Unknown normalizer {normalizer!r}; known: {', '.join(filter(None, TEXT_NORMALIZERS))}."
                f"{nearest(normalizer, TEXT_NORMALIZERS)}"
            )
        self.key = f"{unit}_{normalizer}" if normalizer else unit
        super().__init__(config_name=self.key)


class EqualErrorRate(InMemoryMetric):
    """Equal error rate of verification trials. Inputs: a score per pair, 1 for a pair of one identity. Key: `eer`."""

    key = "eer"
    features_ = _TRIALS
    input_name = "scores"
    higher_is_better = False


class SpanF1(InMemoryMetric):
    """Strict entity-span F1 over lists of tag strings: type and both ends must match.

    Keys: `span_f1`, `span_precision`, `span_recall`, and the three per entity type, such as `span_f1_PER`.
    `scheme` is `"IOB2"`, `"BIOES"`, or `None` to read it off the tags.
    """

    key = "span_f1"
    features_ = _TAGS

    def __init__(self, scheme: str | None = None):
        self.scheme = scheme
        super().__init__()

    def _score(self, values: Answers, references: Answers) -> dict[str, float]:
        total: dict[str, np.ndarray] = {}
        for counts in span_counts(list(values), list(references), self.scheme):
            for kind, row in counts.items():
                total[kind] = total.get(kind, np.zeros(3)) + row
        parts = {"": sum(total.values(), np.zeros(3))} | {f"_{kind}": total[kind] for kind in sorted(total)}
        result: dict[str, float] = {}
        for suffix, sums in parts.items():
            precision, recall, f1 = precision_recall_f1(sums.tolist())
            result |= {f"span_f1{suffix}": f1, f"span_precision{suffix}": precision, f"span_recall{suffix}": recall}
        return result


METRICS: dict[str, Callable[[], InMemoryMetric]] = {
    "accuracy": Accuracy,
    "f1_macro": lambda: F1("macro"),
    "f1_macro_present": lambda: F1("macro_present"),
    "f1_micro": lambda: F1("micro"),
    "f1_weighted": lambda: F1("weighted"),
    "matthews_correlation": MatthewsCorrelation,
    "multilabel_accuracy": MultilabelAccuracy,
    "multilabel_f1_macro": lambda: MultilabelF1("macro"),
    "multilabel_f1_micro": lambda: MultilabelF1("micro"),
    "multilabel_f1_weighted": lambda: MultilabelF1("weighted"),
    "roc_auc": RocAuc,
    "average_precision": AveragePrecision,
    "calibration_error": CalibrationError,
    "pearson": Pearson,
    "spearman": Spearman,
    "mae": MeanAbsoluteError,
    "rmse": RootMeanSquaredError,
    "quadratic_kappa": QuadraticKappa,
    "span_f1": SpanF1,
    **{
        f"{unit}_{normalizer}".rstrip("_"): partial(ErrorRate, unit, normalizer)
        for unit in ("wer", "cer")
        for normalizer in TEXT_NORMALIZERS
    },
    "eer": EqualErrorRate,
}


def metric(name: str) -> InMemoryMetric:
    """A new metric object by its name in `METRICS`.

    Raises:
        ConfigError: unknown name, with the nearest one.
    """
    if name not in METRICS:
        raise ConfigError(f"Unknown metric {name!r}.{nearest(name, METRICS)} Known: {', '.join(METRICS)}.")
    return METRICS[name]()


def compute(
    names: Sequence[str], *, predictions: Answers | None = None, scores: Answers | None = None, references: Answers
) -> dict[str, float]:
    """All named metrics at once, each given the input it reads.

    Args:
        names: keys of `METRICS`.
        predictions: decisions, `(n,)` class numbers or numbers, `(n, labels)` zeros and ones, or lists of tag strings.
        scores: `(n,)`, `(n, classes)` or `(n, labels)`; probabilities for `calibration_error`, and for
            `roc_auc` of more than two classes.
        references: the truth, in the shape of the predictions.

    Returns:
        Flat names to values; `span_f1` brings its precision, recall and per-type values along.

    Raises:
        ConfigError: unknown name. DataError: a needed input is missing, or shapes disagree.
    """
    inputs = {"predictions": predictions, "scores": scores}
    for label, values in (inputs | {"references": references}).items():
        if values is not None and len(values) != len(references):
            raise DataError(f"Found {len(values)} {label} for {len(references)} references.")
    result: dict[str, float] = {}
    for one in [metric(name) for name in names]:
        given = inputs[one.input_name]
        if given is None:
            raise DataError(f"{one.name} reads `{one.input_name}=`, which was not given.")
        values = _checked(one, given)
        result |= one.compute(**{one.input_name: values, "references": _checked(one, references)})
    return result


def _checked(one: InMemoryMetric, values: Answers) -> Answers:
    """Refuse fractions where class numbers are wanted: storing them as int64 would silently cut them."""
    options = one.features_ if isinstance(one.features_, list) else [one.features_]
    if options[0] in (_CLASSES, _LABELS):
        numbers = np.asarray(values)
        whole = numbers.dtype.kind == "f" and bool((numbers == np.rint(numbers)).all())
        if numbers.dtype.kind not in "iub" and not whole:
            raise DataError(f"{one.name} reads class numbers; found {numbers.dtype} values such as {numbers.flat[0]}.")
        if numbers.ndim != (1 if options[0] is _CLASSES else 2):
            hint = "the multilabel_* metrics" if options[0] is _CLASSES else "the single-label metrics"
            raise DataError(f"{one.name} cannot score arrays of shape {numbers.shape}; for these use {hint}.")
        return numbers.astype(np.int64)
    return values
