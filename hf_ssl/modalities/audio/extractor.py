"""What is asked of the feature extractor of an audio checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch

from hf_ssl.modalities.encoder import Processor


class FeatureExtractor(Processor, Protocol):
    """What is asked of the feature extractors of transformers; the last four are Whisper's."""

    sampling_rate: int
    hop_length: int
    chunk_length: int
    n_samples: int
    nb_max_frames: int

    def __call__(self, waves: Sequence[np.ndarray], /, **options: object) -> Mapping[str, torch.Tensor]: ...
