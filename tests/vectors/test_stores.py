"""Embeddings: nothing lost, nothing mixed, nothing that cannot be found again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import runs
from places import REPOSITORY, SUPPORT
from vectors_on_disk import STAMP, embedded, opened, points

from hf_ssl import cli, search, vectors
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.models.embedding import EmbeddingSpec
from hf_ssl.vectors import EmbeddingShards
from hf_ssl.vectors.milvus import collection_name


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.base_checkpoint(tmp_path_factory.mktemp("base"))


def test_every_store_finds_the_same(base: Path, tmp_path: Path) -> None:
    """parquet is exact by construction; FAISS and Milvus must agree with it, ids, labels and cosines."""
    pytest.importorskip("faiss")
    pytest.importorskip("pymilvus")
    run = embedded(tmp_path / "run", base, store="faiss")
    embedded(run, base, store="milvus", overwrite=True)
    query = "the nurse measured the blood pressure"
    every = {hit["id"]: hit for hit in search(query=query, output=str(run), k=100).metrics["hits"]}
    best = sorted((hit["score"] for hit in every.values()), reverse=True)[:5]
    for store in ("faiss", "milvus"):
        hits = search(query=query, output=str(run), store=store, k=5).metrics["hits"]
        assert np.allclose([hit["score"] for hit in hits], best, atol=1e-5), store
        for hit in hits:  # in a random model's space some are nearly equally near, so order alone says little
            assert every[hit["id"]] == {**hit, "score": pytest.approx(hit["score"], abs=1e-5)}


def test_a_text_finds_itself_and_content_is_one_row(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = embedded(tmp_path / "run", base)
    text = runs.rows(24, 0, labeled=True)[3]["text"]
    assert cli.main(["search", text, "--output", str(run), "--k", "2", "--json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["score"] == pytest.approx(1.0, abs=1e-5)
    (tmp_path / "query.txt").write_text(text)
    again = search(file=str(tmp_path / "query.txt"), output=str(run), k=1).metrics["hits"][0]
    assert again["id"] == first["id"] and again["content"] == vectors.content_id(None, text)


def test_another_model_is_refused(base: Path, tmp_path: Path) -> None:
    pytest.importorskip("pymilvus")
    import tiny

    run = embedded(tmp_path / "run", base, store="milvus")
    other = tiny.write_checkpoint("bert", tmp_path / "other", seed=7)
    with pytest.raises(ConfigError, match="must not be mixed"):
        search(query="a", model=str(other), output=str(run))
    with pytest.raises(ConfigError, match="weights_sha"):
        embedded(tmp_path / "second", other, store=str(run / "embed" / "vectors.db"))
    with pytest.raises(ConfigError, match="pooling 'mean', not 'cls'"):
        embedded(tmp_path / "third", base, store=str(run / "embed" / "vectors.db"), pooling="cls")
    assert len(search(query="a", output=str(run), store="milvus", k=3).metrics["hits"]) == 3, "still as it was"


def test_what_cannot_be_found_again_is_not_stored() -> None:
    found, rows = points(5)
    ids = [row["id"] for row in rows]
    for value in (np.nan, np.inf, 0.0):
        broken = found.copy()
        broken[2] = value
        with pytest.raises(DataError, match=r"1 of 5 vectors.*row 2"):
            vectors.check_vectors(broken, ids)
    assert vectors.check_vectors(found.astype(np.float16), ids).dtype == np.float32, "Milvus takes no other"


@pytest.mark.parametrize("name", ["acme/model", "has-dash", "1abc", "ünï", None])
def test_collection_names_are_what_a_server_takes(name: str | None) -> None:
    import re

    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", collection_name(name))


def test_an_index_that_cannot_be_loaded_again_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pymilvus")
    with pytest.raises(ConfigError, match="DISKANN"):
        opened(str(tmp_path / "x.db"), STAMP, index="DISKANN")


@pytest.fixture(params=["file", "server"])
def milvus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A file, or the address of a server process (milvus-lite's own, which speaks the same protocol as a big one)."""
    pytest.importorskip("pymilvus")
    if request.param == "file":
        yield str(tmp_path / "deep" / "x.db")
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "milvus_lite", "server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen([*command, "--data-dir", str(tmp_path / "server")])
    try:
        for _ in range(300):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            raise AssertionError("the server did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def test_embed_and_search_on_a_server(milvus: str, base: Path, tmp_path: Path) -> None:
    """`--store` takes an address where it takes a file."""
    run = embedded(tmp_path / "run", base, store=milvus)
    text = runs.rows(24, 0, labeled=True)[3]["text"]
    hit = search(query=text, output=str(run), store=milvus, k=1).metrics["hits"][0]
    assert hit["score"] == pytest.approx(1.0, abs=1e-5)
    assert hit["content"] == vectors.content_id(None, text)


def test_upsert_reopen_and_recall(milvus: str) -> None:
    """Twice the same is once; a changed label is written; after reopening every neighbor is found (FLAT)."""
    found, rows = points(3000)
    store = opened(milvus, STAMP)
    assert store.add(found, rows) == 3000
    rows[7]["label"] = "changed"
    assert store.add(found, rows) == 0 and len(store) == 3000
    store.close()
    again = opened(milvus)
    assert again.spec == STAMP and len(again) == 3000
    exact = np.argsort(-(found[:50] @ found.T), axis=1)[:, :10]
    got = [{hit["content"] for hit in hits} for hits in again.search(found[:50], 10)]
    assert all({rows[i]["content"] for i in row} == ids for row, ids in zip(exact, got, strict=True)), (
        "recall@10 is 1.0"
    )
    back, told = again.all_vectors()
    order = np.argsort([row["content"] for row in told])
    assert np.array_equal(back[order], found), "what comes out is what went in"
    assert told[order[7]]["label"] == "changed"
    again.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("pymilvus")
    store = opened(str(tmp_path / "x.db"), STAMP)
    code = f"from vectors_on_disk import opened\nopened({str(tmp_path / 'x.db')!r})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )
    assert "another process" in result.stderr
    store.close()
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )
    assert result.returncode == 0, "closing gives the file back"


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(REPOSITORY), str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"} | more


