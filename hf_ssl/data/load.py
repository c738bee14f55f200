"""`load_data`: any source → canonical, checked, split and fingerprinted data, with a report of every decision."""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import datasets

from hf_ssl.core import plugins
from hf_ssl.core.errors import DataError, nearest
from hf_ssl.core.option_groups import DataOptions, modern_names
from hf_ssl.core.parsing import coerce_fields
from hf_ssl.data.assemble import (
    Fractions,
    LabelRules,
    add_pool,
    check_labels,
    encode_and_sort,
    finish,
    finish_cut,
    names_in,
    split_off,
)
from hf_ssl.data.column_names import existing, in_full, named
from hf_ssl.data.columns import ROW, TAG_ALIASES, Canonicalizer, ColumnSpec, numbered, transcript_column
from hf_ssl.data.decoded import decoded
from hf_ssl.data.domain import DomainData
from hf_ssl.data.input_column import without_answers
from hf_ssl.data.label_kinds import kind_of
from hf_ssl.data.leakage.guard import LeakCheck, drop_duplicates, remove_leakage, straddling_groups
from hf_ssl.data.nested import opened
from hf_ssl.data.readers.files import FILE_CLASS
from hf_ssl.data.readers.folders import ReadOptions, SourcePart
from hf_ssl.data.readers.levels import group_named, with_prefixes
from hf_ssl.data.readers.sheet import join_sheet
from hf_ssl.data.readers.sources import describe_source, read_source
from hf_ssl.data.report import DataReport, render
from hf_ssl.data.split_column import by_split_column
from hf_ssl.data.tags import find_word_table, words_to_sentences

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality

logger = logging.getLogger(__name__)

MIN_DOCUMENTS = 5
ALIASES = {"text_column": "input_column", "config_name": "data_config", "revision": "data_revision"}  # of keywords


def load_data(
    source: object,
    options: DataOptions | str | Any = None,
    *,
    verbose: bool = True,
    cache_dir: str | None = None,
    **keywords: object,
) -> DomainData:
    """Turn any source into splits `unlabeled`, `train`, `validation`, `test` with canonical columns.

    Splits are taken from what the source says (folder, file or split names) and from `validation=`, `test=`,
    `unlabeled=`; what labeled data lack is split off, by class and by group. Rows without a label are the unlabeled
    pool; where there are none, the rows of train are. Equal rows are removed from the pool and from train, and so is
    every row of theirs that is also, exactly or nearly, in validation or test.

    What is read is right beyond doubt, or the report warns (count, example, option), or a `DataError` says which option
    decides; nothing is left out without an entry in the report's accounts.

    Args:
        source: folder, file, pattern (`"data/**/*.csv"`) or list of files: csv, tsv, jsonl, json, parquet, CoNLL, and
            the modality's own, each also as `.gz`. Or a Hub id `owner/name` or `hf://name` (the only case that uses
            the network), a `datasets` object, a `pandas.DataFrame`, a dict of columns or of splits, an iterable of
            dicts or strings. Of a stream the first `max_examples` rows are taken (100,000 when that is not given);
            `streaming=True` without it leaves the pool where it is: `data.stream` reads it as rows are needed.
        options: a `hf_ssl.core.option_groups.DataOptions` (or a stage's configuration, which is one), or what its `modality` says:
            a name, `"package.module:Class"`, or a modality object.
        verbose: False: neither the report nor its warnings are logged; they are in the result all the same.
        cache_dir: where `datasets` keeps its Arrow files.
        keywords: fields of `DataOptions` (`hf-ssl data --help` lists them), which win over `options`, and the modality's
            own options, such as `sampling_rate=16000`. `text_column` is `input_column`.

    Returns:
        The splits, with `report`, `report_text()`, `save_report(path)`, `fingerprint`, `label_kind`, `label_names`.

    Raises:
        DataError: the data cannot be used as given; the message says what was found and what to type.
        ConfigError: an option has a value that it cannot have.

    Example:
        >>> data = load_data("reviews/", label_column="stars", group_column="author")
        >>> data["train"].features
    """
    given, modality = _options(options, keywords)
    read = _load
    if given.streaming and given.max_examples is None:
        from hf_ssl.data.streaming import stream_data as read  # which reads what is labeled by this function
    data = read(source, given, modality, cache_dir)
    if verbose:
        _tell(data)
    return data


