"""Start, harass and restart the loopback Hub, and run clients against it in processes of their own.

`huggingface_hub` reads its endpoint when it is imported, so a client is always another process here; that is also what
a user's machine is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WRITE, READ = "hf_alice_write_0123456789abcdefghij", "hf_alice_read_0123456789abcdefghijk"
OTHER, EXPIRED = "hf_bob_write_0123456789abcdefghijkl", "hf_alice_expired_0123456789abcdefgh"

# What every client has at hand. The back-off of huggingface_hub is kept, the waiting is not.
HEAD = """
import io, os, pathlib, time
import huggingface_hub as hub
import huggingface_hub.utils._http as http
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, errors

http.time = type("Clock", (), {"sleep": staticmethod(lambda seconds: None), "time": time.time, "perf_counter": time.perf_counter})
api = HfApi()

def status(call):
    try:
        call()
    except errors.HfHubHTTPError as error:
        return type(error).__name__, error.response.status_code
    return "ok", 200
"""


class HubProcess:
    """The server as a process. Its state outlives it: `kill` and `start` again is a Hub that went down."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> HubProcess:
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, str(HERE / "local_hub.py"), "--root", str(self.root), "--port", port]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), "the loopback Hub did not start"
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=20)
            self.process = None

    def wait_for_death(self) -> None:
        assert self.process is not None and self.process.wait(timeout=60) == 17
        self.process = None

    def ask(self, what: str, method: str = "GET", content: Any = None) -> Any:
        """Talk to the server's back door."""
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.url}/_test/{what}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def plant(self, **fault: Any) -> None:
        self.ask("faults", "POST", [fault])

    def heal(self) -> None:
        self.ask("faults", "DELETE")

    def repos(self) -> dict[str, dict[str, Any]]:
        """`kind/owner/name` → repository, read from disk: also while the server is down."""
        found = [json.loads(path.read_text()) for path in sorted((self.root / "repos").glob("*.json"))]
        return {f"{repo['kind']}/{repo['id']}": repo for repo in found}

    def files(self, name: str, ref: str = "main") -> dict[str, bytes]:
        """Content of every file of `kind/owner/name`."""
        repo = self.repos()[name]
        entries = repo["commits"][repo["refs"][ref]]["files"]
        return {path: (self.root / "blobs" / entry["sha256"]).read_bytes() for path, entry in entries.items()}

    def commits(self, name: str) -> list[str]:
        """Titles, newest first."""
        repo, titles = self.repos()[name], []
        sha = repo["refs"]["main"]
        while sha:
            titles.append(repo["commits"][sha]["title"])
            sha = repo["commits"][sha]["parent"]
        return titles

    def environment(self, home: Path, token: str | None = WRITE) -> dict[str, str]:
        """What a client's process gets: this server as the Hub, caches of its own, no Xet, no telemetry."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        given = {
            "HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
            "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE), os.environ.get("PYTHONPATH", "")]),
        }  # fmt: skip
        return kept | given | ({"HF_TOKEN": token} if token else {})

    def client(self, code: str, home: Path, token: str | None = WRITE, timeout: float = 240) -> str:
        """Run Python in a fresh process with this server as the Hub; its standard output."""
        result = subprocess.run(
            [sys.executable, "-c", HEAD + textwrap.dedent(code)], capture_output=True, text=True, timeout=timeout, check=False,
            env=self.environment(home, token), cwd=home,
        )  # fmt: skip
        assert result.returncode == 0, f"{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
        return result.stdout
