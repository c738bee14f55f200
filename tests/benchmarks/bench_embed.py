"""Embedding throughput against a plain padded pipeline, and 100,000 vectors into a Milvus file and back through a kill -9.

    python tests/benchmarks/bench_embed.py throughput      texts/s of pipeline("feature-extraction") and of ours, in turns
    python tests/benchmarks/bench_embed.py milvus [COUNT]  into milvus-lite, killed, gone on with, reopened, searched

Throughput: real posts of 20 Newsgroups cut to mixed lengths (most short, some of the model's whole window, as a support
desk or a forum has them), real MiniLM weights, float32. The plain way pads every batch of 32 to its longest text, in the
order given, and averages over real tokens. Both arms run in one process, alternately, and the vectors are compared.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TEXTS, ROUNDS = 64, 3
WAIT_FOR = 30_000  # vectors that are in before the process is killed


def mixed_texts(count: int = TEXTS, seed: int = 0) -> list[str]:
    """Posts cut to a length drawn log-uniformly between 4 and 400 words."""
    from hf_ssl import demo

    draw = random.Random(seed)
    posts = [row["text"].split() for row in demo.newsgroups("train", limit=count, seed=seed)]
    return [" ".join(words[: int(4 * 100 ** draw.random())]) for words in posts]


def throughput() -> dict[str, float]:
    """Texts per second of both ways, their ratio, and the smallest cosine between their vectors."""
    from transformers import pipeline

    from hf_ssl import demo
    from hf_ssl.modalities.text.text import Text

    path, texts = str(demo.minilm_path()), mixed_texts()
    encoder = Text().load(path, pooling="mean")
    tokenizer = encoder.processor
    serve = pipeline("feature-extraction", model=path, tokenizer=path, device=-1)
    lengths = [min(len(ids), 512) for ids in tokenizer(texts, truncation=True, max_length=512)["input_ids"]]

    def plain() -> np.ndarray:
        options = {"padding": True, "truncation": True, "max_length": 512}
        states = serve(texts, batch_size=32, tokenize_kwargs=options)
        return np.stack(
            [
                np.asarray(rows[0], dtype=np.float32)[:length].mean(0)
                for rows, length in zip(states, lengths, strict=True)
            ]
        )

    def ours() -> np.ndarray:
        return encoder.embed(texts, max_length=512)

    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    vectors = {}
    for name, run in (("plain", plain), ("ours", ours)):
        run() if name == "ours" else None  # the pipeline's first round warms both: they share the libraries
        vectors[name] = run()
    for _ in range(ROUNDS):
        for name, run in (("plain", plain), ("ours", ours)):
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    unit = {name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in vectors.items()}
    ratios = [a / b for a, b in zip(seconds["plain"], seconds["ours"], strict=True)]
    return {
        "texts": len(texts), "mean_tokens": round(float(np.mean(lengths)), 1), "longest": max(lengths),
        "plain_texts_per_second": round(len(texts) / min(seconds["plain"]), 1),
        "ours_texts_per_second": round(len(texts) / min(seconds["ours"]), 1),
        "ratio": round(float(np.median(ratios)), 2), "ratio_lowest": round(min(ratios), 2),
        "smallest_cosine": float((unit["plain"] * unit["ours"]).sum(1).min()),
    }  # fmt: skip


def points(count: int, dimensions: int = 384) -> tuple[np.ndarray, list[dict[str, str]]]:
    """Vectors of length 1 with their rows; the same on every call."""
    found = np.random.default_rng(0).standard_normal((count, dimensions), dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found, [
        {"content": f"{i:032x}", "id": f"row {i}", "split": "train", "label": f"c{i % 20}"} for i in range(count)
    ]


def store_of(uri: str) -> object:
    from hf_ssl.models.embedding import EmbeddingSpec
    from hf_ssl.vectors import StoreAddress

    kind, address = StoreAddress.of(uri, Path("."), "bench")
    return kind.open(address, EmbeddingSpec("bench", None, "0" * 64, "text", "mean", True, None, 384))


def fill(uri: str, count: int) -> None:
    """Put everything in; says how much is there every 10,000 rows."""
    found, rows = points(count)
    store = store_of(uri)
    for start in range(0, count, 10_000):
        store.add(found[start : start + 10_000], rows[start : start + 10_000])
        print(start + 10_000, flush=True)
    store.close()


def milvus(count: int) -> dict[str, float]:
    """Fill, kill -9 on the way, fill again, reopen, compare everything, recall@10."""
    with tempfile.TemporaryDirectory() as folder:
        uri = str(Path(folder) / "vectors.db")
        command = [sys.executable, __file__, "fill", uri, str(count)]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        there = 0
        while there < min(WAIT_FOR, count // 2):
            there = int(process.stdout.readline())
        time.sleep(0.5)  # into the next batch
        process.send_signal(signal.SIGKILL)
        process.wait()
        store = store_of(uri)
        after_kill = len(store)
        store.close()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        filled = time.perf_counter() - began
        store = store_of(uri)
        found, rows = points(count)
        back, told = store.all_vectors()
        order = np.argsort([row["content"] for row in told])
        queries = found[:100] + 0.05 * np.random.default_rng(1).standard_normal((100, 384)).astype(np.float32)
        exact = np.argsort(-(queries @ found.T), axis=1)[:, :10]
        began = time.perf_counter()
        got = store.search(queries, 10)
        asked = time.perf_counter() - began
        hits = [
            len({rows[i]["content"] for i in row} & {hit["content"] for hit in some})
            for row, some in zip(exact, got, strict=True)
        ]
        equal = len(back) == count and bool(np.array_equal(back[order], found))
        store.close()
    return {
        "vectors": count, "acknowledged_before_kill": there, "there_after_kill": after_kill, "seconds_in_all": round(filled, 1),
        "equal_after_reopening": float(equal), "recall_at_10": sum(hits) / (10 * len(hits)), "seconds_per_100_queries": round(asked, 2),
    }  # fmt: skip


def test_throughput() -> None:
    found = in_a_process("throughput")
    print(json.dumps(found, indent=2))
    assert found["smallest_cosine"] >= 0.9999


def test_milvus() -> None:
    found = in_a_process("milvus")
    print(json.dumps(found, indent=2))
    assert found["there_after_kill"] >= found["acknowledged_before_kill"]
    assert found["equal_after_reopening"] == 1 and found["recall_at_10"] == 1


def in_a_process(*arguments: str) -> dict[str, float]:
    result = subprocess.run(
        [sys.executable, __file__, *arguments], capture_output=True, text=True, env=os.environ, check=True
    )
    return json.loads(result.stdout.splitlines()[-1])


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else "throughput"
    if what == "fill":
        fill(sys.argv[2], int(sys.argv[3]))
    else:
        print(
            json.dumps(
                throughput() if what == "throughput" else milvus(int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
            )
        )