def _tell(data: DomainData) -> None:
    """The report where progress is shown, and its warnings as warnings, which a brief terminal gathers at the end."""
    logger.info(render({**data.report, "warnings": []}))
    for text, code in zip(data.report["warnings"], data.report["warning_codes"], strict=True):
        logger.warning("data: %s", text, extra={"code": code})


def load_rows(
    source: object, options: DataOptions | str | Any = None, *, future: object = None, verbose: bool = True, cache_dir: str | None = None,
    **keywords: object,
) -> DomainData:  # fmt: skip
    """Every usable row of a source in its own order, for a model to answer: nothing is split, compared or removed.

    Labels are not looked at. What cannot be read is entered in the report, as in `load_data`.

    Args:
        source: as in `load_data`, and so are `verbose`, `cache_dir` and `keywords`.
        options: as in `load_data`; those about splits, labels, groups and duplicates change nothing.
        future: a table of what is known of the steps to be forecast: times, series, `known_covariates`.

    Returns:
        One split, `rows`, with `id`, the content, `path` where there are files, and `ROW`: the number of the row in its table,
        from 0. With a `horizon` each row is a series with a future to be forecast.

    Raises:
        DataError, ConfigError: as `load_data`.
    """
    given, modality = _options(options, keywords)
    report = DataReport(given.max_left_out)
    how = read_options(given, modality, report, cache_dir)
    how.label_kind = given.label_kind if kind_of(given.label_kind).shapes_input else None
    spec = replace(_spec(given), label=None, group=None, labels=(), tags=None)
    parts = [part if part.split == "future" else replace(part, split="unlabeled")
             for part in _read_all(source, {"future": future}, None, how)]  # fmt: skip
    facts: dict[str, Any] = {"source": describe_source(source), "leakage": "allow", "duplicates": {}, "leaks": []}
    parts = how.modality.prepare(opened(parts, spec, how), spec, report)
    future = how.modality.future(parts, spec, report)
    if future is not None:
        data = finish_cut({"unlabeled": future}, how, facts)
    else:
        for part in parts:
            part.dataset = numbered(part.dataset)
        spec = replace(spec, keep=(*spec.keep, ROW))
        parts, spec = decoded(parts, spec, how, whole=how.label_kind == "transcript")
        parts = _sentences(parts, spec, given.sentence_column, how)
        for part in parts:  # words that became sentences have new numbers
            part.dataset = numbered(part.dataset)
        canonicalizer = _canonicalizer(parts, replace(spec, group=None), how)
        splits, _ = encode_and_sort([canonicalizer(part) for part in parts], canonicalizer, LabelRules())
        data = finish(splits, None, canonicalizer, how, facts)
    answered = DomainData({"rows": data["unlabeled"]}, data.report, data.modality_name, modality)
    if verbose:
        _tell(answered)
    return answered


