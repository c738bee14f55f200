"""One learning-rate rule for every stage: the user's, else the objective's or task's, else the modality's, times the adapter's multiple."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import runs

import hf_ssl
from hf_ssl.modalities.text.text import Text
from hf_ssl.models.adapters import METHODS
from hf_ssl.objectives.mlm import MaskedLanguageModeling
from hf_ssl.stages.build import learning_rate
from hf_ssl.tasks.classification import Classification

OWN = MaskedLanguageModeling.training_defaults["learning_rate"]


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_precedence(method: str) -> None:
    modality, multiple = Text(), METHODS[method]
    assert learning_rate(method, MaskedLanguageModeling, modality, {}) == OWN * multiple
    assert "learning_rate" not in Classification.training_defaults
    assert learning_rate(method, Classification, modality, {}) == Text.learning_rate * multiple
    for plugin in (MaskedLanguageModeling, Classification):
        assert learning_rate(method, plugin, modality, {"learning_rate": 3e-4}) == 3e-4


@pytest.fixture
def shared(tmp_path: Path) -> dict[str, Any]:
    return {
        "data": runs.rows(60, 0, labeled=True), "unlabeled": runs.rows(40, 1000, labeled=False),
        "model": str(runs.base_checkpoint(tmp_path / "base")), "output": str(tmp_path / "run"), "near_duplicates": False,
        "bf16": False, "max_steps": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "given", "wanted"),
    [("full", {}, OWN), ("lora", {}, 10 * OWN), ("lora", {"learning_rate": 7e-5}, 7e-5)],
)
def test_pretraining_tells_and_uses_it(method, given, wanted, shared, said, used) -> None:
    hf_ssl.pretrain(**shared, objective="mlm", monitor_points=1, peft=method, **given)
    assert used == [pytest.approx(wanted)]
    assert f"learning rate {wanted if given or method == 'full' else OWN:g}" in said.readouterr().err


def test_finetuning_and_both_arms_of_a_comparison_use_it(shared, used) -> None:
    few = {"self_training": 0, "warm_start": False}
    hf_ssl.finetune(**shared, **few, peft="lora", early_stopping_patience=0)
    hf_ssl.compare(
        **shared, **few, adapted=shared["model"], labels_per_class=[2], num_seeds=1, probe_draws=1, peft="ia3"
    )
    lora, *arms = used
    assert lora == pytest.approx(10 * Text.learning_rate)
    assert arms and arms == [pytest.approx(100 * Text.learning_rate)] * len(arms)


@pytest.fixture
def used(monkeypatch) -> list[float]:
    """Peak rates that transformers is given."""
    from hf_ssl.training import trainer

    found: list[float] = []
    build = trainer.TrainingArguments

    def note(**options: Any) -> Any:
        args = build(**options)
        found.append(args.learning_rate)
        return args

    monkeypatch.setattr(trainer, "TrainingArguments", note)
    return found
