"""Every error has a code, and every code a section to read."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import hf_ssl
from hf_ssl import cli
from hf_ssl.core.codes import CODES, code_of
from hf_ssl.core.errors import CheckpointError, ConfigError, DataError, HfSslError
from hf_ssl.core.fields import OptionsError


def test_every_code_has_its_section_and_every_section_its_code(repository: Path) -> None:
    page = (repository / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (HFS\d{3})\n\*\*(.+?)\*\*", page, re.M | re.S))
    assert sections.keys() == CODES.keys()
    assert {code: f"{kind.title}." for code, kind in CODES.items()} == sections


def test_every_class_of_errors_has_a_code_and_every_place_exists() -> None:
    modules = [
        module.name for module in pkgutil.walk_packages(hf_ssl.__path__, "hf_ssl.") if "_recipes" not in module.name
    ]
    for module in ("core.numbers", "core.fields", "core.errors"):
        importlib.import_module(f"hf_ssl.{module}")
    coded = {kind.error for kind in CODES.values()}
    classes, found = [HfSslError], []
    while classes:
        found.append(classes.pop())
        classes += [kind for kind in found[-1].__subclasses__() if kind.__module__.startswith("hf_ssl.")]
    assert {kind.__name__ for kind in found} == coded
    for kind in CODES.values():
        for place in kind.where:
            assert any(name.startswith(f"hf_ssl.{place}") for name in modules), f"no module is called {place}"


def test_the_kind_is_the_class_and_where_it_was_raised() -> None:
    assert OptionsError(["x: wrong"]).code == "HFS002"
    assert DataError("never raised").code == "HFS020" and CheckpointError("x").code == "HFS040"
    from hf_ssl.vectors import StoreAddress

    with pytest.raises(ConfigError) as raised:
        StoreAddress.of("nothing.known", Path("x"), "c")
    assert raised.value.code in ("HFS010", "HFS003")


def test_an_error_of_ones_own_has_the_code_of_its_base() -> None:
    class Mine(DataError):
        """Of another package."""

    assert Mine("x").code == "HFS020" and code_of(ValueError()) == "HFS100"


def test_the_command_lines_message_ends_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pretrain", "--objectiv", "mlm", "--data", "x"]) == 1
    assert capsys.readouterr().err.rstrip().endswith("[HFS002]")
    assert cli.main(["finetune", "--task", "clasification"]) == 1
    assert capsys.readouterr().err.rstrip().endswith("[HFS003]")
