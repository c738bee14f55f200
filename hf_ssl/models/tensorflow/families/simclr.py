"""SimCLR and SimCLRv2: the ResNets of google-research/simclr without selective kernels, as a timm network.

Matching is by order: the variables are numbered as they are made, convolution by convolution. timm's `resnetv2_50` with
`preact=False` is the same post-activation network, and with `stem_type="same"` it pools after the stem as TensorFlow does,
with the odd pixel of padding at the end; timm's `resnet50` and transformers' ResNet pad at the beginning and answer
something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.tensorflow.families.base import IMAGE_KERNEL, Family, LeftOut, Rule

_CONV = r"(?:.*/)?conv2d(?:_(\d+))?/kernel"
_NORM = r"(?:.*/)?(?:sync_)?batch_normalization(?:_(\d+))?/gamma"
_HEADS = r"(.*/)?(head_contrastive|head_supervised|projection_head|supervised_head|linear_layer)\w*/.*"
_NETWORKS: dict[tuple[int, ...], str] = {
    (3, 4, 6, 3): "resnetv2_50",
    (3, 4, 23, 3): "resnetv2_101",
    (3, 8, 36, 3): "resnetv2_152",
}


class SimCLR(Family):
    """A ResNet that was trained to tell pictures apart, without the heads it was trained with."""

    title = "SimCLR"
    modality = "image"
    recognizes = (
        r"(?:base_model|resnet|.*_model)/(?:.*/)?conv2d/kernel",
        r"(?:sync_)?batch_normalization/moving_mean",
    )

    def rules(self) -> list[Rule]:
        rules = []
        for name, key in self._convolutions().items():
            rules.append(Rule(re.escape(name), f"{key}.weight", IMAGE_KERNEL))
        for name, key in self._norms().items():
            stem = re.escape(name.removesuffix("gamma"))
            rules += [Rule(f"{stem}gamma", f"{key}.weight"), Rule(f"{stem}beta", f"{key}.bias"),
                      Rule(f"{stem}moving_mean", f"{key}.running_mean"),
                      Rule(f"{stem}moving_variance", f"{key}.running_var")]  # fmt: skip
        return rules

    def leaves_out(self) -> list[LeftOut]:
        return [LeftOut(_HEADS, "a head of the pre-training: simclr makes a new one"),
                LeftOut(r"ema_model/.*", "a moving average beside the network itself")]  # fmt: skip

    def _numbered(self, pattern: str) -> list[str]:
        """Names of one kind of variable of the backbone, in the order they were made."""
        kept = [
            name
            for name in self.source.names
            if not any(re.search(f"(?:^|/){i.pattern}$", name) for i in self.leaves_out())
        ]
        found = [(int(match[1] or 0), name) for name in kept if (match := re.fullmatch(pattern, name))]
        numbers = [number for number, _ in found]
        if len(set(numbers)) != len(numbers):
            raise CheckpointError(f"{self.source.given}: two variables of {self.title} have the same number.")
        return [name for _, name in sorted(found)]

    def _depths(self) -> list[int]:
        """Blocks in each stage: a stage begins where a block has a projection, which is made before the block itself."""
        shapes = [self.source.shape(name) for name in self._numbered(_CONV)][1:]
        if any(len(shape) != 4 for shape in shapes):
            raise CheckpointError(f"{self.source.given}: a convolution of {self.title} has no four dimensions.")
        if any(re.search(r"/sk_|sk_conv|se_reduce", name) for name in self.source.names) or (
            len(self._numbered(_CONV)) != len(self._numbered(_NORM))
        ):
            raise CheckpointError(
                f"{self.source.given} is a SimCLR with selective kernels (sk1) or squeeze-and-excitation, which no network of timm "
                "has. Take the one without: r50_1x_sk0."
            )
        depths: list[int] = []
        at = 0
        while at < len(shapes):
            projected = (
                at + 3 < len(shapes)
                and shapes[at][:2] == shapes[at + 1][:2] == (1, 1)
                and shapes[at + 2][:2] == (3, 3)
            )
            if projected:
                depths.append(1)
                at += 4
            elif depths and at + 2 < len(shapes) and shapes[at][0] == 1 and shapes[at + 1][0] == 3:
                depths[-1] += 1
                at += 3
            else:
                raise CheckpointError(
                    f"{self.source.given}: the convolutions of {self.title} are not those of a bottleneck ResNet."
                )
        return depths

    def _places(self) -> Iterator[tuple[str, str]]:
        """Where each convolution and its normalization go, in the order they were made."""
        yield "stem.conv", "stem.norm"
        for stage, depth in enumerate(self._depths()):
            for block in range(depth):
                place = f"stages.{stage}.blocks.{block}"
                if not block:
                    yield f"{place}.downsample.conv", f"{place}.downsample.norm"
                for number in (1, 2, 3):
                    yield f"{place}.conv{number}", f"{place}.norm{number}"

    def _convolutions(self) -> dict[str, str]:
        return dict(zip(self._numbered(_CONV), (conv for conv, _ in self._places()), strict=True))

    def _norms(self) -> dict[str, str]:
        return dict(zip(self._numbered(_NORM), (norm for _, norm in self._places()), strict=True))

    def added(self) -> dict[str, np.ndarray]:
        return {f"{norm}.num_batches_tracked": np.array(0, dtype=np.int64) for _, norm in self._places()}

    def architecture(self) -> str:
        return "AutoModel"

    def config(self) -> dict[str, Any]:
        depths, shapes = self._depths(), [self.source.shape(name) for name in self._numbered(_CONV)]
        widths = [shape[3] for shape, (conv, _) in zip(shapes, self._places(), strict=True) if "downsample" in conv]
        made: dict[str, Any] = {"preact": False, "stem_type": "same"}
        if shapes[0][3] != 64 or widths != [256, 512, 1024, 2048]:
            made |= {"stem_chs": shapes[0][3], "channels": widths}
        name = _NETWORKS.get(tuple(depths), "resnetv2_50")
        if tuple(depths) not in _NETWORKS:
            made["layers"] = depths
        return {
            "architecture": name, "num_classes": 0, "num_features": widths[-1], "label_names": [], "model_args": made,
            "pretrained_cfg": {
                "input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center",
                "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "first_conv": "stem.conv", "classifier": "head.fc",
            },
        }  # fmt: skip

    def save_processor(self, folder: Path) -> None:
        """timm keeps how pictures are prepared in config.json."""

    def outputs(self) -> dict[str, str]:
        return {"default": "pooler_output", "final_avg_pool": "pooler_output"}
