"""`hf-ssl ui`: the whole way in a browser, on this machine only. `build()` makes the page, `serve()` shows it."""

from __future__ import annotations

from hf_ssl.ui.page import build, serve

__all__ = ["build", "serve"]
