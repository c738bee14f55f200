"""What is told of the columns that are not used: each looks like something that somebody may have meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hf_ssl.data.annotations import (
    TRANSCRIPT_ALIASES,
    refuse_annotations,
    tell_outlines,
    tell_second_files,
    tell_transcripts,
)
from hf_ssl.data.column_doubles import refuse_judges
from hf_ssl.data.column_names import called_as_label, doubt_labels, tell_perhaps_labels, tell_second_texts, tell_twins
from hf_ssl.data.flags import tell_flags
from hf_ssl.data.group_names import like_groups, tell_perhaps_groups
from hf_ssl.data.report import DataReport
from hf_ssl.data.tags import refuse_tags_as_text

if TYPE_CHECKING:
    from hf_ssl.data.columns import ColumnSpec
    from hf_ssl.data.readers.folders import SourcePart
    from hf_ssl.modalities.base import Modality


def tell_unused(
    doubtful: Sequence[str],
    names: Mapping[str, str],
    spec: ColumnSpec,
    modality: Modality,
    part: SourcePart,
    report: DataReport,
) -> dict[str, bool]:
    """Warn about columns that look like labels, groups, marks of annotators, second texts, and are not used.

    Args:
        doubtful: columns that are not used, without those that the user leaves aside (`ignore_columns`).
        names: canonical name → column that is used.
        spec: what the user says about columns.
        modality: of the content.
        part: the rows.
        report: is warned.

    Returns:
        Columns that look like groups, and whether they tell rows apart just as the labels do.

    Raises:
        DataError: one is surely meant: a label where there is none, a tag for each word, what annotators refused.
    """
    doubtful = list(doubtful)
    content, label = names.get(modality.column), names.get("label")
    tell_flags(doubtful, part, report)
    refuse_annotations(doubtful, part)
    if part.split == "unlabeled":
        return {}
    if content and modality.name == "text" and "tokens" not in names:
        refuse_tags_as_text([*doubtful, *([label] if label and label != spec.label else [])], content, part)
    labeled = bool({"label", "tags"} & names.keys() or spec.labels)
    if not labeled:
        aside = [name for name in spec.ignore if name in part.dataset.column_names and called_as_label(name)]
        if aside:
            report.decide(
                f"{part.origin} is read without labels: ignore_columns leaves aside {', '.join(map(repr, aside))}"
            )
        several = refuse_judges(doubtful, part, report)
        doubt_labels(doubtful, part)
        tell_perhaps_labels([name for name in doubtful if name not in several], part, report)
        said = [name for name in doubtful if name in TRANSCRIPT_ALIASES and modality.decodes]
        tell_transcripts(said, part, report)
    if content and modality.name in ("image", "audio"):
        tell_second_files(doubtful, content, modality.name, part, report)
    if modality.name == "image":
        tell_outlines(doubtful, label or next(iter(spec.labels), None), part, report)
    if content and modality.name == "text" and not {"text_pair", "tokens"} & names.keys():
        tell_second_texts(doubtful, content, part, report)
    meant = (spec.input, spec.label)  # to the letter, so there is nothing to ask
    columns = {"input_column": content, "label_column": label}
    tell_twins(doubtful, {name: one for name, one in columns.items() if one not in meant}, report)
    if labeled and "group" not in names:
        tell_perhaps_groups(doubtful, part, report)
    return like_groups(doubtful, part, content, label, report)
