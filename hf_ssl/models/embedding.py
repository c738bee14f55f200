"""What a vector must say of itself, so that vectors of two models never meet."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from hf_ssl.core.errors import ConfigError
from hf_ssl.core.jsonfiles import parse


@dataclass(frozen=True)
class EmbeddingSpec:
    """What made the vectors.

    Args:
        model: Hub id or folder, for people; `weights_sha` is what is compared.
        revision: commit on the Hub.
        pooling: how a vector was made of the model's output.
        normalized: whether it then got length 1.
        max_length: tokens that were read; None: no limit.
    """

    model: str
    revision: str | None
    weights_sha: str
    modality: str
    pooling: str
    normalized: bool
    max_length: int | None
    dimensions: int

    def require_same(self, other: EmbeddingSpec, where: str) -> None:
        """Stop when vectors of `other` are about to meet vectors of this stamp.

        Raises:
            ConfigError: names every difference.
        """
        names = [
            item.name for item in dataclasses.fields(self) if item.name not in ("model", "revision", "max_length")
        ]
        unlike = [
            f"{name} {getattr(self, name)!r}, not {getattr(other, name)!r}"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]
        if unlike:
            raise ConfigError(
                f"{where} holds vectors of {self.model}; these are of {other.model}: {'; '.join(unlike)}. Vectors of different "
                "models must not be mixed or compared. Use the same --model and --pooling, or another store or collection."
            )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str) -> EmbeddingSpec:
        """Read a stamp.

        Raises:
            ConfigError: there is none: the store was not made here.
        """
        try:
            return cls(**parse(text))
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{where} has no stamp of hf_ssl, so nobody knows which model its vectors are of."
            ) from error
