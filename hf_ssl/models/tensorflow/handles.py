"""Handles of TensorFlow Hub: what form they have, how the model behind one is fetched, and which need no importing.

TensorFlow Hub's models live at Kaggle Models since 2023. A Kaggle handle is fetched by `kagglehub` (the extra `tfhub`); an
address of tfhub.dev, or of another server that speaks its protocol, by asking it for the archive
(https://www.tensorflow.org/hub/hosting).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from hf_ssl.core.errors import CheckpointError, require

_KAGGLE = "https://www.kaggle.com/models/"
_TIMEOUT = 60  # seconds without a byte


@dataclass(frozen=True)
class Handle:
    """A model at Kaggle or at a server of TensorFlow Hub.

    Attributes:
        name: `OWNER/MODEL/FRAMEWORK/VARIATION[/VERSION]` at Kaggle, `PUBLISHER/MODEL[/VERSION]` at TensorFlow Hub.
        address: of the server's page; empty at Kaggle.
    """

    name: str
    address: str = ""

    def __str__(self) -> str:
        return self.address or f"kaggle:{self.name}"


def handle_of(given: str) -> Handle | None:
    """The handle a user named, or None for a path of this machine.

    Raises:
        CheckpointError: it begins as a handle and is none.
    """
    address = re.sub(r"[?#].*$", "", given.strip()).rstrip("/")
    address = re.sub(
        r"^(?:kaggle:|tfhub:|https?://[^/]*)", lambda found: found[0].lower(), address, flags=re.IGNORECASE
    )
    kaggle = re.match(r"(?:kaggle:|https?://(?:www\.)?kaggle\.com/models/)(.*)", address)
    if kaggle:
        name = re.sub(r"/(?:frameworks|variations|versions)/", "/", kaggle[1])
        if not re.fullmatch(r"[\w.-]+/[\w.-]+/[\w.-]+/[\w.-]+(/\d+)?", name):
            raise CheckpointError(
                f"{given!r} is no model of Kaggle. It has the form kaggle:OWNER/MODEL/FRAMEWORK/VARIATION/VERSION, such as "
                "kaggle:google/experts-bert/tensorFlow2/pubmed/2 (the version may be left out)."
            )
        return Handle(name)
    if address.startswith("tfhub:"):
        address = f"https://tfhub.dev/{address.removeprefix('tfhub:')}"
    web = re.match(r"https?://([^/]+)/(.+)", address)
    if web and "@" in web[1]:
        raise CheckpointError(
            "An address with a password in it is not read: it would be written to the report. Download it by hand."
        )
    if web and web[1] in ("huggingface.co", "hf.co"):
        raise CheckpointError(f"{address} is at the Hugging Face Hub: --model {web[2]}. Nothing has to be imported.")
    return Handle(web[2], address) if web else None


def cache_folder() -> Path:
    """Where fetched archives and imported models are kept: `$HF_SSL_CACHE/tensorflow`, else `~/.cache/hf_ssl/tensorflow`."""
    home = (
        os.environ.get("HF_SSL_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hf_ssl"
    )
    return Path(home).expanduser() / "tensorflow"


def fetched(handle: Handle) -> Path:
    """The model's folder or archive on this machine, fetched when it is not here yet.

    Raises:
        MissingExtraError: kagglehub is not installed.
        CheckpointError: the server has no such model, does not answer, or stops in the middle.
    """
    return _from_server(handle) if handle.address else _from_kaggle(handle)


def _from_kaggle(handle: Handle) -> Path:
    kagglehub = require("kagglehub", "tfhub")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it says where it downloads to; standard output is for data
            return Path(kagglehub.model_download(handle.name))
    except Exception as error:  # kagglehub has no common class for what can go wrong
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"Fetching {handle} failed: {reason[:300].rstrip('.')}. Look at {_KAGGLE}{handle.name}; a model behind a license needs "
            "`kagglehub.login()` once. An archive that you download by hand works too: hf-ssl import-tf FILE.tar.gz"
        ) from error


def _from_server(handle: Handle) -> Path:
    known = os.environ.get("TFHUB_CACHE_DIR")  # where the package tensorflow_hub keeps what it has fetched
    if known:
        folder = Path(known) / hashlib.sha1(handle.address.encode("utf8")).hexdigest()
        if folder.is_dir():
            return folder
    # Released checkpoints lie as archives at plain addresses (storage.googleapis.com/bert_models/…/uncased_L-2_H-128_A-2.zip).
    plain = re.search(r"\.(zip|tar\.gz|tgz)$", handle.address)
    shown, digest = (
        re.sub(r"[^A-Za-z0-9.]+", "-", handle.name)[-80:],
        hashlib.sha256(handle.address.encode()).hexdigest(),
    )
    target = (
        cache_folder() / "archives" / f"{shown}-{digest[:12]}{'.zip' if plain and plain[1] == 'zip' else '.tar.gz'}"
    )
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as file:
        part = Path(file.name)
    try:
        _download(handle.address if plain else f"{handle.address}?tf-hub-format=compressed", part)
        part.replace(target)
    except (OSError, ValueError, http.client.HTTPException) as error:
        code = f" (HTTP {error.code})" if isinstance(error, urllib.error.HTTPError) else ""
        raise CheckpointError(
            f"Fetching {handle} failed{code}: {error}. Most models have moved to {_KAGGLE}; give their handle there, such as "
            "kaggle:google/experts-bert/tensorFlow2/pubmed/2, or an archive that you downloaded by hand."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _download(address: str, target: Path) -> None:
    request = urllib.request.Request(address, headers={"User-Agent": "hf_ssl"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer, target.open("wb") as file:  # noqa: S310
        shutil.copyfileobj(answer, file, 2**20)
        promised = answer.headers.get("Content-Length")
    size = target.stat().st_size
    if promised is not None and int(promised) != size:
        raise OSError(f"the server stopped after {size:,} of {int(promised):,} bytes")
    with target.open("rb") as file:
        if file.read(2) not in (b"\x1f\x8b", b"PK"):
            raise OSError(f"{urllib.parse.urlsplit(address).netloc} answered with something else than an archive")
