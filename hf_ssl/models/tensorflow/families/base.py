"""What a family of TensorFlow models has to say, so that it can be imported: one class in one file.

A family names the patterns of its variables and where each goes (`rules`), and makes the configuration from names, shapes
and the graph. Everything else is done here and is the same for all: each variable is used once or left out for a reason
that is said, transforms can be undone, and the result is proved.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from transformers import PreTrainedConfig

from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.models.tensorflow.sources import Source

_SCHEDULE = r"(.*/)?(global_step|save_counter|beta[12]_power|do_lower_case|total|count)$"
_TRAINING = re.compile(r"(^|/)(optimizer|_optimizer|keras_api)/|/\.OPTIMIZER_SLOT/")
# No network keeps its weights in these; a switch such as `do_lower_case` may hang anywhere under any name.
_NO_WEIGHTS = ("bool", "string", "int64", "int32")
_OPTIMIZER = r"(.*/)?(Adam/.*|AdamWeightDecay.*|LAMB.*|\.OPTIMIZER_SLOT/.*|optimizer/.*)$"


@dataclass(frozen=True)
class Transform:
    """A change of layout that can be undone.

    Attributes:
        name: for reports.
        apply: TensorFlow's array to torch's.
        undo: torch's array to TensorFlow's, given the shape it had there.
    """

    name: str
    apply: Callable[[np.ndarray], np.ndarray]
    undo: Callable[[np.ndarray, tuple[int, ...]], np.ndarray]


SAME = Transform("as it is", lambda array: array, lambda array, shape: array)
TRANSPOSED = Transform("transposed", lambda array: array.T, lambda array, shape: array.T)
FLAT = Transform("joined to a vector", lambda array: array.reshape(-1), lambda array, shape: array.reshape(shape))
HEADS_OUT = Transform(
    "[in, heads, width] to [heads · width, in]",
    lambda array: array.reshape(array.shape[0], -1).T,
    lambda array, shape: array.T.reshape(shape),
)
HEADS_IN = Transform(
    "[heads, width, out] to [out, heads · width]",
    lambda array: array.reshape(-1, array.shape[-1]).T,
    lambda array, shape: array.T.reshape(shape),
)
IMAGE_KERNEL = Transform(
    "[height, width, in, out] to [out, in, height, width]",
    lambda array: array.transpose(3, 2, 0, 1),
    lambda array, shape: array.transpose(2, 3, 1, 0),
)


@dataclass(frozen=True)
class Rule:
    """Variables of one pattern and the tensor each becomes.

    Attributes:
        pattern: regular expression for the end of a variable's name; what stands before it is the model's own scope.
        key: name in the checkpoint of transformers or timm, with `\\1` … for the groups.
        transform: how the layout changes.
    """

    pattern: str
    key: str
    transform: Transform = SAME


@dataclass(frozen=True)
class LeftOut:
    """Variables that the result has no place for, and why."""

    pattern: str
    reason: str


@dataclass(frozen=True)
class Placed:
    """One variable and where it goes."""

    variable: str
    key: str
    transform: Transform


@dataclass
class Placement:
    """Where every variable goes: used once, or left out for a reason."""

    placed: list[Placed] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass
class Options:
    """What the user may say where files do not.

    Attributes:
        part: of a checkpoint with several networks, the one to take (ELECTRA: discriminator, generator).
        num_heads, num_layers, hidden_act, do_lower_case: over what was found.
    """

    part: str | None = None
    num_heads: int | None = None
    num_layers: int | None = None
    hidden_act: str | None = None
    do_lower_case: bool | None = None


class Family(ABC):
    """One family of models. The file's name is the family's; a subclass says what is below.

    Attributes:
        title: in sentences.
        modality: `"text"` or `"image"`.
        recognizes: patterns, each of which some variable's name must end with (regular expressions).
        foreign: patterns of another family's variables, none of which may be there.
        parts: names of networks that `--part` chooses from; the first is the default.
        pixels: what TensorFlow's network takes pictures in: `"unit"` for 0 … 1, `"signed"` for -1 … 1.

    Args:
        source: the opened checkpoint.
        options: the user's.
    """

    title: ClassVar[str]
    modality: ClassVar[str] = "text"
    recognizes: ClassVar[tuple[str, ...]] = ()
    foreign: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[tuple[str, ...]] = ()
    pixels: ClassVar[str] = "unit"

    def __init__(self, source: Source, options: Options | None = None) -> None:
        self.source, self.options = source, options or Options()
        self.notes: list[str] = []
        part = self.options.part
        if part is not None and part not in self.parts:
            offered = f"one of {', '.join(self.parts)}" if self.parts else "not an option"
            raise ConfigError(f"--part is {offered} for {self.title}, not {part!r}.")
        self.part = part or (self.parts[0] if self.parts else None)

    @classmethod
    def fits(cls, names: Iterable[str]) -> bool:
        """Whether a checkpoint with these variables is of this family."""
        known = list(names)
        there = {pattern: any(_ends(pattern, name) for name in known) for pattern in (*cls.recognizes, *cls.foreign)}
        return all(there[pattern] for pattern in cls.recognizes) and not any(there[pattern] for pattern in cls.foreign)

    @abstractmethod
    def rules(self) -> list[Rule]:
        """Where each variable goes; the first rule that matches counts."""

    @abstractmethod
    def config(self) -> PreTrainedConfig | dict[str, Any]:
        """The configuration, from names, shapes, the graph and files beside them; for timm, what its config.json holds."""

    @abstractmethod
    def architecture(self) -> str:
        """Name of the transformers class that holds everything, such as `BertForMaskedLM`; `AutoModel` for timm."""

    def added(self) -> dict[str, np.ndarray]:
        """Tensors that TensorFlow does not keep and torch does, such as the counters of batch normalization."""
        return {}

    @abstractmethod
    def save_processor(self, folder: Path) -> None:
        """Write the tokenizer or image processor.

        Raises:
            CheckpointError: the files it is made of are not there.
        """

    def leaves_out(self) -> list[LeftOut]:
        """Variables that have no place in the result."""
        return []

    def outputs(self) -> dict[str, str]:
        """For the comparison with TensorFlow: names of its outputs, and what they are called here."""
        return {}

    def place(self) -> Placement:
        """Give every variable its place.

        Raises:
            CheckpointError: a variable that no rule knows, or two for one tensor.
        """
        result = Placement(left_out=dict.fromkeys(self.source.left_out, "as asked, by --leave_out"))
        taken: dict[str, str] = {}
        unknown: list[str] = []
        rules, leaves_out = self.rules(), self.leaves_out()
        for name in self.source.names:
            reason = self._state(name) or next((item.reason for item in leaves_out if _ends(item.pattern, name)), None)
            if reason is not None:
                result.left_out[name] = reason
                continue
            for rule in rules:
                match = _ends(rule.pattern, name)
                if match:
                    key = match.expand(rule.key)
                    if key in taken:
                        raise CheckpointError(f"{self.source.given}: {name} and {taken[key]} both belong to {key}.")
                    taken[key] = name
                    result.placed.append(Placed(name, key, rule.transform))
                    break
            else:
                unknown.append(name)
        if unknown:
            raise CheckpointError(
                f"{self.source.given} looks like {self.title}, but {len(unknown)} of its {len(self.source.names)} variables are "
                f"unknown: {', '.join(unknown[:5])}. What is no part of it, such as a head of your own, is left out by name "
                f"(--leave_out '{_common(unknown, taken.values())}'); a family of your own takes what belongs to the network: "
                "--family my_package.my_module:MyFamily"
            )
        return result

    def _state(self, name: str) -> str | None:
        """Why a variable is none of the network, whatever the family; None when it may be one."""
        if is_state(name, self.source.key(name), self.source.names):
            return "state of the optimizer"
        if _ends(_SCHEDULE, name) or self.source.kind(name) in _NO_WEIGHTS:
            return "a count or a setting"
        return None

    # What files, names and shapes tell, for the configurations of subclasses.

    def named(self, pattern: str) -> str:
        """The one variable whose name ends with a pattern.

        Raises:
            CheckpointError: there is none.
        """
        found = next((name for name in self.source.names if _ends(pattern, name)), None)
        if found is None:
            raise CheckpointError(
                f"{self.source.given} has no variable that ends with {pattern!r}; {self.title} has one."
            )
        return found

    def shape(self, pattern: str) -> tuple[int, ...]:
        """Shape of the one variable whose name ends with a pattern."""
        return self.source.shape(self.named(pattern))

    def has(self, pattern: str) -> bool:
        """Whether a variable's name ends with a pattern."""
        return any(_ends(pattern, name) for name in self.source.names)

    def count(self, pattern: str) -> int:
        """One more than the largest number in the first group of a pattern; 0 when none matches.

        Raises:
            CheckpointError: a number between is absent, so something of the network is.
        """
        found = {int(match.group(1)) for name in self.source.names if (match := _ends(pattern, name))}
        if found and len(found) != max(found) - min(found) + 1:
            gap = next(number for number in sorted(found) if number + 1 not in found) + 1
            raise CheckpointError(
                f"{self.source.given} has parts of {self.title} numbered up to {max(found)}, and none numbered {gap}."
            )
        return max(found, default=-1) + 1

    def setting(self, name: str) -> Any:
        """A field of the configuration file beside the checkpoint, or None."""
        return self.source.settings.get(name)


