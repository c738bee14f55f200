"""Every error has a code, and every code a section to read."""

from __future__ import annotations

import ast
import importlib
import logging
import logging.handlers
import pkgutil
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import hf_ssl
from hf_ssl import cli
from hf_ssl.core import errors, terminal
from hf_ssl.core.codes import CODES, OTHER_WARNING, WARNINGS, code_of, code_of_warning
from hf_ssl.core.errors import CheckpointError, ConfigError, DataError, HfSslError
from hf_ssl.core.fields import OptionsError
from hf_ssl.evaluation.metrics.ranking import roc_auc
from hf_ssl.report.notices import MEANING


def test_every_code_has_its_section_and_every_section_its_code(repository: Path) -> None:
    page = (repository / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (HFS\d{3})\n\*\*(.+?)\*\*", page, re.M | re.S))
    known = CODES | WARNINGS
    assert sections.keys() == known.keys() and len(known) == len(CODES) + len(WARNINGS)
    assert {code: f"{kind.title}." for code, kind in known.items()} == sections
    report = (repository / "docs" / "reading-the-report.md").read_text(encoding="utf-8")
    assert set(re.findall(r'<a id="(hfs\d+)">', report)) == {code.lower() for code in MEANING}


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
    for kind in (*CODES.values(), *WARNINGS.values()):
        for place in kind.where:
            assert place == "hf_ssl" or any(name.startswith(f"hf_ssl.{place}") for name in modules), place


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


def places_that_warn() -> list[tuple[str, int]]:
    """(module, line) of every call of this library that gives a warning."""
    root, found = Path(hf_ssl.__path__[0]), []
    for file in sorted(root.rglob("*.py")):
        module = ".".join(("hf_ssl", *file.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in ("warn", "warning"):
                found.append((module, node.lineno))
    return found


def test_every_place_that_warns_or_raises_has_a_code_of_its_own_kind() -> None:
    given = places_that_warn()
    assert len(given) > 50
    bare = [place for place in given if code_of_warning(place[0]) == OTHER_WARNING]
    # The command line hands on what others say, with the code of who said it; so does the report of the data.
    assert {module for module, _ in bare} <= {"hf_ssl.cli", "hf_ssl.data.report"}
    kinds = {kind.error for code, kind in CODES.items() if code != "HFS100"}
    assert {error.__name__ for error in HfSslError.__subclasses__() if error.__module__.startswith("hf_ssl.")} <= kinds


def test_a_warning_ends_with_the_code_of_who_gave_it(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.speaking("brief"), cli.short_warnings():
        logging.getLogger("hf_ssl.training.checkpoints").warning("cut short")
        roc_auc(np.array([0.1, 0.2]), np.array([1, 1]))
        warnings.warn("of a test, which is no part of the library", stacklevel=1)
    lines = capsys.readouterr().err.splitlines()
    assert [line[-8:] for line in lines] == ["[HFS231]", "[HFS240]", "[HFS299]"]


def test_what_pythons_warnings_show_of_ours_ends_with_the_code_and_others_do_not() -> None:
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        roc_auc(np.array([0.1, 0.2]), np.array([1, 1]))
        _ = hf_ssl.divide
        warnings.warn("of a test, which is no part of the library", stacklevel=1)
    shown = [warnings.formatwarning(one.message, one.category, "a.py", 1, "") for one in given]
    assert [re.findall(r"\[(HFS\d+)\]$", text.strip()) for text in shown] == [["HFS240"], ["HFS250"], []]
    assert [isinstance(one.message, hf_ssl.HfSslWarning) for one in given] == [True, True, False]
    assert issubclass(given[1].category, FutureWarning)
    with terminal.speaking("json") as told, cli.short_warnings():
        roc_auc(np.array([0.1, 0.2]), np.array([1, 1]))
        assert [(text, code) for text, code in told.warnings if code not in text] == [
            (given[0].message.text, "HFS240")  # type: ignore[union-attr]
        ]


def test_no_place_gives_python_a_warning_without_a_code() -> None:
    found = 0
    for file in sorted(Path(hf_ssl.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("warnings.warn", "warn"):
                made = node.args[0]
                assert isinstance(made, ast.Call), file
                assert issubclass(getattr(errors, ast.unparse(made.func)), hf_ssl.HfSslWarning), file
                found += 1
    assert found > 4


def test_a_warning_from_python_code_ends_with_its_code_whoever_shows_it(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    library, giver = logging.getLogger("hf_ssl"), logging.getLogger("hf_ssl.training.checkpoints")
    giver.warning("cut %s", "short")
    giver.info("a detail")
    assert caplog.messages == ["cut short [HFS231]"] and not capsys.readouterr().err, "a program that listens shows it"
    assert caplog.records[0].code == "HFS231"  # type: ignore[attr-defined]
    library.propagate = False  # as in a program that knows nothing of logging
    giver.warning("cut short")
    giver.info("a detail")
    assert capsys.readouterr().err == "WARNING: cut short [HFS231]\n"
    hf_ssl.set_verbosity("info")
    giver.warning("cut short")
    giver.info("a detail")
    assert capsys.readouterr().err == "WARNING: cut short [HFS231]\na detail\n"
    library.addHandler(kept := logging.handlers.BufferingHandler(9))
    giver.warning("cut short")
    assert [one.getMessage() for one in kept.buffer] == ["cut short [HFS231]"]
    assert capsys.readouterr().err == "WARNING: cut short [HFS231]\n"


def test_after_a_command_a_call_from_python_speaks_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    library = logging.getLogger("hf_ssl")
    library.propagate = False
    with terminal.speaking("brief"):
        library.info("pretrain: shown")
    logging.getLogger("hf_ssl.training.checkpoints").warning("not held back for ever")
    library.info("pretrain: not shown")
    assert capsys.readouterr().err == "pretrain: shown\nWARNING: not held back for ever [HFS231]\n"


def test_a_brief_command_tells_what_reading_the_data_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"a text of its own number {number},{'x' if number % 2 else 'y'}\n" for number in range(40))
    (tmp_path / "labels.csv").write_text(f"text,label\n{rows}the only one,z\n", encoding="utf-8")
    from hf_ssl.data import load_data

    with terminal.speaking("brief"):
        data = load_data(tmp_path / "labels.csv")
    told = capsys.readouterr().err
    assert data.report["warnings"] and all(text in told for text in data.report["warnings"])
    assert all(code in WARNINGS and f"[{code}]" in told for code in data.report["warning_codes"])
