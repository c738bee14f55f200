"""Write docs/reference/options.md from the dataclasses: python docs/hooks/options_page.py

Every command, objective, task and kind of data, with the type, default and range of each option. A test holds the page up to date.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hf_ssl.core import plugins
from hf_ssl.core.commands import LAUNCHED, VERBS
from hf_ssl.core.fields import choices_of, hints_of
from hf_ssl.core.launch import LaunchOptions
from hf_ssl.core.options import COMMANDS

PAGE = Path(__file__).parents[1] / "reference" / "options.md"
HEAD = """# All options

Made from the dataclasses by `python docs/hooks/options_page.py`; a test holds it up to date. Each name is the same in YAML, on the command
line (`--name value`) and in Python. Stages that train also take every field of `transformers.TrainingArguments`.
"""
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def options_page() -> str:
    """The whole page."""
    parts = [HEAD]
    shared = _shared()
    parts.append(_section("Options that most commands share", "", shared.values()))
    several = f"Of {', '.join(LAUNCHED)}, on the command line only."
    rows = [_row(LaunchOptions, item) for item in dataclasses.fields(LaunchOptions)]
    parts.append(_section("Several processes", several, rows))
    for verb, config in sorted(COMMANDS.items()):
        own = [item for item in dataclasses.fields(config) if _key(config, item) not in shared]
        parts.append(_section(f"hf-ssl {verb}", VERBS.get(verb, ""), [_row(config, item) for item in own]))
    for kind, title in (("objectives", "Objective"), ("tasks", "Task"), ("modalities", "Kind of data")):
        for name in plugins.names(kind):
            config = plugins.config_of(kind, name)
            if config is None or not dataclasses.is_dataclass(config):
                continue
            rows = [_row(config, item) for item in dataclasses.fields(config) if _key(config, item) not in shared]
            if rows:
                parts.append(_section(f"{title} `{name}`", "", rows))
    return "\n".join(parts)


def _shared() -> dict[tuple[str, str], str]:
    """Options that at least four commands have alike."""
    seen: dict[tuple[str, str], list[str]] = {}
    for config in COMMANDS.values():
        for item in dataclasses.fields(config):
            seen.setdefault(_key(config, item), []).append(_row(config, item))
    return {key: rows[0] for key, rows in seen.items() if len(rows) >= 4}


def _key(config: type, item: Any) -> tuple[str, str]:
    return item.name, str(item.metadata.get("help", ""))


def _section(title: str, text: str, rows: Any) -> str:
    lines = list(rows)
    if not lines:
        return f"## {title}\n\n{text}\n"
    table = "\n".join(["| option | type | default | what it does |", "|---|---|---|---|", *lines])
    return f"## {title}\n\n{text}\n\n{table}\n".replace("\n\n\n\n", "\n\n")


def _row(config: type, item: Any) -> str:
    hint = hints_of(config)[item.name]
    default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
    choices = choices_of(hint) or item.metadata.get("choices", ())
    kind = ", ".join(f"`{one}`" for one in choices) if choices else _type(hint)
    bounds = " ".join(f"{sign} {item.metadata[name]:g}" for name, sign in SIGNS.items() if name in item.metadata)
    shown = "" if default is dataclasses.MISSING or default in (None, "", [], {}) else f"`{default}`"
    cells = [f"`{item.name}`", f"{kind} {bounds}".strip(), shown, str(item.metadata.get("help", ""))]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


def _type(hint: Any) -> str:
    text = hint.__name__ if isinstance(hint, type) and not getattr(hint, "__args__", None) else str(hint)
    return text.replace("typing.", "").replace(" | None", "")


if __name__ == "__main__":
    PAGE.write_text(options_page(), encoding="utf-8")
    print(PAGE)
