"""Handles are fetched by the real code from a server of this machine; archives are unpacked without trusting them."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tf_models import archive, unpacked

from hf_ssl import import_tf
from hf_ssl.core.errors import CheckpointError, ConfigError, MissingExtraError
from hf_ssl.models.tensorflow.handles import handle_of
from hf_ssl.models.tensorflow.sources import unpack
from hf_ssl.models.tensorflow.twins import twin_of


@contextlib.contextmanager
def serving(
    answer: Callable[[http.server.BaseHTTPRequestHandler], tuple[int, bytes, dict[str, str]]],
) -> Iterator[str]:
    """A server on this machine; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name http.server calls
            code, body, headers = answer(self)
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_SSL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TFHUB_CACHE_DIR", raising=False)
    return tmp_path / "cache"


def test_a_model_is_fetched_from_a_server_of_tensorflow_hub_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: http.server.BaseHTTPRequestHandler) -> tuple[int, bytes, dict[str, str]]:
        asked.append(request.path)
        return 200, archive("bert_tf2").read_bytes(), {}

    with serving(answer) as address:
        for number in range(2):
            found = import_tf(source=f"{address}/someone/expert_bert/2", output=str(tmp_path / str(number)))
    assert asked == ["/someone/expert_bert/2?tf-hub-format=compressed"]
    assert found.metrics["handle"] == "someone/expert_bert/2" and found.metrics["different"] == 0
    assert json.loads((found.path / "hf_ssl.json").read_text())["base"]["id"] == "tensorflow:someone/expert_bert/2"
    assert "someone/expert_bert/2" in (found.path / "README.md").read_text()


@pytest.mark.parametrize(
    "code, body, headers, message",
    [
        (404, b"", {}, "HTTP 404"),
        (200, b"<html>moved</html>", {}, "something else than an archive"),
        (200, b"\x1f\x8bshort", {"Content-Length": "1000"}, "stopped after|IncompleteRead|failed"),
    ],
)
def test_a_server_that_fails_is_named(
    code: int, body: bytes, headers: dict[str, str], message: str, tmp_path: Path, cache: Path
) -> None:
    with serving(lambda _: (code, body, headers)) as address:
        with pytest.raises(CheckpointError, match=message):
            import_tf(source=f"{address}/someone/model/1", output=str(tmp_path / "out"))
    assert not [path for path in cache.rglob("*") if path.is_file()]  # no half of an archive is kept


def test_what_the_package_tensorflow_hub_has_fetched_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    address = "http://127.0.0.1:9/someone/model/1"
    unpacked("bert_tf2", tmp_path / "tfhub" / hashlib.sha1(address.encode()).hexdigest())
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "tfhub"))
    assert import_tf(source=address, output=str(tmp_path / "out")).metrics["used"] == 44


def test_a_model_is_fetched_from_kaggle_by_kagglehub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kagglehub")
    from kagglesdk import kaggle_env

    folder = unpacked("bert_tf2", tmp_path / "files")
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]

    def answer(request: http.server.BaseHTTPRequestHandler) -> tuple[int, bytes, dict[str, str]]:
        length = int(request.headers.get("Content-Length") or 0)
        given = request.rfile.read(length).decode(errors="replace") + request.path
        if "nobody" in given:
            return 404, b"{}", {"Content-Type": "application/json"}
        wanted = [name for name in names if name in given.replace("%2F", "/")]
        if wanted:
            return 200, (folder / wanted[0]).read_bytes(), {}
        if "files" in request.path.lower() or "ListModelInstanceVersionFiles" in request.path:
            return (
                200,
                json.dumps({"files": [{"name": name} for name in names]}).encode(),
                {"Content-Type": "application/json"},
            )
        return 404, b"{}", {"Content-Type": "application/json"}

    with serving(answer) as address:
        places = {environment: address for environment in kaggle_env.KaggleEnv}
        monkeypatch.setattr(kaggle_env, "_env_to_endpoint", places)
        monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))
        found = import_tf(source="kaggle:google/experts-bert/tensorFlow2/pubmed/2", output=str(tmp_path / "out"))
        assert found.metrics["handle"] == "google/experts-bert/tensorFlow2/pubmed/2"
        with pytest.raises(CheckpointError, match="kaggle.com/models/nobody"):
            import_tf(source="kaggle:nobody/nothing/tensorFlow2/x/1", output=str(tmp_path / "no"))


def test_kagglehub_is_asked_for_when_it_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(MissingExtraError, match=r"hf_ssl\[tfhub\]"):
        import_tf(source="kaggle:google/experts-bert/tensorFlow2/pubmed", output=str(tmp_path / "out"))


@pytest.mark.parametrize(
    "given, name",
    [
        ("kaggle:google/bit/tensorFlow2/m-r50x1/1", "google/bit/tensorFlow2/m-r50x1/1"),
        ("https://www.kaggle.com/models/google/bit/frameworks/TensorFlow2/variations/m-r50x1/versions/1?tfhub-redirect=true",
         "google/bit/TensorFlow2/m-r50x1/1"),
        ("https://tfhub.dev/google/experts/bert/wiki_books/2", "google/experts/bert/wiki_books/2"),
        ("tfhub:google/experts/bert/wiki_books/2", "google/experts/bert/wiki_books/2"),
    ],
)  # fmt: skip
def test_forms_of_a_handle(given: str, name: str) -> None:
    handle = handle_of(given)
    assert handle is not None and handle.name == name


