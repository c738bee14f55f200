"""Arrays of `.npy` and `.npz` files, read by many threads at once."""

from __future__ import annotations

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np
import pytest

from hf_ssl.modalities.arrays import load_arrays

KINDS = {
    "numbers": np.arange(24, dtype="<f4").reshape(2, 3, 4),
    "columns first": np.asfortranarray(np.arange(24, dtype=">i2").reshape(4, 6)),
    "truth": np.array([[True, False]]),
    "one": np.array(3.5),
    "none": np.empty((0, 3)),
    "dates": np.array(["2024-01-02", "2024-01-03"], "datetime64[D]"),
    "words": np.array(["a", "größer"]),
    "complex": np.array([1 + 2j]),
}


def written(**arrays: np.ndarray) -> io.BytesIO:
    file = io.BytesIO()
    np.savez(file, **arrays) if len(arrays) > 1 else np.save(file, next(iter(arrays.values())))
    file.seek(0)
    return file


@pytest.mark.parametrize("name", KINDS)
def test_an_array_is_read_as_numpy_reads_it(name: str) -> None:
    found = load_arrays(written(x=KINDS[name]))["x"]
    assert found.dtype == KINDS[name].dtype and found.shape == KINDS[name].shape and found.flags.writeable
    assert np.array_equal(found, KINDS[name])


def test_several_in_a_file_have_their_names() -> None:
    found = load_arrays(written(x=KINDS["numbers"], y=KINDS["dates"]))
    assert found.keys() == {"x", "y"} and np.array_equal(found["y"], KINDS["dates"])


@pytest.mark.parametrize("cut", [3, 20, 100, 150])
def test_what_is_cut_short_or_holds_objects_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="plain numpy array"):
        load_arrays(io.BytesIO(written(x=KINDS["numbers"]).getvalue()[:cut]))
    with pytest.raises(ValueError, match="Python objects"):
        load_arrays(written(x=np.array([[1], [1, 2]], dtype=object)))


def test_no_two_threads_parse_a_header_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 answers that with a SystemError, now and then."""
    parse, busy = np.lib.format.read_array_header_1_0, threading.Lock()

    def watched(stream: BinaryIO, *more: Any) -> Any:
        assert busy.acquire(blocking=False), "another thread is at it"
        time.sleep(0.002)
        try:
            return parse(stream, *more)
        finally:
            busy.release()

    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", watched)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_arrays(written(x=KINDS["numbers"]))["x"], range(24)))
    assert all(np.array_equal(one, KINDS["numbers"]) for one in found)
