"""`hf-ssl new objective NAME`: a file that works, and a test of it, to start one's own from."""

from __future__ import annotations

import keyword
import re
import string
from pathlib import Path

from hf_ssl.core.errors import ConfigError, nearest

KINDS = ("objective", "task")


def write_skeleton(kind: str, name: str, folder: str | Path = ".") -> tuple[Path, Path]:
    """Write `NAME.py` and `test_NAME.py`: an objective or a task that trains, and the contract suite tried on it.

    Args:
        kind: `"objective"` or `"task"`.
        name: of the file: `my_order`, or `my-order`; the class is `MyOrder`.
        folder: made when missing.

    Returns:
        the two files.

    Raises:
        ConfigError: no such kind, not a name for a module, or one of the files exists.
    """
    if kind not in KINDS:
        raise ConfigError(f"A new {kind!r}?{nearest(kind, KINDS)} Known: {', '.join(KINDS)}.")
    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", module) or keyword.iskeyword(module):
        raise ConfigError(
            f"{name!r} cannot be the name of a module. Use small letters, digits and _, such as my_{kind}."
        )
    names = {"module": module, "cls": "".join(part.capitalize() for part in module.split("_")), "option": module}
    target, here = Path(folder), Path(__file__).parent
    written = target / f"{module}.py", target / f"test_{module}.py"
    if there := [path for path in written if path.exists()]:
        raise ConfigError(f"{there[0]} exists already; give another name or folder.")
    target.mkdir(parents=True, exist_ok=True)
    for path, template in zip(written, (f"skeleton_{kind}.py.j2", f"skeleton_test_{kind}.py.j2"), strict=True):
        text = string.Template((here / template).read_text(encoding="utf-8")).substitute(names)
        path.write_text(text, encoding="utf-8")
    return written