@pytest.mark.parametrize("given", ["models/bert", "./a", "bert_model.ckpt", "C:/models"])
def test_a_path_is_no_handle(given: str) -> None:
    assert handle_of(given) is None


def test_a_half_handle_is_told_its_form() -> None:
    with pytest.raises(CheckpointError, match="OWNER/MODEL/FRAMEWORK/VARIATION"):
        handle_of("kaggle:google/bert")


@pytest.mark.parametrize(
    "handle, twin",
    [
        ("tensorflow/bert_en_uncased_L-12_H-768_A-12/4", "google-bert/bert-base-uncased"),
        ("tensorflow/bert/TensorFlow2/bert-en-uncased-l-2-h-128-a-2/2", "google/bert_uncased_L-2_H-128_A-2"),
        ("tensorflow/small_bert/bert_en_uncased_L-12_H-768_A-12/2", "google/bert_uncased_L-12_H-768_A-12"),
        ("google/albert_base/3", "albert/albert-base-v2"),
        ("google/albert/TensorFlow1/large/3", "albert/albert-large-v2"),
        ("google/electra/tensorFlow2/small/1", "google/electra-small-discriminator"),
        ("google/bit/TensorFlow2/m-r152x4/1", "timm/resnetv2_152x4_bit.goog_in21k"),
        ("google/sentence-t5/st5-base/1", "sentence-transformers/sentence-t5-base"),
        ("vasudevgupta7/wav2vec2/1", "facebook/wav2vec2-base"),
        ("google/experts-bert/tensorFlow2/pubmed/2", None),
        ("google/experts/bert/wiki_books/2", None),
    ],
)
def test_twins_at_the_hugging_face_hub(handle: str, twin: str | None) -> None:
    found = twin_of(handle)
    assert (found[0] if found else None) == twin


def test_a_twin_is_named_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--model google/electra-small-discriminator"):
        import_tf(source="tfhub:google/electra_small/2", output=str(tmp_path / "out"))


@pytest.mark.parametrize(
    "name", ["yamnet", "vggish", "nonsemantic-speech-benchmark/trill", "universal-sentence-encoder", "nnlm-en-dim128"]
)
def test_models_without_a_class_are_refused_before_anything_is_fetched(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Instead: "):
        import_tf(source=f"https://tfhub.dev/google/{name}/1", output=str(tmp_path / "out"))


def packed(folder: Path, add: Callable[[tarfile.TarFile], None]) -> Path:
    path = folder / "model.tar.gz"
    with tarfile.open(path, "w:gz") as content:
        add(content)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


@pytest.mark.parametrize(
    "info",
    [member("../outside"), member("/absolute"), member("a", tarfile.SYMTYPE, "/etc/passwd"),
     member("a", tarfile.LNKTYPE, "../x"), member("a", tarfile.CHRTYPE), member("a", tarfile.FIFOTYPE)],
)  # fmt: skip
def test_archives_that_reach_outside_are_refused(info: tarfile.TarInfo, tmp_path: Path) -> None:
    path = packed(tmp_path, lambda content: content.addfile(info))
    (tmp_path / "into").mkdir()
    try:
        unpack(path, tmp_path / "into")
    except CheckpointError as error:
        assert "cannot be unpacked" in str(error)
    inside = {item for item in tmp_path.rglob("*") if item.is_file() or item.is_symlink()} - {path}
    assert all((tmp_path / "into") in item.parents and not item.is_symlink() for item in inside)
    assert not Path("/absolute").exists()


def test_an_archive_that_unpacks_to_more_than_it_can_is_refused(tmp_path: Path) -> None:
    path = packed(
        tmp_path, lambda content: content.addfile(member("a", size=10 * 2**20), io.BytesIO(bytes(10 * 2**20)))
    )
    (tmp_path / "into").mkdir()
    unpack(path, tmp_path / "into")  # a thousand zeros to one byte is what gzip can
    lying = packed(tmp_path, lambda content: None)
    with tarfile.open(lying, "w:gz") as content:
        content.fileobj.write(member("b", size=2**40).tobuf())  # type: ignore[union-attr]
    with pytest.raises(CheckpointError, match="than a model"):
        unpack(lying, tmp_path / "into")


@pytest.mark.parametrize("cut", [10, 1000, -100])
def test_a_cut_archive_is_an_error(cut: int, tmp_path: Path) -> None:
    (tmp_path / "half.tar.gz").write_bytes(archive("bert_tf2").read_bytes()[:cut])
    with pytest.raises(CheckpointError, match=r"half\.tar\.gz"):
        import_tf(source=str(tmp_path / "half.tar.gz"), output=str(tmp_path / "out"))


@pytest.mark.parametrize("name, message", [("notes.txt", "no part of a TensorFlow checkpoint"), ("empty", "found nothing"),
                                           ("two", "holds 2 checkpoints"), ("torch", "--model as it is")])  # fmt: skip
def test_what_is_no_model_is_told(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "model.safetensors").write_bytes(b"")
    (tmp_path / "two").mkdir()
    for number in (1, 2):
        (tmp_path / "two" / f"model-{number}.index").write_bytes(b"")
    with pytest.raises(CheckpointError, match=message):
        import_tf(source=str(tmp_path / name), output=str(tmp_path / "out"))
