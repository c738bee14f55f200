"""What every store promises, held by each that comes along and by one of a package that depends on us."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import runs
from places import REPOSITORY, SUPPORT, TESTS
from vectors_on_disk import STAMP, embedded, opened, points

import hf_ssl
from hf_ssl import StoreAddress, search, testing
from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError

SOURCES = TESTS / "dependent" / "src"
SHELF = "genomics_ssl.shelf:Shelf"
NEEDS = {"faiss": "faiss", "milvus": "pymilvus"}


@pytest.fixture(params=[*plugins.names("vectors"), SHELF])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param])
    monkeypatch.syspath_prepend(str(SOURCES))
    return request.param


@pytest.mark.parametrize("check", testing.STORE_CHECKS, ids=lambda check: check.__name__)
def test_store(store: str, tmp_path: Path, check) -> None:
    check(lambda place, spec: opened(store, spec, place), tmp_path)


def test_after_an_error_the_old_vectors_are_there(tmp_path: Path) -> None:
    found, rows = points(20)
    for store in ("parquet", "faiss"):
        if store in NEEDS:
            pytest.importorskip(NEEDS[store])
        with opened(store, STAMP, tmp_path) as made:
            made.add(found[:5], rows[:5])
        with pytest.raises(KeyboardInterrupt), opened(store, STAMP, tmp_path) as broken:
            broken.add(found, rows)
            raise KeyboardInterrupt
        with opened(store, None, tmp_path) as again:
            assert len(again) == 5
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("parquet", "ParquetStore"), ("there/x.parquet", "ParquetStore"), ("faiss", "FaissStore"), ("x.faiss", "FaissStore"),
        ("milvus", "MilvusStore"), ("~/x.db", "MilvusStore"), ("http://localhost:19530", "MilvusStore"), ("unix:/tmp/milvus.sock", "MilvusStore"),
        (r"C:\data\x.db", "MilvusStore"),
    ],
)  # fmt: skip
def test_a_store_is_found_by_its_scheme(where: str, kind: str) -> None:
    found, address = StoreAddress.of(where, Path("."))
    assert found.__name__ == kind and address.uri == where


@pytest.mark.parametrize("where", ["milvuss", "x.sqlite", "qdrant://localhost", ""])
def test_an_unknown_store_is_an_error_that_lists_them(where: str) -> None:
    with pytest.raises(ConfigError, match="milvus"):
        StoreAddress.of(where, Path("."))


def test_one_file_adds_a_store(tmp_path: Path) -> None:
    """The file of another package's store, put beside ours, is found by its schemes: nothing else is edited."""
    shutil.copytree(REPOSITORY / "hf_ssl", tmp_path / "hf_ssl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SOURCES / "genomics_ssl" / "shelf.py", tmp_path / "hf_ssl" / "vectors")
    code = (
        "from pathlib import Path; from hf_ssl import StoreAddress\n"
        "for where in ('shelf', 'shelf://x', 'x.sqlite', 'faiss'): print(StoreAddress.of(where, Path('.'))[0].__name__)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert found.stdout.split() == ["Shelf", "Shelf", "Shelf", "FaissStore"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.base_checkpoint(tmp_path_factory.mktemp("base"))


def test_embed_and_search_with_a_store_of_ones_own(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SOURCES))
    where = f"{SHELF}@{tmp_path / 'vectors.sqlite'}"
    run = embedded(tmp_path / "run", base, store=where)
    text = runs.rows(24, 0, labeled=True)[3]["text"]
    hit = search(query=text, output=str(run), store=where, k=1).metrics["hits"][0]
    assert hit["score"] == pytest.approx(1.0, abs=1e-5) and text.startswith(hit["text"])


def test_hits_show_the_text_and_the_published_file_does_not(base: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    run = embedded(tmp_path / "run", base)
    text = runs.rows(24, 0, labeled=True)[3]["text"]
    assert search(query=text, output=str(run), k=1).metrics["hits"][0]["text"] == text[:200]
    assert set(pq.read_schema(run / "embed" / "embeddings.parquet").names) == {
        "id",
        "content",
        "split",
        "label",
        "vector",
    }


@pytest.mark.parametrize("k", [0, -3])
def test_no_neighbors_are_an_error_before_anything_is_loaded(base: Path, tmp_path: Path, k: int) -> None:
    run = embedded(tmp_path / "run", base)
    with pytest.raises(ConfigError, match="at least 1"):
        search(query="river", output=str(run), k=k, model="no/such-model")


def test_other_vectors_are_not_replaced_silently(base: Path, tmp_path: Path) -> None:
    """Other data in the same run: an error that says how to go on; replaced on request, with no old index left."""
    pytest.importorskip("faiss")
    run = embedded(tmp_path / "run", base, store="faiss")
    embedded(run, base, store="parquet")
    assert (run / "embed" / "vectors.faiss").is_file(), "the same vectors: the index is still right"
    others = runs.rows(6, 900, labeled=True)
    with pytest.raises(ConfigError, match="holds 32 vectors.*--overwrite"):
        hf_ssl.embed(data=others, model=str(base), output=str(run), near_duplicates=False)
    assert len(search(query="a", output=str(run), store="faiss", k=50).metrics["hits"]) == 32
    hf_ssl.embed(data=others, model=str(base), output=str(run), near_duplicates=False, overwrite=True)
    assert len(search(query="a", output=str(run), k=50).metrics["hits"]) == 6
    with pytest.raises(ConfigError, match="FAISS"):
        search(query="a", output=str(run), store="faiss")


def test_a_call_that_was_killed_knows_its_own_vectors(base: Path, tmp_path: Path) -> None:
    """After the file was written, before the run's ledger says so."""
    run = embedded(tmp_path / "run", base)
    ledger = json.loads((run / "run.json").read_text())
    ledger["stages"]["embed"] |= {"status": "running", "outputs": {}, "pid": 2**22 + 1}
    (run / "run.json").write_text(json.dumps(ledger))
    before = (run / "embed" / "embeddings.parquet").read_bytes()
    embedded(run, base)
    assert (run / "embed" / "embeddings.parquet").read_bytes() == before
    assert json.loads((run / "run.json").read_text())["stages"]["embed"]["status"] == "done"


def test_a_search_reads_the_file_in_pieces(tmp_path: Path) -> None:
    """30,000 vectors of 384 (46 MB) are searched with less than half of that in memory."""
    spec = replace(STAMP, dimensions=384)
    found = np.random.default_rng(0).standard_normal((30_000, 384), dtype=np.float32)
    rows = [{"id": f"row-{place}", "content": f"{place:032x}", "split": "train"} for place in range(len(found))]
    with opened("parquet", spec, tmp_path) as made:
        for start in range(0, len(found), 1000):
            made.add(found[start : start + 1000], rows[start : start + 1000])
    np.save(tmp_path / "query.npy", found[[7, 29_999]])
    code = (
        "from pathlib import Path\nimport numpy as np\nimport pyarrow as pa\nfrom vectors_on_disk import opened\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "hits = opened('parquet', None, folder).search(np.load(folder / 'query.npy'), 3)\n"
        "print(hits[0][0]['id'], hits[1][0]['id'], pa.default_memory_pool().max_memory())"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(SUPPORT)])}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    *ids, peak = told.stdout.split()
    assert ids == ["row-7", "row-29999"] and int(peak) < found.nbytes / 2


@pytest.mark.parametrize(("where", "file"), [("parquet", "embeddings.parquet"), ("faiss", "vectors.faiss")])
@pytest.mark.parametrize("content", [b"", b"PAR1 and noise \xff\xfe"])
def test_a_damaged_file_is_told_with_what_to_do(where: str, file: str, content: bytes, tmp_path: Path) -> None:
    if where in NEEDS:
        pytest.importorskip(NEEDS[where])
    found, rows = points(5)
    with opened(where, STAMP, tmp_path) as made:
        made.add(found, rows)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ConfigError, match=f"{file} is damaged.*--overwrite"):
        opened(where, None, tmp_path)
