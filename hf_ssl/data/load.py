"""`load_data`: any source → canonical, checked, split and fingerprinted data, with a report of every decision."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Literal

import datasets

from hf_ssl.core import plugins
from hf_ssl.core.errors import DataError, nearest
from hf_ssl.data.assemble import Fractions, add_pool, check_labels, encode_and_sort, finish, finish_cut, split_off
from hf_ssl.data.columns import TAG_ALIASES, Canonicaliser, Wanted, transcript_column
from hf_ssl.data.decoded import decoded
from hf_ssl.data.domain import DomainData
from hf_ssl.data.leakage.guard import LeakCheck, drop_duplicates, guard, straddling_groups
from hf_ssl.data.readers.sheet import join_sheet
from hf_ssl.data.readers.sources import Part, Reading, describe_source, read_source
from hf_ssl.data.report import Ledger

MIN_DOCUMENTS = 5


def load_data(
    source: Any,
    modality: Any = "text",
    *,
    unlabeled: Any = None,
    validation: Any = None,
    test: Any = None,
    labels: Any = None,
    input_column: str | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    id_column: str | None = None,
    tokens_column: str | None = None,
    tags_column: str | None = None,
    keep_columns: Sequence[str] = (),
    label_kind: Literal["class", "multilabel", "regression", "tags", "mask", "identity", "transcript"] | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    dedup: bool = True,
    leakage: Literal["strip", "fail", "allow"] = "strip",
    near_duplicates: bool = True,
    near_threshold: float = 0.85,
    max_examples: int | None = None,
    txt: Literal["file", "lines"] = "file",
    folder_labels: bool | None = None,
    encoding: str = "utf-8-sig",
    csv_options: dict[str, Any] | None = None,
    conll_columns: tuple[int, int] | None = None,
    config_name: str | None = None,
    revision: str | None = None,
    streaming: bool = False,
    cache_dir: str | None = None,
    verbose: bool = True,
    **modality_options: Any,
) -> DomainData:
    """Turn any source into splits `unlabeled`, `train`, `validation`, `test` with canonical columns.

    Splits are taken from what the source says (folder, file or split names) and from `validation=`, `test=`,
    `unlabeled=`; what labeled data lack is split off, by class and by group. Rows without a label are the unlabeled
    pool; where there are none, the texts of train are. Equal rows are removed from the pool and from train, and so is
    every row of theirs that is also, exactly or nearly, in validation or test.

    Args:
        source: folder, file, pattern (`"data/**/*.csv"`) or list of files: csv, tsv, jsonl, json, parquet, CoNLL, and
            the modality's own, each also as `.gz`. Or a Hub id `owner/name` or `hf://name` (the only case that uses
            the network), a `datasets` object, a `pandas.DataFrame`, a dict of columns or of splits, an iterable of
            dicts or strings. Of a stream (iterable or `IterableDataset`) the first `max_examples` rows are taken,
            100,000 when that is not given.
        modality: name, `"package.module:Class"`, or a modality object.
        unlabeled, validation, test: further sources, each for that split.
        labels: table that labels files: a column of names (`file`, `path` ...) beside the label (and group) columns.
        input_column: column of the content; found by usual names when not given. `text_column` is the same option.
        text_pair_column: second text of a pair.
        label_column: column of the label (found when called label, labels, class, category or target).
        group_column: patient, author, site ...: no group is ever on two sides of a split.
        id_column: the user's own row ids; otherwise ids derive from the content.
        tokens_column, tags_column: words and their tags, for token classification.
        keep_columns: further columns to keep under their names; all others are left out.
        label_kind: `"class"`, `"multilabel"` (lists, or text such as `a|b`), `"regression"`, `"tags"`, `"mask"` (a picture
            of class numbers), `"identity"` (of a speaker: those of validation and test are never in train) or
            `"transcript"` (what is said).
        validation_fraction, test_fraction: parts of the labeled rows for a split that the source lacks; 0 makes none.
        seed: seed of splits and samples.
        dedup: remove repeated rows from the pool and train.
        leakage: `"strip"` removes leaks (never from test), `"fail"` stops, `"allow"` keeps them, loudly.
        near_duplicates, near_threshold: also look for content whose shingles have at least this Jaccard similarity.
        max_examples: rows of each part of the source (the first ones of a stream, else a random sample).
        txt: a text file is one example (`"file"`) or one per line (`"lines"`).
        folder_labels: True: folder names are classes; False: never; None: when they look like classes.
        encoding: encoding of text files; the default takes a byte order mark away.
        csv_options: for `pandas.read_csv`, such as `{"sep": ";"}`.
        conll_columns: numbers of the word's and the tag's column, counted from 0 or from the end (-1).
        config_name, revision, streaming: for a Hub dataset.
        cache_dir: where `datasets` keeps its Arrow files.
        verbose: print the report.
        modality_options: the modality's own options (`hf_ssl.modalities`), such as `sampling_rate=16000`.

    Returns:
        The splits, with `report`, `report_text()`, `save_report(path)`, `fingerprint`, `label_kind`, `label_names`.

    Raises:
        DataError: the data cannot be used as given; the message says what was found and what to type.

    Example:
        >>> data = load_data("reviews/", label_column="stars", group_column="author")
        >>> data["train"].features
    """
    ledger = Ledger()
    how = Reading(
        modality=_modality(modality, modality_options, encoding=encoding, txt=txt),
        ledger=ledger,
        label_kind=label_kind,
        txt=txt,
        encoding=encoding,
        folder_labels=folder_labels,
        sheet=labels is not None,
        csv_options=csv_options,
        conll_columns=conll_columns,
        max_examples=max_examples,
        seed=seed,
        config_name=config_name,
        revision=revision,
        streaming=streaming,
        cache_dir=cache_dir,
    )
    wanted = Wanted(
        input=_one_option(input_column, text_column),
        pair=text_pair_column,
        label=label_column,
        group=group_column,
        id=id_column,
        tokens=tokens_column,
        tags=tags_column,
        keep=tuple(keep_columns),
    )
    fractions = Fractions(validation_fraction, test_fraction, seed)
    check = LeakCheck(leakage, near_duplicates, near_threshold)

    parts = _read_all(source, {"unlabeled": unlabeled, "validation": validation, "test": test}, labels, how)
    parts = how.modality.prepare(parts, wanted, ledger)
    facts = {"source": describe_source(source), "leakage": leakage}
    cut = how.modality.split(parts, wanted, fractions, ledger)
    if cut is not None:
        data = finish_cut(cut, how, facts)
        if verbose:
            print(data.report_text())
        return data
    parts, wanted = decoded(parts, wanted, how)
    wanted = transcript_column(parts, wanted, how.label_kind)
    canonicalise = _canonicaliser(parts, wanted, how)
    splits, encoded = encode_and_sort([canonicalise(part) for part in parts], canonicalise, label_kind)
    has_pool = any(part.split == "unlabeled" for part in parts)
    splits = split_off(splits, encoded, fractions, dedup, ledger)
    splits = drop_duplicates(splits, dedup, ledger)
    splits = straddling_groups(splits, leakage, ledger)
    splits = guard(splits, canonicalise.values, how.modality, check, ledger)
    check_labels(encoded, splits, ledger)
    splits = add_pool(splits, canonicalise, has_pool)
    data = finish(splits, encoded, canonicalise, how, facts)
    if verbose:
        print(data.report_text())
    return data


def _one_option(input_column: str | None, text_column: str | None) -> str | None:
    if input_column and text_column and input_column != text_column:
        raise DataError(f"input_column={input_column!r} and text_column={text_column!r} are one option: give one.")
    return input_column or text_column


def _modality(modality: Any, own: dict[str, Any], **shared: Any) -> Any:
    """A modality object with its own options; shared reading options go to those that have them."""
    known: set[str] = set()
    if isinstance(modality, str):
        found = plugins.find("modalities", modality)
        known = {item.name for item in fields(found.Config)}
    unknown = [name for name in own if name not in known]
    if unknown:
        options = [*known, *inspect.signature(load_data).parameters]
        raise DataError(
            "; ".join(f"load_data has no option {name!r}.{nearest(name, options)}" for name in unknown)
            + ("" if isinstance(modality, str) else " Give its options to the modality object.")
        )
    if not isinstance(modality, str):
        return modality
    return found(found.Config(**{**{n: v for n, v in shared.items() if n in known}, **own}))


def _read_all(source: Any, extra: dict[str, Any], labels: Any, how: Reading) -> list[Part]:
    parts = read_source(source, how)
    if labels is not None:
        parts = _join_labels(parts, labels, how)
    for split, more in extra.items():
        if more is None:
            continue
        if any(part.split == split for part in parts) and split != "unlabeled":
            how.ledger.decide(f"{split}=... replaces the {split} split of the source")
            parts = [part for part in parts if part.split != split]
        parts += _read_extra(split, more, how)
    return parts


def _read_extra(split: str, source: Any, how: Reading) -> list[Part]:
    """A source given for one split. Its own split names count only when they are several."""
    kind, how.label_kind = how.label_kind, None if split == "unlabeled" else how.label_kind
    found = read_source(source, how)
    how.label_kind = kind
    if len({part.split for part in found}) > 1:
        usable = {split} if any(part.split == split for part in found) else {None, "train"}
        left_out = sorted({part.split for part in found if part.split and part.split not in usable})
        found = [part for part in found if part.split in usable]
        how.ledger.decide(f"{split}=... has several splits: {', '.join(left_out)} of it not used")
        if not found:
            raise DataError(f"{split}=... has the splits {', '.join(left_out)}; which one is meant? Give that one.")
    return [Part(split, part.dataset, f"{split}=...", part.root) for part in found]


def _join_labels(parts: list[Part], labels: Any, how: Reading) -> list[Part]:
    sheet_how = Reading(
        how.modality, how.ledger, encoding=how.encoding, csv_options=how.csv_options, cache_dir=how.cache_dir
    )
    sheets = read_source(labels, sheet_how)
    if len(sheets) != 1:
        raise DataError(f"labels=... must be one table, found {len(sheets)}.")
    # Joined as one, so that an entry may name a file of any split.
    sizes = [len(part.dataset) for part in parts]
    joined = join_sheet(datasets.concatenate_datasets([part.dataset for part in parts]), sheets[0].dataset, how.ledger)
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return [
        Part(part.split, joined.select(range(start, start + size)), part.origin, part.root)
        for part, start, size in zip(parts, starts, sizes, strict=True)
    ]


def _canonicaliser(parts: list[Part], wanted: Wanted, how: Reading) -> Canonicaliser:
    """Decide between one label per row and one tag per word."""
    asked = how.label_kind == "tags" or wanted.tokens is not None or wanted.tags is not None
    if asked and how.label_kind not in (None, "tags"):
        raise DataError(f"label_kind={how.label_kind!r} does not go with tokens_column or tags_column.")
    free = how.label_kind is None and wanted.label is None and wanted.input is None
    tagged = asked or (free and any(_has_words_and_tags(part, how.modality.column) for part in parts))
    if tagged and not asked:
        how.ledger.decide("columns of words and tags found: token classification")
    labeled = [part.dataset for part in parts if part.split != "unlabeled"]
    if tagged and wanted.group is None and labeled and all("document" in found.column_names for found in labeled):
        documents = {name for found in labeled for name in found["document"]}
        if len(documents) >= MIN_DOCUMENTS:
            how.ledger.decide(f"sentences of one document stay together ({len(documents):,} documents)")
            wanted = replace(wanted, group="document")
    return Canonicaliser(how.modality, wanted, how.ledger, tagged)


def _has_words_and_tags(part: Part, column: str) -> bool:
    there = set(part.dataset.column_names)
    return "tokens" in there and column not in there and bool(there.intersection(TAG_ALIASES))
