"""Make the pictures of the docs anew: what a command says, the report of a run, the page of `hf-ssl ui`.

python tests/support/make_pictures.py terminal                       docs/results/terminal.png: `hf-ssl demo --first` in a terminal
python tests/support/make_pictures.py report --run runs/demo         docs/results/report.png: the top of that run's report
python tests/support/make_pictures.py ui                             docs/results/ui.png: the way from a folder to an answer (a few minutes)

Needs Chromium; `ui` needs gradio. The data are 20 Newsgroups, the checkpoint is MiniLM, under its Hub name.
"""

from __future__ import annotations

import argparse
import io
import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path

from chromium import Chromium
from places import REPOSITORY

from hf_ssl import demo

RESULTS = REPOSITORY / "docs" / "results"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
COLUMNS = 100
SAID = "[...document.querySelectorAll('textarea')].find(x => x.value.includes({!r}))"
FAILED = "document.body.innerText.includes('[HFS') || [...document.querySelectorAll('textarea')].some(x => x.value.includes('(ended with'))"


def in_a_terminal(words: list[str], folder: Path) -> str:
    """What a command says to a terminal of 100 columns, colors and all."""
    ours, its = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "hf_ssl", *words]
    with subprocess.Popen(command, stdout=its, stderr=its, cwd=folder, env=environment) as process:
        os.close(its)
        said = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not more:
                break
            said += more
    os.close(ours)
    assert process.returncode == 0, said.decode()
    return said.decode().replace("\r\n", "\n")


def terminal(browser: Chromium, folder: Path) -> None:
    from PIL import Image, ImageChops
    from rich.console import Console
    from rich.text import Text

    words = ["demo", "--first"]
    console = Console(record=True, file=io.StringIO(), width=COLUMNS, force_terminal=True)
    console.print(Text(f"$ hf-ssl {' '.join(words)}"))
    console.print(Text.from_ansi(in_a_terminal(words, folder)))
    page = browser.folder / "terminal.html"
    page.write_text(console.export_html(inline_styles=True), encoding="utf-8")
    browser.open(page.as_uri(), width=1000)
    browser.screenshot(RESULTS / "terminal.png", width=1000)
    with Image.open(RESULTS / "terminal.png") as whole:
        shown = whole.convert("RGB")
    _, _, _, end = ImageChops.invert(shown).getbbox()  # the window is taller than what stands in it
    shown.crop((0, 0, shown.width, end + 12)).save(RESULTS / "terminal.png")


def report(browser: Chromium, run: Path) -> None:
    browser.open((run / "report.html").resolve().as_uri(), width=1000)
    browser.screenshot(RESULTS / "report.png", width=1000, most=1150)


def ui(browser: Chromium, folder: Path) -> None:
    from hf_ssl.ui.page import build, launched

    demo.write_newsgroups(folder / "my-data", per_class=8, pool_limit=300, test_limit=200)
    (folder / MINILM).parent.mkdir()
    (folder / MINILM).symlink_to(demo.minilm_path())
    os.chdir(folder)
    page = build(folder)
    browser.open(launched(page))
    browser.fill("Folder or file", "my-data")
    browser.click("Read the data")
    browser.wait(SAID.format("fingerprint"))
    browser.fill("Checkpoint", MINILM)
    browser.fill("Time", "90s")
    browser.click("Adapt")
    browser.wait("document.querySelector('iframe[title=\"Report of the run\"]')", 900, FAILED)
    browser.fill("A text", "the drive makes a clicking noise and the computer does not start any more")
    browser.click("Ask the model")
    browser.wait(
        "document.body.innerText.includes('plausible') || document.body.innerText.includes('prediction')", 300, FAILED
    )
    browser.screenshot(RESULTS / "ui.png", width=900)
    page.close(verbose=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", choices=("terminal", "report", "ui"))
    parser.add_argument("--run", type=Path, help="run folder of the report")
    parser.add_argument(
        "--folder",
        type=Path,
        help="where the demo runs (default: a new folder); what it has computed there before is kept",
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, Chromium(Path(place)) as browser:
        folder = Path(place, "work")
        folder.mkdir()
        if "terminal" in asked.pictures:
            terminal(browser, asked.folder or folder)
        if "report" in asked.pictures:
            report(browser, asked.run)
        if "ui" in asked.pictures:
            ui(browser, folder)


if __name__ == "__main__":
    main()