def test_kill_minus_nine_loses_nothing(tmp_path: Path) -> None:
    """Killed between two batches: what was flushed is there, and the same call again completes it."""
    pytest.importorskip("pymilvus")
    code = f"""
import numpy as np, sys
from vectors_on_disk import opened, points, STAMP
found, rows = points(4000)
store = opened({str(tmp_path / "x.db")!r}, STAMP)
store.add(found[:2000], rows[:2000])
print("half", flush=True)
store.add(found[2000:2500], rows[2000:2500])
print("more", flush=True)
import time; time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    assert [process.stdout.readline().strip() for _ in range(2)] == ["half", "more"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    found, rows = points(4000)
    store = opened(str(tmp_path / "x.db"), STAMP)
    assert len(store) == 2500, "what was acknowledged survived the kill"
    assert store.add(found, rows) == 1500 and len(store) == 4000
    back, told = store.all_vectors()
    assert np.array_equal(back[np.argsort([row["content"] for row in told])], found)
    store.close()


def test_part_files_are_complete_or_absent(tmp_path: Path) -> None:
    parts = EmbeddingShards(tmp_path, count=10, size=4)
    assert len(parts) == 3 and list(parts.rows(2)) == [8, 9]
    assert parts.missing(rank=1, world=2) == [1]
    (tmp_path / "part-00000.tmp.npy").write_bytes(b"half a file")
    assert parts.missing() == [0, 1, 2], "half a file is no part"
    for part in range(3):
        parts.save(part, np.full((len(parts.rows(part)), 2), part, dtype=np.float32))
    assert parts.missing() == [] and np.concatenate(list(parts.load())).shape == (10, 2)


def test_interrupted_embedding_goes_on(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call embeds the parts that are missing, not those that are there; the result is that of one call."""
    from hf_ssl.modalities.text.encoder import TextEncoder

    whole = opened("parquet", folder=embedded(tmp_path / "whole", base) / "embed").all_vectors()[0]
    assert (tmp_path / "whole" / "embed" / "map.svg").read_text().startswith("<svg")
    calls: list[int] = []
    real = TextEncoder.embed

    def counting(self, values, **options):
        calls.append(len(values))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, values, **options)

    monkeypatch.setattr(TextEncoder, "embed", counting)
    with pytest.raises(KeyboardInterrupt):
        embedded(tmp_path / "run", base, part_size=8)
    assert calls == [8, 8, 8]
    embedded(tmp_path / "run", base, part_size=8)
    assert len(calls) == 3 + len(range(0, len(whole), 8)) - 2, "two parts were there already"
    got = opened("parquet", folder=tmp_path / "run" / "embed").all_vectors()[0]
    assert np.allclose(got, whole, atol=1e-5)
    assert not (tmp_path / "run" / "embed" / "parts").exists()


