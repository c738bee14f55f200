"""Options that several stages share, by group: data, model, run, training, adapters. No torch import."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hf_ssl.core.errors import OldNameWarning
from hf_ssl.core.fields import Options, field_name, option

PeftMethod = Literal["full", "lora", "rslora", "dora", "qlora", "ia3", "oft", "linear-probe"]

# Old names of options, for one release: they work, with a warning. Plug-ins have theirs in `Config.renamed`.
RENAMED = {
    "rank": "lora_r", "alpha": "lora_alpha", "adapter_dropout": "lora_dropout", "ramp": "backbone_warmup_ratio",
    "decay": "lr_schedule", "keep": "keep_checkpoint", "patience": "early_stopping_patience", "licence": "license",
    "labels": "labels_file", "budgets": "labels_per_class", "per_class": "labels_per_class", "draws": "num_seeds",
}  # fmt: skip


def modern_names(
    given: Mapping[str, Any], known: Iterable[str], kinds: Iterable[type | None] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Options under the names of today: old ones work for one release, with a `FutureWarning`.

    Returns:
        the options, and what is wrong with their names.
    """
    table = dict(RENAMED)
    for kind in kinds:
        table |= getattr(kind, "renamed", {})
    names, values, problems = set(known), {}, []
    for raw, value in given.items():
        name = field_name(raw)
        new = table.get(name)
        if name not in names and new in names:
            warnings.warn(
                OldNameWarning(f"The option {name} is called {new} now; the old name will go."), stacklevel=3
            )
            name = str(new)
        if name in values:
            problems.append(f"{name}: given twice (once as {raw}).")
        values[name] = value
    return values, problems


SHARE = {"ge": 0, "le": 1}


@dataclass
class DataOptions(Options):
    """Where the data are and how to read them."""

    data: Any = option(None, "Folder, file, glob, Hub id, datasets object, DataFrame or iterable.")
    modality: str = option("text", "Kind of data: text, image, audio, timeseries (or package.module:Class).")
    unlabeled: Any = option(None, "Unlabeled pool, when it is not part of `data`.")
    validation: Any = option(None, "Validation data, when they are not part of `data`.")
    test: Any = option(None, "Test data, when they are not part of `data`.")
    labels_file: Any = option(None, "Spreadsheet that gives files their labels (a path or name column and a label).")
    input_column: str | None = option(None, "Column with the text (default: text, sentence, content ...).")
    text_pair_column: str | None = option(None, "Second text of a pair.")
    label_column: str | None = option(None, "Column with the label (default: label, labels, class ...).")
    tokens_column: str | None = option(None, "Column with the words of a sentence, for tags.")
    tags_column: str | None = option(None, "Column with one tag per word.")
    sentence_column: str | None = option(
        None, "Column with the sentence's number, in a table with one word per row (tokens_column, tags_column)."
    )
    tag_scheme: str | None = option(
        None, "Scheme of span tags: IOB2, IOB1, BIOES, BILOU, IO (default: found; all become IOB2); keep: leave them."
    )
    label_columns: list[str] = option([], "Columns of 0 and 1, one per label, for several labels per row.")
    yes_values: list[str] = option(
        [],
        "Words of label_columns that mean that a row has the label; all others mean that it has not (default: 1, yes, x and their like).",
    )
    label_separator: str | None = option(None, "Between several labels in one text (default: |).")
    fold_labels: bool | None = option(
        None,
        "Labels that differ in case, blanks, hyphens, marks around them, the spelling of a number or letters that look alike are one class "
        "(asked for when there are any); no: groups that do are several, too.",
    )
    na_values: list[str] = option([], "Words that mean a missing value, such as NA (default: nan and its like).")
    id_column: str | None = option(None, "Column with your own row ids (default: made from the content).")
    group_column: str | None = option(None, "Patient, author, site ...: a group never straddles two splits.")
    domain_column: str | None = option(None, "Column that says which domain a row is of: site, device, source ...")
    keep_columns: list[str] = option([], "Further columns to keep under their names.")
    ignore_columns: list[str] = option([], "Columns that look like labels or groups and are not to be used.")
    max_left_out: float = option(
        0.1,
        "Largest fraction of rows or of files that may be left out, whatever the reason; more is an error.",
        **SHARE,
    )
    label_kind: Literal["class", "multilabel", "regression", "tags", "mask", "identity", "transcript"] | None = option(
        None, "Kind of label (default: inferred; set it if it is ambiguous)."
    )
    validation_fraction: float = option(
        0.1, "Fraction of the labeled data kept for validation when there is none.", ge=0, lt=1
    )
    test_fraction: float = option(0.2, "Fraction of the labeled data kept for test when there is none.", ge=0, lt=1)
    leakage: Literal["strip", "fail", "allow"] = option(
        "strip", "What to do with pool or train rows that are also in validation or test."
    )
    near_duplicates: bool = option(True, "Look for near-duplicates too, not only exact copies.")
    near_threshold: float = option(0.85, "Jaccard similarity from which two inputs are near-duplicates.", gt=0, le=1)
    dedup: bool = option(True, "Remove repeated rows from the pool and from train.")
    max_examples: int | None = option(None, "At most this many rows of the source; needed for a stream.", ge=1)
    encoding: str = option("utf-8-sig", "Text encoding of the files.")
    txt: Literal["file", "lines"] = option("file", "A .txt file is one document, or one per line.")
    folder_labels: bool | None = option(None, "Folder names are classes (default: when they look like it).")
    folder_level: str | int | None = option(
        None, "Which folder is the class, of several above a file: first (outermost), last, or a number from 1."
    )
    group_level: str | int | None = option(
        None,
        "Which folder above a file is its group (patient, site): first, last, a number from 1 (outermost); file: none is.",
    )
    split_names: list[str] | None = option(
        None,
        "Words in names of folders and files, and in a column, that say the split (default: train, valid, test, unlabeled, pool ...); "
        "holdout=test, 0=train say what others mean.",
    )
    ignore_folders: list[str] = option(
        [], "Folders whose files are left away, by name or by path below the data folder (drafts, site2/raw)."
    )
    follow_links: bool | None = option(
        None, "Follow links that lead out of the data folder (asked for where they lead to folders)."
    )
    csv_options: dict[str, Any] | None = option(None, 'For pandas.read_csv, such as {"sep": ";"}.')
    conll_columns: list[int] | None = option(
        None, "Columns of word and tag in CoNLL files, from 0 or from the end (-1)."
    )
    data_config: str | None = option(None, "Configuration of a Hub dataset.")
    data_revision: str | None = option(None, "Commit, tag or branch of a Hub dataset.")
    streaming: bool = option(
        False,
        "Read the pool as it is needed, whatever its size, from files or the Hub (pretrain, with max_steps); with max_examples: take its "
        "first rows.",
    )
    shuffle_buffer: int | None = option(
        None,
        "Examples of a stream that are read and shuffled together (default: 1000 texts, 512 pictures, 64 sounds or series).",
        ge=2,
    )
    seed: int = option(0, "Seed of splits, masks, order and initialization.", ge=0)
    modality_options: dict[str, Any] = option({}, "The modality's own options; they may also be given by their names.")

    def problems(self) -> list[str]:
        found = super().problems()
        if self.conll_columns is not None and len(self.conll_columns) != 2:
            found.append(
                f"conll_columns: two columns are named, the word's and the tag's; found {self.conll_columns}."
            )
        if self.validation_fraction + self.test_fraction >= 1:
            found.append("validation_fraction: with test_fraction it leaves nothing to train on.")
        return found


