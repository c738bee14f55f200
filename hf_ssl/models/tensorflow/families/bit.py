"""BiT (Big Transfer): pre-activation ResNets with standardized convolutions, as timm's `resnetv2_*_bit`.

Names and layout as timm's own reader of the original `.npz` files has them (timm/models/resnetv2.py, `_load_weights`). The
weights were trained with labels; they are imported because self-supervised continuation starts from them all the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.tensorflow.families.base import IMAGE_KERNEL, Family, LeftOut, Rule, norm

_UNIT = r"resnet/block(\d+)/unit(\d+)"
_NETWORKS: dict[tuple[int, ...], str] = {(3, 4, 6, 3): "50x{}", (3, 4, 23, 3): "101x{}", (3, 8, 36, 3): "152x{}"}
_FACTORS = {"50x{}": (1, 3), "101x{}": (1, 3), "152x{}": (2, 4)}  # of the released models, which timm knows by name


class BiT(Family):
    """A BiT backbone without its classifier."""

    title = "BiT"
    modality = "image"
    recognizes = (r"resnet/root_block/standardized_conv2d/kernel", rf"{_UNIT}/a/standardized_conv2d/kernel")

    def rules(self) -> list[Rule]:
        return [
            Rule(r"resnet/root_block/standardized_conv2d/kernel", "stem.conv.weight", IMAGE_KERNEL),
            *norm(r"resnet/group_norm", "norm"),
            *(rule for stage in range(4) for rule in self._stage(stage)),
        ]

    def _stage(self, stage: int) -> list[Rule]:
        rules = []
        for unit in range(self._depths()[stage]):
            name, key = f"resnet/block{stage + 1}/unit{unit + 1:02d}", f"stages.{stage}.blocks.{unit}"
            rules.append(
                Rule(f"{name}/a/proj/standardized_conv2d/kernel", f"{key}.downsample.conv.weight", IMAGE_KERNEL)
            )
            for number, letter in enumerate("abc", start=1):
                rules.append(
                    Rule(f"{name}/{letter}/standardized_conv2d/kernel", f"{key}.conv{number}.weight", IMAGE_KERNEL)
                )
                rules += norm(f"{name}/{letter}/group_norm", f"{key}.norm{number}")
        return rules

    def leaves_out(self) -> list[LeftOut]:
        return [LeftOut(r"(resnet/)?head/.*", "a classifier with labels of its own")]

    def _depths(self) -> tuple[int, ...]:
        return tuple(
            self.count(rf"resnet/block{stage}/unit0*([1-9]\d*)/a/standardized_conv2d/kernel") - 1
            for stage in (1, 2, 3, 4)
        )

    def architecture(self) -> str:
        return "AutoModel"

    def config(self) -> dict[str, Any]:
        stem = self.shape(r"resnet/root_block/standardized_conv2d/kernel")[3]
        widths = [self.shape(rf"resnet/block{stage}/unit01/c/standardized_conv2d/kernel")[3] for stage in (1, 2, 3, 4)]
        depth = _NETWORKS.get(self._depths())
        if depth is None:
            raise CheckpointError(
                f"{self.source.given} has {self._depths()} units in its blocks; timm's BiT networks have "
                f"{', '.join(map(str, _NETWORKS))}."
            )
        factor = stem // 64
        usual = factor in _FACTORS[depth] and [stem, *widths] == [
            64 * factor,
            *(256 * 2**i * factor for i in range(4)),
        ]
        name = depth.format(factor if usual else _FACTORS[depth][0])
        # Of another width: timm multiplies what is given by the factor of the name.
        made = (
            {}
            if usual
            else {"channels": [w // _FACTORS[depth][0] for w in widths], "stem_chs": stem // _FACTORS[depth][0]}
        )
        side = 448 if usual else 224
        return {
            "architecture": f"resnetv2_{name}_bit", "num_classes": 0, "num_features": widths[-1], "label_names": [],
            "model_args": made,
            "pretrained_cfg": {
                "input_size": [3, side, side], "interpolation": "bilinear", "crop_pct": 1.0, "crop_mode": "center",
                "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "first_conv": "stem.conv", "classifier": "head.fc",
            },
        }  # fmt: skip

    def save_processor(self, folder: Path) -> None:
        """timm keeps how pictures are prepared in config.json."""

    def outputs(self) -> dict[str, str]:
        return {"features": "pooler_output", "default": "pooler_output", "feature_vector": "pooler_output"}
