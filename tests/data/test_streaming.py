"""A stream: every row that is to be trained on once per turn, none that is held out, and any block found again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from PIL import Image as Pillow

from hf_ssl.core.errors import DataError
from hf_ssl.data import load_data
from hf_ssl.data.stream import files
from hf_ssl.data.stream.stream import Place, Stream

ROWS = 160


def texts(count: int = ROWS) -> list[str]:
    return [f"document {number} of the corpus says {number * 7 % 13} things" for number in range(count)]


def written(folder: Path, kind: str) -> Path:
    """The texts in files of a kind, in more than one file and in parts."""
    lines = texts()
    half = len(lines) // 2
    for number, part in enumerate((lines[:half], lines[half:])):
        path = folder / f"part{number}.{kind}"
        if kind == "txt":
            path.write_text("\n\n".join(part) + "\n", encoding="utf-8")
        elif kind == "jsonl":
            path.write_text("".join(json.dumps({"text": line, "n": n}) + "\n" for n, line in enumerate(part)))
        elif kind == "csv":
            path.write_text("id,text\n" + "".join(f'{number}-{n},"{line}"\n' for n, line in enumerate(part)))
        else:
            parquet.write_table(pa.table({"text": part}), path, row_group_size=20)
    return folder


def opened(source: object, modality: str = "text", **options: Any) -> Stream:
    stream = load_data(source, modality, streaming=True, verbose=False, **options).stream
    assert stream is not None
    return stream


def turn(stream: Stream, reader: int = 0, readers: int = 1) -> list[str]:
    """What a reader sees of the first turn."""
    found: list[str] = []
    for block in stream.blocks(reader, readers):
        if block.place.turn:
            break
        found += block.rows[stream.modality.column]
    return found


@pytest.mark.parametrize("readers", [1, 2, 3])
@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv", "parquet"])
def test_readers_share_every_row_that_is_not_held_out(kind, readers, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PART", 600)
    stream = opened(written(tmp_path, kind), txt="lines", shuffle_buffer=25)
    pool, held = stream.hold_out(0.2)
    seen = [text for reader in range(readers) for text in turn(stream, reader, readers)]
    apart = set(texts()) - set(seen)
    assert max(Counter(seen).values()) == 1 and set(seen) | apart == set(texts())
    assert set(held["text"]) <= apart and 0.1 * ROWS < len(apart) < 0.3 * ROWS
    assert set(pool["text"]) <= set(seen)


@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv", "parquet"])
def test_every_block_is_found_again_from_its_place(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PART", 600)
    stream = opened(written(tmp_path, kind), txt="lines", shuffle_buffer=25)
    blocks = [block for block, _ in zip(stream.blocks(1, 2), range(10), strict=False)]
    assert {block.place.turn for block in blocks} >= {0, 1}, "it goes on without end"
    again = opened(tmp_path, txt="lines", shuffle_buffer=25)
    for number, block in enumerate(blocks):
        place = json.loads(json.dumps(vars(block.place)))
        found = next(again.blocks(1, 2, Place(**place)))
        assert (found.digest, found.rows["text"][:]) == (block.digest, block.rows["text"][:]), number


def test_the_order_is_another_one_in_each_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PART", 600)
    stream = opened(written(tmp_path, "txt"), txt="lines", shuffle_buffer=25)
    orders: dict[int, list[str]] = {}
    for block in stream.blocks(0, 1):
        if block.place.turn == 2:
            break
        orders.setdefault(block.place.turn, []).extend(block.rows["text"])
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])


def test_a_group_and_the_contents_of_test_stay_out(tmp_path):
    rows = [{"text": text, "author": f"author {number % 20}"} for number, text in enumerate(texts())]
    stream = datasets.Dataset.from_list(rows).to_iterable_dataset(num_shards=3)
    by_group = opened(stream, group_column="author", shuffle_buffer=50)
    _, held = by_group.hold_out(0.3)
    authors = {text: row["author"] for text, row in zip(texts(), rows, strict=True)}
    assert {authors[text] for text in turn(by_group)} & set(held["author"]) == set()
    apart = opened(stream, test=rows[:40], shuffle_buffer=50)
    assert set(turn(apart)) == set(texts()[40:])


def test_bytes_that_are_no_text_and_broken_rows_are_left_out_while_they_are_few(tmp_path):
    lines = [json.dumps({"text": text}).encode() for text in texts(100)]
    lines[10:12] = [b"{broken", b'{"text": "\xff"}']
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    assert len(turn(opened(tmp_path))) == 98
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines[:3] + lines[10:12] * 3))
    with pytest.raises(DataError, match="unusable"):
        opened(tmp_path)


def test_what_cannot_be_streamed_says_why(tmp_path):
    def refused(source: object, modality: str = "text", **options: Any) -> str:
        with pytest.raises(DataError) as error:
            opened(source, modality, **options)
        return str(error.value)

    assert "from_generator" in refused(iter(["a", "b"]))
    (tmp_path / "rows.json").write_text("[]")
    assert ".jsonl" in refused(tmp_path)
    (tmp_path / "a.csv").write_text("text\na\n")
    (tmp_path / "b.jsonl").write_text('{"text": "a"}\n')
    assert "FOLDER/**" in refused(tmp_path)
    (tmp_path / "b.jsonl").unlink()
    (tmp_path / "a.csv").rename(tmp_path / "test.csv")
    assert "None of the" in refused(tmp_path)
    assert "horizon" in refused(tmp_path, "timeseries", horizon=4)
    (tmp_path / "big.txt").write_bytes(("line\n" * 1000).encode("utf-16"))
    assert "UTF-16" in refused(tmp_path / "big.txt", txt="lines")


def test_a_stream_without_rows_to_train_on_ends_with_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    stream = opened(tmp_path, txt="lines")
    with pytest.raises(DataError, match="eval_fraction"):
        stream.hold_out(0.01)
    stream.fraction = 1.0
    with pytest.raises(DataError, match="held out or unusable"):
        next(stream.blocks(0, 1))


def test_a_folder_of_pictures_is_opened_without_looking_at_them(tmp_path):
    for number in range(30):
        noise = np.random.default_rng(number).integers(0, 256, (16, 16), dtype=np.uint8)
        Pillow.fromarray(noise).save(tmp_path / f"{number}.png")
    (tmp_path / "29.png").write_bytes((tmp_path / "29.png").read_bytes()[:90])
    (tmp_path / "28.png").write_bytes(b"no picture at all")
    stream = opened(tmp_path, "image", shuffle_buffer=40)
    block = next(stream.blocks(0, 1))
    assert len(block.rows) == 29, "one is no picture by its header"
    assert len(block.checked().rows) == 28, "one is found to be cut short when it is decoded"


def test_sounds_come_decoded_and_leave_nothing_behind(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    folder, cache = tmp_path / "sounds", tmp_path / "cache"
    folder.mkdir()
    cache.mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        soundfile.write(folder / f"{number}.wav", 0.2 * rng.standard_normal(16_000), 16_000)
    given = load_data(folder, "audio", streaming=True, shuffle_buffer=4, verbose=False, cache_dir=str(cache)).stream
    blocks = [block for block, _ in zip(given.blocks(0, 1), range(3), strict=False)]
    waves = [given.modality.samples(value) for block in blocks for value in block.rows["audio"]]
    assert sum(len(block.rows) for block in blocks) == 10 and all(len(wave) == 16_000 for wave in waves)
    assert not list(cache.glob("hf_ssl_block_*"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_long_series_comes_in_pieces(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PART", 4000)
    monkeypatch.setattr(files, "SEGMENT", 100)
    values = np.arange(2000.0).reshape(1000, 2)
    table = {
        "timestamp": [f"2024-01-01 {n // 60:02d}:{n % 60:02d}" for n in range(1000)],
        "a": values[:, 0],
        "b": values[:, 1],
    }
    if kind == "csv":
        lines = [f"{stamp},{a},{b}" for stamp, a, b in zip(*table.values(), strict=True)]
        (tmp_path / "long.csv").write_text("timestamp,a,b\n" + "\n".join(lines) + "\n")
    else:
        parquet.write_table(pa.table(table), tmp_path / "long.parquet", row_group_size=250)
    pieces = [np.asarray(piece) for piece in turn(opened(tmp_path, "timeseries"))]
    assert all(piece.shape[0] == 2 and piece.shape[1] >= files.SHORTEST for piece in pieces)
    seen = np.concatenate([piece[0] for piece in pieces])
    assert len(seen) == len(set(seen)) and 900 <= len(seen) <= 1000
    assert all((np.diff(piece[0]) == 2).all() for piece in pieces)


def test_a_generator_is_streamed_and_one_that_changes_is_noticed():
    def generate(shards: list[int]) -> Iterator[dict[str, str]]:
        for shard in shards:
            yield from ({"text": text} for text in texts()[shard::4])

    stream = datasets.IterableDataset.from_generator(generate, gen_kwargs={"shards": [0, 1, 2, 3]})
    assert sorted(
        turn(opened(datasets.IterableDatasetDict({"train": stream, "test": stream}), shuffle_buffer=20))
    ) == sorted(texts())
    first, again = (next(opened(stream.shuffle(seed=seed), shuffle_buffer=20).blocks(0, 1)) for seed in (1, 2))
    assert first.digest != again.digest


def test_beside_labels_the_pool_alone_is_streamed(tmp_path):
    pool, labeled = texts()[:100], texts()[100:]
    (tmp_path / "unlabeled.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in [*pool, labeled[0]])
    )
    for name, part in (("labels", labeled[20:]), ("test", labeled[:20])):
        (tmp_path / f"{name}.csv").write_text(
            "text,label\n" + "".join(f"{text},{'ab'[n % 2]}\n" for n, text in enumerate(part))
        )
    data = load_data(tmp_path, streaming=True, verbose=False, near_duplicates=False)
    assert sorted(data) == ["test", "train", "validation"] and data.label_names == ["a", "b"]
    assert data.stream is not None and set(turn(data.stream)) == set(pool), "what is in test is not in the pool"
