"""TensorFlow itself and the imported model answer the same (`--check tf`), where there is a Python with TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tf_models import archive, tensorflow_python

from hf_ssl import import_tf
from hf_ssl.core.errors import CheckpointError, MissingExtraError
from hf_ssl.models.tensorflow.forward import difference


@pytest.fixture(scope="module")
def python() -> str | None:
    found = tensorflow_python()
    if found is None:
        pytest.skip("no TensorFlow: pip install hf_ssl[tfhub-check], or HF_SSL_TF_PYTHON=/path/to/python")
    return found or None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert_tf2", "bert_hub1", "albert_tf2", "electra_tf2", "simclr", "vit"])
def test_both_answer_the_same(name: str, python: str | None, tmp_path: Path) -> None:
    heads = {"num_heads": 2} if name == "bert_hub1" else {}
    result = import_tf(source=str(archive(name)), output=str(tmp_path / "out"), check="tf", tf_python=python, **heads)
    forward = result.metrics["forward"]
    assert forward and max(forward.values()) < 1e-5
    assert ("mlm_logits" in forward) == (name in ("bert_tf2", "bert_hub1", "albert_tf2"))
    assert "the largest difference is" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.slow
def test_another_activation_is_caught_by_its_outputs_only(python: str | None, tmp_path: Path) -> None:
    """The trap: the exact gelu instead of the tanh form loads completely, and answers something else."""
    import_tf(source=str(archive("bert_tf2")), output=str(tmp_path / "silent"), hidden_act="gelu")
    with pytest.raises(CheckpointError, match="outputs differ.*--hidden_act"):
        import_tf(
            source=str(archive("bert_tf2")),
            output=str(tmp_path / "out"),
            hidden_act="gelu",
            check="tf",
            tf_python=python,
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_checkpoint_without_a_graph_says_that_it_was_not_compared(python: str | None, tmp_path: Path) -> None:
    import_tf(source=str(archive("bert_tf1")), output=str(tmp_path / "out"), check="tf", tf_python=python)
    report = json.loads((tmp_path / "out" / "import.json").read_text())
    assert not report["forward"] and "no computation" in report["not_compared"]


def test_tensorflow_is_asked_for_when_it_is_absent(tmp_path: Path) -> None:
    if tensorflow_python() == "":
        pytest.skip("TensorFlow is installed here")
    with pytest.raises(MissingExtraError, match=r"hf_ssl\[tfhub-check\].*--tf_python"):
        import_tf(source=str(archive("bert_tf2")), output=str(tmp_path / "out"), check="tf")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("python", ["/no/such/python", "false"])
def test_a_python_that_cannot_run_it_is_named(python: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="TensorFlow could not"):
        import_tf(source=str(archive("bert_tf2")), output=str(tmp_path / "out"), check="tf", tf_python=python)


def test_outputs_of_another_shape_are_no_equals() -> None:
    assert difference(np.zeros((2, 3)), np.zeros((3, 2))) == float("inf")
    assert difference(np.ones(2), np.zeros(2)) == 1.0
