"""Marks of a test that needs a CUDA device."""

from __future__ import annotations

import pytest
import torch

CUDA = (
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
)
