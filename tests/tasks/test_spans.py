"""Which tags are those of spans, whose F1 is the figure that counts."""

from __future__ import annotations

import pytest

from hf_ssl.evaluation.metrics.spans import spans
from hf_ssl.modalities.text.text import Text
from hf_ssl.tasks.token_classification import TokenClassification


@pytest.mark.parametrize(
    ("names", "marks"),
    [(["O", "B", "I"], True), (["O", "B-X", "I-X"], True), (["NN", "VB", "IN"], False), (["O", "X", "Y"], False)],
)
def test_spans_of_one_type_need_no_name(names: list[str], marks: bool) -> None:
    task = TokenClassification(TokenClassification.Config(), Text(Text.Config()))
    task.label_names = names
    assert task.spans is marks
    assert task.comparison_metric == ("span_f1" if marks else "word_f1_macro")


def test_spans_without_a_name_are_counted() -> None:
    assert spans(["B", "I", "O", "B"]) == {("", 0, 2), ("", 3, 4)}
