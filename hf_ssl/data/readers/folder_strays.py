"""Folders beside those of classes that are no classes: copies, files still to be sorted, what a program has made; splits in names of classes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from hf_ssl.core.errors import DataError
from hf_ssl.data.readers.files import SPLIT_NAMES
from hf_ssl.data.report import DataReport

_COPY_AHEAD = re.compile(
    r"(?:copy|backup|kopie|copie|copia|kopia|копия)[-_ ](?:of|von|de|di|van|av)?[-_ ]?(.+)", re.IGNORECASE
)
_COPY_BEHIND = re.compile(
    r"(.+?)(?:[-_ ]+(?:copy|backup|bak|kopie|copie|copia|cópia|kopia|копия|コピー|副本)(?:[-_ ]*\(?\d+\)?)?| \(\d{1,2}\))",
    re.IGNORECASE,
)
_UNNAMED = re.compile(
    r"(?:new folder|untitled(?: folder)?|neuer ordner|unbenannter ordner|nouveau dossier|dossier sans titre|nueva carpeta|carpeta sin título"
    r"|nova pasta|pasta sem título|nuova cartella|cartella senza (?:titolo|nome)|nieuwe map|naamloze map|ny m(?:appe|app)|namnlös mapp"
    r"|unavngivet mappe"
    r"|uusi kansio|nowy folder|nová složka|yeni klasör|новая папка|нова папка|新建文件夹|新增資料夾|新しいフォルダー|새 폴더)(?:[-_ ]*\(?\d+\)?)?",
    re.IGNORECASE,
)
"""What systems call a folder that nobody has named."""
_CAMERA = re.compile(r"DCIM|[1-9]\d\d(?:_[A-Z0-9]{4}|[A-Z_]{5}|EOS\dD|D\d{4}|[A-Z]{3}\d\d)", re.IGNORECASE)
"""What cameras and telephones call folders: `100APPLE`, `101_PANA`."""
_ASIDE = re.compile(
    r"(?:.*[-_ ])?(?:unsorted|unsortiert|nicht[-_ ]sortiert|to[-_ ](?:check|sort|do|review|label|annotate|fix|delete|verify|classify)|tocheck|tosort"
    r"|zu[-_ ](?:prüfen|sortieren|klären)|à[-_ ](?:trier|vérifier|classer)|por[-_ ](?:clasificar|revisar)|da[-_ ](?:ordinare|controllare)|unassigned"
    r"|uncategori[sz]ed|unclassified|needs[-_ ](?:check|review)|duplicates|dupes|doppelt|duplikate)"
    r"|dubletten|doublons|duplicados|papierkorb|corbeille|recycle[-_ ]bin|\$recycle\.bin|lost[+]found|tmp|deleted|skipped|discarded|backups?"
    r"|thumbnails|thumbs|previews|_[^\W_].*|_.*_|__.*|unsure|not[-_ ]sure|todo|inbox|incoming|new|neu|nouveau|nuevo|old|alt|misc|miscellaneous"
    r"|verschiedenes|divers|varios|temp|all|alle|tous|todos|everything",
    re.IGNORECASE,
)
"""What people call folders of what is still to be looked at, or is not wanted."""
_STATE = re.compile(
    r"(.+?)[-_ ]+(?:old|new|alt|neu|v\d{1,2}|ver\d|rev\d|version[-_ ]?\d|final|fixed|corrected|revised|extra|more|bis|20\d\d"
    r"|(?:batch|part|set|round)[-_ ]?\d{1,2})",
    re.IGNORECASE,
)
"""A name with a word for a state of work behind it: `cat_old`, `cat_v2`."""
_SPLITS = frozenset(SPLIT_NAMES) - {"pool", "dev"}


def refuse_strays(classes: Sequence[str | None], report: DataReport) -> None:
    """Single folders among classes that are called as no class is, and names that hold a split and a class.

    Args:
        classes: folder of every file.
        report: is warned.

    Raises:
        DataError: copies of other folders, folders without a name of their own, those of cameras, `train_cats` and `test_cats`.
    """
    counts = Counter(name for name in classes if name is not None)
    _refuse_splits(counts)
    copies = {name: other for name in sorted(counts) if (other := _copy_of(name, counts))}
    unnamed = [name for name in sorted(counts) if _UNNAMED.fullmatch(name.strip())]
    cameras = [name for name in sorted(counts) if _CAMERA.fullmatch(name.strip())]
    for found, what in (
        (unnamed, "as systems call one that nobody has named"),
        (cameras, "as cameras call theirs"),
        (list(copies), f"as a copy of {next(iter(copies.values()), '')!r}"),
    ):
        if found:
            raise DataError(
                f"{_named(found, counts)} called {what}, and would be {_classes(found)}. {_ways(found, counts)}."
            )
    _tell_states(counts, report)
    aside = [name for name in sorted(counts) if _ASIDE.fullmatch(name.strip())]
    rest = [name for name in sorted(counts) if name not in aside]
    if aside and len(rest) > 1:  # beside one other it is half of a pair: primary and backup
        report.warn(
            f"{_named(aside, counts)} called as one of files to be sorted or left out, and would be {_classes(aside)} beside {', '.join(rest[:3])}: "
            f"{_ways(aside, counts)}"
        )


def _tell_states(counts: Counter[str], report: DataReport) -> None:
    """`cat_old` beside `cat` or `cat_new`: one class in two folders?"""
    bare = {name: match[1].strip().lower() for name in sorted(counts) if (match := _STATE.fullmatch(name.strip()))}
    plain = {name.strip().lower() for name in counts}
    shared = Counter(bare.values())
    found = [name for name, rest in bare.items() if rest in plain or shared[rest] > 1]
    if found and len(found) >= 0.5 * len(bare):  # cars of one model and several years are classes
        rest = bare[found[0]]
        alike = [
            name for name in sorted(counts) if name != found[0] and rest in (name.strip().lower(), bare.get(name))
        ]
        report.warn(
            f"{_named(found, counts)} called as others are but for a word such as old, new or v2, and would be {_classes(found)}: "
            f"if {found[0]!r} and {alike[0]!r} are one class, lay their files into one folder; folder_labels=True says that all folders are classes"
        )


def _named(found: Sequence[str], counts: Counter[str]) -> str:
    shown = ", ".join(f"{name!r} ({counts[name]:,} files)" for name in found[:4])
    return f"The folder {shown} is" if len(found) == 1 else f"{len(found)} folders, {shown}, are"


def _classes(found: Sequence[str]) -> str:
    return "a class" if len(found) == 1 else "classes"


def _ways(found: Sequence[str], counts: Collection[str]) -> str:
    if len(found) == len(counts) or len(counts) - len(found) < 2:
        return (
            "folder_labels=False reads all files without labels, folder_labels=True says that all folders are classes"
        )
    return f"ignore_folders={list(found)} leaves {'it' if len(found) == 1 else 'them'} out, folder_labels=True says that all folders are classes"


def _copy_of(name: str, names: Iterable[str]) -> str | None:
    """The other folder that this one is called as a copy of."""
    found = _COPY_AHEAD.fullmatch(name.strip()) or _COPY_BEHIND.fullmatch(name.strip())
    others = {other.strip().lower(): other for other in names if other != name}
    return others.get(found[1].strip().lower()) if found else None


def _refuse_splits(names: Collection[str]) -> None:
    """`train_cats`, `test_cats`: a split and a class in one name.

    Raises:
        DataError: two splits have a class in common, or one has several in common with names that say none.
    """
    held: dict[str, set[str]] = defaultdict(set)
    for name in names:
        words = [word.lower() for word in re.split(r"[-_ .]+|(?<=[a-z])(?=[A-Z])", name) if word]
        splits = [word for word in words if word in _SPLITS]
        if len(splits) == 1 and len(words) > 1:
            held[" ".join(word for word in words if word not in splits)].add(SPLIT_NAMES[splits[0]])
        else:
            held[" ".join(words)].add("")
    shared = [rest for rest, splits in held.items() if len(splits) > 1]
    both = next((rest for rest in shared if len(held[rest] - {""}) > 1 or len(shared) > 1), None)
    if both is not None:
        first = sorted(names)[0]
        raise DataError(
            f"The {len(names)} folders {', '.join(sorted(names)[:4])} say a split and a class in one name, and would all be classes. Lay them into "
            f"folders for each split (train/{both}, test/{both}); folder_labels=True says that each, such as {first!r}, is a class of its own, "
            "folder_labels=False reads all files without labels."
        )
