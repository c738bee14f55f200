"""What the page does, without the page: every step takes and gives plain values, so that it can be tested without a browser.

Reading data and answering an input are calls in this process; what trains or publishes is a command of its own (`Commands`), the same
that one would type, so that it can be stopped like one and its memory goes with it.
"""

from __future__ import annotations

import html
import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from hf_ssl.core import plugins
from hf_ssl.core.commands import gallery
from hf_ssl.core.errors import ConfigError, RunFolderError
from hf_ssl.core.jsonfiles import read_json, read_lines
from hf_ssl.core.run import LEDGER, RunDir
from hf_ssl.data.report import SPLITS, render
from hf_ssl.stages.data import data as read_source
from hf_ssl.stages.predict import predict
from hf_ssl.stages.report import report as write_page

TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx")
LISTED = 200  # files and folders offered for choice
LINES = 24  # of a command's output that are shown
Row = list[str]


@dataclass(frozen=True)
class Reading:
    """What was found in a source.

    Args:
        text: the data report.
        splits: rows of a table: split, rows, and what they are like.
        columns: of the source, for the choice of the label column.
        label: the column that was taken for the label; empty where there is none.
        warnings: what the reader should not overlook, each with its code.
    """

    text: str
    splits: list[Row]
    columns: list[str]
    label: str
    warnings: list[str]


def sources(folder: Path) -> list[str]:
    """Folders and tables that lie in a folder, for choice; the names of hidden ones and of Python's are left out."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__")) or path.name in ("runs", "node_modules"):
            continue
        if path.is_dir() or path.suffix.lower() in TABLES:
            found.append(path.name)
    return found[:LISTED]


def kind_of(source: str) -> str:
    """The kind of data that most files of a source are of; text where nothing speaks for another."""
    path = Path(source)
    names = [path.name] if path.is_file() else list(itertools.islice(_names(path), LISTED))
    counted: Counter[str] = Counter()
    for kind in plugins.names("modalities"):
        suffixes = set(plugins.find("modalities", kind).suffixes)
        counted[kind] = sum(Path(name).suffix.lower() in suffixes for name in names)
    kind, count = max(counted.items(), key=lambda pair: pair[1])
    return kind if count * 2 > len(names) else "text"


def _names(folder: Path) -> Iterator[str]:
    return (name for _, _, names in os.walk(folder) for name in names if not name.startswith("."))


def models_for(kind: str) -> list[str]:
    """Checkpoints that the recipes for this kind of data start from; any other may be typed."""
    found: list[str] = []
    for file in sorted(gallery().glob("*.yaml")):
        recipe = yaml.safe_load(file.read_text(encoding="utf-8"))
        if recipe.get("modality", "text") == kind and isinstance(recipe.get("model"), str):
            found.append(recipe["model"])
    return list(dict.fromkeys(found))


def read(source: str, kind: str, label: str = "") -> Reading:
    """Read a source as every stage would.

    Args:
        label: column of the labels; empty: found by its name.

    Raises:
        ConfigError: nothing was chosen.
        HfSslError: the data cannot be used as given; the message says what to do.
    """
    if not source.strip():
        raise ConfigError("Choose a folder or a file first.")
    options = data_options(source, kind, label)
    found = read_source(**options, examples=0).metrics
    splits = [
        [name, f"{found['rows'][name]:,}", _described(found["describe"].get(name, {}))]
        for name in SPLITS
        if name in found["rows"]
    ]
    columns = [old for old in (*found["columns"].values(), *found["ignored_columns"]) if isinstance(old, str)]
    warned = [f"{text} [{code}]" for text, code in zip(found["warnings"], found["warning_codes"], strict=True)]
    return Reading(
        render({**found, "warnings": []}), splits, list(dict.fromkeys(columns)), str(found["columns"].get("label") or ""), warned
    )  # fmt: skip


def _described(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in list(facts.items())[:3])


def data_options(source: str, kind: str, label: str) -> dict[str, object]:
    """Options of a stage that say which data are read, and how."""
    return {"data": source.strip(), "modality": kind, **({"label_column": label} if label else {})}


def command(verb: str, options: Mapping[str, object]) -> list[str]:
    """The words of a command; what is empty or of its usual kind is left out.

    Raises:
        ConfigError: a value is missing that the command cannot do without.
    """
    words = [verb]
    for name, value in options.items():
        if name in ("data", "model", "repo") and not value:
            raise ConfigError(f"Choose {'the data' if name == 'data' else f'a {name}'} first.")
        if value is True:
            words.append(f"--{name}")
        elif value not in ("", None, False) and (name, value) != ("modality", "text"):
            words += [f"--{name}", str(value)]
    return words


@dataclass
class Commands:
    """One command at a time, in a process of its own, and what it says.

    Args:
        code: how the last one ended: 0, or not.
    """

    code: int | None = None
    _process: subprocess.Popen[str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def follow(self, words: list[str]) -> Iterator[str]:
        """Run `hf-ssl WORDS` and yield the last lines of what it says, anew whenever there is more.

        Raises:
            RunFolderError: another one is running.
        """
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                raise RunFolderError("A command is running already. Wait for its end, or stop it.")
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "hf_ssl", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace", start_new_session=True,
            )  # fmt: skip
        lines = [f"$ hf-ssl {shlex.join(words)}"]
        yield lines[0]
        assert process.stdout is not None
        for line in process.stdout:
            text = line.rstrip()
            # A progress bar writes over itself: text mode makes a line of each state, of which only the last is kept.
            moving = "it/s" in text or "s/it" in text or "%|" in text
            if moving and "%|" in lines[-1]:
                lines.pop()
            lines.append(text)
            yield "\n".join([lines[0], *lines[1:][-LINES:]])
        self.code = process.wait()
        if self.code:
            yield "\n".join([lines[0], *lines[1:][-LINES:], f"(ended with {self.code})"])

    def stop(self) -> bool:
        """As Ctrl-C: what can be saved is saved. False: nothing was running."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(signal.SIGINT)
        return True

    def close(self, seconds: float = 60) -> None:
        """Stop what is running and wait for it, as the page is closed."""
        if self.stop() and self._process is not None:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()