def _load(source: object, given: DataOptions, modality: Modality, cache_dir: str | None) -> DomainData:
    report = DataReport(given.max_left_out)
    how = read_options(given, modality, report, cache_dir)
    spec = _spec(given)
    if spec.labels and given.label_kind not in (None, "multilabel"):
        raise DataError(
            f"label_columns are several labels per row; label_kind={given.label_kind!r} does not go with them."
        )
    fractions = Fractions(given.validation_fraction, given.test_fraction, given.seed)
    check = LeakCheck(given.leakage, given.near_duplicates, given.near_threshold)
    rules = LabelRules(
        "multilabel" if spec.labels else given.label_kind, given.label_separator, given.fold_labels, given.tag_scheme
    )
    extra = {"unlabeled": given.unlabeled, "validation": given.validation, "test": given.test}
    parts = _read_all(source, extra, given.labels_file, how)
    spec = in_full(spec, parts)
    parts = how.modality.prepare(opened(parts, spec, how), spec, report)
    parts = opened(parts, spec, how)
    facts = {"source": describe_source(source), "leakage": given.leakage}
    cut = how.modality.split(parts, spec, fractions, report)
    if cut is not None:
        return finish_cut(cut, how, facts)
    used = {spec.input, spec.label, spec.group, spec.id, spec.pair, *spec.labels, spec.domain}
    parts = by_split_column(parts, spec.ignore, used, how)
    parts, spec = decoded(parts, spec, how)
    spec = transcript_column(with_prefixes(parts, spec.label, how), spec, how.label_kind)
    parts = without_answers(_sentences(parts, spec, given.sentence_column, how), how.modality, spec.input, how)
    canonicalizer = _canonicalizer(parts, spec, how)
    splits, encoded = encode_and_sort([canonicalizer(part) for part in parts], canonicalizer, rules)
    known = names_in(encoded, splits)
    has_pool, unit = any(part.split == "unlabeled" for part in parts), canonicalizer.unit
    splits = split_off(splits, encoded, fractions, given.dedup, report, canonicalizer.like_groups, unit)
    splits = drop_duplicates(splits, given.dedup, report, unit)
    splits = straddling_groups(splits, given.leakage, report, unit)
    splits = remove_leakage(splits, canonicalizer.values, how.modality, check, report, unit)
    check_labels(encoded, splits, report, known)
    splits = add_pool(splits, canonicalizer, has_pool)
    return finish(splits, encoded, canonicalizer, how, facts)


def _spec(given: DataOptions) -> ColumnSpec:
    kept = [*given.keep_columns, *([given.domain_column] if given.domain_column else [])]
    return ColumnSpec(
        given.input_column, given.text_pair_column, given.label_column, group_named(given.group_column, given.group_level), given.id_column,
        given.tokens_column, given.tags_column, tuple(dict.fromkeys(kept)), tuple(given.label_columns),
        (*given.ignore_columns, *kept[len(given.keep_columns):]), tuple(given.na_values), given.domain_column, given.fold_labels,
        tuple(given.yes_values),
    )  # fmt: skip


def _options(options: Any, keywords: dict[str, Any]) -> tuple[DataOptions, Any]:
    """The options as one dataclass, and the modality as an object.

    Raises:
        DataError: an option is unknown, or given twice.
        ConfigError: a value is of the wrong type.
    """
    known = {item.name for item in fields(DataOptions)}
    base: dict[str, Any] = {}
    if isinstance(options, DataOptions):
        base = {name: getattr(options, name) for name in known}
    elif options is not None:
        if "modality" in keywords:
            raise DataError("modality is given twice.")
        base = {"modality": options}
    keywords, twice = modern_names(keywords, known)
    if twice:
        raise DataError("; ".join(twice))
    for alias, name in ALIASES.items():
        if alias in keywords:
            value = keywords.pop(alias)
            if value is not None and keywords.get(name) not in (None, value):
                raise DataError(f"{name}={keywords[name]!r} and {alias}={value!r} are one option: give one.")
            if value is not None:
                keywords[name] = value
    shared = {name: value for name, value in keywords.items() if name in known}
    own = {name: value for name, value in keywords.items() if name not in known}
    values = {**base, **shared}
    modality = values.pop("modality", "text")
    own = {**(values.get("modality_options") or {}), **own}
    given = DataOptions(**coerce_fields(DataOptions, values))
    return given, _modality(modality, own, given)


