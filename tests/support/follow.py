"""Does what a message says: every option that an error or a warning names is given, every edit of a file that it asks for is made.

`faults` follows each hint of each message of one made-up file, one by one, and says what did not lead on. A hint works when the same
message does not come again; the hints of an error work when one way through them ends in the right reading.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from data_kinds import Case, Check, asked
from hint_edits import EDITS, HANDS, PATTERNS

from hf_ssl.core import plugins
from hf_ssl.core.errors import HfSslError
from hf_ssl.core.options import DataOptions
from hf_ssl.data import DomainData, load_data

VALUE = r"(\{(?:[^{}]|\{[^{}]*\})*\}|\[[^\[\]]*\]|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|True|False|-?\d+(?:\.\d+)?|\.\.\.)"
AGAIN = r"(?:(?: \([^()]*\))?(?:,| or|, or) '[^']*')*"
HINT = re.compile(rf"(?<![\w.'\"])([a-z_]+)={VALUE}((?: and [a-z_]+={VALUE})*)({AGAIN})")
STATES, DEPTH = 16, 6
OPEN = "..."
ALLOWS = (
    "max_left_out",
    "max_missing",
    "duplicates",
    "ignore_columns",
    "frames",
    "dedup",
    "follow_links",
    "test_fraction",
    "folder_labels",
)
"""Options by which a user says that the data are meant as they are: what comes of them is right because it was asked for."""
DEFECTS = (
    "cut short",
    "an empty file",
    "is a web page",
    "git lfs pull",
    "no rows",
    "is empty",
    "Format not recognised",
    "is a PDF",
)
"""The files themselves are damaged, and the message says how: no option mends that."""


def known(modality: str) -> set[str]:
    """Names that `load_data` takes."""
    config = plugins.find("modalities", modality).Config
    return {item.name for item in (*fields(DataOptions), *fields(config))} | {"data", "cache_dir"}


def hints(text: str) -> Iterator[dict[str, Any]]:
    """What a message says to give, each as options to be given together; `...` is a value that only the user knows."""
    seen: list[dict[str, Any]] = []
    for found in HINT.finditer(text):
        if text[: found.start()].endswith(("more than ", "because ", "as ", "`", " but ")) or text[
            found.end() :
        ].startswith((" does not", " and the", " holds", " named")):
            continue  # what was given, or met
        more = re.findall(rf"([a-z_]+)={VALUE}", found[3])
        for first in (found[2], *re.findall(r"(?:,| or) ('[^']*')", found[5])):
            given = {
                name: OPEN if "..." in value else ast.literal_eval(value) for name, value in [(found[1], first), *more]
            }
            if given not in seen:
                seen.append(given)
                yield given


class Read:
    """What came of reading: data, or an error, and what of it can be followed."""

    def __init__(self, source: Any, options: dict[str, Any], cache: Path) -> None:
        self.source, self.options = source, options
        self.data: DomainData | None = None
        self.raw = ""
        self.messages: list[str] = []
        try:
            self.data = load_data(source, **{"verbose": False, "cache_dir": str(cache), **options})
            self.messages = list(self.data.report["warnings"])
        except HfSslError as error:
            self.messages = [str(error)]
        except Exception as error:
            self.raw = f"{type(error).__name__}: {error}"


def given_more(options: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any]:
    made = dict(options)
    for name, value in hint.items():
        before = made.get(name)
        if isinstance(value, dict):
            value = {**(before or {}), **value}
        elif name in ("ignore_columns", "na_values"):
            value = [*(before or []), *value]
        made[name] = value
    return made


def ways(
    message: str, source: Any, options: dict[str, Any], answers: dict[str, Any], folder: Path
) -> list[tuple[str, Any, dict[str, Any]]]:
    """(what is done, source, options) of every way on that a message names."""
    made: list[tuple[str, Any, dict[str, Any]]] = []
    for hint in hints(message):
        done = {name: answers.get(name, value) if value == OPEN else value for name, value in hint.items()}
        if OPEN in done.values():
            continue
        new = source
        if "data" in done:
            new = str(done.pop("data")).replace("FOLDER", str(source))
        after = given_more(options, done)
        if after != options or new is not source:
            made.append((", ".join(f"{n}={v!r}" for n, v in hint.items()), new, after))
    for pattern in PATTERNS:
        if found := re.search(pattern, message):
            made.append((found[1], found[1].replace("FOLDER", str(source)), options))
    if "leave it out" in message:
        made += [
            (f"without {name}", source, {key: value for key, value in options.items() if key != name})
            for name in options
            if message.startswith(f"{name}=")
        ]
    if isinstance(source, str) and any(mark in source for mark in "*?[") or not isinstance(source, (str, Path)):
        return made
    for number, (pattern, edit) in enumerate(EDITS):
        if found := re.search(pattern, message):
            changed = edit(Path(str(source)), found, folder / f"edit{number}-{len(list(folder.iterdir()))}")
            if changed is not None:
                made.append((f"edit {pattern!r}", changed, options))
    return made


def open_hints(message: str) -> bool:
    return any(OPEN in hint.values() for hint in hints(message))


def holds(check: Check, data: DomainData) -> bool:
    """A check, of data that may lack the split that it looks at."""
    try:
        return bool(check(data))
    except KeyError:
        return False


def faults(one: Case, folder: Path, answers: dict[str, Any] | None = None) -> list[str]:
    """What a user would hold against the hints of one file's messages; [] when every one of them works."""
    answers = answers or {}
    source, options, check = one.make(folder)
    modality = str(options.get("modality", "text"))
    names = known(modality)
    bad: list[str] = []
    right = False
    queue: list[tuple[Any, dict[str, Any], tuple[str, ...], str]] = [(source, options, (), "")]
    tried: list[tuple[str, dict[str, Any]]] = []
    began_as_error = None
    dead: list[str] = []
    hands = False
    while queue and len(tried) < STATES:
        source, options, chain, how = queue.pop(0)
        if (str(source), options) in tried:
            continue
        tried.append((str(source), options))
        read = Read(source, options, folder / ".cache")
        if read.raw:
            bad.append(f"{how or 'first'}: raw {read.raw}")
            continue
        again = [text for text in read.messages if text in chain]
        if again:
            bad.append(f"{how}: changed nothing: {again[0]}")
            continue
        if began_as_error is None:
            began_as_error = read.data is None
        if read.data is not None:
            right = (
                right
                or check is asked
                or any(name in how for name in ALLOWS)
                or holds(getattr(check, "right", check), read.data)
            )
            if chain and right:
                continue  # a way that ends in data; its own warnings are those of other files here
        for message in read.messages:
            bad += [
                f"no option: {name}="
                for name in re.findall(r"(?<![\w.'\"/?&])([a-z_]{3,})=(?=[\[{'\"\d]|True|False|\.\.\.)", message)
                if name not in names
            ]
            hands = hands or any(mark in message for mark in HANDS) or open_hints(message)
            made = ways(message, source, options, answers, folder)
            if (
                read.data is None
                and not made
                and not open_hints(message)
                and not any(mark in message for mark in (*DEFECTS, *HANDS))
            ):
                dead.append(message)
            queue += [(new, after, (*chain, message), what) for what, new, after in made] if len(chain) < DEPTH else []
    if began_as_error and not right and not dead and len(tried) > 1 and not hands:
        bad.append(f"no hint leads to the right reading; tried {[how for _, how in tried][1:]}")
    if dead and not right:
        bad.append(f"nothing to follow: {dead[0]}")
    return bad
