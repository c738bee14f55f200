"""One dataclass per stage. YAML = command line = Python: the same names, the same checks, no torch import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hf_ssl.core import plugins
from hf_ssl.core.compare_options import CompareConfig
from hf_ssl.core.domain_options import DomainOptions
from hf_ssl.core.fields import Options, not_among, option
from hf_ssl.core.option_groups import (
    SHARE,
    AdapterOptions,
    AttentionOptions,
    DataOptions,
    ModelOptions,
    PaddingOptions,
    PeftMethod,
    RunOptions,
    TrainingOptions,
)
from hf_ssl.core.timing import wrong_length

AUTO = "auto"
"""An objective's name that asks for the best one to be found."""


@dataclass
class PretrainConfig(TrainingOptions, AttentionOptions, AdapterOptions, ModelOptions, DataOptions):
    """Continue self-supervised pre-training in your domain."""

    objective: str | None = option(
        None,
        "What to predict (default: the modality's); auto: a few steps of each that suits, and what a probe on the labels likes best.",
    )
    trial_steps: int = option(40, "Steps of each objective's trial, with --objective auto.", ge=5)
    from_config: bool = option(False, "Start from random weights of the checkpoint's configuration, or of a family.")
    head_warmup: float = option(
        0.1,
        "Fraction of the steps in which only a new head learns (0 when the head is in the checkpoint).",
        ge=0,
        lt=1,
    )
    backbone_warmup_ratio: float = option(
        0.1, "Fraction of the steps over which the backbone's learning rate rises afterwards.", **SHARE
    )
    lr_schedule: Literal["constant", "linear", "cosine"] = option("linear", "Learning rate after the warm-up.")
    layer_decay: float = option(0.9, "Factor on the learning rate of each layer further from the top.", gt=0, le=1)
    preserve: float = option(
        0.0,
        "Hold the features near the start's: weight of their distance (1 - cosine) beside the loss; 0: off, 1 is strong.",
        ge=0,
    )
    monitor_points: int | None = option(
        None,
        "Number of evaluations after step 0 (health, drift and the probe; default: up to 5, fewer in a run too short to be worth them).",
        ge=1,
    )
    monitor_examples: int = option(512, "Examples used for health and drift.", ge=2)
    keep_checkpoint: Literal["best", "last"] = option(
        "best", "Which point is kept; best includes the starting checkpoint itself."
    )
    early_stopping_patience: int = option(
        2, "Stop after so many evaluations clearly worse than the starting checkpoint (0: never).", ge=0
    )
    preprocessing_num_workers: int | None = option(
        None, "Processes that tokenize a large pool of texts (default: one per core, at most 8).", ge=1
    )
    cache_dir: str | None = option(
        None, "Folder for what is made of the data once (tokens, decoded sounds; default: the cache of `datasets`)."
    )
    new_words: int = option(0, "Add at most this many domain words to the vocabulary.", ge=0)
    views_on: Literal["auto", "host", "device"] = option(
        "auto",
        "Where random views are made: by the processes that prepare batches (host), or on the device that trains; auto: there, "
        "where it is an accelerator.",
    )
    eval_fraction: float = option(
        0.05, "Fraction of the pool (at most 1,000 examples) held out to measure the objective.", gt=0, lt=1
    )


@dataclass
class FinetuneConfig(TrainingOptions, PaddingOptions, AdapterOptions, ModelOptions, DataOptions, DomainOptions):
    """Fine-tune on the labels."""

    from_config: bool = option(False, "Start from random weights of the checkpoint's configuration, or of a family.")
    task: str | None = option(None, "Downstream task (default: from the labels).")
    peft: PeftMethod = option("lora", "Which parameters are trained: adapters, the head alone, or all.")
    labels_per_class: int | None = option(
        None, "Use only this many labels per class (examples in all where labels are no classes).", ge=1
    )
    head_pooling: Literal["encoder", "stock"] = option(
        "encoder",
        "What a new head on text reads: the encoder's pooled states, written into the model as one more layer where its family "
        "allows that; or what the stock class reads (the first token), which an adapter published alone needs.",
    )
    warm_start: bool = option(True, "Start the new head from a closed-form probe on frozen features.")
    rehearse: bool = option(
        True,
        "Where there are less than 200 validation rows and no --max_steps or --num_train_epochs: train on parts of the labels first, and "
        "train the network only if it answers the rest better than its start.",
    )
    early_stopping_patience: int = option(
        3, "Stop after so many evaluations without a better validation score (0: never).", ge=0
    )
    domain_selection: Literal["infomax", "snd", "dev", "importance", "source"] | None = option(
        None, "Rule that picks the best point without target labels (default: infomax for classes, else source)."
    )
    balanced_sampling: bool = option(False, "Draw classes equally often.")
    self_training: int = option(
        1000,
        "Learn from so many pool examples too, with soft labels that two views of the data agree on (0: none).",
        ge=0,
    )


