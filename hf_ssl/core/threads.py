"""How many threads linear algebra on the host takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within, NumPy's and SciPy's matrix products take one thread; also a decorator.

    A probe is fitted in thousands of products of a few hundred rows. Divided among threads each of them waits for the others, and
    beside PyTorch's own threads, which wait in a loop for what comes next, they wait long: on two cores a fit takes three to eight times
    as long with both (`tests/benchmarks/bench_probe_threads.py`).
    """
    import scipy.linalg  # noqa: F401  # loads the library that is to be found

    with _libraries(len(sys.modules)).limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """Libraries of linear algebra in this process, searched for anew (2 to 5 ms) when modules have come: one may have brought its own."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
