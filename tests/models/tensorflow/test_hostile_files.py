"""Files made to take memory or time, with every checksum right; two imports at once; interpreters that are none."""

from __future__ import annotations

import multiprocessing
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tf_models import archive, bundle_of, table_of, unpacked

from hf_ssl import import_tf
from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.models.tensorflow import saved_model, table
from hf_ssl.models.tensorflow.bundle import Bundle
from hf_ssl.models.tensorflow.handles import cache_folder, handle_of
from hf_ssl.stages.import_tf import model_from_tensorflow

MIB = 2**20


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_SSL_CACHE", str(tmp_path / "cache"))


def most_memory(work: Callable[[], object]) -> int:
    """The most bytes that were held at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_names_that_share_all_but_a_letter_take_no_memory(tmp_path: Path) -> None:
    """Four bytes of file for each more letter of a name: half a megabyte for gigabytes of names."""
    length = 12_000
    names = [(b"", b"\x08\x01"), *((b"a" * size, b"") for size in range(1, length))]
    (tmp_path / "x.index").write_bytes(table_of(names))

    def read() -> None:
        with pytest.raises(CheckpointError, match="more names"):
            Bundle.open(tmp_path / "x")

    assert (tmp_path / "x.index").stat().st_size < MIB // 4 and most_memory(read) < 100 * MIB


def test_variables_that_share_their_bytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    value = np.zeros(1000, "f4")
    bundle_of({f"v{n}": value for n in range(50)}, tmp_path / "x", {f"v{n}": value.nbytes for n in range(50)})
    (tmp_path / "x.data-00000-of-00001").write_bytes(value.tobytes())
    with pytest.raises(CheckpointError, match="4,000 bytes.* 200,000"):
        Bundle.open(tmp_path / "x")


def test_a_size_beyond_the_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    bundle_of({"v": np.zeros(10, "f4")}, tmp_path / "x", {"v": 2**50})
    with pytest.raises(CheckpointError, match="cut off"):
        Bundle.open(tmp_path / "x")


def test_more_dimensions_than_numpy_has_are_an_error(tmp_path: Path) -> None:
    shape = b"\x12\x02\x08\x01" * 40  # forty times one
    entry = b"\x08\x01" + b"\x12" + bytes([len(shape) & 127 | 128, len(shape) >> 7]) + shape + b"\x28\x04"
    (tmp_path / "x.index").write_bytes(table_of([(b"", b"\x08\x01"), (b"v", entry)]))
    (tmp_path / "x.data-00000-of-00001").write_bytes(bytes(4))
    with pytest.raises(CheckpointError, match="impossible shape"):
        Bundle.open(tmp_path / "x")


def test_data_that_were_not_fetched_by_git_are_told(tmp_path: Path) -> None:
    bundle_of({"v": np.zeros(100, "f4")}, tmp_path / "x")
    (tmp_path / "x.data-00000-of-00001").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    )
    with pytest.raises(CheckpointError, match="git lfs pull"):
        Bundle.open(tmp_path / "x")


@pytest.mark.parametrize(
    "inner",
    [b"\x0a\x00", b"\x12\x00", b"\x2a\x00", b"\x32\x00", b"\x0a\x02\x0a\x00"],
    ids=["nodes", "libraries", "b", "c", "names"],
)
def test_very_many_empty_messages_take_no_memory(inner: bytes, tmp_path: Path) -> None:
    def sized(number: int, content: bytes) -> bytes:
        size, out = len(content), bytearray([number << 3 | 2])
        while size > 127:
            out.append(size & 127 | 128)
            size >>= 7
        return bytes([*out, size]) + content

    path = tmp_path / "saved_model.pb"
    path.write_bytes(sized(2, sized(2, inner * 20_000)))
    assert most_memory(lambda: saved_model.read_graph(path)) < 4 * path.stat().st_size + MIB


def test_a_constant_that_is_no_number_of_32_bits_is_ignored(tmp_path: Path) -> None:
    tensor = b"\x08\x01" + b"\x28" + b"\xff" * 9 + b"\x01"  # float_val as a varint of 64 bits
    value = b"\x42" + bytes([len(tensor)]) + tensor
    pair = b"\x0a\x05value\x12" + bytes([len(value)]) + value
    node = b"\x0a\x01c\x12\x05Const\x2a" + bytes([len(pair)]) + pair
    graph = b"\x0a" + bytes([len(node)]) + node
    meta = b"\x12" + bytes([len(graph)]) + graph
    (tmp_path / "saved_model.pb").write_bytes(b"\x12" + bytes([len(meta)]) + meta)
    found = saved_model.read_graph(tmp_path / "saved_model.pb")
    assert found.operations["Const"] == 1 and not found.constants


def test_the_tables_of_these_tests_are_read(tmp_path: Path) -> None:
    rows = [(b"a", b"1"), (b"ab", b"2"), (b"b", b"")]
    assert [(key, bytes(value)) for key, value in table.entries(table_of(rows))] == rows


def import_once(source: str, output: str, told: multiprocessing.Queue[str]) -> None:
    try:
        told.put(import_tf(source=source, output=output).metrics["weights_sha"])
    except ConfigError as error:
        told.put(f"refused: {error}")


@pytest.mark.slow
def test_two_imports_at_once_leave_one_whole_model(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    both = [
        context.Process(target=import_once, args=(str(archive("bert_tf1")), str(tmp_path / "out"), told))
        for _ in range(2)
    ]
    for process in both:
        process.start()
    answers = [told.get(timeout=120) for _ in both]
    for process in both:
        process.join()
    shas = [answer for answer in answers if not answer.startswith("refused")]
    assert shas and all("refused" in answer for answer in answers if answer not in shas)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["out"]
    assert (tmp_path / "out" / "import.json").is_file() and len(set(shas)) == 1


def test_what_appears_meanwhile_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hf_ssl.stages.import_tf as stage

    def also(folder: Path, *_: object) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine.txt").write_text("mine")

    monkeypatch.setattr(stage, "write_card", also)
    with pytest.raises(ConfigError, match="in the meantime"):
        import_tf(source=str(archive("bert_tf1")), output=str(tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_the_cache_knows_what_lies_beside_a_prefix(tmp_path: Path) -> None:
    folder = unpacked("bert_tf1", tmp_path / "a [1]")
    first = model_from_tensorflow(f"tf:{folder / 'bert_model.ckpt'}")
    assert model_from_tensorflow(f"tf:{folder / 'bert_model.ckpt'}") == first
    words = folder / "vocab.txt"
    words.write_text(words.read_text().replace("mat", "rug"))
    assert model_from_tensorflow(f"tf:{folder / 'bert_model.ckpt'}") != first
    assert len(list((cache_folder() / "models").iterdir())) == 2


def programs(folder: Path) -> Iterator[tuple[str, str]]:
    """Interpreters that are none: what each is, and what is said."""
    for name, text in {
        "silent": "#!/bin/sh\nexit 0\n",
        "noisy": "#!/bin/sh\nprintf '\\377\\376 broken' >&2\nexit 3\n",
        "junk": '#!/bin/sh\necho junk > "$4"\n',
        "bare": "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'tensorflow'\" >&2\nexit 1\n",
    }.items():
        path = folder / name
        path.write_text(text)
        path.chmod(0o755)
        yield (
            str(path),
            "No module named 'tensorflow'" if name == "bare" else "TensorFlow could not|no readable outputs",
        )
    yield str(folder), "TensorFlow could not"


def test_a_python_that_is_none_is_named(tmp_path: Path) -> None:
    for python, message in programs(tmp_path):
        with pytest.raises(CheckpointError, match=message):
            import_tf(source=str(archive("bert_tf2")), output=str(tmp_path / "out"), check="tf", tf_python=python)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "given, name",
    [
        ("HTTPS://TFHub.dev/google/experts/bert/wiki_books/2#readme", "google/experts/bert/wiki_books/2"),
        (" kaggle:google/experts-bert/tensorFlow2/pubmed/2 ", "google/experts-bert/tensorFlow2/pubmed/2"),
        ("KAGGLE:google/experts-bert/tensorFlow2/pubmed", "google/experts-bert/tensorFlow2/pubmed"),
        ("https://www.kaggle.com/models/google/x/TensorFlow2/y/3?tfhub-redirect=true", "google/x/TensorFlow2/y/3"),
    ],
)
def test_handles_are_read_as_people_copy_them(given: str, name: str) -> None:
    found = handle_of(given)
    assert found is not None and found.name == name


@pytest.mark.parametrize(
    "given, message",
    [
        ("https://user:secret@tfhub.dev/google/x/1", "password"),
        ("https://huggingface.co/google-bert/bert-base-uncased", "--model google-bert/bert-base-uncased"),
        ("kaggle:google/bert/tensorFlow2/small/v2", "OWNER/MODEL"),
        ("google/electra_small/2", "tfhub:google/electra_small/2"),
        ("gs://bucket/bert", "gsutil"),
        ("https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/feature_vector/5", "timm/mobilenetv2"),
        ("http://127.0.0.1:9/someone/model/1", "failed"),
        ("http://127.0.0.1:x/someone/model/1", "failed"),
    ],
)
def test_what_cannot_be_fetched_is_told(given: str, message: str, tmp_path: Path) -> None:
    with pytest.raises((CheckpointError, ConfigError), match=message) as caught:
        import_tf(source=given, output=str(tmp_path / "out"))
    assert "secret" not in str(caught.value)
