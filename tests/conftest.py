"""Shared fixtures. Everything runs offline, on few threads, from fixed seeds, and leaves the user's caches alone."""

from __future__ import annotations

import gc
import logging
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Set before any Hugging Face import: these libraries read their environment once, when they are imported.
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers inherit the settings of the process that starts them
    _home = tempfile.mkdtemp(prefix="hf_ssl_test_home_")
    os.environ["HF_SSL_TEST_HOME"] = _home
    for _name in ("HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_MODULES_CACHE", "MPLCONFIGDIR"):
        os.environ[_name] = os.path.join(_home, _name.lower())
    for _name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "TRANSFORMERS_CACHE"):
        os.environ.pop(_name, None)
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "MPLBACKEND": "agg",
    }
    # Workers share the processor, and one thread also makes sums of floats repeat bit for bit.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from hf_ssl import demo
from hf_ssl.core.errors import MissingExtraError

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is imported by now is no garbage: every training looks through all objects that may be (a third of a second each time)."""
    import transformers  # noqa: F401  # the most of them

    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ["HF_SSL_TEST_HOME"], ignore_errors=True)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """The same random state before every test, whichever tests ran before it in this process."""
    import numpy
    import torch

    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def quiet_library() -> Iterator[None]:
    """The command line shows what the library says; the next test's library call is silent again."""
    logger = logging.getLogger("hf_ssl")
    before = list(logger.handlers)
    yield
    logger.handlers = before
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """`capsys`, with everything that the library says on standard error."""
    from hf_ssl import set_verbosity

    set_verbosity("info")
    return capsys


@pytest.fixture
def repository() -> Path:
    """Root of the checkout; skips where the tests run against an installed package only."""
    if not (REPOSITORY / "pyproject.toml").is_file():
        pytest.skip("needs the source checkout")
    return REPOSITORY


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny_checkpoint("bert", "AutoModel", layers=3)` → folder of a random checkpoint, made once per session.

    The folder is shared: a test that changes files in it works on a copy.
    """
    import tiny

    made: dict[tuple[Any, ...], Path] = {}

    def make(arch: str, auto_class: str | None = None, **overrides: Any) -> Path:
        key = (arch, auto_class, *sorted(overrides.items()))
        if key not in made:
            made[key] = tiny.write_checkpoint(arch, tmp_path_factory.mktemp(f"tiny-{arch}"), auto_class, **overrides)
        return made[key]

    return make


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Folder of the real all-MiniLM-L6-v2, or skip."""
    return _or_skip(demo.minilm_path)


@pytest.fixture(scope="session")
def newsgroups() -> dict[str, list[dict[str, Any]]]:
    """Real posts: 400 of train and 200 of test, rows with `text` and `label`, or skip."""
    return _or_skip(lambda: {"train": demo.newsgroups("train", limit=400), "test": demo.newsgroups("test", limit=200)})


@pytest.fixture(scope="session")
def brown() -> dict[str, list[dict[str, Any]]]:
    """Real tagged sentences: 300 of train and 100 each of validation and test, with `tokens` and `tags`, or skip."""
    limits = {"train": 300, "validation": 100, "test": 100}
    return _or_skip(lambda: {split: demo.brown_pos(split, limit=limit) for split, limit in limits.items()})


@pytest.fixture
def newsgroups_folder(tmp_path: Path) -> Path:
    """A user's folder with 300 unlabeled posts, 4 labels for each of 20 groups, 100 test posts, or skip."""
    return _or_skip(
        lambda: demo.write_newsgroups(tmp_path / "newsgroups", per_class=4, pool_limit=300, test_limit=100)
    )


def _or_skip(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except MissingExtraError as error:
        pytest.skip(str(error))
