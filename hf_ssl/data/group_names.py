"""Columns that say which rows belong together (patients, authors, sites): known by their names, or told by their values."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.core.one_column import type_of, values_of
from hf_ssl.data.column_doubles import judged_anew, repeats_labels
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
               "dialog", "chat", "proband", "mouse", "herd", "flock", "litter", "clip", "operator", "doctor", "physician", "radiologist",
               "technician",
               "technologist", "nurse", "surgeon", "pathologist", "clinician", "sonographer", "therapist", "examiner", "inspector", "interviewer",
               "interviewee", "coder", "labeler", "labeller", "observer", "surveyor", "analyst", "photographer", "transcriber", "transcriptionist",
               "driver", "teacher", "tester", "reader", "clinic", "ward", "lab", "laboratory", "farm", "scanner"}  # fmt: skip
"""Words for those (or that) of which a table has several rows."""
KINDS_OF = {"category", "subcategory", "class", "subclass", "subtype", "kind", "level", "size", "color", "colour", "section", "stage", "style", "icd",
            "icd9", "icd10", "topic1", "topic2", "coarse", "fine", "road", "subject_area", "subtopic", "subgroup", "dosage", "dose"}  # fmt: skip
"""Words for what a row is of, which say nothing of which belong together."""
_GROUP_STEM = re.compile(
    r"(patient|pazient|pacient|paciente|proband|subject|subjekt|sujet|sujeto|soggett|speaker|sprecher|locuteur|kunde|customer|client|klient|klant|cliente"
    r"|teilnehmer|participant|versuchsperson|spender|donneur|autor|auteur|verfasser|benutzer|nutzer|usuari|utilisateur|utente|schuler|eleve|schueler|haushalt"
    r"|dossier|mitarbeiter|hablante|bearbeiter|arzt|arztin|prufer|bediener|fahrer|medecin|medico|operateur|operador|operatore|technicien|tecnico|techniker"
    r"|infirmier|radiologue|radiologo|radiologe|untersucher|befunder|pathologe|anotador|annotateur)(i?nn?en|in|en|n|s|es|e|a|o|i|os|as)?(id|nr|no|num|nummer|number|code|kode|key|schlussel|numero|kennung)?"
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
    "instance",
    "series",
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
        r"(source|recording|orig(inal)?|parent)_?(file|video|image|img|text|scan|photo)(_?(name|id))?"
        r"|(?:record|annotat|label|labell|scann|creat|report|rat|cod|review|transcrib|read|examin|perform|acquir|enter|collect|captur|evaluat|assess|inspect)ed_by"
        r"|(?:taken|made|written|drawn|read)_by|(crop|cropped|patch|tile|slice|copy|part|augmented|frame|derived)_?(of|from)",
        "_".join(words_of_name(name)),
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
    known = (
        not GROUP_WORDS.isdisjoint(first)
        and set(first) <= GROUP_WORDS | GROUP_REST
        and (len(words) > 1 or first[0] != "device")
    )
    return known or "." in name and called_as_group(name.partition(".")[2])


def _ascii(name: str) -> str:
    return unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()


def tell_perhaps_groups(ignored: list[str], part: SourcePart, report: DataReport) -> None:
    """Columns of ids, whatever they are called, each of which stands in several rows."""
    size = len(part.dataset)
    for name in ignored:
        kind = getattr(type_of(part.dataset, name), "dtype", "")
        if not (kind in ("string", "large_string") or kind.startswith(("int", "uint"))) or called_as_label(name):
            continue
        called, harmless = _called_as_id(name), not HARMLESS.isdisjoint(words_of_name(name))
        if called_as_group(name) or not KINDS_OF.isdisjoint(words_of_name(name)):
            continue
        values = [str(value).strip() for value in values_of(part.dataset, name, 20_000) if value is not None]
        different = set(values)
        least = 2 if name == PREFIX else 3
        most = (0.95 if name == PREFIX else 0.6) * len(values)
        if not max(least, len(values) // 200) <= len(different) <= most or len(values) < 0.5 * min(size, 20_000):
            continue
        files = all(map(_FILE_OR_PAGE.fullmatch, different))
        if harmless and not called and not files:
            continue
        if (
            name == PREFIX
            or files
            or all(map((_ANY_ID if called else _ID).fullmatch, different))
            or _serial(different)
        ):
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
    """Of every file what its name says of patients, speakers, cameras (`cam2_0013.png` → `cam2`), or what it is a copy of
    (`cat/7_flip.png` → `cat/7`); None: names say no such thing.

    Args:
        paths: of files.
        folders: their classes; where each has a prefix of its own, that is the class once more.
    """
    names = [re.split(r"[\\/]", path)[-1] for path in paths]
    words = (
        dict.fromkeys(one[1].lower() for one in _TOKEN.finditer(names[0]) if _says_group(one[1].lower()))
        if names
        else {}
    )
    ways: list[Callable[[str], str | None]] = [
        *(functools.partial(_said, word=word) for word in words),
        _slide,
        _person,
        _source,
    ]
    for way in ways:
        found = [said for name in names if (said := way(name)) is not None]
        pairs = set(zip(found, folders, strict=False))
        classes_again = len(pairs) == len(set(found)) == len(set(folders))
        if len(found) == len(names) and 2 <= len(set(found)) <= 0.5 * len(found) and not classes_again:
            return found
    stems = [(folder, name.rpartition(".")[0]) for folder, name in zip(folders, names, strict=True)]
    originals, plain = [(folder, _AUGMENTED.sub("", stem)) for folder, stem in stems], set(stems)
    copies = sum(original in plain and original != own for original, own in zip(originals, stems, strict=True))
    if copies < 3 or copies < 0.05 * len(names):
        return None
    return [stem if folder is None else f"{folder}/{stem}" for folder, stem in originals]


def _said(name: str, word: str) -> str | None:
    """`cam2` of `cam2_0013.png`, for the word `cam`."""
    said = next((one[0] for one in _TOKEN.finditer(name) if one[1].lower() == word), None)
    return None if said == name.split(".")[0] else said  # `s07.wav` is the number of the file


def _slide(name: str) -> str | None:
    """`TCGA-AA-0001` of `TCGA-AA-0001_256_512.png`: a slide with a number, and where in it a tile lies."""
    found = _TILE.match(name)
    return found[1] if found else None


def _person(name: str) -> str | None:
    """`100` of `100_left.png` and of `100_right.png`: one of two eyes, hands, breasts."""
    found = _SIDE.match(name)
    return found[1] if found else None


def _source(name: str) -> str | None:
    """`vid0` of `vid0_frame0003.png`: what frames, crops and parts are of."""
    found = _PIECE_OF.match(name)
    return found[1] if found else None


_PIECE_OF = re.compile(
    r"(.*\d.*?)[-_ .](?:frame|frm|crop|part|seg(?:ment)?|tile|patch|slice|chunk|clip|snippet|roi|cutout|nohash|teil|abschnitt)[-_ ]?\d+\.\w+$",
    re.IGNORECASE,
)
_TILE = re.compile(
    r"(?=.*[A-Za-z].*[-_ ]\d+[-_ ])(?!(?:\D*)(?:19|20)\d\d[-_ ]\d\d[-_ ])(.*\d.*?)[-_ ](?:[xX]?\d+[-_ ][yY]?\d+)(?:[-_]\d)?\.\w+$"
)
_SIDE = re.compile(r"(.*\d[^-_ ]*)[-_ ](?:left|right|[lr]|o[sd])(?:[-_ ][^-_ ]{1,4})?\.\w+$", re.IGNORECASE)
_MADE = (
    r"(?:[hv]?flip(?:ped|lr|ud|_?[hv])?|rot(?:ate|ated|ation)?[-_]?\d*|aug(?:mented|mentation)?[-_]?\d*|noise|noisy|blur(?:red)?"
    r"|bright(?:ness|er)?|dark(?:er)?|contrast|zoom(?:ed)?|shift(?:ed)?|shear(?:ed)?|mirror(?:ed)?|jitter(?:ed)?|crop(?:ped)?[-_]?\d*"
    r"|(?:copy|copia|copie|kopie)[-_ ]?(?:\d*|\(\d+\))|pitch(?:ed)?[-_]?\d*|stretch(?:ed)?[-_]?\d*|speed[-_]?[\d.]+"
    r"|th|thumb(?:nail)?s?|small|preview|mini|low[-_]?res|resized?|scaled|compressed|edit(?:ed)?|enhanced|sharpened|denoised|filtered|normali[sz]ed"
    r"|overlays?|annotated|marked|heat[-_]?map|grad[-_]?cam|\d{2,4}x\d{2,4})"
)
_AUGMENTED = re.compile(
    rf"(?: ?[-_ ] ?{_MADE})+$|(?<=\w) \(\d\)$|@[23]x$|^(?:(?:copy of|kopie von|copie de|copia de) |{_MADE}[-_ ])",
    re.IGNORECASE,
)
"""What stands behind the name of a picture or a recording, or before it, in the names of copies that were made of it."""


def _says_group(word: str) -> bool:
    return (
        word in _INITIALS
        or word in _DEVICES
        or word not in ("file", "image", "document", "text")
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
_FILE_OR_PAGE = re.compile(
    r"https?://\S+/\S+|[^\s@]+@[^\s@]+\.\w+|.{1,200}\.(?:pdf|docx?|txt|html?|xml|mp4|avi|mov|mkv|wav|mp3|svs|tiff?|dcm|nii|png|jpe?g)"
)
"""Documents, recordings, pages and addresses of which a row is a part."""


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
        name
        for name in ignored
        if called_as_group(name)
        and 2 <= distinct_values(part.dataset, name) <= 0.9 * size
        and not (
            label is not None and (judged_anew(part.dataset, label, name) or repeats_labels(part.dataset, label, name))
        )
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


def refuse_other_groups(groups: Sequence[str] | None, others: Mapping[str, bool], lacking: Sequence[str]) -> None:
    """Columns that look like groups, where parts are to be split off and none is given, or one of too few groups.

    Args:
        groups: of every labeled row; None: no column is given.
        others: columns that look like groups, and whether each tells rows apart just as the labels do.
        lacking: parts that are to be split off.

    Raises:
        DataError: names a column, and the option that takes it.
    """
    if not others or groups is not None and len(set(groups)) > len(lacking):
        return
    if groups is not None:
        ways = " or ".join(f"group_column={name!r}" for name in others)
        raise DataError(
            f"{' and '.join(lacking)} cannot be split off: rows are of {len(set(groups))} groups, and each part needs one of its own. Another "
            f"column looks like a group: {ways}; or give {lacking[0]}=..., or set {lacking[0]}_fraction=0."
        )
    name, is_class = min(others.items(), key=lambda one: one[1])  # rather one that is not the classes once more
    if is_class:
        raise DataError(
            f"Column {name!r} looks like a group (patient, author, site ...), and tells rows apart just as the labels do: no group could be "
            f"on one side of a split. Which is the label? label_column=...; or ignore_columns=[{name!r}] if rows are independent."
        )
    raise DataError(
        f"Column {name!r} looks like a group (patient, author, site ...) whose rows should not be on two sides of a split. Give "
        f"group_column={name!r}, or ignore_columns=[{name!r}] if rows are independent."
    )


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
