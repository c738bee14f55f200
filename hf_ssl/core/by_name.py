"""Files that a table names by a path from another machine: by their name alone, whatever its case and the folder in front."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from hf_ssl.core.letters import composed


class ByName:
    """Finds a file by its name alone below a folder, where exactly one is called so (`clips/` of Common Voice).

    Args:
        root: folder to look in; None: nowhere.
        hint: what to add to the notes.
    """

    def __init__(self, root: Path | None, hint: str = "audio_root says where paths begin") -> None:
        self.root, self.hint = root, hint
        self._names: dict[str, list[Path]] | None = None
        self._plain: dict[str, list[Path]] | None = None
        self.found: dict[str, Path] = {}

    def find(self, path: str, start: Path | None = None) -> str | None:
        """The file, or None. Of several that are called so, the only one that lies in folders called as in the path.

        Args:
            path: as it stands in the table.
            start: where it begins (`root`). Where its folder is there, no other is looked into: `im/3.png` is not `mask/3.png`.
        """
        files = self.candidates(path, start)
        if len(files) != 1:
            return None
        self.found[path] = files[0]
        return str(files[0])

    def candidates(self, path: str, start: Path | None = None) -> list[Path]:
        """The files that `find` would choose from."""
        if self.root is None:
            return []
        if self._names is None:
            names: dict[str, list[Path]] = defaultdict(list)
            for file in self.root.rglob("*"):
                names[file.name].append(file)
            self._names = names
        parts = path.replace("\\", "/").split("/")
        files = [file for file in self._names.get(parts[-1], []) if file.is_file()]
        if not files:  # another case, other accents, or no suffix
            if self._plain is None:
                self._plain = defaultdict(list)
                for file in (file for found in self._names.values() for file in found if file.is_file()):
                    for plain in {composed(file.name.lower()), composed(file.stem.lower())}:
                        self._plain[plain].append(file)
            files = self._plain.get(composed(parts[-1].lower()), [])
        folder = (start or self.root).joinpath(*(part for part in parts[:-1] if part))
        if len(parts) > 1 and folder.is_dir():
            files = [file for file in files if file.parent == folder]
        above = [part.lower() for part in parts[-2::-1] if part]
        for depth, called in enumerate(above):
            if len(files) < 2:
                break
            files = [
                file for file in files if len(file.parents) > depth and file.parents[depth].name.lower() == called
            ]
        return files

    def notes(self) -> list[str]:
        if not self.found or self.root is None:
            return []
        path, file = next(iter(self.found.items()))
        text = f"{len(self.found):,} paths were found by their file's name only, such as {path} as {file.relative_to(self.root)}"
        return [f"{text}; {self.hint}" if self.hint else text]
