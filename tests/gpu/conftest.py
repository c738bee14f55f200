"""Each test here runs on a CUDA device (`make test-gpu`) and, so that it is known to be right, on a CPU (a slow test)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from devices import CUDA


@pytest.fixture(params=[pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=CUDA)])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """Full float32 while it is compared with a CPU."""
    # The API that transformers' --tf32 uses too; matrix products that the older one was used on do not follow it any more.
    before, torch.backends.fp32_precision = torch.backends.fp32_precision, "ieee"
    yield torch.device(request.param)
    torch.backends.fp32_precision = before
