"""Does what a message says: every option that an error or a warning names is given, every edit of a file that it asks for is made.

`follow` follows each hint of each message of one made-up file, one by one, and says what did not lead on. A hint works when the same
message does not come again. The hints of an error work when one way through them ends in the right reading, or, where a user says that
the data are meant as they are, in the file's own values with every row counted. What only a person can do is excused by name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from data_kinds import Case, Check, asked
from hint_edits import EDITS, EXCUSES, PATTERNS

from hf_ssl.core import plugins
from hf_ssl.core.errors import HfSslError
from hf_ssl.core.options import DataOptions
from hf_ssl.data import DomainData, load_data

VALUE = r"(\{(?:[^{}]|\{[^{}]*\})*\}|\[(?:'[^']*'|[^\[\]])*\]|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|True|False|-?\d+(?:\.\d+)?|\.\.\.)"
AGAIN = r"(?:(?: \([^()]*\))?(?:,| or|, or) '[^']*')*"
HINT = re.compile(rf"(?<![\w.'\"])([a-z_]+)={VALUE}((?: and [a-z_]+={VALUE})*)({AGAIN})")
STATES, DEPTH = 16, 6
OPEN = "..."
ALLOWS = frozenset(
    {
        "max_left_out",
        "max_missing",
        "duplicates",
        "ignore_columns",
        "frames",
        "dedup",
        "follow_links",
        "test_fraction",
        "folder_labels",
    }
)
"""Options by which a user says that the data are meant as they are: the file's own values have to come of them, counted to the last."""


@dataclass
class Followed:
    """What came of following every hint of one file.

    Attributes:
        faults: what a user would hold against the hints; [] when every one of them works.
        ended: how an error ended: `right` (the reading that was expected), `as meant` (the file's own values, by an option
            that says so), one of `EXCUSES`, or "" where nothing led on.
    """

    faults: list[str]
    ended: str = ""


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
        done = {
            name: value.replace("FOLDER", str(source)) if isinstance(value, str) else value
            for name, value in done.items()
        }
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


def excuse(message: str) -> str:
    """The kind of what only the user, or another program, can do; "" where the message should lead on by itself."""
    found = next((name for name, marks in EXCUSES.items() if any(mark in message for mark in marks)), "")
    return found or ("a value that only the user knows" if open_hints(message) else "")


def strange(data: DomainData, source: Any) -> str:
    """What of the data did not come from the source, or was not counted; "" when all is in order."""
    accounts = data.report["accounts"]
    for unit, one in accounts.items():
        if one["found"] != one["used"] + sum(one["left_out"].values()):
            return f"{unit} do not add up"
    rows = [row for split in ("unlabeled", "train", "validation", "test") if split in data for row in data[split]]
    if not rows or list(accounts.values())[-1]["used"] != len({row["id"] for row in rows}):
        return "other rows than were counted"
    content = _content(source)
    if not content:
        return ""
    if all("text" in row for row in rows):
        letters = _letters(content)
        other = next((row["text"] for row in rows if _letters(row["text"]) not in letters), None)
        return f"{other!r} is not in the file" if other is not None else ""
    if "series" in rows[0] and "observed" not in rows[0]:
        numbers = _numbers_in(content)
        values = np.unique(np.concatenate([np.ravel(np.asarray(row["series"], float)) for row in rows]))
        values = values[np.isfinite(values)]
        place = np.clip(np.searchsorted(numbers, values), 1, len(numbers) - 1)
        near = np.minimum(abs(numbers[place] - values), abs(numbers[place - 1] - values)) <= 1e-5 * (1 + abs(values))
        return "" if near.mean() > 0.99 else f"{values[~near][0]} is not in the file"
    return ""


def _content(source: Any) -> str:
    """The text of small files of text; "" of all others."""
    if not isinstance(source, (str, Path)) or not Path(source).exists():
        return ""
    every = [Path(source)] if Path(source).is_file() else [one for one in Path(source).rglob("*") if one.is_file()]
    if any(one.suffix.lower() not in (".csv", ".tsv", ".txt", ".jsonl", ".json", ".ndjson", "") for one in every):
        return ""
    found = []
    for one in every:
        content = one.read_bytes()
        if b"\0" in content or content[:2] in (b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b"):
            return ""
        try:
            found.append(content.decode("utf-8"))
        except UnicodeDecodeError:
            return ""
    return "\n".join(found)


def _letters(text: str) -> str:
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    return re.sub(r"[\W_]|\\[nrt]", "", plain)


def _numbers_in(content: str) -> np.ndarray:
    """Every number in a text, read with points, with commas, and with either as thousands; sorted."""
    found: set[float] = {0.0, 1.0}
    for text in set(re.findall(r"[-+]?\d[\d.,' \u00a0\u2019]*(?:[eE][-+]?\d+)?", content)):
        for made in (
            text,
            *re.split(r"[, ]", text),
            text.replace(",", "."),
            re.sub(r"[^\d.eE+-]", "", text),
            re.sub(r"[^\d,eE+-]", "", text).replace(",", "."),
        ):
            try:
                found |= {float(made), -float(made)}
            except ValueError:
                continue
    return np.array(sorted(found))


def follow(one: Case, folder: Path, answers: dict[str, Any] | None = None) -> Followed:
    """Follow every hint of one file's messages, those of what comes then too.

    Args:
        answers: values for options that a message leaves open.
    """
    source, options, check = one.make(folder)
    names = known(str(options.get("modality", "text")))
    bad: list[str] = []
    ends: list[str] = []
    queue: list[tuple[Any, dict[str, Any], tuple[str, ...], tuple[str, ...]]] = [(source, options, (), ())]
    tried: list[tuple[str, dict[str, Any]]] = []
    first: Read | None = None
    excuses: list[str] = []
    dead: list[str] = []
    while queue and len(tried) < STATES:
        source, options, chain, done = queue.pop(0)
        if (str(source), options) in tried:
            continue
        tried.append((str(source), options))
        read = Read(source, options, folder / ".cache")
        first = first or read
        if read.raw:
            bad.append(f"{done or 'first'}: raw {read.raw}")
            continue
        if again := [text for text in read.messages if text in chain]:
            bad.append(f"{done}: changed nothing: {again[0]}")
            continue
        if read.data is not None and done:
            meant = check is asked or any(how.startswith("edit") or name in how for how in done for name in ALLOWS)
            averaged = options.get("duplicates") == "mean"  # makes other numbers
            if holds(getattr(check, "right", check), read.data):
                ends.append("right")
            elif meant and (problem := strange(read.data, "" if averaged else source)):
                bad.append(f"{done}: {problem}")
            elif meant:
                ends.append("as meant")
            if ends:
                continue  # a way that ends in data; its own warnings are those of other files here
        for message in read.messages:
            bad += [
                f"no option: {name}="
                for name in re.findall(r"(?<![\w.'\"/?&])([a-z_]{3,})=(?=[\[{'\"\d]|True|False|\.\.\.)", message)
                if name not in names
            ]
            made = ways(message, source, options, answers or {}, folder)
            if why := excuse(message):
                excuses.append(why)
            elif read.data is None and not made:
                dead.append(message)
            queue += (
                [(new, after, (*chain, message), (*done, how)) for how, new, after in made]
                if len(chain) < DEPTH
                else []
            )
    if first is None or first.data is not None:
        return Followed(bad)
    ended = "right" if "right" in ends else ends[0] if ends else excuses[0] if excuses else ""
    if not ended:
        bad.append(
            f"nothing to follow: {dead[0]}" if dead else f"no hint leads to the right reading; tried {tried[1:]}"
        )
    return Followed(bad, ended)
