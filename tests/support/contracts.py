"""Every objective and task on every kind of data: what `contract_NAME.py` says to try it on."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from places import SUPPORT

from hf_ssl import testing
from hf_ssl.core import plugins

FILES = sorted(SUPPORT.glob("contract_*.py"))
KINDS: dict[str, Any] = {
    file.stem.removeprefix("contract_"): importlib.import_module(file.stem).Kind() for file in FILES
}


def pairs(kind: str) -> list[str]:
    """`objectives/mlm@text` for every objective (or task) and every kind of data it works on."""
    found = []
    for name in plugins.names(kind):
        found_class = plugins.find(kind, name)
        fitting = [data for data in KINDS if found_class.fits(KINDS[data].modality)]
        assert fitting, f"{kind}/{name}: no tests/support/contract_*.py covers {found_class.needs}"
        found += [f"{kind}/{name}@{data}" for data in fitting]
    return found


def case_of(tiny_checkpoint: Callable[..., Path], which: str) -> testing.Case:
    """What one of `pairs` is tried on."""
    what, of = which.split("@")
    plural, name = what.split("/")
    kind = KINDS[of]
    folder = str(kind.checkpoint(tiny_checkpoint, name))
    return testing.Case(
        plugins.find(plural, name),
        lambda head, **options: kind.modality.load(folder, head, **options),
        kind.labeled(name) if plural == "tasks" else kind.unlabeled(),
        kind.fixed.get(what, {}),
        what in kind.compares_within_batch,
        kind.without_gradient,
    )
