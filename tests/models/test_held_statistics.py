"""Fine-tuning a released CNN on a few pictures leaves its running statistics alone, whatever the method."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

import tiny
from hf_ssl import finetune

pytest.importorskip("PIL.Image")


@pytest.mark.parametrize("method", ["lora", "full"])
def test_statistics_of_a_network_that_has_some_stay(method: str, tmp_path: Path) -> None:
    from contract_image import Kind

    start = tiny.write_checkpoint("resnet", tmp_path / "start")
    network = transformers.AutoModel.from_pretrained(start).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(8, 3, 32, 32) + 0.3)
    network.save_pretrained(start)
    data = Kind().labeled("classification")
    options = {
        "labels_per_class": 3,
        "max_steps": 3,
        "early_stopping_patience": 0,
        "learning_rate": 1e-2,
        "lora_r": 2,
        "self_training": 0,
    }
    finetune(
        data=data, modality="image", model=str(start), output=str(tmp_path / "run"), peft=method, near_duplicates=False,
        **options,
    )  # fmt: skip
    kind = transformers.AutoModelForImageClassification
    tuned = kind.from_pretrained(tmp_path / "run" / "finetune" / "model").state_dict()
    before = {name: tensor for name, tensor in network.state_dict().items() if "running_" in name}
    assert before and all(torch.equal(tuned[f"resnet.{name}"], tensor) for name, tensor in before.items())
    moved = [
        name for name in network.state_dict() if "running_" not in name and not name.endswith("num_batches_tracked")
    ]
    assert any(not torch.equal(tuned[f"resnet.{name}"], network.state_dict()[name]) for name in moved)
