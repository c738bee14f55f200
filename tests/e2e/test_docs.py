"""The docs are true: links lead somewhere, generated pages are up to date, the site builds strictly."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from places import REPOSITORY

from hf_ssl.core.commands import VERBS, parser_of

DOCS = REPOSITORY / "docs"
PAGES = sorted(
    [
        *DOCS.rglob("*.md"),
        *(
            REPOSITORY / name
            for name in ("README.md", "notebooks/README.md", "CONTRIBUTING.md", "SECURITY.md", "recipes/README.md")
        ),
    ]
)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))


def hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def generated() -> frozenset[str]:
    """Pages that are made while the site is built."""
    return frozenset(hook("generated_pages").made())


def anchors(page: Path) -> set[str]:
    """As mkdocs and GitHub make them from heads."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", head.lower()).strip()) for head in heads}


def test_figures_of_gpus_are_those_that_were_measured() -> None:
    """Where nothing was, the page says so."""
    folder = REPOSITORY / "tests" / "benchmarks"
    spec = importlib.util.spec_from_file_location("bench_gpu", folder / "bench_gpu.py")
    assert spec and spec.loader
    bench = importlib.util.module_from_spec(spec)
    sys.modules["bench_gpu"] = bench  # its dataclasses look there
    spec.loader.exec_module(bench)
    file = folder / "results" / "gpu.json"
    told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    page = (DOCS / "how-to" / "speed.md").read_text(encoding="utf-8")
    assert bench.BEGIN + bench.table(told) + bench.END in page
    row = {
        "speeds": {"ours": 3000.0, "lightly-train": 1500.0},
        "ratio": 2.0,
        "ours": {"mfu_percent": 51.0},
        "loss": None,
    }
    some = bench.table({"card": "NVIDIA X", "torch": "2", "rows": {"contrasted pictures, pictures/s": row}})
    assert "NVIDIA X" in some and "| 3,000.0 | 1,500.0 | 2.00 | 51.0 % |" in some and some.count("not measured") == 20


@each_page
def test_links_lead_to_files_and_heads_that_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)", re.sub(r"`[^`]*`", "", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if DOCS in page.parents and DOCS not in file.parents:
            shown = hook("generated_pages").IN_REPOSITORY.get(file.relative_to(REPOSITORY).as_posix())
            assert shown in generated(), f"{page.name}: {target} is not on the site"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target} has no such head"


def test_links_into_the_repository_lead_to_the_pages_made_of_it() -> None:
    class Page:
        class file:
            src_uri = "tutorials/index.md"

    said = "[a](../../notebooks/text.ipynb) [b](../../recipes/README.md) [c](../data.md)"
    found = hook("generated_pages").on_page_markdown(said, Page)
    assert found == "[a](text.md) [b](../recipes/index.md) [c](../data.md)"


@each_page
def test_no_two_brackets_stand_where_a_link_is_not_meant(page: Path) -> None:
    """`[-32] [HFS041]` is a link to `HFS041`, which the site does not have: messages are escaped."""
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert not re.findall(r"(?<!\\)\[[^\[\]]+(?<!\\)\] ?\[[^\[\]]*\]", text)


@each_page
def test_commands_and_options_exist(page: Path) -> None:
    """Every `hf-ssl` line of a code block is read by the parser of its command."""
    for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = [] if line.startswith(" ") else shlex.split(line, comments=True)
            if words[:1] != ["hf-ssl"] or words[1:2] in ([], ["--help"]):
                continue
            verb, rest = words[1], [word for word in words[2:] if not word.startswith("my_order:")]
            assert verb in VERBS, line
            known = parser_of(verb, [word for word in rest if word != "--objective"]).known
            named = [word[2:].split("=")[0].replace("-", "_") for word in rest if word.startswith("--")]
            allowed = known | {"objective", "json", "verbose", "quiet", *(f"no_{name}" for name in known)}
            assert set(named) <= allowed, f"{page.name}: {line}: {set(named) - allowed}"


def test_options_page_is_up_to_date() -> None:
    made = hook("options_page").options_page()
    there = (DOCS / "reference" / "options.md").read_text(encoding="utf-8")
    assert made == there, "run: python docs/hooks/options_page.py"


def test_the_curve_is_that_of_the_committed_scores() -> None:
    made, there = hook("curve").curve(), (DOCS / "results" / "label_efficiency.svg").read_text(encoding="utf-8")
    assert re.findall(r"<desc>.*?</desc>", made) == re.findall(r"<desc>.*?</desc>", there), (
        "run: python docs/hooks/curve.py"
    )
    scores = json.loads((DOCS / "results" / "demo.json").read_text(encoding="utf-8"))["scores"]
    assert set(scores) == {"TF-IDF", "MiniLM, frozen"}


def test_the_picture_of_the_confirmation_sets_is_that_of_the_committed_results() -> None:
    made, there = hook("confirmation").picture(), (DOCS / "results" / "confirmation.svg").read_text(encoding="utf-8")
    assert re.findall(r"<desc>.*?</desc>", made) == re.findall(r"<desc>.*?</desc>", there), (
        "run: python docs/hooks/confirmation.py"
    )


def test_each_mark_of_the_comparison_has_its_source() -> None:
    table = re.search(
        r"^## How it compares\n(.*?)^## ", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.M | re.S
    )
    assert table
    head, _, *rows = [line.strip("| ").split(" | ") for line in table[1].splitlines() if line.startswith("|")]
    page = (DOCS / "explanation" / "other-tools.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", page, flags=re.M)[1:]
    assert len(head) == len(sections) + 1 and all(re.search(r"^Read: .*2026", text, re.M) for text in sections)
    for place, text in enumerate(sections, start=1):
        found = dict(re.findall(r"^\| ([^|]+) \| ([●◐○][^|]*) \| .+ \|$", text, re.M))
        assert found == {row[0]: row[place] for row in rows[:-1]}, text.partition("\n")[0]


def all_options() -> set[str]:
    from hf_ssl.core.option_groups import RENAMED
    from hf_ssl.core.options import STAGES
    from hf_ssl.core.source import training_arguments

    names = set(re.findall(r"^\| `(\w+)`", (DOCS / "reference" / "options.md").read_text(encoding="utf-8"), re.M))
    return names | set(training_arguments()) | set(RENAMED) | {"json", "help", "name", *STAGES}


@each_page
def test_options_named_in_the_text_exist(page: Path) -> None:
    """`--name` between backticks is an option of ours, of the Trainer, or follows another program's name."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    others = {
        "multi_gpu",
        "nproc_per_node",
        "no_index",
        "find_links",
        "no_deps",
        "local_dir",
        "strict",
        "cpu",
        "exchanged",
        "also",
        "confirm",
    }
    known = all_options()
    for code in re.findall(r"`([^`]+)`", text):
        if not code.startswith(("--", "hf-ssl ")):  # a script's own options, another program's
            continue
        for name in re.findall(r"(?<![\w-])--([a-z][\w-]*)", code):
            folded = name.replace("-", "_")
            section = folded.rpartition(".")[2]
            assert {folded, section.removeprefix("no_"), section} & (known | others), (
                f"{page.name}: no option is called --{name}"
            )
