"""The page in a real browser: no violation of accessibility rules, light and dark, and nothing wider than a phone."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import runs

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
AXE = Path(os.environ.get("HF_SSL_AXE", "node_modules/axe-core/axe.min.js"))
AUDIT = """axe.run(document, {resultTypes: ["violations"]}).then(found => {
  const result = document.createElement("pre"); result.id = "result";
  result.textContent = JSON.stringify(found.violations.map(one => [one.id, one.nodes.map(node => node.html.slice(0, 200))]));
  document.body.append(result)})"""
WIDTH = """setTimeout(() => { const result = document.createElement("pre"); result.id = "result";
  result.textContent = JSON.stringify(document.getElementById("page").contentDocument.documentElement.scrollWidth);
  document.body.append(result) }, 500)"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("browser")
    run = runs.finished_run(folder / "run", runs.base_checkpoint(folder / "base"))
    return (run / "report.html").read_text(encoding="utf-8")


def answer_of(file: Path) -> object:
    """What the page wrote into `#result`."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
               "--virtual-time-budget=15000", "--dump-dom", file.as_uri()]  # fmt: skip
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = re.search(r'<pre id="result">(.*?)</pre>', shown, flags=re.DOTALL)
    assert found, shown[-500:]
    return json.loads(html.unescape(found[1]))


@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core (npm install axe-core, or HF_SSL_AXE=.../axe.min.js)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_rule_of_accessibility_is_violated(text: str, scheme: str, tmp_path: Path) -> None:
    open_page = re.sub(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text
    )  # it forbids the audit's script, too
    if scheme == "dark":
        open_page = open_page.replace("prefers-color-scheme: dark", "min-width: 0")
    axe = AXE.read_text(encoding="utf-8").replace("</script", "<\\/script")
    file = tmp_path / "audit.html"
    file.write_text(
        open_page.replace("</body>", f"<script>{axe}</script><script>{AUDIT}</script></body>"), encoding="utf-8"
    )
    assert answer_of(file) == []


def test_nothing_is_wider_than_a_phone(text: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    file = tmp_path / "phone.html"
    file.write_text(
        f'<!doctype html><body><iframe id="page" style="width:375px;height:900px;border:0" src="page.html"></iframe><script>{WIDTH}</script>',
        encoding="utf-8",
    )
    assert answer_of(file) <= 375  # a scroll bar takes some of it
