"""What a kind of data must know: how to read it, what makes two values the same, and which encoder loads its models."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import Options
from hf_ssl.modalities.cheap import CheapFeatures, Computed

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedConfig

    from hf_ssl.data.assemble import Fractions
    from hf_ssl.data.columns import ColumnSpec
    from hf_ssl.modalities.encoder import Encoder, Processor
    from hf_ssl.models.pooling import Pooling
    from hf_ssl.models.reference import CheckpointRef


class Notes(Protocol):
    """Where a reader says what it chose, left out, and what the user should not overlook (`hf_ssl.data.report.DataReport`)."""

    facts: dict[str, Any]
    dropped: Counter[str]
    max_left_out: float
    unit: str

    def decide(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def leave_out(
        self, unit: str, reason: str, count: int, total: int, *, example: str = "", hint: str = "", warn: bool = True, floor: int = 1,
        within: str = "",
    ) -> None: ...  # fmt: skip

    def account(self, unit: str) -> Any: ...


class Modality(ABC):
    """Base class of `text`, `image`, `audio`, `timeseries` and of your own kind of data.

    A subclass is one folder beside this file. It is used by `hf_ssl.data` and needs no torch: what meets the model is its
    encoder (`encoder_class`, `hf_ssl.modalities.encoder`).

    Attributes:
        name: what users type.
        column: canonical input column of the `DatasetDict`.
        aliases: input column names that are recognized, the first match wins.
        suffixes: raw files of this kind (tables such as CSV are generic and read by `hf_ssl.data`).
        default_objective: the self-supervised objective used when none is named.
        processor: which processor a checkpoint of this kind brings: `"text"`, `"image"`, `"audio"` or None (no
            processor, as for time series).
        labeled_class: transformers class for one answer per example, such as `AutoModelForImageClassification`.
        pipeline_tag: the transformers pipeline that serves such a model, if there is one.
        feature_pipeline: the one that serves a backbone without a head.
        learning_rate: that of full fine-tuning; adapters take a multiple of it.
        baseline: name of the cheap baseline in a comparison (`baseline_features`), or None.
        containers: suffixes among `suffixes` whose files hold many examples, so that their own name may say the split.
        near_bits: near-duplicates are found by `signature`, as those that differ in at most so many bits; None: by
            `shingles`.
        decodes: its values are made from files or bytes by `decode`; otherwise the input column is used as it is.
        file_column: column that says which of several tables a row is of, where that may matter (None: it does not).
        block: examples of a stream that are read, shuffled and kept in memory together.
        moments: a table without lists holds one long series, a moment per line.
        tables_name_files: a table beside raw files lists them (path, label …), so the table is what is read.
        Config: dataclass of its own options; they are options of every stage and of `load_data`.

    Args:
        config: an instance of `Config`.
    """

    name: ClassVar[str]
    column: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]]
    suffixes: ClassVar[tuple[str, ...]]
    default_objective: ClassVar[str]
    processor: ClassVar[str | None] = None
    labeled_class: ClassVar[str | None] = None
    pipeline_tag: ClassVar[str | None] = None
    feature_pipeline: ClassVar[str | None] = None
    baseline: ClassVar[str | None] = None
    learning_rate: ClassVar[float] = 2e-5
    containers: ClassVar[tuple[str, ...]] = ()
    near_bits: ClassVar[int | None] = None
    decodes: ClassVar[bool] = False
    tables_name_files: ClassVar[bool] = False
    root_option: ClassVar[str | None] = None
    block: ClassVar[int] = 1000
    moments: ClassVar[bool] = False
    file_column: ClassVar[str | None] = None

    @dataclass
    class Config(Options):
        """This kind of data has no options of its own."""

    @classmethod
    def default_task(cls, options: dict[str, Any]) -> str:
        """The task whose options are meant when none is named (the labels decide which one it is)."""
        return "classification"

    config: Any

    def __init__(self, config: object | None = None) -> None:
        self.config = config if config is not None else self.Config()
        self._pending: list[str] = []
        self.consumed: set[str] = set()  # columns that `decode` has made use of

    def lacks(self, method: str, purpose: str) -> ConfigError:
        return ConfigError(f"{type(self).__name__} has no {method}, which it needs for {purpose}.")

    # -- data side --------------------------------------------------------------------------------------------------

    def read_files(self, files: list[Path], root: Path, quarantine: list[dict[str, str]]) -> datasets.Dataset:
        """Read raw files into a dataset with `column` and `path` (relative to `root`).

        A file that cannot be read is appended to `quarantine` as `{"path", "reason"}`, never silently dropped.
        """
        raise self.lacks("read_files", "its own kind of raw files (suffixes)")

    def stream_file(self, file: Path, root: Path) -> Iterator[dict[str, Any]]:
        """Rows of one raw file for a stream, looked at no further than its rows need; an unusable one gives None for the value."""
        bad: list[dict[str, str]] = []
        yield from self.read_files([file], root, bad)
        if bad:
            yield {self.column: None, "path": bad[0]["path"]}

    def streaming(self) -> Modality:
        """The same kind of data for a stream, which cannot afford to look at every value twice or to remember it."""
        return self

    def open_values(self, rows: datasets.Dataset) -> None:
        """Open the files that decoded values lie in, so that these may be deleted and the values still read."""
        return

    def recognizes(self, file: Path) -> bool:
        """Whether a file that looks like a table, or like nothing known, is a raw file of this kind all the same."""
        return False

    @property
    def paths_begin(self) -> str | None:
        """Folder that paths in tables start from, where the user says it; None: that of the table, or of the data."""
        return getattr(self.config, self.root_option) if self.root_option else None

    def answers_among(self, files: list[Path], root: Path) -> tuple[bool, str] | None:
        """What to tell where some raw files are answers to others, as masks are to pictures, and whether folders tell them apart."""
        return None

    def take_notes(self) -> list[str]:
        """What `read_files` has to tell the user since the last call (each becomes a warning)."""
        self._pending, notes = [], self._pending
        return notes

    def hint(self, reason: str) -> str:
        """The option that keeps values which are left out for this reason; empty when there is none."""
        return ""

    def prepare(self, parts: list[Any], spec: ColumnSpec, report: Notes) -> list[Any]:
        """Bring what was read into the form of one row per example, before columns are looked for.

        Args:
            parts: `hf_ssl.data.readers.folders.SourcePart`s.
            spec: column names that the user gave (`hf_ssl.data.columns.ColumnSpec`).
            report: gets what was decided.
        """
        return parts

    def split(
        self, parts: list[Any], spec: ColumnSpec, fractions: Fractions, report: Notes
    ) -> dict[str, datasets.Dataset] | None:
        """All splits, where they cannot be made by rows (series are cut in time); None: rows are independent examples.

        Arguments as for `prepare`; `fractions` has `validation`, `test` and `seed`.
        """
        return None

    def future(self, parts: list[Any], spec: ColumnSpec, report: Notes) -> datasets.Dataset | None:
        """Rows whose future is not known yet and is to be forecast; None: rows are independent examples.

        Arguments as for `prepare`.
        """
        return None

    def fingerprint(self, splits: dict[str, datasets.Dataset]) -> str:
        """Hash of the content of splits that `split` made."""
        digest = hashlib.sha256()
        for name in sorted(splits):
            digest.update(f"\n{name} {len(splits[name])}".encode())
            for value in splits[name][self.column]:
                digest.update(self.content_key(value).encode())
        return digest.hexdigest()[:32]

    def hold_out(
        self, pool: datasets.Dataset, fraction: float, seed: int
    ) -> tuple[datasets.Dataset, datasets.Dataset] | None:
        """The pool to train on and a part to measure the objective on; None: rows are independent, any will do."""
        return None

    def examples(self, dataset: datasets.Dataset, count: int) -> list[Any]:
        """At most so many values to embed, for the health of a model in training."""
        return list(dataset[self.column][:count])

    def canonicalize(self, dataset: datasets.Dataset, folders: Sequence[Path] = ()) -> Any:
        """Bring a dataset (or a stream) that is no raw file into the form the column has, such as paths to files.

        Args:
            dataset: a `datasets.Dataset` or `IterableDataset`, of a table, of memory or of the Hub.
            folders: where relative paths may begin.
        """
        return dataset

    def decode(
        self,
        dataset: datasets.Dataset,
        column: str,
        *,
        root: Path | None,
        cache: Path,
        quarantine: list[dict[str, str]],
        whole: bool = False,
    ) -> tuple[datasets.Dataset, list[str]]:
        """Turn what the input column holds into this modality's values; a row may become several, or none.

        Args:
            dataset: rows as they were read; all its other columns are kept.
            column: the input column.
            root: folder that paths in the rows are relative to, when they come from files.
            cache: folder for what is decoded.
            quarantine: unusable rows are appended as `{"path", "reason"}`.
            whole: a row must stay one row, because its label is about all of it.

        Returns:
            The dataset with the canonical column, and notes for the report. A column `recording` that it adds is taken
            for groups when the user names none.
        """
        raise self.lacks("decode", "values made from files (decodes = True)")

    def validate(self, value: object) -> str | None:
        """Why a value is unusable, or None when it is fine."""
        return None

    @abstractmethod
    def content_key(self, value: object) -> str:
        """Two values with the same key are the same content (after normalization)."""

    def loose_key(self, value: object) -> str | None:
        """What is left of the content where the ways in which copies differ are left away; None: nothing is known of such."""
        return None

    def shingles(self, value: object) -> set[str] | None:
        """Pieces compared to find near-duplicates, or None when this kind of data has no such check."""
        return None

    def signature(self, value: object) -> np.ndarray | None:
        """256 hash bits and a thumbnail, `(words,)` uint64 (`hf_ssl.data.leakage.near_image.LookIndex`); None: looks like nothing."""
        raise self.lacks("signature", "near-duplicates by look (near_bits)")

    def describe(self, dataset: datasets.Dataset) -> dict[str, Any]:
        """Numbers for the data report."""
        return {}

    def remarks(self, values: Iterable[Any]) -> list[str]:
        """What the user should be told about the values of all splits, as they were decoded."""
        return []

    def traits(self, value: object) -> dict[str, str]:
        """Properties that say how a valid value was made or stored, and not what it shows: name → value, such as `{"size": "640 x 480"}`."""
        return {}

    def baseline_features(self, values: Sequence[Any]) -> np.ndarray:
        """Features that need no pretrained model (pixels, band energies, random kernels), for a probe to be compared with.

        Returns:
            float32 array `(len(values), dimensions)`; the same for a value whatever the others are.
        """
        raise self.lacks("baseline_features", "a cheap baseline (baseline)")

    def baselines(self) -> dict[str, Callable[[Sequence[Any]], np.ndarray]]:
        """The cheap baselines of a comparison by name; each gives features as `baseline_features` does."""
        return {} if self.baseline is None else {self.baseline: self.baseline_features}

    def cheap_features(self) -> list[CheapFeatures]:
        """Features that need no checkpoint, as candidates beside it (`hf_ssl.stages.candidates`); the baselines by default."""
        return [Computed(name, found, standardize=True) for name, found in self.baselines().items()]

    def common_sample(self) -> tuple[str, list[Any]] | None:
        """Values of the kind that most released checkpoints were made from, and what they are; None: none come along."""
        return None

    # -- models of this kind ----------------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def encoder_class(cls) -> type[Encoder]:
        """The `hf_ssl.Encoder` of this kind of data. Imported inside, so that reading data needs no torch."""

    def load(
        self,
        checkpoint: CheckpointRef | str,
        head: str = "AutoModel",
        *,
        dataset: datasets.Dataset | None = None,
        pooling: Pooling | str | None = None,
        **options: Any,
    ) -> Encoder:
        """Load a checkpoint with all that belongs to it, proved and ready to be trained or asked.

        Args:
            checkpoint: Hub id or folder; a `CheckpointRef` where revision or token matter.
            head: transformers class, such as `"AutoModelForMaskedLM"`.
            dataset: a split that the model is for: what of the model must follow the data (channels …) does.
            pooling: instead of the checkpoint's own.
            options: of `hf_ssl.load_model`.

        Example:
            >>> Text().load("BAAI/bge-small-en-v1.5").embed(["a sentence"])
        """
        from hf_ssl.models.reference import CheckpointRef

        ref = CheckpointRef(checkpoint) if isinstance(checkpoint, str) else checkpoint
        return self.encoder_class().load(self, ref, head, dataset=dataset, pooling=pooling, **options)

    def pooling(self, ref: CheckpointRef) -> Pooling:
        """How a checkpoint wants to be pooled: what `load` takes where nobody says otherwise."""
        return self.encoder_class().pooling_of(ref)

    def load_processor(self, ref: CheckpointRef) -> Processor | None:
        """The tokenizer, image processor or feature extractor that belongs to a checkpoint (None when there is none)."""
        from hf_ssl.models import loading

        return (
            None if self.processor is None else loading.load_processor(ref.id, self.processor, ref.revision, ref.token)
        )

    def default_config(self, family: str, data: Mapping[str, datasets.Dataset]) -> PreTrainedConfig:
        """Configuration of a model of a family (`model_type`) that is to be trained from scratch on these data."""
        raise ConfigError(
            f"{self.name} has no configuration of its own for {family!r}. Give --model the folder or Hub id of a "
            "checkpoint whose configuration and processor are to be used."
        )

    def head_class(self, problem_type: str | None) -> str | None:
        """The transformers class that answers such a problem with one head on the whole example."""
        return self.labeled_class

    def head_options(self, labels: int) -> dict[str, Any]:
        """Fields of the configuration that a head of so many outputs needs besides `num_labels`."""
        return {}