@dataclass
class EvaluateConfig(RunOptions, ModelOptions, DataOptions):
    """Open the test split once and measure the fine-tuned model."""

    model: str | None = option(None, "Another fine-tuned model to measure (default: the one of this run).")
    split: Literal["test", "validation"] = option("test", "Split to measure.")
    task: str | None = option(None, "Downstream task (default: the one of the fine-tuned model).")


@dataclass
class AdaptConfig(RunOptions, ModelOptions, DataOptions):
    """One command: try what the time allows, keep the best, measure it once."""

    budget: str = option("30m", "Time for everything: 90s, 30m, 2h.")
    objective: str | None = option(
        None,
        "How pre-training is continued (default: what suits the checkpoint, one after the other); auto: what a probe on the labels likes "
        "best after a few steps of each.",
    )
    task: str | None = option(None, "Downstream task (default: from the labels).")
    peft: PeftMethod = option("lora", "How models are fine-tuned.")

    def problems(self) -> list[str]:
        return [*super().problems(), *wrong_length("budget", self.budget)]


@dataclass
class PredictConfig(RunOptions, ModelOptions, DataOptions):
    """Answer new data with a fine-tuned model: label a folder or a table, or forecast what comes next."""

    model: str | None = option(None, "Fine-tuned model: Hub id or local folder (default: the one of this run).")
    task: str | None = option(None, "Downstream task (default: the one the model was made for).")
    future: Any = option(
        None, "Of forecasts: a table of what is known of the steps ahead (time, series, known_covariates), no targets."
    )
    save: str | None = option(
        None, "File for the answers: .parquet, .csv or .jsonl (default: in the run's folder predict/)."
    )
    confidence: float = option(
        0.9, "Intervals and sets of plausible classes hold the truth so often (by validation errors).", gt=0, lt=1
    )
    all_classes: bool = option(False, "One more column for every class, with its probability.")
    part_size: int = option(
        4096, "Rows that are answered and saved together: an interrupted call goes on behind them.", ge=1
    )
    eval_batch_size: int = option(64, "Rows of one forward pass.", ge=1)

    def problems(self) -> list[str]:
        known = (".parquet", ".csv", ".jsonl")
        wrong = self.save is not None and not self.save.endswith(known)
        return [
            *super().problems(),
            *([f"save: a file that ends in {', '.join(known)}; found {self.save!r}."] if wrong else []),
        ]


@dataclass
class EmbedConfig(RunOptions, PaddingOptions, ModelOptions, DataOptions):
    """Turn data into vectors."""

    renamed = {"normalize": "normalize_embeddings"}

    split: str | None = option(None, "Split to embed (default: all).")
    pooling: str | None = option(
        None,
        "Such as mean, max, cls, lasttoken, cls+mean (text), grid (images), mean-std (audio, series); default: the model's own.",
    )
    normalize_embeddings: bool = option(True, "Scale every vector to length 1.")
    max_length: int | None = option(None, "Longest input in tokens.", ge=1)
    store: str = option(
        "parquet",
        "Also put them into: faiss, milvus (a file in the run), a .db file, or a Milvus URI (its token: MILVUS_TOKEN).",
    )
    collection: str | None = option(None, "Collection of Milvus (default: hf_ssl).")
    index: str = option("FLAT", "Index of a new Milvus collection; FLAT finds every neighbor.")
    part_size: int = option(2048, "Rows per part: an interrupted embedding goes on with the next part.", ge=1)

    def problems(self) -> list[str]:
        modes, known = (self.pooling or "mean").partition("@")[0].split("+"), plugins.poolings()
        unknown = [] if ":" in str(self.modality) else [mode for mode in modes if mode not in known]
        return [*super().problems(), *(f"pooling: {not_among(mode, known)}" for mode in unknown)]


