"""One switch between full fine-tuning, a linear probe and adapters, and back to a plain model.

    model, report = load_model("…", "AutoModelForSequenceClassification", num_labels=3)
    model = apply(model, "lora", missing=report.missing)

The rule kept here: what the checkpoint did not contain is trained and saved, or the call is refused.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import peft
import torch
from peft import PeftModel
from peft.utils.other import ModulesToSaveWrapper
from torch import nn
from transformers import PreTrainedModel

from hf_ssl.core.errors import CheckpointError, ConfigError, nearest
from hf_ssl.models import adapter_targets, quantized
from hf_ssl.models.adapter_targets import modules_to_save, target_modules
from hf_ssl.models.structure import example_inputs, in_backbone, outputs, unwrap_peft

__all__ = [
    "METHODS", "TrainableCount", "apply", "learning_rate", "load_adapter", "merge", "modules_to_save", "save_adapter",
    "target_modules", "trainable_report", "without_gradient",
]  # fmt: skip

# Learning rate relative to full fine-tuning.
# full: BERT (Devlin et al. 2019, A.3) tunes 5e-5, 3e-5, 2e-5.
# lora family: Hu et al. 2021, table 9, uses 2e-4 to 5e-4 for RoBERTa on GLUE, ten times and more the full rate.
# ia3: Liu et al. 2022 train T-Few at 3e-3; a few thousand numbers must move far.
# oft: rotations from the identity, moved at LoRA's rate.
# linear-probe: only a freshly initialized linear layer moves.
METHODS: dict[str, float] = {
    "full": 1.0,
    "lora": 10.0,
    "rslora": 10.0,
    "dora": 10.0,
    "qlora": 10.0,
    "ia3": 100.0,
    "oft": 10.0,
    "linear-probe": 50.0,
}


def _check_method(method: str) -> str:
    name = method.replace("_", "-").lower() if isinstance(method, str) else str(method)
    if name not in METHODS:
        raise ConfigError(
            f"peft method is one of {', '.join(METHODS)}, not {method!r}.{nearest(str(method), METHODS)}"
        )
    return name


def learning_rate(method: str, base: float = 2e-5) -> float:
    """Default peak learning rate of a method; `base` is the rate of full fine-tuning for this task."""
    return base * METHODS[_check_method(method)]


def apply(
    model: PreTrainedModel | PeftModel,
    method: str = "lora",
    *,
    missing: Iterable[str] = (),
    rank: int = 8,
    alpha: float | None = None,
    dropout: float = 0.0,
    target_modules: list[str] | None = None,
    modules_to_save: Iterable[str] | None = None,
    train_embeddings: bool = False,
    frozen_ok: tuple[str, ...] = (),
    train_bare: tuple[str, ...] = (),
    train_head: bool = False,
    task_type: str | None = None,
) -> PreTrainedModel | PeftModel:
    """Make a model ready for training with one of `METHODS`. The model is changed in place.

    Args:
        model: as loaded.
        method: `"full"` leaves it as it is; `"linear-probe"` freezes all but the new head; `"lora"`, `"rslora"`,
            `"dora"`, `"ia3"`, `"oft"` wrap it in a `PeftModel`; `"qlora"` is LoRA over layers that are held in 4 bits.
        missing: `LoadReport.missing`, the tensors that started at random. They become trainable and are saved.
        rank: of the LoRA family.
        alpha: LoRA's scale. The default keeps the factor on the update at 2 for every rank: `2 * rank` for LoRA and
            DoRA (factor alpha / rank), `2 * sqrt(rank)` for rsLoRA (factor alpha / sqrt(rank), Kalajdzievski 2023).
        dropout: on the input of the LoRA and OFT layers.
        target_modules: names for PEFT; the default is found by inspection.
        modules_to_save: more modules to train and save whole, beside those that follow from `missing`.
        train_embeddings: train and save the input embeddings too: after the vocabulary was extended.
        frozen_ok: `fnmatch` patterns of new tensors that may stay random, such as `"*.masked_spec_embed"`.
        train_bare: `fnmatch` patterns of new tensors that are parameters without a module, such as `"*layer_weights"`
            (the mixture of wav2vec2's layers): they are trained, and `save_adapter` stores them, which PEFT alone does not.
        train_head: train and save what lies outside the backbone also where the checkpoint has it; PEFT would freeze it.
        task_type: of PEFT, such as `"SEQ_CLS"`. None is right for every modality, because the task wrappers of PEFT
            pass text arguments on.

    Returns:
        The same model (`"full"`, `"linear-probe"`) or a `PeftModel` around it.

    Raises:
        ConfigError: unknown method, no layer to adapt, a target on which an adapter does nothing, or a new tensor
            that the method can neither train nor save.
    """
    method = _check_method(method)
    if isinstance(model, PeftModel):
        raise ConfigError(
            "The model carries an adapter already. Merge it first: model = hf_ssl.models.adapters.merge(model)"
        )
    missing, quantizes = list(missing), method == "qlora"
    if quantizes:
        quantized.check()
        method = "lora"
    if method == "full":
        return model
    if method == "linear-probe":
        return _freeze_all_but_head(model, missing)
    bare = [name for name in missing if any(fnmatchcase(name, pattern) for pattern in train_bare)]
    missing = [name for name in missing if name not in bare]
    saved = adapter_targets.modules_to_save(model, missing, frozen_ok)
    more = [
        *(modules_to_save or ()),
        *(adapter_targets.head_modules(model) if train_head else ()),
        *(adapter_targets.embedding_modules(model) if train_embeddings else ()),
    ]
    saved += [name for name in more if not any(f"{name}.".startswith(f"{known}.") for known in saved)]
    if target_modules is None:
        targets = adapter_targets.target_modules(model, method, rank)
    else:
        targets = list(target_modules)
        adapter_targets.check_targets(model, targets)
    common = {"target_modules": targets, "modules_to_save": saved or None, "task_type": task_type}
    config = adapter_targets.adapter_config(model, method, common, rank=rank, alpha=alpha, dropout=dropout)
    shared = adapter_targets.shared_parameters(model)
    with _without_known_warnings():
        wrapped = peft.get_peft_model(model, config)
    _tie_again(wrapped, shared)
    _refuse_untrained(wrapped, missing, frozen_ok)
    for name in bare:
        wrapped.get_base_model().get_parameter(name).requires_grad_(True)
    holder: Any = wrapped  # nn.Module declares that its attributes are tensors or modules
    holder.hf_ssl_bare = bare
    if quantizes:
        quantized.quantize(wrapped)
    return wrapped


@contextlib.contextmanager
def _without_known_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        # The first is about a call of PEFT's own, the second about what _tie_again puts right, the third about what
        # load_adapter proves.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings=True")
        warnings.filterwarnings("ignore", message="Found missing adapter keys")
        yield


def _freeze_all_but_head(model: PreTrainedModel, missing: list[str]) -> PreTrainedModel:
    inside, new = in_backbone(model), set(missing)
    names = {id(p): name for name, p in model.named_parameters()}
    head = {i for i, name in names.items() if (name in new if new else not inside(name))}
    if not head:
        raise ConfigError(
            f"{type(model).__name__} has no head to train: nothing is new and everything belongs to the backbone. "
            "Load a class with a head (AutoModelForSequenceClassification, ...), or use another method."
        )
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in head)
    return model


def _saved_copies(model: PeftModel) -> dict[str, nn.Module]:
    """Name in the base model -> the trainable copy, for every module that is saved whole."""
    return {
        name: wrapper.modules_to_save[wrapper.active_adapters[0]]
        for name, wrapper in model.get_base_model().named_modules()
        if isinstance(wrapper, ModulesToSaveWrapper)
    }


def _tie_again(model: PeftModel, shared: list[tuple[list[str], nn.Parameter]]) -> None:
    """Tie what PEFT's copies untied: the output embedding inside a new MLM head stays the input embedding."""
    copies = _saved_copies(model)

    def place(name: str) -> tuple[nn.Module, str] | None:
        holder = next((saved for saved in copies if name.startswith(saved + ".")), None)
        if holder is None:
            return None
        owner, _, leaf = name.removeprefix(holder + ".").rpartition(".")
        return copies[holder].get_submodule(owner), leaf

    for names, original in shared:
        first = place(names[0])
        parameter = original if first is None else getattr(*first)
        for other in filter(None, map(place, names[1:])):
            setattr(*other, parameter)


def _refuse_untrained(model: PeftModel, missing: list[str], frozen_ok: tuple[str, ...]) -> None:
    copies = _saved_copies(model)
    for name in missing:
        saved = any(name.startswith(holder + ".") for holder in copies)
        if not saved and not any(fnmatchcase(name, pattern) for pattern in frozen_ok):
            raise ConfigError(
                f"{name} started at random and would be neither trained nor saved. Add its module with "
                f"modules_to_save=[{name.rpartition('.')[0]!r}]."
            )


@dataclass(frozen=True)
class TrainableCount:
    """How much of a model is trained.

    Attributes:
        trainable, total: numbers of parameters.
        adapter: trainable ones that belong to adapters, the others are whole modules.
        modules: whole modules that are trained (heads, poolers, norms, embeddings).
    """

    trainable: int
    total: int
    adapter: int
    modules: tuple[str, ...] = ()

    @property
    def fraction(self) -> float:
        """TrainingModule share of all parameters."""
        return self.trainable / max(self.total, 1)

    def __str__(self) -> str:
        whole = f"; whole modules: {', '.join(self.modules)}" if self.modules else ""
        return f"{self.trainable:,} of {self.total:,} parameters are trained ({self.fraction:.2%}){whole}"


def trainable_report(model: nn.Module) -> TrainableCount:
    """Count what is trained. Frozen originals of saved modules count in the total, as they are in memory."""
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    modules: tuple[str, ...] = ()
    whole = sum(trained.values())
    if isinstance(model, PeftModel):
        modules = tuple(_saved_copies(model))
        whole = sum(count for name, count in trained.items() if ".modules_to_save." in name)
    total = sum(p.numel() for p in model.parameters())
    return TrainableCount(sum(trained.values()), total, sum(trained.values()) - whole, modules)


def without_gradient(model: nn.Module) -> list[str]:
    """TrainingModule parameters that got no gradient from the last backward pass: adapters that are never called."""
    return [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def merge(
    model: PreTrainedModel | PeftModel,
    *,
    tolerance: float = 1e-4,
    example_batch: Mapping[str, torch.Tensor] | None = None,
) -> PreTrainedModel:
    """Fold the adapter into the weights and return the plain model, in float32 and in eval mode.

    Args:
        model: a `PeftModel`; a plain model is returned as it is.
        tolerance: largest allowed change of the output, relative to its largest absolute value.
        example_batch: inputs for that check; by default a random batch made from the configuration.

    Raises:
        ConfigError: the method cannot be merged, or no example batch can be made.
        CheckpointError: the merged model gives other outputs.
    """
    if not isinstance(model, PeftModel):
        return model
    kinds = sorted({str(config.peft_type).rpartition(".")[2] for config in model.peft_config.values()})
    if model.active_peft_config.is_prompt_learning or not hasattr(model.base_model, "merge_and_unload"):
        raise ConfigError(f"{', '.join(kinds)} changes inputs, not weights, and cannot be merged. Save the adapter.")
    quantized.restore(model)
    model = model.float().eval()  # bfloat16 would lose the small update; merge first, cast afterwards
    batch = _example(model, example_batch)
    before = outputs(model, batch)
    _unwrap_saved(model)
    merged = model.merge_and_unload(safe_merge=True)
    after = outputs(merged, batch)
    worst = max(
        float((b - a).abs().max() / b.abs().max().clamp_min(1e-12)) for b, a in zip(before, after, strict=True)
    )
    if not worst <= tolerance:
        raise CheckpointError(
            f"The merged model differs from the adapted one by {worst:.1e} of the largest output; allowed is "
            f"{tolerance:.1e}. Save the adapter instead, or raise the tolerance if this is good enough."
        )
    _unfreeze(merged)
    return merged


def _unwrap_saved(model: PeftModel) -> None:
    # PEFT's IA3 and OFT expect a saved module to have a `weight`, and fail on heads made of several layers.
    base = model.get_base_model()
    for name, module in _saved_copies(model).items():
        parent, _, leaf = name.rpartition(".")
        setattr(base.get_submodule(parent), leaf, module)


def _unfreeze(model: PreTrainedModel) -> None:
    # The adapter had frozen everything; a plain model is trainable except for what its class fixes (sine positions).
    with torch.device("meta"):
        fixed = {name for name, p in type(model)(model.config).named_parameters() if not p.requires_grad}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in fixed)


def _example(model: PeftModel, batch: Mapping[str, torch.Tensor] | None) -> dict[str, torch.Tensor]:
    if batch is None:
        try:
            batch = example_inputs(model)
        except (KeyError, AttributeError) as error:
            raise ConfigError(
                f"No example batch could be made for {type(unwrap_peft(model)).__name__}; pass example_batch={{...}} to "
                "check the merge on."
            ) from error
    device = next(model.parameters()).device
    return {name: value.to(device) for name, value in batch.items() if isinstance(value, torch.Tensor)}


def save_adapter(
    model: PeftModel,
    folder: str | Path,
    base_id: str,
    revision: str | None = None,
    *,
    vocabulary_extended: bool = False,
) -> Path:
    """Write the adapter with the identity of its original base model.

    Args:
        folder: gets adapter_config.json and adapter_model.safetensors. PEFT's model card, a template to fill in, is left
            out: `hf_ssl.push` writes a true one.
        base_id: Hub id (or folder) of the base checkpoint; PEFT alone would write whatever path was loaded from.
        revision: its commit.
        vocabulary_extended: the embeddings were resized. They are then saved too; PEFT's own "auto" would look the
            base up on the Hub to find out. To load such an adapter, resize the base first.
    """
    if not isinstance(model, PeftModel):
        raise ConfigError("The model carries no adapter; save it whole with model.save_pretrained(folder).")
    for config in model.peft_config.values():
        config.base_model_name_or_path, config.revision = base_id, revision
    whole = {id(p) for copy in _saved_copies(model).values() for p in copy.parameters()}
    base: Any = model.get_base_model()
    in_adapter = (
        any(id(p) in whole for p in base.get_input_embeddings().parameters()) if vocabulary_extended else False
    )
    card = Path(folder) / "README.md"
    has_card = card.exists()
    model.save_pretrained(str(folder), save_embedding_layers=vocabulary_extended and not in_adapter)
    if not has_card:
        card.unlink(missing_ok=True)
    _add_bare(model, Path(folder) / "adapter_model.safetensors")
    return Path(folder)


def _add_bare(model: PeftModel, file: Path) -> None:
    """Put trained parameters without a module beside the adapter's tensors, under names that PEFT loads as they are."""
    from safetensors.torch import load_file, save_file

    names = getattr(model, "hf_ssl_bare", [])
    if names:
        base = model.get_base_model()
        extra = {f"base_model.model.{name}": base.get_parameter(name).detach().cpu().contiguous() for name in names}
        save_file({**load_file(file), **extra}, file, metadata={"format": "pt"})


def load_adapter(model: PreTrainedModel, folder: str | Path, *, trainable: bool = False) -> PeftModel:
    """Put a saved adapter on its base model and prove that every tensor of it arrived.

    Raises:
        CheckpointError: a tensor of the adapter does not fit the model or was not loaded.
    """
    from safetensors.torch import load_file

    try:
        with _without_known_warnings():
            loaded = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"The adapter in {folder} does not fit {type(model).__name__}: {error}") from error
    stored = load_file(str(Path(folder) / "adapter_model.safetensors"))
    state = peft.get_peft_model_state_dict(loaded, save_embedding_layers=False)
    own = loaded.state_dict()
    state |= {name: own[name] for name in stored if name in own and name not in state and "lora" not in name}
    wrong = [name for name in state if name not in stored or not torch.equal(state[name].cpu(), stored[name])]
    if wrong:
        raise CheckpointError(f"{len(wrong)} tensors of the adapter in {folder} did not arrive, such as {wrong[0]}.")
    return loaded
