"""A headless Chromium that tests drive over its own pipe: no package, no port, no download (DevTools protocol).

    with Chromium(tmp_path) as browser:
        browser.open("http://127.0.0.1:7860")
        browser.wait("document.querySelector('button')")
        browser.screenshot(Path("page.png"), width=375)

`browser.asked` has the address of everything that pages have asked for.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

SILENT = 120  # seconds without a word after which the browser has hung; a loaded machine is slow, not silent
PROGRAM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--allow-file-access-from-files", "--remote-debugging-pipe",
)  # fmt: skip


class Chromium:
    """One page of a browser of its own.

    Args:
        folder: for its profile.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked, self.errors = folder, [], []
        self._sent, self._rest = 0, b""

    def __enter__(self) -> Self:
        assert PROGRAM is not None
        for_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()

        def numbered() -> None:  # the browser reads from 3 and writes to 4
            first, second = os.dup(for_browser), os.dup(from_browser)
            os.dup2(first, 3)
            os.dup2(second, 4)

        self._chromium = subprocess.Popen(
            [PROGRAM, *FLAGS, f"--user-data-dir={self.folder / 'profile'}", "about:blank"],
            pass_fds=(3, 4, for_browser, from_browser), preexec_fn=numbered, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(for_browser)
        os.close(from_browser)
        pages = [one for one in self._call("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        attached = self._call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *error: object) -> None:
        self._chromium.kill()
        self._chromium.wait()
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        return self._call(method, session=self._session, **given)

    def _call(self, method: str, session: str | None = None, **given: Any) -> dict[str, Any]:
        self._sent += 1
        said = {"id": self._sent, "method": method, "params": given, **({"sessionId": session} if session else {})}
        os.write(self._out, json.dumps(said).encode() + b"\0")
        while True:
            heard = self._heard()
            if heard.get("id") == self._sent:
                assert "error" not in heard, f"{method}: {heard['error']}"
                return heard["result"]
            self._note(heard)

    def _heard(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._in], [], [], SILENT)[0], f"the browser has said nothing for {SILENT} s"
            more = os.read(self._in, 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        one, _, self._rest = self._rest.partition(b"\0")
        return json.loads(one)

    def _note(self, heard: dict[str, Any]) -> None:
        given = heard.get("params", {})
        if heard.get("method") == "Network.requestWillBeSent":
            self.asked.append(given["request"]["url"])
        if heard.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(given["exceptionDetails"])[:500])

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Load a page and wait until it is there."""
        self.resize(width, height)
        self.call("Page.navigate", url=address)
        self.wait("document.readyState == 'complete' && location.href != 'about:blank'")

    def resize(self, width: int, height: int = 900) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def value(self, script: str) -> Any:
        """What an expression of JavaScript gives; of a promise, what it resolves to."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, condition: str, seconds: float = 60, unless: str = "false") -> Any:
        """Until an expression is true; its value. Fails at once when `unless` is true, and then says what the page says."""
        end = time.monotonic() + seconds
        shown = (
            "[document.body.innerText, ...[...document.querySelectorAll('textarea')].map(x => x.value)].join('\\n')"
        )
        while not (found := self.value(f"(() => {{ const v = {condition}; return v instanceof Node ? true : v }})()")):
            late = time.monotonic() > end
            if late or self.value(f"Boolean({unless})"):
                why = f"after {seconds:.0f} s it is still not so" if late else f"{unless}, so it will not be so"
                raise AssertionError(f"{why}: {condition}\nThe page says:\n{self.value(shown)[-3000:]}")
            time.sleep(0.1)
        return found

    def fill(self, label: str, text: str) -> None:
        """Type into the field with this label, as a person does, and leave it."""
        field = (
            f"[...document.querySelectorAll('label,.block')].filter(x => x.textContent.trim().startsWith({json.dumps(label)}))"
            ".map(x => x.querySelector('input,textarea')).find(x => x)"
        )
        self.wait(field)
        self.value(f"(() => {{ const f = {field}; f.scrollIntoView({{block: 'center'}}); f.focus(); f.select(); }})()")
        self.call("Input.insertText", text=text)
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13)
        self.value(f"{field}.blur()")

    def click(self, text: str) -> None:
        """Press the button that reads so."""
        self.wait(f"[...document.querySelectorAll('button')].find(x => x.textContent.trim() == {json.dumps(text)})")
        self.value(
            f"[...document.querySelectorAll('button')].find(x => x.textContent.trim() == {json.dumps(text)}).click()"
        )

    def screenshot(self, file: Path, width: int = 1280, most: int = 12000) -> None:
        """The whole page as PNG, at most so many pixels of its height."""
        self.resize(width)
        time.sleep(0.5)  # until it has flowed anew
        # A frame that is a share of the window's height would grow with it, and push away what comes below.
        self.value("document.querySelectorAll('iframe').forEach(x => { x.style.height = getComputedStyle(x).height })")
        height = min(most, int(self.value("document.documentElement.scrollHeight")))
        self.resize(width, height)  # frames outside of the window are painted late, or in part
        time.sleep(0.5)
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        told = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(told["data"]))