def dense(pattern: str, key: str) -> list[Rule]:
    """Rules of a fully connected layer."""
    return [Rule(f"{pattern}/kernel", f"{key}.weight", TRANSPOSED), Rule(f"{pattern}/bias", f"{key}.bias")]


def norm(pattern: str, key: str, scale: str = "gamma", shift: str = "beta") -> list[Rule]:
    """Rules of a normalization."""
    return [Rule(f"{pattern}/{scale}", f"{key}.weight"), Rule(f"{pattern}/{shift}", f"{key}.bias")]


def _common(unknown: list[str], known: Iterable[str]) -> str:
    """A pattern for the first of the unknown variables and its neighbors, if it means no known one."""
    scope = unknown[0].rpartition("/")[0]
    alone = scope and not any(name.startswith(f"{scope}/") for name in known)
    return f"{scope}/*" if alone else unknown[0]


def is_state(name: str, key: str, names: Collection[str]) -> bool:
    """Whether a variable belongs to the training, not to the network.

    Optimizers and their users choose the names of what they keep (Adam, AdamW, LAMB, moving averages). Its place tells:
    TensorFlow 1 puts it below the variable it is kept for, TensorFlow 2 below the optimizer's object.

    Args:
        key: of the variable in the checkpoint.
        names: of all variables.
    """
    below = name.rpartition("/")[0]
    while below and below not in names:
        below = below.rpartition("/")[0]
    kept_for = bool(below) or _TRAINING.search(key) is not None
    return kept_for or bool(_ends(_OPTIMIZER, name)) or name.startswith(("Adam/", "keras_api/"))


def _ends(pattern: str, name: str) -> re.Match[str] | None:
    return re.search(f"(?:^|/){pattern}$", name)