def _modality(modality: Modality | str, own: dict[str, Any], given: DataOptions) -> Modality:
    """A modality object with its own options; shared reading options go to those that have them."""
    if not isinstance(modality, str):
        if own:
            name = next(iter(own))
            raise DataError(
                f"load_data has no option {name!r}.{nearest(name, [item.name for item in fields(DataOptions)])} Give its options to "
                "the modality object."
            )
        return modality
    found = plugins.find("modalities", modality)
    known = {item.name for item in fields(found.Config)}
    own, twice = modern_names(own, known, [found.Config])
    if twice:
        raise DataError("; ".join(twice))
    unknown = [name for name in own if name not in known]
    if unknown:
        options = [*known, *(item.name for item in fields(DataOptions))]
        raise DataError("; ".join(f"load_data has no option {name!r}.{nearest(name, options)}" for name in unknown))
    shared: dict[str, Any] = {name: getattr(given, name) for name in ("encoding", "txt") if name in known}
    return found(found.Config(**coerce_fields(found.Config, {**shared, **own})))


def read_options(given: DataOptions, modality: Modality, report: DataReport, cache_dir: str | None) -> ReadOptions:
    return ReadOptions(
        modality, report, cache_dir=cache_dir, sheet=given.labels_file is not None,
        conll_columns=(given.conll_columns[0], given.conll_columns[1]) if given.conll_columns is not None else None,
        group_level=given.group_level or ("file" if given.group_column else None),
        labeled=bool(given.label_column or given.label_columns or given.label_kind),
        by_file=FILE_CLASS in (given.label_column, given.group_column),
        **{name: getattr(given, name) for name in (
            "label_kind", "txt", "encoding", "folder_labels", "csv_options", "max_examples", "seed", "data_config", "data_revision",
            "streaming", "split_names", "follow_links", "folder_level", "ignore_folders",
        )},
    )  # fmt: skip


def _read_all(source: object, extra: dict[str, Any], labels: object, how: ReadOptions) -> list[SourcePart]:
    parts = read_source(source, how)
    if labels is not None:
        parts = _join_labels(parts, labels, how)
    for split, more in extra.items():
        if more is None:
            continue
        if any(part.split == split for part in parts) and split != "unlabeled":
            gone = sum(len(part.dataset) for part in parts if part.split == split)
            how.report.warn(f"{split}=... replaces the {split} split of the source ({gone:,} rows)")
            how.report.leave_out(
                "rows", f"of the source's {split}, which {split}=... replaces", gone, gone, warn=False
            )
            parts = [part for part in parts if part.split != split]
        parts += _read_extra(split, more, how)
    return parts


def _read_extra(split: str, source: object, how: ReadOptions) -> list[SourcePart]:
    """A source given for one split. Its own split names count only when they are several."""
    kind, how.label_kind = how.label_kind, None if split == "unlabeled" else how.label_kind
    found = read_source(source, how)
    how.label_kind = kind
    if len({part.split for part in found}) > 1:
        usable = {split} if any(part.split == split for part in found) else {None, "train"}
        left_out = sorted({part.split for part in found if part.split and part.split not in usable})
        gone = sum(len(part.dataset) for part in found if part.split not in usable)
        found = [part for part in found if part.split in usable]
        how.report.warn(f"{split}=... has several splits: {', '.join(left_out)} of it not used ({gone:,} rows)")
        how.report.leave_out("rows", f"of another split in {split}=...", gone, gone, warn=False)
        if not found:
            raise DataError(f"{split}=... has the splits {', '.join(left_out)}; which one is meant? Give that one.")
    return [replace(part, split=split, origin=f"{split}=...") for part in found]


def _join_labels(parts: list[SourcePart], labels: object, how: ReadOptions) -> list[SourcePart]:
    own = DataReport(how.report.max_left_out)  # the sheet's rows are no examples
    sheets = read_source(labels, replace(how, report=own, sheet=False, max_examples=None, streaming=False, as_is=True))
    for text in own.warnings:
        how.report.warn(f"labels_file=...: {text}")
    if len(sheets) != 1:
        raise DataError(f"labels_file=... must be one table, found {len(sheets)}.")
    # Joined as one, so that an entry may name a file of any split.
    sizes = [len(part.dataset) for part in parts]
    joined = join_sheet(datasets.concatenate_datasets([part.dataset for part in parts]), sheets[0].dataset, how.report)
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return [
        replace(part, dataset=joined.select(range(start, start + size)))
        for part, start, size in zip(parts, starts, sizes, strict=True)
    ]