@dataclass
class SearchConfig(RunOptions, ModelOptions):
    """Nearest neighbors of a text or a file among the vectors of `embed`."""

    query: str | None = option(None, "What to look for: a text.")
    file: str | None = option(None, "What to look for: a file of the run's kind of data.")
    k: int = option(10, "How many neighbors.", ge=1)
    store: str = option("parquet", "Where to look: parquet, faiss, milvus, a .db file, or a Milvus URI.")
    collection: str | None = option(None, "Collection of Milvus (default: hf_ssl).")

    def problems(self) -> list[str]:
        one = (self.query is None) != (self.file is None)
        what = 'query: say what to look for, one thing: hf-ssl search "TEXT", or --file PATH.'
        return [*super().problems(), *([] if one else [what])]


@dataclass
class PushConfig(RunOptions):
    """Publish a run's result on the Hub. The token is read from HF_TOKEN or `hf auth login`, never from an option."""

    renamed = {"revision": "branch"}

    repo: str | None = option(None, "Where to: OWNER/NAME.")
    what: Literal["auto", "model", "backbone", "adapter", "embeddings"] = option(
        "auto", "The fine-tuned model, the adapted backbone, an adapter alone, or embed's vectors (as a dataset)."
    )
    adapter: bool = option(False, "Put the adapter beside the merged model, in the folder adapter/.")
    answer: bool | None = option(
        None,
        "Put what the run answers with, where that is no plain model, in the folder answer/ (default: unless it holds words of your "
        "texts).",
    )
    license: str | None = option(None, "License (default: that of the starting checkpoint, when its card names one).")
    base_model: str | None = option(
        None,
        "Hub id of the starting checkpoint, when the run started from a local copy; `unpublished`: there is none.",
    )
    private: bool = option(False, "Make the repository private.")
    branch: str | None = option(None, "Branch to push to; made when it does not exist.")
    create_pr: bool = option(False, "Open a pull request instead of changing the branch.")
    dry_run: bool = option(False, "Stage and check everything, upload nothing; needs no network and no token.")
    message: str = option("Upload with hf_ssl", "Commit message.")
    title: str | None = option(None, "Heading of the card (default: from the repository's name).")
    description: str | None = option(None, "A paragraph for the card.")
    purpose: str | None = option(None, "What the model is for, in a sentence or two.")
    datasets: list[str] = option([], "Hub ids of the data it was trained on, when they are on the Hub.")
    eval_dataset: str | None = option(None, "Hub id of the test data: its results then go into .eval_results/ too.")
    language: list[str] = option([], "Languages of the data, such as en.")
    space: str | None = option(None, "Also publish a Gradio demo as the Space OWNER/NAME.")


@dataclass
class GapConfig(RunOptions, ModelOptions, DataOptions):
    """How far are two domains apart for a checkpoint, and what is worth trying? Trains nothing."""

    target: Any = option(
        None, "Other data to compare yours with (default: the pool is compared with the inputs of test)."
    )
    target_domains: list[str] = option(
        [], "Values of domain_column that are compared with the others (default: those without labels)."
    )
    reference: Any = option(
        None,
        "A sample of what the checkpoint was made from: its objective's loss is measured on that, too (default for texts: plain "
        "English that comes along, where the vocabulary fits).",
    )
    objective: str | None = option(None, "Objective whose loss is compared (default: the modality's).")
    sample: int = option(1000, "At most so many examples of each side.", ge=20)
    permutations: int = option(200, "Shuffles of the domains that say what no gap looks like.", ge=19)
    max_length: int | None = option(None, "Longest input in tokens (default: 256, or the model's).", ge=1)

    def problems(self) -> list[str]:
        found = super().problems()
        if self.target is not None and self.domain_column is not None:
            found.append("target: it is a domain of its own; domain_column names others. Give one of the two.")
        if self.target_domains and self.domain_column is None:
            found.append("target_domains: they are values of a column; which one? Give --domain_column.")
        return found


