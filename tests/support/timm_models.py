"""Checkpoints as timm itself writes them."""

from __future__ import annotations

import pytest
import torch


def timm_folder(folder, name="resnet18", seed=0, **options):
    """A checkpoint as timm itself writes it."""
    timm = pytest.importorskip("timm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = timm.create_model(name, pretrained=False, **options)
    timm.models.save_for_hf(model, str(folder), model_args=options or None, safe_serialization=True)
    return folder
