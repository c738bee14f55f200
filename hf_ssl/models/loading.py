"""Load a pretrained model with its processor, and prove that its weights are those of the checkpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from hf_ssl.core.errors import CheckpointError, ConfigError, MissingExtraError, nearest
from hf_ssl.models import attention
from hf_ssl.models.checkpoint import Tensors, WeightFiles, find_weights, license, weights_sha
from hf_ssl.models.load_report import LoadReport, Provenance, compare, refuse_incomplete
from hf_ssl.models.structure import in_backbone

__all__ = ["LoadReport", "Provenance", "check_vocabulary", "load_model", "load_processor", "plain_class"]

MOST_LAYERS = 2000
"""Of any model; a configuration with more is damaged."""
UNFIT = (
    OSError, RuntimeError, ValueError, ImportError, LookupError, TypeError, ArithmeticError, AttributeError, StrictDataclassError,
)  # fmt: skip
"""What transformers raises over a configuration that cannot be: no heads, a word for a number, an unknown activation."""
# Arguments of from_pretrained that are not fields of the configuration.
_LOADER_OPTIONS = ("attn_implementation", "device_map")
# Time-series classes that transformers keeps no Auto class for (it has mappings for two of them, and no class).
_SERIES_CLASSES = {
    "AutoModelForTimeSeriesPretraining": {
        "patchtst": "PatchTSTForPretraining", "patchtsmixer": "PatchTSMixerForPretraining",
    },
    "AutoModelForTimeSeriesPrediction": {
        "patchtst": "PatchTSTForPrediction", "patchtsmixer": "PatchTSMixerForPrediction",
    },
    "AutoModelForTimeSeriesClassification": {
        "patchtst": "PatchTSTForClassification", "patchtsmixer": "PatchTSMixerForTimeSeriesClassification",
    },
    "AutoModelForTimeSeriesRegression": {
        "patchtst": "PatchTSTForRegression", "patchtsmixer": "PatchTSMixerForRegression",
    },
}  # fmt: skip
_PROCESSORS = {
    "text": ("AutoTokenizer", "tokenizer", "text"),
    "image": ("AutoImageProcessor", "image processor", "image"),
    "audio": ("AutoFeatureExtractor", "feature extractor", "audio"),
}


def load_model(
    model_id: str,
    auto_class: str = "AutoModel",
    *,
    revision: str | None = None,
    dtype: str = "float32",
    token: str | None = None,
    expect_new: tuple[str, ...] = (),
    new_head: bool = False,
    allow_incomplete: bool = False,
    **config_overrides: Any,
) -> tuple[PreTrainedModel, LoadReport]:
    """Load a model in eval mode and compare every tensor of it with the checkpoint.

    Args:
        model_id: local folder or Hub id. Only a Hub id may touch the network. Remote code is never run.
        auto_class: such as `"AutoModelForSequenceClassification"`, or a model class that no Auto class reaches,
            such as `"PatchTSTForPretraining"`.
        revision: branch, tag or commit on the Hub.
        dtype: of the weights in memory. The default is float32 whatever the file holds, because the optimizer needs
            a full-precision master copy; transformers 5 alone would train a half-precision checkpoint in half
            precision.
        token: for a private or gated repository. It is passed on and never stored.
        expect_new: `fnmatch` patterns of tensors or modules that may start at random, in the backbone too, and that
            may have another shape than in the file: `("classifier",)` when the number of labels changes.
        new_head: what lies outside the backbone may be new as a whole: the checkpoint's own classifier, for other
            classes, gives way.
        allow_incomplete: turn the failure into notes in the report.
        config_overrides: fields of the model's configuration (`num_labels=3`), plus `attn_implementation` and
            `device_map`.

    Returns:
        The model and its `LoadReport`.

    Raises:
        CheckpointError: no weights, damaged or pickled-object files, another architecture, a backbone tensor that is
            missing, has another shape, or has other values than the file.
        ConfigError: unknown Auto class, dtype or configuration field.
    """
    torch_dtype = _dtype(dtype)
    options = {name: config_overrides.pop(name) for name in _LOADER_OPTIONS if name in config_overrides}
    weights = find_weights(str(model_id), revision, token)
    tensors = Tensors.open(weights)
    config = load_config(weights, token=token, **config_overrides)
    model_class = _model_class(auto_class, config, weights)
    with quiet():
        try:
            # Shapes that do not fit are collected here and refused below, by name, unless they were asked for.
            model, info = model_class.from_pretrained(
                weights.source,
                config=config,
                revision=weights.revision or revision or "main",
                token=token,
                dtype=torch_dtype,
                use_safetensors=not weights.pickled,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **options,
            )
        except UNFIT as error:
            raise CheckpointError(f"{weights.model_id} does not load as {auto_class}: {error}") from error
    _mix_evenly(model, info["missing_keys"])
    if "attn_implementation" not in options:
        with quiet():
            attention.install(model)
    if new_head:
        inside = in_backbone(model)
        expect_new = (*expect_new, *(name for name in model.state_dict() if not inside(name)))
    report = LoadReport(
        model_id=weights.model_id,
        revision=weights.revision,
        license=license(weights.readme),
        auto_class=auto_class,
        architecture=type(model).__name__,
        dtype=dtype,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        weights_sha=weights_sha(weights.files),
        notes=list(tensors.notes),
    )
    compare(model, tensors, report, reported=info["missing_keys"], expect_new=expect_new)
    if not allow_incomplete:
        refuse_incomplete(report, model, expect_new=expect_new)
    return model, report


@torch.no_grad()
def _mix_evenly(model: PreTrainedModel, missing: Iterable[str]) -> None:
    """Give new mixtures of layers the equal weights of their constructor.

    transformers 5 builds a model without memory and then lets `_init_weights` fill what the file lacks; no class fills
    `layer_weights` there, so they would be whatever the memory held (1e-5, 5e25 …).
    """
    parameters = dict(model.named_parameters())
    for name in missing:
        if name.rpartition(".")[2] == "layer_weights" and name in parameters:
            parameters[name].fill_(1 / parameters[name].numel())


def load_config(weights: WeightFiles, *, token: str | None = None, **overrides: object) -> PreTrainedConfig:
    """Read config.json and apply overrides, refusing a field that the family does not have."""
    try:
        config, unknown = transformers.AutoConfig.from_pretrained(
            weights.source,
            revision=weights.revision or "main",
            token=token,
            trust_remote_code=False,
            return_unused_kwargs=True,
            **overrides,
        )
    except UNFIT as error:
        raise CheckpointError(f"The configuration of {weights.model_id} cannot be used: {error}") from error
    layers = getattr(config, "num_hidden_layers", 0)
    if (
        isinstance(layers, int) and layers > MOST_LAYERS
    ):  # they would be made one by one before any is missed in the file
        raise CheckpointError(f"config.json of {weights.model_id} says num_hidden_layers: {layers:,}. It is damaged.")
    if config.model_type == "timm_wrapper" and config.model_args:
        # timm's own files repeat what the wrapper passes itself.
        config.model_args = {name: value for name, value in config.model_args.items() if name != "num_classes"}
    unknown = {name: value for name, value in unknown.items() if name in overrides}
    if unknown:
        fields = config.to_dict()
        hints = "; ".join(f"{name!r}.{nearest(name, fields)}" for name in unknown)
        raise ConfigError(f"The configuration of a {config.model_type} model has no field {hints}")
    return config


def _dtype(name: str) -> torch.dtype:
    options = ("float32", "bfloat16", "float16", "float64")
    if name not in options:
        raise ConfigError(f"dtype is one of {', '.join(options)}, not {name!r}.{nearest(str(name), options)}")
    return getattr(torch, name)


def plain_class(auto_class: str, model_type: str) -> str:
    """The class of transformers itself behind a name of ours (it has no Auto classes for most heads on series)."""
    return _SERIES_CLASSES.get(auto_class, {}).get(model_type, auto_class)


def _model_class(auto_class: str, config: PreTrainedConfig, weights: WeightFiles) -> Any:
    auto_class = plain_class(auto_class, str(config.model_type))
    kind: Any = getattr(transformers, auto_class, None)
    mapping = getattr(kind, "_model_mapping", None)
    if mapping is None and not (isinstance(kind, type) and issubclass(kind, PreTrainedModel)):
        known = [name for name in dir(transformers) if name.startswith("AutoModel") or name.endswith("Pretraining")]
        raise ConfigError(f"transformers has no model class {auto_class!r}.{nearest(auto_class, known)}")
    fits = type(config) in mapping if mapping is not None else kind.config_class.model_type == config.model_type
    if fits:
        return kind
    reachable = [
        name
        for name in sorted(dir(transformers))
        if name.startswith("AutoModelFor")
        and type(config) in getattr(getattr(transformers, name), "_model_mapping", ())
    ]
    own = [name for name in config.architectures or [] if name != auto_class]
    raise CheckpointError(
        f"{weights.model_id} is a {config.model_type!r} checkpoint (saved from {', '.join(own) or 'a class unnamed'})"
        f", which {auto_class} cannot hold. Classes that can: {', '.join(['AutoModel', *reachable])}."
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' own load table and progress bar; the `LoadReport` says it better."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def load_processor(model_id: str, modality_name: str, revision: str | None = None, token: str | None = None) -> Any:
    """The tokenizer, image processor or feature extractor that belongs to a checkpoint.

    Returns:
        None for time series, whose models scale their own input.

    Raises:
        ConfigError: unknown modality.
        CheckpointError: the checkpoint has no usable processor.
    """
    if modality_name in ("timeseries", "time-series", "time_series"):
        return None
    if modality_name not in _PROCESSORS:
        options = [*_PROCESSORS, "timeseries"]
        raise ConfigError(
            f"modality is one of {', '.join(options)}, not {modality_name!r}.{nearest(modality_name, options)}"
        )
    auto_class, noun, extra = _PROCESSORS[modality_name]
    try:
        with quiet():
            found = getattr(transformers, auto_class).from_pretrained(
                model_id, revision=revision or "main", token=token, trust_remote_code=False
            )
        longest = getattr(found, "model_max_length", 1)
        if not isinstance(longest, (int, float)) or not longest >= 1:
            raise ValueError(f"its longest input is said to be {longest!r}.")
        return found
    except ImportError as error:
        raise MissingExtraError(
            f'The {noun} of {model_id} needs a package that is not installed. Run: pip install "hf_ssl[{extra}]" '
            f"({str(error).strip().splitlines()[0]})"
        ) from error
    except UNFIT as error:
        raise CheckpointError(
            f"{model_id} has no usable {noun} for {modality_name} data: {error} Save one beside the weights with "
            "processor.save_pretrained(folder)."
        ) from error


def check_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Compare the tokenizer's ids with the rows of the embedding matrix.

    Returns:
        Notes: spare rows, other padding ids. Harmless.

    Raises:
        CheckpointError: the tokenizer can produce an id that has no row.
    """
    embedding: Any = model.get_input_embeddings()
    rows = int(embedding.weight.shape[0])
    highest = max(tokenizer.get_vocab().values(), default=-1)
    size = max(len(tokenizer), highest + 1)
    if size > rows:
        added = sorted((index, token) for token, index in tokenizer.get_vocab().items() if index >= rows)
        raise CheckpointError(
            f"The tokenizer produces ids up to {size - 1}, the model has {rows} embedding rows: "
            f"{', '.join(repr(token) for _, token in added[:5])} would crash. Either this is another model's "
            "tokenizer, or tokens were added without growing the model: use hf_ssl.models.vocabulary.extend(model, "
            "tokenizer, words)."
        )
    notes = []
    if size < rows:
        notes.append(f"the model has {rows - size} embedding rows more than the tokenizer has tokens")
    padding = getattr(model.config, "pad_token_id", None)
    if padding is not None and tokenizer.pad_token_id is not None and padding != tokenizer.pad_token_id:
        notes.append(f"padding id is {padding} in the model and {tokenizer.pad_token_id} in the tokenizer")
    return notes
