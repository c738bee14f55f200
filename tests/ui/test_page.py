"""The page of `hf-ssl ui` in a headless Chromium: the whole way on a tiny model, and what it may not do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import runs
from chromium import PROGRAM, Chromium
from letters import letters

pytest.importorskip("gradio", reason='pip install "hf-ssl[ui]"')
if PROGRAM is None:
    pytest.skip("needs Chromium", allow_module_level=True)

from hf_ssl.ui.page import POLICY, build, launched  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
# A command that has failed, or an error that is shown: no use waiting.
FAILED = "document.body.innerText.includes('[HFS') || [...document.querySelectorAll('textarea')].some(x => x.value.includes('(ended with'))"
SAID = "[...document.querySelectorAll('textarea')].find(x => x.value.includes({!r}))"


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chromium]:
    """The page of a folder with a table and a tiny start, open in a browser."""
    monkeypatch.chdir(tmp_path)
    letters(tmp_path / "letters.csv")
    runs.base_checkpoint(tmp_path / "start")
    page = build(tmp_path)
    address = launched(page)
    assert address.startswith("http://127.0.0.1:")
    with Chromium(tmp_path) as opened:
        opened.open(address)
        yield opened
    page.close(verbose=False)


def test_from_a_table_to_an_answer_and_a_staged_repository(browser: Chromium, tmp_path: Path) -> None:
    browser.fill("Folder or file", "letters.csv")
    browser.fill("Label column", "topic")
    browser.click("Read the data")
    browser.wait(SAID.format("fingerprint"))
    browser.fill("Checkpoint", "start")
    browser.fill("Time", "5s")
    browser.click("Adapt")
    browser.wait("document.querySelector('iframe[title=\"Report of the run\"]')", 300, FAILED)
    assert (tmp_path / "runs" / "ui" / "finetune" / "model" / "config.json").is_file()
    browser.fill("A text", "the nurse measured a lung")
    browser.click("Ask the model")
    answered = "document.body.innerText.includes('plausible') || document.body.innerText.includes('prediction')"
    browser.wait(answered, 120, FAILED)
    browser.fill("Repository", "you/letters")
    browser.fill(
        "Start's Hub id", "unpublished"
    )  # the start is a folder of this machine: `push` asks what it is on the Hub
    browser.click("Publish")
    browser.wait(SAID.format("dry run, nothing was uploaded"), 200, FAILED)
    for width in (1280, 375):
        browser.resize(width)
        browser.wait(f"document.documentElement.scrollWidth <= {width}", 10)  # gradio lays tables out a moment later
    outside = [one for one in browser.asked if one.startswith("http") and "//127.0.0.1:" not in one]
    assert not outside and not browser.errors


def test_an_error_is_shown_with_its_code_and_every_answer_has_the_policy(browser: Chromium) -> None:
    browser.fill("Folder or file", "nowhere")
    browser.click("Read the data")
    browser.wait("document.body.innerText.includes('[HFS')")
    assert browser.value("fetch('/').then(r => r.headers.get('content-security-policy'))") == POLICY
    refused = browser.value("fetch('https://example.org/').then(() => 'reached', () => 'refused')")
    assert refused == "refused"
