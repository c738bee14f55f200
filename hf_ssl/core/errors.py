"""What can go wrong, said so that the reader knows what to do next."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

from hf_ssl.core.codes import calling_module, code_of, code_of_warning


class HfSslError(Exception):
    """Base class of every error that hf_ssl raises on purpose."""

    @property
    def code(self) -> str:
        """Such as `HFS012`: its section in docs/troubleshooting.md."""
        return code_of(self)


class ConfigError(HfSslError):
    """An option is unknown, has the wrong type, or contradicts another one."""


class DataError(HfSslError):
    """The user's data cannot be used as given."""


class CheckpointError(HfSslError):
    """A checkpoint did not load completely, or is not what it was said to be."""


class MissingExtraError(HfSslError):
    """An optional dependency is not installed; the message has the pip line."""


class RunFolderError(HfSslError):
    """The run folder is in use, belongs to another configuration, or lacks an earlier stage."""


class MachineError(HfSslError):
    """The disk is full, memory ran short, a file may not be written, or another process of the command has ended."""


class TrainingError(HfSslError):
    """Training could not go on: the loss is not finite, or the features collapsed."""


class HubError(HfSslError):
    """A repository cannot be published as it is, or the Hub refused or lost it; the message says what is there now."""


class HfSslWarning(UserWarning):
    """What Python's `warnings` show of this library; the text ends with the code, which other libraries' have not.

    Args:
        text: what should be known.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
        self.code = code_of_warning(calling_module(__name__))
        """Such as `HFS240`: its section in docs/troubleshooting.md."""

    def __str__(self) -> str:
        return f"{self.text} [{self.code}]"


class OldNameWarning(HfSslWarning, FutureWarning):
    """An old name is used, which will go."""


def nearest(name: str, options: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the closest option (else for those that hold the word), or nothing when none is close."""
    names = [str(option) for option in options]
    # Users mix 'mask-ratio' and 'mask_ratio'; spelling distance should not count that.
    folded = {option.replace("-", "_").lower(): option for option in names}
    asked = name.replace("-", "_").lower()
    close = difflib.get_close_matches(asked, folded, n=1, cutoff=0.6)
    if not close and len(asked) >= 4:
        holding = [option for option in folded if asked.rstrip("s") in option]  # `epochs` is in `num_train_epochs`
        close = sorted(holding, key=lambda option: (len(option), option))[:3]
    return f" Did you mean {' or '.join(repr(folded[option]) for option in close)}?" if close else ""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which pip line installs it.

    Args:
        module: dotted name, such as `"pymilvus"`.
        extra: the extra of this package that brings it, such as `"vectors"`.

    Raises:
        MissingExtraError: when the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and not module.startswith(error.name):
            raise  # the module is there, one of its own dependencies is broken: that is another story
        raise MissingExtraError(
            f'{module} is needed for this and is not installed. Run: pip install "hf_ssl[{extra}]"'
        ) from error