def outcome(output: str) -> list[Row]:
    """What was tried in a run folder: way, score, seconds, outcome; empty where `adapt` has not ended there."""
    file = Path(output) / "adapt" / "result.json"
    if not file.is_file():
        return []
    found = read_json(file)
    return [
        [one["name"] + (" (kept)" if one["name"] == found["kept"] else ""), "" if one["score"] is None else f"{one['score']:.3f}",
         f"{one['seconds']:.0f} s", one["kept"] or one["outcome"]]
        for one in found["attempts"]
    ]  # fmt: skip


def framed_report(output: str) -> str:
    """The run's report in a frame without scripts; a line that says what to do where nothing has run there.

    Raises:
        RunFolderError: the run cannot be read.
    """
    if not (Path(output) / LEDGER).is_file():
        return f"<p>Nothing has run in <code>{html.escape(output)}</code> yet.</p>"
    page = write_page(output=output).path.read_text(encoding="utf-8")
    style = "width:100%;height:80vh;border:1px solid #8888;background:#fff"
    return f'<iframe title="Report of the run" sandbox="" style="{style}" srcdoc="{html.escape(page, quote=True)}"></iframe>'


def kind_of_run(output: str) -> str:
    """The kind of data that a run was made for; empty where there is no run."""
    folder = Path(output)
    return str(RunDir(folder).facts.get("data", {}).get("modality", "")) if (folder / LEDGER).is_file() else ""


def answer(output: str, text: str = "", file: str | None = None) -> tuple[dict[str, float], list[Row]]:
    """What the run's model says of one input.

    Args:
        text: for a model of texts.
        file: a picture, a recording or a table of series, for the others.

    Returns:
        probabilities by class, where the task has classes; and everything that `predict` says, as rows of name and value.

    Raises:
        ConfigError: there is no input, or the model is for another kind of data.
    """
    if not text.strip() and not file:
        raise ConfigError("Type a text or choose a file first.")
    with tempfile.TemporaryDirectory() as place:
        saved = Path(place, "answer.jsonl")
        given: object = [text.strip()]
        if file:
            folder = Path(place, "input")
            folder.mkdir()
            shutil.copy(file, folder)
            given = str(folder)
        predict(data=given, output=output, save=str(saved), all_classes=True)
        found = read_lines(saved)
    chances = {
        name.removeprefix("probability of "): float(value)
        for name, value in found[0].items()
        if name.startswith("probability of ")
    }
    hidden = ("id", "path", "source_row")
    shown = [
        [name, _shown(value)]
        for entry in found
        for name, value in entry.items()
        if name not in hidden and "probability of" not in name
    ]
    return chances, shown


def _shown(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
