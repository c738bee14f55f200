"""The built site: links that lead nowhere, and what axe-core finds on each page.

python tests/support/site_check.py SITE [axe.min.js]        prints pages, links, broken ones, violations
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from chromium import Chromium
from places import REPOSITORY


def axe_file() -> Path | None:
    """axe-core: `npm install --no-save axe-core`, or the file that AXE names; None where there is none."""
    named = os.environ.get("AXE")
    file = Path(named) if named else REPOSITORY / "node_modules" / "axe-core" / "axe.min.js"
    return file if file.is_file() else None


class Reader(HTMLParser):
    """Where a page leads, and what can be led to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and ((name == "href" and tag != "base") or name == "src"):
                self.links.append(value)
            if value and name in ("id", "name"):
                self.anchors.add(value)


def pages_of(site: Path) -> dict[Path, Reader]:
    return {
        page: Reader(page.read_text(encoding="utf-8"))
        for page in sorted(site.rglob("*.html"))
        if page.name != "404.html"
    }


def broken_links(pages: dict[Path, Reader]) -> tuple[int, list[str]]:
    """How many links of the site's own there are, and those that lead to no file or no anchor."""
    count, broken = 0, []
    for page, read in pages.items():
        for link in read.links:
            address = urlsplit(link)
            if address.scheme or address.netloc or link == "#":
                continue
            count += 1
            file = (page.parent / unquote(address.path)).resolve() if address.path else page.resolve()
            file = file / "index.html" if file.is_dir() else file
            known = pages.get(file)
            if not file.is_file() or (known and address.fragment and unquote(address.fragment) not in known.anchors):
                broken.append(f"{page.name if page.parent.name == '' else page.parent.name}: {link}")
    return count, broken


def violations(pages: list[Path], axe: Path, widths: tuple[int, ...] = (1280, 375)) -> list[str]:
    """What axe-core finds, page by page and at each width; and pages that ask another machine for anything."""
    found = []
    script = axe.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, Chromium(Path(folder)) as browser:
        for page in pages:
            for width in widths:
                browser.open(page.as_uri(), width)
                browser.value(f"{script};1")
                told = browser.value(
                    "axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations.map("
                    "v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 160)])))"
                )
                found += [f"{page.parent.name} at {width}: {one}" for one in json.loads(told)]
        outside = {address for address in browser.asked if address.startswith(("http:", "https:"))}
        found += [f"asks {address}" for address in sorted(outside)]
    return found


if __name__ == "__main__":
    pages = pages_of(Path(sys.argv[1]).resolve())
    count, broken = broken_links(pages)
    print(f"{len(pages)} pages, {count:,} links, {len(broken)} broken", *broken, sep="\n")
    axe = Path(sys.argv[2]) if len(sys.argv) > 2 else axe_file()
    if axe is not None:
        wrong = violations(list(pages), axe)
        print(f"{len(wrong)} violations of accessibility", *wrong, sep="\n")
