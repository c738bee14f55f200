"""Which checkpoint: a name, the revision of it, and the token that may read it, always together."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass, field
from pathlib import Path

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.checkpoint import WeightFiles, find_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckpointRef:
    """A checkpoint on the Hub or in a folder.

    Args:
        id: Hub id or local folder.
        revision: branch, tag or commit on the Hub; None is the default branch.
        token: for a private or gated repository; passed on, never stored or printed.
    """

    id: str
    revision: str | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def folder(self) -> Path | None:
        """The folder of this machine that is meant, if it is one."""
        folder = Path(self.id).expanduser()
        return folder if folder.is_dir() else None

    def weights(self) -> WeightFiles:
        """Where its weights lie on this machine (`hf_ssl.models.checkpoint.find_weights`)."""
        return find_weights(self.id, self.revision, self.token)

    def file(self, name: str) -> Path | None:
        """A small file beside the weights, from the folder, the Hub's cache or the Hub; None: it has no such file.

        Raises:
            CheckpointError: the Hub refuses.
        """
        if self.folder is not None:
            return self.folder / name if (self.folder / name).is_file() else None
        from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
        from huggingface_hub.errors import (
            EntryNotFoundError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )

        try:
            return Path(hf_hub_download(self.id, name, revision=self.revision, token=self.token))
        except LocalEntryNotFoundError:  # not the Hub's answer: it was not asked
            there = try_to_load_from_cache(self.id, "config.json", revision=self.revision)
            known = try_to_load_from_cache(self.id, name, revision=self.revision) is _CACHED_NO_EXIST
            if not known and isinstance(
                there, str
            ):  # of a checkpoint that is not there at all, `find_weights` says more
                _say_unknown(self.id, self.revision)
            return None
        except (EntryNotFoundError, HFValidationError):  # what is wrong with a name, `find_weights` says better
            return None
        except (HfHubHTTPError, OSError) as error:
            raise CheckpointError(f"Reading {name} of {self.id} failed: {error}") from error


@functools.cache
def _say_unknown(model_id: str, revision: str | None) -> None:
    """Once for each checkpoint: a guess is made where the Hub would know."""
    logger.warning(
        "%s: the Hub is not reachable and the cache holds the weights alone, so whether it says how its output is pooled "
        "is not known. Its family's habit is taken; --pooling says otherwise, or fetch the rest: hf download %s",
        model_id,
        model_id,
    )
