"""Small fits take one thread of linear algebra, and give the others back."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  # loads its own library before a limit is set
from threadpoolctl import threadpool_info, threadpool_limits

from hf_ssl.core.threads import one_blas_thread
from hf_ssl.evaluation.probes import cross_validated, probes, soft


def blas() -> set[int]:
    return {int(one["num_threads"]) for one in threadpool_info() if one["user_api"] == "blas"}


def test_one_within_and_as_many_as_before_after() -> None:
    with threadpool_limits(2, user_api="blas"):
        if blas() != {2}:
            pytest.skip("this machine's linear algebra has a single thread")
        with one_blas_thread():
            assert blas() == {1}
        assert blas() == {2}
        with pytest.raises(RuntimeError), one_blas_thread():
            raise RuntimeError
        assert blas() == {2}


LATER = """
from threadpoolctl import threadpool_info, threadpool_limits
from hf_ssl.core.threads import one_blas_thread

with one_blas_thread():
    before = len(threadpool_info())
import faiss

assert len(threadpool_info()) > before, "faiss brings a library of its own"
threadpool_limits(2, user_api="blas")
with one_blas_thread():
    print({one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"})
"""


def test_a_library_that_came_later_takes_one_thread_too() -> None:
    pytest.importorskip("faiss")
    done = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "{1}", done.stderr


@pytest.mark.parametrize("fit", ["linear", "cross-validated", "soft"])
def test_probes_are_fitted_so(fit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression

    seen: list[set[int]] = []
    whole = LogisticRegression.fit

    def watched(self: LogisticRegression, *given: object, **named: object) -> LogisticRegression:
        seen.append(blas())
        return whole(self, *given, **named)

    monkeypatch.setattr(LogisticRegression, "fit", watched)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 8)).astype(np.float32), np.arange(40) % 2
    with threadpool_limits(2, user_api="blas"):
        if fit == "linear":
            probes.linear_probe(x, y, x[:5], seed=0)
        elif fit == "cross-validated":
            cross_validated.cross_validated_probe(x, y, seed=0)
        else:
            monkeypatch.setattr(
                "scipy.optimize.minimize", lambda *_, **__: seen.append(blas()) or _Found(np.zeros(18))
            )
            soft.soft_regression(x, np.eye(2)[y])
    assert seen and set().union(*seen) == {1}


class _Found:
    def __init__(self, x: np.ndarray) -> None:
        self.x = x
