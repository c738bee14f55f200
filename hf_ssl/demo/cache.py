"""Where packaged demo data lie on this machine."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path


def package_folder(package: str, *parts: str) -> Path | None:
    spec = importlib.util.find_spec(package)  # locates a top-level package without running any of its code
    for location in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(location, *parts)
        if folder.is_dir():
            return folder
    return None


def cache_folder() -> Path:
    """Where `fetch` puts data: `HF_SSL_DEMO_DATA`, else `hf_ssl/demo` in the user's cache."""
    if os.environ.get("HF_SSL_DEMO_DATA"):
        return Path(os.environ["HF_SSL_DEMO_DATA"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hf_ssl" / "demo"