@dataclass
class ReportConfig(Options):
    """Write the page of a run, report.html; every stage does so as it ends."""

    output: str = option("runs/default", "Run folder.")
    content: bool = option(
        True, "Show rows of the data (mistakes, examples); the page stays on this machine either way."
    )


@dataclass
class DataConfig(DataOptions):
    """Read data and report what was found; train nothing."""

    examples: int = option(3, "Examples shown of every split and class.", ge=0)
    save: str | None = option(None, "Folder for the report (data.json, data.txt) and the examples (data.html).")


@dataclass
class ImportTfConfig(Options):
    """Import a self-supervised model of TensorFlow Hub as a plain transformers or timm folder."""

    source: str | None = option(
        None,
        "SavedModel's folder, checkpoint's prefix, .tar.gz, .zip, or a handle (kaggle:OWNER/MODEL/FRAMEWORK/VARIATION).",
    )
    output: str | None = option(None, "Folder for the imported model.")
    family: str | None = option(
        None, "Family of the model, or package.module:Class of your own (default: recognized)."
    )
    part: str | None = option(None, "Of several networks in one checkpoint: discriminator or generator (ELECTRA).")
    check: Literal["none", "tf"] = option(
        "none", "tf: also run both models and compare their outputs (needs TensorFlow)."
    )
    tf_python: str | None = option(None, "Python that has TensorFlow, for --check tf (default: this one).")
    license: str | None = option(None, "License of the model, as its page says; goes to the card.")
    num_heads: int | None = option(None, "Attention heads, where no file says how many.", ge=1)
    num_layers: int | None = option(None, "How often ALBERT applies its layer, where no file says.", ge=1)
    hidden_act: str | None = option(None, "Activation, over what the graph or the configuration says.")
    do_lower_case: bool | None = option(None, "Whether text is lower-cased, over what the files say.")
    leave_out: list[str] = option(
        [], "Variables that are not wanted, * for any letters: a classifier of your own, 'classifier/*'."
    )
    ignore_twin: bool = option(False, "Import although the same weights are at the Hugging Face Hub.")
    overwrite: bool = option(False, "Replace an imported model in the output folder.")

    def problems(self) -> list[str]:
        source = (
            "source: what is to be imported? A SavedModel's folder, a checkpoint's prefix, a .tar.gz, or a handle."
        )
        output = "output: where to? Give --output FOLDER."
        return [*super().problems(), *([] if self.source else [source]), *([] if self.output else [output])]


@dataclass
class DemoConfig(Options):
    """See it work on real data."""

    output: str = option("runs/demo", "Run folder; the texts are written beside it.")
    first: bool = option(False, "Stop after the first picture.")


@dataclass
class DoctorConfig(Options):
    """See what this machine can do."""

    output: str = option("runs", "Where results will lie: its disk is looked at.")
    hub: bool = option(True, "Ask the Hub whether it answers and what the token may do.")
    speed: bool = option(True, "Try matrix products and the disk, for a few seconds.")


@dataclass
class UiConfig(Options):
    """The whole way in a browser, on this machine."""

    folder: str = option(".", "Its folders and tables are offered for choice.")
    port: int = option(0, "Port of the page (0: the first free one from 7860 on).", ge=0, le=65535)
    browser: bool = option(True, "Open the page in a browser.")


@dataclass
class NewConfig(Options):
    """Write a skeleton to start your own from."""

    folder: str = option(".", "Where to write it.")


STAGES: dict[str, type[Options]] = {
    "pretrain": PretrainConfig,
    "finetune": FinetuneConfig,
    "evaluate": EvaluateConfig,
    "compare": CompareConfig,
    "embed": EmbedConfig,
    "search": SearchConfig,
    "push": PushConfig,
}

COMMANDS: dict[str, type[Options]] = {
    **STAGES,
    "adapt": AdaptConfig,
    "data": DataConfig,
    "gap": GapConfig,
    "demo": DemoConfig,
    "report": ReportConfig,
    "doctor": DoctorConfig,
    "new": NewConfig,
    "ui": UiConfig,
    "predict": PredictConfig,
    "import-tf": ImportTfConfig,
}
"""Options by command: the stages of a recipe, and what is done before one."""
