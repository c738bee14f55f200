"""Folders that may be classes and may be something else: another level, patients and devices, pictures and their masks, splits."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from hf_ssl.core.errors import DataError
from hf_ssl.data.group_names import called_as_group
from hf_ssl.data.readers.files import ANSWERS_OF, HELD_OUT, PICTURES_OF
from hf_ssl.data.report import DataReport

_NUMBERED = re.compile(r"(.*?[^\W\d_])s?[-_ .#]*(?:\d+[A-Za-z]?|(?<=[a-z])[A-Z]|(?<=[-_ ])[A-Za-z])")
_PART_OF_SPLIT = re.compile(
    r"(?:train|training|test|testing|val|valid|validation|dev|eval)[-_ ]?(?:[A-Za-z]|\d{1,3})", re.IGNORECASE
)
_INITIAL = re.compile(r"[a-z]?[psu][-_ ]?\d+[a-z]?", re.IGNORECASE)
_SHORT = frozenset(
    "pat pt sub subj subjects spk id uid vp actor actress rat mouse mice device sensor phone machine unit camera cam station scanner center centre "
    "clinic proband person participant rater specimen plate well line linie ligne línea maschine kamera capteur sensore cámara".split()
)
"""Names of persons, places and devices that stand before a number in names of folders, beside those of columns."""
_PIECES = {
    "part",
    "batch",
    "chunk",
    "shard",
    "volume",
    "vol",
    "fold",
    "run",
    "day",
    "week",
    "page",
    "v",
    "ver",
    "version",
    "release",
    "upload",
    "dump",
}
_DATE = re.compile(
    r"(?:19|20)\d\d[-_. ]?(?:0[1-9]|1[0-2])(?:[-_. ]?(?:0[1-9]|[12]\d|3[01])(?:[-_T ]\d[\d:_.hms-]*)?)?"
    r"|(?:0?[1-9]|[12]\d|3[01])[-_. ](?:0?[1-9]|1[0-2])[-_. ](?:19|20)?\d\d|(?:19|20)\d\d[-_ ]?[WQKT]\d\d?"
    r"|(?:(?:0?[1-9]|[12]\d|3[01])[-_. ]?)?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-_. ]?(?:\d\d?[-_. ])?(?:19|20)\d\d",
    re.IGNORECASE,
)
_SIZE = re.compile(
    r"[1-9]\d{1,4} ?[x×] ?[1-9]\d{1,4}(?:px)?|x(?:[45]|10|20|25|40|50|60|63|[1-9]00|1000)"
    r"|\d{2,5} ?(?:px|dpi)|(?:144|240|360|480|720|1080|1440|2160)p|[248]k"
    r"|[hl][rq]|(?:high|low)[-_ ]?res(?:olution)?|\d{1,4}x"
    r"|(?:8|11|16|22|24|32|44|48|96)(?:[.,]\d+)? ?k(?:hz)?|(?:8000|11025|16000|22050|24000|32000|44100|48000|96000) ?(?:hz)?",
    re.IGNORECASE,
)
_SIDES = frozenset(
    "28 32 64 96 128 160 192 224 256 288 299 300 320 331 336 380 384 416 448 480 512 518 600 640 720 768 800 1024 1080 1280 2048 4096".split()
)
"""Pixels of the sides of pictures."""
_MONTH = re.compile(
    r"(?:\d{1,2}[-_. ]*)?(jan(?:uary|uar|vier|uari)?|jänner|enero|janeiro|gennaio|feb(?:ruary|ruar|ruari)?|février|fevrier|febrero|fevereiro|febbraio"
    r"|mar(?:ch|s|zo|ço)?|märz|maart|apr(?:il|ile)?|avril|abril|may|mai|mei|mayo|maio|maggio|june?|juni|juin|junio|junho|giugno|july?|juli|juillet|julio"
    r"|julho|luglio|aug(?:ust|ustus)?|août|aout|agosto|sept?(?:ember|embre|iembre|embro)?|setembro|settembre|o[ck]t(?:ober|obre|ubre)?|octobre|outubro"
    r"|ottobre|nov(?:ember|embre|iembre|embro)?|de[cz](?:ember|embre|iembre|embro)?|décembre|dicembre|diciembre)(?:[-_. ]*\d{2,4})?",
    re.IGNORECASE,
)
_ALSO_NAMES = frozenset("mar march mars mai may mei june julio july april abril august agosto dec jan".split())
_WEEK = re.compile(
    r"(?:(?:19|20)\d\d[-_ ])?(?:(?:kw|w|wk|cw|week|woche|semaine|semana|settimana|vecka|uke|uge)[-_ ]?(?:0?[1-9]|[1-4]\d|5[0-3])"
    r"|(?:q|quarter|quartal|trimestre)[-_ ]?0?[1-4])"
    r"(?:[-_ ](?:19|20)?\d\d)?|(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch|lundi|mardi|mercredi|jeudi"
    r"|vendredi|samedi|dimanche|lunes|martes|miércoles|jueves|viernes|sábado|domingo",
    re.IGNORECASE,
)
_VERSION = re.compile(
    r"(?:v|ver|version|rev|revision|release|iteration|iter)[-_ .]?\d+(?:[._-]\d+)*(?:[-_ ](?:final|draft|new|old))?",
    re.IGNORECASE,
)
_BESIDE_VERSIONS = frozenset(
    "final latest draft original old new current previous initial first last fixed corrected revised".split()
)
_STEPS = frozenset(factor * 10**power for factor in (1, 2, 5) for power in range(6)) | {25, 250, 75}
"""Values of coins and notes, and what is weighed and measured in."""
_FORMATS = frozenset(
    "jpg jpeg png gif bmp tif tiff webp heic dcm dicom nii nifti raw dng npy wav wave mp3 flac ogg opus m4a aac txt csv tsv json jsonl xml pdf "
    "docx doc html mp4 avi mov parquet".split()
)
_CHANNEL = re.compile(
    r"(?:rgbd?|nir|swir|mwir|lwir|ir|infrared|thermal|depth|gray_?scale|grey_?scale|ndvi|multi_?spectral|hyper_?spectral|pan_?chromatic|vv|vh|hh|hv"
    r"|dapi|gfp|bright_?field|(?:band|channel|ch)_?\d{1,2}|b(?:0\d|1[0-2]|8a))(?:_images?|_img)?"
)
_PERHAPS_CHANNEL = re.compile(
    r"red|green|blue|gr[ae]y|mono|colou?r|visible|vis|uv|alpha|t1|t2|t1ce|t1c|t1gd|flair|dwi|adc|pd|mag(?:nitude)?|phase"
)
_STATES = frozenset(
    "labeled labelled annotated unannotated not_annotated to_annotate to_label to_check to_do todo tocheck checked unchecked not_checked reviewed "
    "denoised deblurred despeckled registered unregistered rectified "
    "unreviewed to_review in_review in_progress pending finished unfinished not_finished backup archive incoming exported verified unverified "
    "preprocessed unprocessed".split()
)
_PERHAPS_STATES = frozenset(
    "raw new old done final draft clean cleaned processed original originals edited tmp temp misc approved".split()
)
"""How far somebody has come with files, and words that may say so and may be classes (raw and processed meat)."""
MASKS_BY_TABLE = "For masks give a table with a column of paths to pictures and one of paths to masks, and name that one: label_column=..."


def refuse_two_levels(folders: Iterable[Sequence[str]]) -> None:
    """`site1/cat`, `site1/dog`, `site2/cat` ...: is the class the first folder or the second?

    Args:
        folders: above every file, from the outermost.

    Raises:
        DataError: the same folders lie in several others; all readings, with the option for each.
    """
    every = {tuple(one) for one in folders}
    deepest = max(map(len, every), default=0)
    for level in range(deepest - 1, 0, -1):
        below: dict[str, set[str]] = defaultdict(set)
        for one in every:
            if len(one) > level:
                below[one[0]].add(one[level])
        if len(below) < 2:
            continue
        shared = set.intersection(*below.values())
        if len(shared) < 2 or len(shared) < 0.5 * len(set.union(*below.values())):
            continue
        _refuse_answers(shared, "")
        said = "'last'" if all(len(one) == level + 1 for one in every) else str(level + 1)
        raise DataError(
            f"Folders lie in folders: are the classes {_shown(below)} ... (folder_level='first') or "
            f"{_shown(shared)} ... (folder_level={said})? Say which; if neither are: folder_labels=False, or where files "
            "of one outer folder belong together (a speaker, a site): folder_labels=False and group_level='first'."
        )
    first = {one[0] for one in every if one}
    again = next(((one[0], one[-1]) for one in sorted(every) if len(one) > 1 and one[-1] in first - {one[0]}), None)
    if again is not None and {one[-1] for one in every if one} != {again[1]}:
        raise DataError(
            f"The folder {again[1]!r} lies beside {again[0]!r}, and another one of this name in it: are the classes {_shown(first)} "
            f"(folder_level='first') or the folders that files lie in, such as {again[1]} (folder_level='last')? Say which."
        )


def tell_deeper_classes(
    folders: Sequence[Sequence[str]],
    names: Sequence[str | None],
    looks_like_classes: Callable[[Sequence[str | None]], bool],
    report: DataReport,
) -> None:
    """The outermost folders are no classes, and the innermost ones may be."""
    last = [one[-1] if len(one) > 1 else None for one in folders]
    if looks_like_classes(last) and len(set(last)) <= 0.5 * len(last):
        report.warn(
            f"the outermost folders ({_shown(set(names))} ...) are not taken for classes, and files are unlabeled: folder_level='last' takes those "
            f"that files lie in ({_shown(set(last))} ...), folder_labels=False says that none are"
        )


def doubt_other_level(
    folders: Sequence[Sequence[str]], classes: Sequence[str | None], level: str | int | None, report: DataReport
) -> None:
    """Folders above or below the classes' that hold several files each: patients, sites, sessions, or the classes themselves?

    Raises:
        DataError: they are called as persons are.
    """
    other = "first" if level not in (None, "first", 1, "1") else "last"
    names = [one[0 if other == "first" else -1] if len(one) > 1 else None for one in folders]
    counts = Counter(name for name, kind in zip(names, classes, strict=True) if name is not None and name != kind)
    if len(counts) < 2 or len(counts) > 0.9 * sum(counts.values()):
        return
    enough = sum(counts.values()) >= 0.5 * len(folders)
    if not enough and level is not None:
        return
    text = f"files lie in folders beside those of the classes ({_shown(counts)} ... {len(counts):,} of them)"
    if level is None:
        text += f". Classes are now {_shown(set(classes))} (folder_level='first' says so); folder_level={other!r} takes the others"
    text += (
        ". If those are patients or sites, whose files should not be on two sides of a split: "
        f"group_level={other!r}; if files are independent: group_level='file'"
    )
    if enough and _like(counts, lambda name: _is_group(name) or _INITIAL.fullmatch(name) is not None, 0.9):
        raise DataError(text[0].upper() + text[1:] + ".")
    report.warn(text)


def are_groups(classes: Sequence[str | None], named: bool, report: DataReport, files: Sequence[str]) -> bool:
    """Whether folders that would be classes are groups, as their names say and `group_level` confirms.

    Args:
        classes: folder of every file.
        named: `group_level` names these folders.
        files: path of every file.
        report: is warned where names leave it open.

    Raises:
        DataError: they are called as persons, places, devices, days, sizes or formats are, and nobody has said what they are.
    """
    names = {name for name in classes if name is not None}
    group = _like(names, _is_group, 0.9)
    pieces = "of persons, places, devices or pieces" if group or _like(names, _is_piece, 0.9) else ""
    what, sure = _no_classes(names, classes, files) or (pieces or _numbers(names), group)
    together = bool(pieces) or what.endswith(("times", "counted through", "years", "months", "quarters"))
    if not what:
        return False
    if named and together:
        report.decide(f"folders such as {min(names)} are groups, as group_level says, and no classes")
        return True
    text = (
        f"the {len(names):,} folders {_shown(names)} ... look like names {what}, and would be the classes. If they are: folder_labels=True; "
        + ("if files of one belong together on one side of a split: group_level='first', and the classes are in a table: labels_file=...; "
           if together else "")
        + "if they say nothing: folder_labels=False"
    )  # fmt: skip
    if sure:
        raise DataError(text[0].upper() + text[1:] + ".")
    report.warn(text)
    return False


def _no_classes(names: set[str], classes: Sequence[str | None], files: Sequence[str]) -> tuple[str, bool] | None:
    """What folders are called as that are no classes as a rule, and whether that is sure; None: as nothing of the kind."""
    plain = {re.sub(r"[-_ ]+", "_", name.strip().lower()) for name in names}
    if len(plain) < 2:
        return None
    ahead = {found[0] if (found := re.match(r"[^\W\d]+[-_ ]", name.strip())) else "" for name in names}
    bare = [name.strip().removeprefix(next(iter(ahead))) if len(ahead) == 1 else name.strip() for name in names]
    if _like(bare, lambda name: _DATE.fullmatch(name) is not None, 0.9):
        return "of days, months or times", True
    sized = [_SIZE.fullmatch(name) is not None for name in bare]
    if all(one or name in _SIDES for one, name in zip(sized, bare, strict=True)):
        return "of sizes, magnifications or rates", any(sized)
    if all(map(_MONTH.fullmatch, bare)) and not {name.lower() for name in bare} <= _ALSO_NAMES:
        return "of months", False
    if all(map(_WEEK.fullmatch, bare)):
        return "of days, weeks or quarters", False
    versions = [_VERSION.fullmatch(name) is not None for name in bare]
    if any(versions) and all(
        one or name.lower() in _BESIDE_VERSIONS for one, name in zip(versions, bare, strict=True)
    ):
        return "of versions", False
    if plain <= _FORMATS and any(_ends_in(name, classes, files) for name in names):
        return "of formats of files", True
    if all(_CHANNEL.fullmatch(name) or _PERHAPS_CHANNEL.fullmatch(name) for name in plain):
        sure = any(_CHANNEL.fullmatch(name) for name in plain)
        return ("of channels or cameras", sure) if sure or _same_files(classes, files) else None
    if plain <= _STATES | _PERHAPS_STATES:
        return "of states of work", bool(plain & _STATES)
    return None


def _ends_in(name: str, classes: Sequence[str | None], files: Sequence[str]) -> bool:
    """Whether files in the folder `png` are called so, too."""
    own = [file.lower() for file, folder in zip(files, classes, strict=True) if folder == name]
    return all(file.endswith(f".{name.lower()}") for file in own)


def _same_files(classes: Sequence[str | None], files: Sequence[str]) -> bool:
    """Whether every folder holds files of the same names, which are more than a word and a number."""
    held: dict[str, set[str]] = defaultdict(set)
    for file, folder in zip(files, classes, strict=True):
        held[folder or ""].add(re.split(r"[\\/]", file)[-1])
    every = list(held.values())
    counted = all(re.fullmatch(r"(?:[^\W\d_]+[-_ ]?)?\d+", name.split(".")[0]) for name in every[0])
    return all(one == every[0] for one in every) and not counted


def _like(names: Iterable[str], test: Callable[[str], bool], share: float) -> bool:
    found = [test(name) for name in names]
    return sum(found) >= share * len(found)


def _is_group(name: str) -> bool:
    match = _NUMBERED.fullmatch(name)
    word = match[1].strip("-_ .#").lower() if match else ""
    return bool(word) and (word in _SHORT or word.removesuffix("s") in _SHORT or called_as_group(word))


def _is_piece(name: str) -> bool:
    match = _NUMBERED.fullmatch(name)
    return (
        match is not None and (re.split(r"[^a-z]+", match[1].lower())[-1] in _PIECES) or bool(_INITIAL.fullmatch(name))
    )


def _numbers(names: set[str]) -> str:
    """What whole numbers that are not counted through may be; "" for 0, 1, 2 ..., for digits, and for words."""
    if not all(name.isdecimal() for name in names):
        return ""
    values = sorted(map(int, names))
    if all(1900 <= value <= 2100 for value in values):
        return "of years"
    if set(values) <= _STEPS:
        return ""
    gaps = sum(after - before > 1 for before, after in pairwise(values))
    if values[-1] < 10 or values[0] <= 1 and gaps <= 0.1 * len(values):
        return ""
    return "of persons, sessions or places, written as numbers that are not counted through"


def refuse_no_classes(names: set[str], split_names: Sequence[str] | None) -> None:
    """Folders that are called as parts of a data set are, and not as classes are.

    Raises:
        DataError: `images` beside `masks`, or `holdout` beside classes.
    """
    plain = {name.lower() for name in names}
    _refuse_answers(plain, "folder_labels=True if they are classes, folder_labels=False if there are none. ")
    parts = sorted(name for name in names if _PART_OF_SPLIT.fullmatch(name))
    if len(parts) > 1 and len(parts) >= 0.5 * len(names):
        raise DataError(
            f"The folders {', '.join(parts[:4])} are called as splits with a letter or number behind, and would be classes: two domains, cameras or "
            "folds? If they are classes: folder_labels=True; if files have none: folder_labels=False; what is test: test=..."
        )
    held_out = sorted(plain & HELD_OUT)
    if held_out and len(plain) > 1 and split_names is None:
        raise DataError(
            f"The folder {held_out[0]!r} sounds like data that were held out, and would be a class beside "
            f"{', '.join(sorted(plain - set(held_out))[:3])}. If it "
            f"is a class: folder_labels=True; if not, call it test or validation, or give it as test=..."
        )


def _refuse_answers(names: set[str], options: str) -> None:
    plain = {name.lower() for name in names}
    if plain & PICTURES_OF and plain & ANSWERS_OF and plain <= PICTURES_OF | ANSWERS_OF:
        first, second = sorted(plain & PICTURES_OF)[0], sorted(plain & ANSWERS_OF)[0]
        raise DataError(
            f"The folders {first!r} and {second!r} look like examples and what belongs to them, not like two classes: "
            f"{options or 'folder_labels=False if all are examples. '}{MASKS_BY_TABLE}"
        )


def _shown(names: Iterable[str | None]) -> str:
    return ", ".join(sorted(name for name in names if name is not None)[:3])