def _sentences(parts: list[SourcePart], spec: ColumnSpec, sentence: str | None, how: ReadOptions) -> list[SourcePart]:
    """Tables with one word per row become rows of sentences, where tags are asked for."""
    if how.label_kind != "tags" and sentence is None:
        return parts
    done = []
    for part in parts:
        there, dataset = part.dataset.column_names, part.dataset
        found = find_word_table(there)
        if sentence is not None:
            words = spec.tokens or next(
                (name for alias in ("token", "word", "tokens", "words") if (name := named(alias, there))), None
            )
            tags = spec.tags or next(
                (name for alias in ("tag", "tags", "ner_tag", "ner") if (name := named(alias, there))), None
            )
            if words is None or tags is None:
                raise DataError(
                    f"sentence_column={sentence!r} needs tokens_column and tags_column too; there are {', '.join(there)}."
                )
            found = (
                existing(sentence, there, "sentence_column", part), existing(words, there, "tokens_column", part),
                existing(tags, there, "tags_column", part))  # fmt: skip
        elif found is not None and (spec.tokens or spec.tags):
            found = (found[0], spec.tokens or found[1], spec.tags or found[2])
        plain = found is not None and all(
            isinstance(dataset.features.get(name), datasets.Value) for name in found[1:] if name in there
        )
        if found is None or not plain:
            done.append(part)
            continue
        before = len(dataset)
        made = words_to_sentences(dataset, *found, how.report, spec.ignore)
        how.report.warn(
            f"{part.origin}: {before:,} rows of one word each are {len(made):,} sentences, by column {found[0]!r}"
        )
        account = how.report.account("words")
        account.found, account.used = account.found + before, account.used + sum(len(row) for row in made["tokens"])
        account.left_out["no word or no tag"] += before - sum(len(row) for row in made["tokens"])
        how.report.account("rows").found += len(made) - before
        done.append(replace(part, dataset=made))
    return done


def _canonicalizer(parts: list[SourcePart], spec: ColumnSpec, how: ReadOptions) -> Canonicalizer:
    """Decide between one label per row and one tag per word."""
    asked = how.label_kind == "tags" or spec.tokens is not None or spec.tags is not None
    if asked and how.label_kind not in (None, "tags"):
        raise DataError(f"label_kind={how.label_kind!r} does not go with tokens_column or tags_column.")
    free = how.label_kind is None and spec.label is None and spec.input is None and not spec.labels
    tagged = asked or (free and any(_has_words_and_tags(part, how.modality.column) for part in parts))
    if tagged and not asked:
        how.report.decide("columns of words and tags found: token classification")
    if tagged and any("tokens" in part.dataset.column_names for part in parts):
        there = parts[0].dataset.column_names
        tokens, tags = (name if name and named(name, there) else None for name in (spec.tokens, spec.tags))
        spec = replace(spec, tokens=tokens, tags=tags)
    labeled = [part.dataset for part in parts if part.split != "unlabeled"]
    if tagged and spec.group is None and labeled and all("document" in found.column_names for found in labeled):
        documents = {name for found in labeled for name in found["document"]}
        if len(documents) >= MIN_DOCUMENTS:
            how.report.decide(f"sentences of one document stay together ({len(documents):,} documents)")
            spec = replace(spec, group="document")
    return Canonicalizer(how.modality, spec, how.report, tagged, how.report.unit)


def _has_words_and_tags(part: SourcePart, column: str) -> bool:
    there = set(part.dataset.column_names)
    return "tokens" in there and column not in there and bool(there.intersection(TAG_ALIASES))
