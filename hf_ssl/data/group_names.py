"""Columns that say which rows belong together (patients, authors, sites): known by their names, or told by their values."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import datasets

from hf_ssl.core.one_column import type_of, values_of
from hf_ssl.data.column_names import HARMLESS, called_as_label, distinct_values, plain_name, words_of_name
from hf_ssl.data.report import DataReport

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import SourcePart

LIKE_GROUPS = {"group", "groups", "group_id", "patient", "patient_id", "patientid", "subject", "subject_id", "speaker", "speaker_id",
               "author", "author_id", "user", "user_id", "userid", "username", "participant", "participant_id", "recording_id",
               "site", "hospital", "session", "session_id", "household", "customer", "customer_id", "client_id", "donor",
               "donor_id", "writer", "writer_id", "case_id", "study_id"}  # fmt: skip
GROUP_WORDS = {"patient", "subject", "subj", "speaker", "author", "user", "username", "participant", "reviewer", "customer", "client", "donor",
               "writer", "mrn", "household", "hospital", "doc", "document", "video", "conversation", "dialogue", "thread", "article",
               "family", "recording", "session", "case", "study", "group", "site", "movie", "book", "lesion", "slide", "scene",
               "animal", "device", "annotator", "worker", "child", "person", "player", "student", "agent", "caller", "rater", "employee",
               "encounter", "admission", "visit", "pid", "ptid", "subjid", "usubjid", "sid", "uid", "pat", "spk", "vp", "vpn", "tn", "hadm",
               "proband", "mouse", "herd", "flock", "litter"}  # fmt: skip
"""Words for those (or that) of which a table has several rows."""
_GROUP_STEM = re.compile(
    r"(patient|pazient|pacient|paciente|proband|subject|subjekt|sujet|sujeto|soggett|speaker|sprecher|locuteur|kunde|customer|client|klient|klant|cliente"
    r"|teilnehmer|participant|versuchsperson|spender|donneur|autor|auteur|verfasser|benutzer|nutzer|usuari|utilisateur|utente|schuler|eleve|schueler|haushalt"
    r"|dossier|mitarbeiter|hablante)(i?nn?en|in|en|n|s|es|e|a|o|i|os|as)?(id|nr|no|num|nummer|number|code|kode|key|schlussel|numero|kennung)?"
    r"|fall(id|nr|nummer|kennung)"
)
"""The same in other languages, and with what stands for a number behind it."""
GROUP_REST = {
    "id",
    "ids",
    "name",
    "names",
    "no",
    "nr",
    "num",
    "number",
    "key",
    "code",
    "uuid",
    "identifier",
    "index",
    "hash",
    "the",
    "file",
    "source",
    "nummer",
    "numero",
    "kennung",
    "kurzel",
    "ref",
    "n",
    "de",
    "der",
    "du",
    "del",
}


def called_as_group(name: str) -> bool:
    """Whether a name says a group: `patient`, `patientId`, `Speaker Name`, `doc_id`, `source_file`."""
    words = words_of_name(_ascii(name))
    if plain_name(name) in LIKE_GROUPS or re.fullmatch(
        r"(source|recording|orig(inal)?)_?(file|video|image|text)(_?name)?", plain_name(name)
    ):
        return True
    if _GROUP_STEM.fullmatch("".join(words)):
        return True
    first = [
        "patient"
        if _GROUP_STEM.fullmatch(word)
        else re.sub("(id|nr|no)$", "", word)
        if word not in GROUP_WORDS
        else word
        for word in words
    ]
    first = [
        one if one in GROUP_WORDS else word[:-1] if word[:-1] in GROUP_WORDS else word
        for one, word in zip(first, words, strict=True)
    ]
    return (
        not GROUP_WORDS.isdisjoint(first)
        and set(first) <= GROUP_WORDS | GROUP_REST
        and (len(words) > 1 or first[0] != "device")
    )


def _ascii(name: str) -> str:
    return unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()


def tell_perhaps_groups(ignored: list[str], part: SourcePart, report: DataReport) -> None:
    """Columns of ids, whatever they are called, each of which stands in several rows."""
    size = len(part.dataset)
    for name in ignored:
        kind = getattr(type_of(part.dataset, name), "dtype", "")
        if not (kind in ("string", "large_string") or kind.startswith(("int", "uint"))) or called_as_label(name):
            continue
        called = _called_as_id(name)
        if called_as_group(name) or not called and not HARMLESS.isdisjoint(words_of_name(name)):
            continue
        values = [str(value).strip() for value in values_of(part.dataset, name, 20_000) if value is not None]
        different = set(values)
        least = 2 if name == PREFIX else 3
        if not max(least, len(values) // 200) <= len(different) <= 0.6 * len(values) or len(values) < 0.5 * min(
            size, 20_000
        ):
            continue
        if name == PREFIX or all(map((_ANY_ID if called else _ID).fullmatch, different)) or _serial(different):
            column = f"column {name!r} of {part.origin}" + (", made of the names of files," if name == PREFIX else "")
            alone = " with validation_fraction=0" if len(different) < 3 else ""
            report.warn(
                f"{column} looks like ids of which each stands in several rows ({len(different):,} in {len(values):,} rows, such as "
                f"{values[0]!r}): group_column={name!r}{alone} if rows of one belong together (a patient, a site), ignore_columns=[{name!r}] if "
                "they are independent"
            )


PREFIX = "prefix"
"""Column of what the names of files begin with where that says a patient, a camera, a site."""
_TOKEN = re.compile(r"(?:^|(?<=[-_ .]))([^\W\d_]+?)(?:[-_ ]?(\d{1,6}[A-Za-z]?)|[-_ ]?(?<![A-Z])[A-Z])(?=[-_ .])")
_DEVICES = frozenset(
    "cam camera kamera mic microphone sensor scanner spk subj pat pt sub vp proband rater center centre clinic".split()
)
_INITIALS = frozenset("psuv")


def prefixes(paths: Sequence[str], folders: Sequence[str | None]) -> list[str] | None:
    """Of every file what its name says of patients, speakers, cameras (`cam2_0013.png` → `cam2`); None: names say no such thing.

    Args:
        paths: of files.
        folders: their classes; where each has a prefix of its own, that is the class once more.
    """
    found: list[str] = []
    for path in paths:
        name = re.split(r"[\\/]", path)[-1]
        said = next((one[0] for one in _TOKEN.finditer(name) if _says_group(one[1].lower())), None)
        if said is None or said == name.split(".")[0]:  # `s07.wav` is the number of the file
            return None
        found.append(said)
    counts = Counter(found)
    pairs = set(zip(found, folders, strict=True))
    if not 2 <= len(counts) <= 0.5 * len(found) or len(pairs) == len(counts) == len(set(folders)):
        return None
    return found


def _says_group(word: str) -> bool:
    return (
        word in _INITIALS
        or word in _DEVICES
        or word not in ("file", "image", "video", "document", "text")
        and called_as_group(word)
    )


def _called_as_id(name: str) -> bool:
    words = words_of_name(_ascii(name))
    return bool(words) and (
        words[-1] in ("id", "ids", "nr", "no", "number", "nummer", "code", "key", "uuid", "num", "identifier", "ref")
        or re.fullmatch(r"\w{2,}(id|nr|nummer)", words[-1]) is not None
    )


_ID = re.compile(r"[A-Za-z]{1,8}[-_ /.#]?\d{1,12}[A-Za-z]?|\d{1,6}[-_/][A-Za-z0-9]{1,8}|[0-9a-f]{8}-[0-9a-f-]{27}")
_ANY_ID = re.compile(r"[A-Za-z0-9_./-]{1,40}")


def _serial(values: set[str]) -> bool:
    """Whole numbers of three digits or more, all of as many (1000, 1001 ...), and not years."""
    lengths = {len(value) for value in values}
    if len(lengths) > 1 or min(lengths) < 3 or not all(value.isdigit() for value in values):
        return False
    return not all(1900 <= int(value) <= 2100 for value in values)


def like_groups(
    ignored: list[str], part: SourcePart, content: str | None, label: str | None, report: DataReport
) -> dict[str, bool]:
    """Columns that look like groups, called so, and with values that repeat, and whether each says the classes once more.

    Those that say who judged are told instead.

    Args:
        ignored: columns that nothing else uses.
        part: the table.
        content: its column of inputs.
        label: its column of labels.
        report: is warned.
    """
    size = len(part.dataset)
    found = [
        name for name in ignored if called_as_group(name) and 2 <= distinct_values(part.dataset, name) <= 0.9 * size
    ]
    judges = [name for name in found if content is not None and _judges(part, name, content)]
    for name in judges:
        report.warn(
            f"{part.origin}: most inputs stand in several rows, each with another value of column {name!r}, as where several people judge each: "
            f"of copies one row is kept. To learn what most of them say, write one row for each input; ignore_columns=[{name!r}] says that this "
            "is meant"
        )
    rest = [name for name in found if name not in judges]
    return {name: label is not None and _say_the_same(part, name, label) for name in rest}


def _say_the_same(part: SourcePart, name: str, label: str) -> bool:
    """Whether two columns of plain values tell rows apart alike."""
    if not isinstance(type_of(part.dataset, label), (datasets.Value, datasets.ClassLabel)):
        return False
    both = set(zip(values_of(part.dataset, name), values_of(part.dataset, label), strict=True))
    return len({one for one, _ in both}) == len({other for _, other in both}) == len(both)


def _judges(part: SourcePart, name: str, content: str) -> bool:
    """Whether most rows are of inputs that come again with other values of a column: raters, and no groups of inputs."""
    if not isinstance(type_of(part.dataset, content), datasets.Value):
        return False
    pairs = list(zip(map(str, values_of(part.dataset, content)), map(str, values_of(part.dataset, name)), strict=True))
    rows = Counter(value for value, _ in pairs)
    by = Counter(value for value, _ in set(pairs))
    return sum(rows[value] for value, count in by.items() if count > 1 and count == rows[value]) > 0.5 * len(pairs)
