"""The built site: every link leads somewhere, nothing is asked of other machines, axe-core finds nothing, answers are near."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from chromium import PROGRAM
from places import REPOSITORY
from site_check import axe_file, broken_links, pages_of, violations

DOCS = REPOSITORY / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason='pip install "hf-ssl[docs]"')
    pytest.importorskip("mkdocstrings", reason='pip install "hf-ssl[docs]"')
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_no_link_is_broken_and_every_tutorial_is_there(site: Path) -> None:
    pages = pages_of(site)
    count, broken = broken_links(pages)
    assert count > 1000 and not broken
    for name in ("tutorials/text", "tutorials/images", "tutorials/audio", "tutorials/series", "gallery", "recipes"):
        assert site / name / "index.html" in pages
    shown = (site / "gallery" / "index.html").read_text(encoding="utf-8")
    assert shown.count("<img") >= 16
    built = (site / "reference" / "python" / "index.html").read_text(encoding="utf-8")
    assert "Continue self-supervised pre-training in your domain" in built


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_page_violates_accessibility_or_asks_another_machine(site: Path) -> None:
    axe = axe_file()
    if axe is None or PROGRAM is None:
        pytest.skip("needs Chromium and axe-core: npm install --no-save axe-core")
    assert not violations(list(pages_of(site)), axe)


def links_of(page: Path) -> set[str]:
    """Pages that the text of a page leads to, as paths under docs/ (those made while building, too)."""
    if not page.is_file():
        return set()
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    found = set()
    for target in re.findall(r"\]\(([^)\s#]+)", text):
        if not re.match(r"[a-z]+:", target):
            file = (page.parent / target).resolve()
            found.add(file.relative_to(DOCS if DOCS in file.parents else REPOSITORY).as_posix())
    return found


@pytest.mark.parametrize("start", [DOCS / "index.md", REPOSITORY / "README.md"], ids=lambda page: page.name)
def test_the_questions_are_answered_within_two_clicks(start: Path) -> None:
    """Not by way of the page that lists them."""
    rows = re.findall(
        r"^\| (\d+) \| (.+?\?.*?) \| (.+) \|$", (DOCS / "questions.md").read_text(encoding="utf-8"), re.M
    )
    assert [int(number) for number, _, _ in rows] == list(range(1, len(rows) + 1)) and len(rows) >= 20
    first = links_of(start) - {"questions.md"}
    second = {target for page in first for target in links_of(DOCS / page)} - {"questions.md"}
    for _, question, answer in rows:
        for target in re.findall(r"\]\(([^)\s#]+)", answer):
            assert target == "index.md" or target in first | second | {start.name}, f"{question} {target}"
