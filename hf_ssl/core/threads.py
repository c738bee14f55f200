"""How many threads linear algebra on the host takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within, NumPy's and SciPy's matrix products take one thread; also a decorator.

    A probe is fitted in thousands of products of a few hundred rows. Divided among threads each of them waits for the others, and
    beside PyTorch's own threads, which wait in a loop for what comes next, they wait long: on two cores a fit takes three to eight times
    as long with both (`tests/benchmarks/bench_probe_threads.py`).
    """
    import scipy.linalg  # noqa: F401  # loads the library that is to be found
    from threadpoolctl import ThreadpoolController

    # Searched for each time (2 ms): another package may have brought a library of its own since.
    with ThreadpoolController().limit(limits=1, user_api="blas"):
        yield