@dataclass
class ModelOptions(Options):
    """Which checkpoint to start from."""

    model: str | None = option(None, "Checkpoint to start from: Hub id or local folder.")
    revision: str | None = option(None, "Commit, tag or branch of a Hub checkpoint.")
    dtype: Literal["float32", "bfloat16", "float16"] = option("float32", "Precision of the master weights.")


@dataclass
class RunOptions(Options):
    """Where results go, and whether to go on from an interrupted run."""

    output: str = option("runs/default", "Run folder.")
    resume: bool = option(False, "Go on from the last checkpoint of an interrupted run.")
    overwrite: bool = option(False, "Do the stage again although the folder holds another configuration's result.")


@dataclass
class TrainingOptions(RunOptions):
    """How a run that trains goes on after a fault."""

    elastic: bool = option(
        False, "Resume with another number of processes too: batches are accumulated so that a step stays as large."
    )
    auto_batch_size: bool = option(
        False, "Where memory runs out, go on with smaller batches, more of them to a step: the same training."
    )
    profile: bool = option(
        False,
        "Look at a few steps after the warm-up: a trace and a page that says where the time goes, in STAGE/profile.",
    )


@dataclass
class AttentionOptions(Options):
    """How attention over rows of different texts is computed."""

    attn_implementation: Literal[
        "auto", "varlen", "flex_attention", "sdpa", "eager", "flash_attention_2", "flash_attention_3"
    ] = option(
        "auto",
        "Attention: by the places of texts (varlen), by a mask (sdpa, eager, flex_attention), or by FlashAttention; auto: varlen on "
        "an NVIDIA GPU, a mask elsewhere.",
    )


@dataclass
class PaddingOptions(AttentionOptions):
    """Whether padding is computed."""

    padding_free: bool = option(
        False, "Leave padding out of the model: texts stand side by side, with the same answers (for texts)."
    )


@dataclass
class AdapterOptions(Options):
    """Parameter-efficient fine-tuning."""

    peft: PeftMethod = option("full", "Which parameters are trained: adapters, the head alone, or all.")
    lora_r: int = option(16, "Rank of the adapter.", ge=1)
    lora_alpha: int | None = option(None, "Scale of the adapter (default: twice the rank).", ge=1)
    lora_dropout: float = option(0.0, "Dropout in the adapter.", ge=0, lt=1)
    target_modules: list[str] | None = option(None, "Modules to adapt (default: found by inspecting the model).")