@pytest.mark.slow
def test_two_processes_share_the_work(base: Path, tmp_path: Path) -> None:
    """Every rank embeds its parts, the first one writes; the vectors are those of one process."""
    whole = opened("parquet", folder=embedded(tmp_path / "whole", base) / "embed").all_vectors()[0]
    code = f"""
from pathlib import Path
from vectors_on_disk import embedded
embedded(Path({str(tmp_path / "two")!r}), Path({str(base)!r}), part_size=4)
"""
    (tmp_path / "two.py").write_text(code)
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        str(tmp_path / "two.py"),
    ]
    result = subprocess.run(
        launch,
        env=environment(ACCELERATE_USE_CPU="true", GLOO_SOCKET_IFNAME="lo"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    got = opened("parquet", folder=tmp_path / "two" / "embed").all_vectors()[0]
    assert np.allclose(got, whole, atol=1e-5)
    ledger = json.loads((tmp_path / "two" / "run.json").read_text())
    assert ledger["stages"]["embed"]["status"] == "done"


def test_stamps_tell_their_differences() -> None:
    with pytest.raises(ConfigError) as error:
        STAMP.require_same(replace(STAMP, pooling="cls", normalized=False), "here")
    assert "pooling" in str(error.value) and "normalized" in str(error.value)
    STAMP.require_same(replace(STAMP, model="the same weights elsewhere"), "here")
    with pytest.raises(ConfigError, match="no stamp"):
        EmbeddingSpec.from_json("", "a foreign file")


def test_search_needs_one_thing_to_look_for(base: Path, tmp_path: Path) -> None:
    run = embedded(tmp_path / "run", base)
    with pytest.raises(ConfigError, match="one thing"):
        search(output=str(run))
    with pytest.raises(ConfigError, match="no file"):
        search(output=str(run), file=str(tmp_path / "none.txt"))
    shutil.rmtree(run / "embed")
    with pytest.raises(ConfigError, match="hf-ssl embed"):
        search(output=str(run), query="a")


def test_batches_hold_little_padding() -> None:
    """Every row once, within the budget, and at most a fifth of padding once there is enough to choose from."""
    from hf_ssl.modalities.batching import batches_by_size

    for count in (1, 7, 48, 3000):
        sizes = (4 * 100 ** np.random.default_rng(count).random(count)).astype(int).tolist()
        batches = list(batches_by_size(sizes, 16_384))
        assert sorted(row for rows in batches for row in rows) == list(range(count))
        assert all(len(rows) * max(sizes[row] for row in rows) <= 16_384 for rows in batches)
        padded = sum(len(rows) * max(sizes[row] for row in rows) for rows in batches)
        assert count < 3000 or padded <= 1.25 * sum(sizes)
        assert count != 48 or padded <= 2 * sum(sizes)


def test_a_server_gets_the_token_and_a_file_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pymilvus = pytest.importorskip("pymilvus")
    asked: list[dict] = []

    class Refuses:
        def __init__(self, uri: str, **more: str) -> None:
            asked.append({"uri": uri, **more})
            raise pymilvus.MilvusException(message="no")

    monkeypatch.setattr(pymilvus, "MilvusClient", Refuses)
    monkeypatch.setenv("MILVUS_TOKEN", "root:secret")
    for uri in ("http://there:19530", str(tmp_path / "x.db")):
        with pytest.raises(ConfigError, match="does not open") as caught:
            opened(uri)
        assert "secret" not in str(caught.value)
    assert asked == [{"uri": "http://there:19530", "token": "root:secret"}, {"uri": str(tmp_path / "x.db")}]
