"""Names of columns: found whatever their case, and doubted where one that is not used looks like a label or a group."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import datasets

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.data.label_words import NO, YES
from hf_ssl.data.readers.folders import SourcePart
from hf_ssl.data.readers.levels import FOLDER_GROUP, FOLDER_LABEL
from hf_ssl.data.report import DataReport

LIKE_LABELS = {"sentiment", "stars", "rating", "y", "diagnosis", "dx", "emotion", "intent", "topic", "species", "outcome", "gold",
               "annotation", "score", "grade", "polarity", "genre", "toxic", "toxicity", "spam", "klass", "classes", "cls",
               "label_name", "class_name", "label_text", "category_name", "target_label", "class_id", "label_id"}  # fmt: skip
LIKE_GROUPS = {"group", "groups", "group_id", "patient", "patient_id", "patientid", "subject", "subject_id", "speaker", "speaker_id",
               "author", "author_id", "user", "user_id", "userid", "username", "participant", "participant_id", "recording_id",
               "site", "hospital", "session", "session_id", "household", "customer", "customer_id", "client_id", "donor",
               "donor_id", "writer", "writer_id", "case_id", "study_id"}  # fmt: skip


LABEL_WORDS = {"label", "labels", "class", "classes", "category", "sentiment", "target", "rating", "stars", "score", "spam", "toxic", "toxicity",
               "gold", "emotion", "intent", "topic", "diagnosis", "polarity", "genre", "outcome", "grade", "annotation", "duplicate",
               "entailment", "hate", "offensive", "sarcastic", "verdict", "stance"}  # fmt: skip
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
HARMLESS = {"lang", "language", "source", "country", "date", "year", "month", "day", "time", "id", "split", "url", "locale", "license", "domain",
            "version", "index", "length", "title", "path", "file", "fold", "region", "city", "platform", "device", "format", "type", "publisher",
            "publication", "timestamp", "gender", "age"}  # fmt: skip
"""Columns of few values that tell about a text and are no answer."""
SECOND_TEXTS = {
    "sentence2", "sentence_2", "text2", "text_2", "text_b", "hypothesis", "premise", "question2", "context", "answer", "aspect", "response",
    "query", "passage", "claim", "evidence", "sentence_b", "s2", "target_text", "second_text", "reply",
}  # fmt: skip
PAIRS = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("sentence_1", "sentence_2"), ("question1", "question2"), ("text_a", "text_b"),
         ("text1", "text2"), ("text_1", "text_2"), ("question", "answer"), ("question", "context"), ("query", "passage"), ("claim", "evidence"),
         ("sentence_a", "sentence_b"), ("sentence", "aspect"))  # fmt: skip
"""Columns that belong together: reading one alone answers another question."""
ANNOTATIONS = {
    "spans",
    "entities",
    "annotations",
    "ents",
    "relations",
    "accept",
    "choices",
    "shapes",
    "completions",
    "predictions",
}
ACCEPTED, REFUSED = (
    {"accept", "accepted", "ok", "approved", "valid"},
    {"reject", "rejected", "ignore", "ignored", "skip", "skipped", "invalid"},
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def words_of_name(name: str) -> list[str]:
    """`patientId`, `Speaker Name`, `label (final)` → their words in lower case."""
    return [word.lower() for word in re.split(r"[\W_]+", _CAMEL.sub(" ", name)) if word]


def called_as_label(name: str) -> bool:
    words = words_of_name(name)
    return plain_name(name) in LIKE_LABELS or len(words) <= 4 and not LABEL_WORDS.isdisjoint(words)


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


def pair_of(there: Sequence[str]) -> tuple[str, str] | None:
    """Two columns that hold the two texts of a pair, when there are such."""
    for one, two in PAIRS:
        if (first := named(one, there)) and (second := named(two, there)):
            return first, second
    return None


def named(name: str, there: Sequence[str]) -> str | None:
    """The column of this name: spelled exactly so, else the only one that differs in case, blanks and hyphens."""
    if name in there:
        return name
    found = [other for other in there if plain_name(other) == plain_name(name)]
    return found[0] if len(found) == 1 else None


def plain_name(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def structures(dataset: datasets.Dataset) -> dict[str, list[str]]:
    """Columns of structures, and the names in them."""
    return {name: list(feature) for name, feature in dataset.features.items() if isinstance(feature, dict)}


def refuse_structures(dataset: datasets.Dataset, name: str, part: SourcePart) -> None:
    """Labels that are structures: which of their values is meant?

    Raises:
        DataError: names them.
    """
    if inside := structures(dataset).get(name):
        named_ones = " or ".join(f"label_column={f'{name}.{key}'!r}" for key in inside[:5])
        kinds = {key: getattr(value, "dtype", "") for key, value in part.dataset.features[name].items()}
        bits = [f"{name}.{key}" for key, kind in kinds.items() if kind.startswith(("bool", "int", "uint", "float"))]
        several = f" All of them, one label each: label_columns={bits}." if len(bits) > 1 else ""
        raise DataError(
            f"Column {name!r} of {part.origin} holds structures, no labels. One of the values in them is named with a dot: {named_ones}."
            f"{several}"
        )


def _distinct(dataset: datasets.Dataset, column: str) -> int:
    """Different values of a column, of its first 20,000 rows; 0 for columns that hold no plain values."""
    if not isinstance(dataset.features[column], (datasets.Value, datasets.ClassLabel)):
        return 0
    return len({value for value in dataset[:20_000][column] if value is not None})


def _is_bits(dataset: datasets.Dataset, column: str) -> bool:
    """Whether a column holds nothing but yes and no, however they are written, and both (or marks, and nothing else)."""
    if not isinstance(dataset.features[column], datasets.Value):
        return False
    found = {str(value).strip().lower() for value in dataset[:20_000][column] if value is not None}
    found -= {"-1", "-1.0", ""}
    return bool(found & YES) and len(found) <= 2 and (len(found - YES) == 1 and found - YES <= NO or found == {"x"})


def doubt_labels(ignored: list[str], part: SourcePart) -> None:
    """Columns that are not used, but whose names and values say that they might have been meant.

    Raises:
        DataError: one looks like the label, and none was found.
    """
    size = len(part.dataset)
    bits = [name for name in ignored if _is_bits(part.dataset, name)]
    if len(bits) >= 2:
        raise DataError(
            f"{part.origin} has no label column, but {len(bits)} columns of 0 and 1 ({', '.join(bits[:5])}). If each is a label: "
            f"label_columns={bits}; if none is: ignore_columns={bits}."
        )
    for name in ignored:
        if called_as_label(name) and 2 <= _distinct(part.dataset, name) <= max(2, min(200, size // 2)):
            raise DataError(
                f"No column of {part.origin} is called label, but {name!r} looks like one ({_distinct(part.dataset, name)} values in "
                f"{size:,} rows). Give label_column={name!r}, or ignore_columns=[{name!r}] if it is none."
            )


def tell_second_labels(ignored: list[str], used: str, part: SourcePart, report: DataReport) -> None:
    """Columns beside the label that are called as labels are, and say something else: which was meant?"""
    size = len(part.dataset)
    for name in ignored:
        count = _distinct(part.dataset, name) if called_as_label(name) else 0
        if not 2 <= count <= max(2, min(200, size // 2)):
            continue
        head = part.dataset.select_columns(list(dict.fromkeys([used, name])))[:20_000]
        told = [
            (own, other) for own, other in zip(head[used], head[name], strict=True) if own is not None is not other
        ]
        ways = {(str(own), str(other)) for own, other in told}
        if not len(ways) == len({own for own, _ in ways}) == len({other for _, other in ways}):
            report.warn(
                f"{part.origin}: column {name!r} is not used, and is called as labels are ({count} values): took {used!r}; "
                f"label_column={name!r} takes it, ignore_columns=[{name!r}] says that {used!r} is meant"
            )


def refuse_verdicts(ignored: list[str], part: SourcePart) -> None:
    """What annotators rejected would be trained on.

    Raises:
        DataError: a column says `accept` and `reject`, and is not used.
    """
    for name in ignored:
        if plain_name(name) not in ("answer", "verdict", "status", "review", "decision") or not _distinct(
            part.dataset, name
        ):
            continue
        found = Counter(str(value).strip().lower() for value in part.dataset[name] if value is not None)
        accepted = [word for word in found if word in ACCEPTED]
        refused = sum(count for word, count in found.items() if word in REFUSED)
        if accepted and refused and set(found) <= ACCEPTED | REFUSED:
            raise DataError(
                f"{refused:,} of {len(part.dataset):,} rows of {part.origin} were not accepted (column "
                f"{name!r}: {', '.join(found)}). Leave them out of "
                f"the file, or ignore_columns=[{name!r}] if they are examples all the same."
            )


def refuse_annotations(ignored: list[str], part: SourcePart) -> None:
    """Spans and the like that annotation tools write beside a text, and that are not read.

    Raises:
        DataError: there are some.
    """
    for name in ignored:
        feature = part.dataset.features[name]
        if plain_name(name) in ANNOTATIONS and not isinstance(feature, (datasets.Value, datasets.ClassLabel)):
            raise DataError(
                f"Column {name!r} of {part.origin} holds annotations inside ({str(feature)[:60]}), which are "
                f"not read. For spans write words and tags: "
                f"columns tokens and tags; for classes a column of them. If they are not meant: ignore_columns=[{name!r}]."
            )


def tell_perhaps_labels(ignored: list[str], part: SourcePart, report: DataReport) -> None:
    """Columns of a table without a label that hold a few words again and again, whatever they are called."""
    size = len(part.dataset)
    for name in ignored:
        kind = getattr(part.dataset.features[name], "dtype", "")
        if kind not in ("string", "large_string") or not HARMLESS.isdisjoint(words_of_name(name)):
            continue
        if 2 <= _distinct(part.dataset, name) <= min(20, size // 5):
            values = sorted({str(value) for value in part.dataset[:2000][name] if value is not None})[:3]
            report.warn(
                f"{part.origin} has no label column; {name!r} holds the same few values again and again ({', '.join(values)} ...): "
                f"label_column={name!r} if they are labels, ignore_columns=[{name!r}] if not"
            )


def tell_second_texts(ignored: list[str], used: str, report: DataReport) -> None:
    """Columns that are not used and are called as the second text of a pair is."""
    for name in ignored:
        if plain_name(name) in SECOND_TEXTS and name != used:
            report.warn(
                f"column {name!r} is not used: only {used!r} is read. text_pair_column={name!r} reads both, "
                f"ignore_columns=[{name!r}] says that one is meant"
            )


def tell_twins(ignored: list[str], used: dict[str, str | None], report: DataReport) -> None:
    """Columns whose names differ from those that are used in case or blanks only; `used`: option → column."""
    for option, column in used.items():
        for name in ignored:
            if column is not None and plain_name(name) == plain_name(column):
                report.warn(
                    f"columns {column!r} and {name!r} differ in case or blanks only: took {column!r}; {option}={name!r} takes the other"
                )


def tell_perhaps_groups(ignored: list[str], part: SourcePart, report: DataReport) -> None:
    """Columns of ids, whatever they are called, each of which stands in several rows."""
    size = len(part.dataset)
    for name in ignored:
        kind = getattr(part.dataset.features[name], "dtype", "")
        if not (kind in ("string", "large_string") or kind.startswith(("int", "uint"))) or called_as_label(name):
            continue
        called = _called_as_id(name)
        if called_as_group(name) or not called and not HARMLESS.isdisjoint(words_of_name(name)):
            continue
        values = [str(value).strip() for value in part.dataset[:20_000][name] if value is not None]
        different = set(values)
        if not max(3, len(values) // 200) <= len(different) <= 0.6 * len(values) or len(values) < 0.5 * min(
            size, 20_000
        ):
            continue
        if all(map((_ANY_ID if called else _ID).fullmatch, different)) or _serial(different):
            report.warn(
                f"column {name!r} of {part.origin} looks like ids of which each stands in several rows "
                f"({len(different):,} in {len(values):,} rows, such as "
                f"{values[0]!r}): group_column={name!r} if rows of one belong together (a patient, a site), ignore_columns=[{name!r}] if they are "
                "independent"
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


def like_groups(ignored: list[str], part: SourcePart) -> list[str]:
    """Columns that look like groups: called so, and with values that repeat."""
    size = len(part.dataset)
    return [name for name in ignored if called_as_group(name) and 2 <= _distinct(part.dataset, name) <= 0.9 * size]


def made_up_names(count: int, column: str = "text") -> list[str]:
    return [column, "label", *(f"column_{place}" for place in range(2, count))][:count]


def existing(name: str, there: Sequence[str], option: str, part: SourcePart) -> str:
    """The column that an option names.

    Raises:
        DataError: there is none; the nearest one is named.
    """
    found = named(name, there)
    if found is not None:
        return found
    if name == FOLDER_GROUP:
        raise DataError(
            f"group_level names a folder above files, and {part.origin} are no files of rows: name a column, group_column=..."
        )
    if option == "group_column" and FOLDER_LABEL in there:
        raise DataError(
            f"group_column={name!r}: {part.origin} have no such column. If a folder above them is the group: group_level='first' (the outermost), "
            "'last', or its number from 1."
        )
    raise DataError(f"{option}={name!r}, but the columns of {part.origin} are {shown(there)}.{nearest(name, there)}")


def shown(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names[:30]) + (" ..." if len(names) > 30 else "")
