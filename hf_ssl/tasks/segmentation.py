"""One class per pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.fields import option
from hf_ssl.modalities.encoder import VisionEncoder
from hf_ssl.modalities.image.files import DecodeOptions, Unreadable, pixels
from hf_ssl.modalities.image.geometry import Geometry, resized
from hf_ssl.tasks.base import Task

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality
    from hf_ssl.models.reference import CheckpointRef

NEAREST = 0  # Pillow's number of the filter: a mean of two class numbers is no class


class Segmentation(Task[VisionEncoder]):
    """Semantic segmentation: a class for every pixel, labels as pictures of class numbers.

    Loss: cross-entropy over pixels, with the model's coarse logits interpolated to the labels' size; pixels of class
    `ignore` count neither in the loss nor in the metrics.

    Labels are pictures with one channel (palette PNG files keep their numbers) of the size of the picture they belong
    to; both are resized together, labels without mixing. Metrics are measured at the model's input size.
    """

    needs: ClassVar = VisionEncoder
    label_kind: ClassVar = "mask"
    is_default: ClassVar = True
    primary_metric: ClassVar = "mean_iou"
    metric_names: ClassVar = ("mean_iou", "pixel_accuracy")

    @dataclass
    class Config(Task.Config):
        """Options of `segmentation`."""

        ignore: int = option(255, "Class number that is not counted.")
        classes: list[str] | None = option(None, "Names of classes 0, 1, 2 …")

    config: Config

    def __init__(self, config: Config, modality: Modality) -> None:
        super().__init__(config, modality)
        self._shape: Geometry | None = (
            None  # what the processor does to pictures, and so to masks; known once they are encoded
        )

    @property
    def auto_class(self) -> str:
        return "AutoModelForSemanticSegmentation"

    @property
    def pipeline_tag(self) -> str:
        return "image-segmentation"

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        super().fit_labels(train)
        highest = 0
        for value in train[self.label_column]:
            there = np.unique(mask_of(value))
            highest = max(highest, int(there[there != self.config.ignore].max(initial=0)))
        names = self.config.classes or list(label_names or ())
        if names and highest >= len(names):
            raise DataError(f"Masks have class {highest}, but only {len(names)} classes are named.")
        if highest < 1 and len(names) < 2:
            raise DataError("The masks of the training split hold class 0 only; two classes are needed to learn.")
        self.label_names = names or [f"class {number}" for number in range(highest + 1)]

    def look_at(self, ref: CheckpointRef) -> None:
        loaded = self.modality.load(ref)
        assert isinstance(loaded, VisionEncoder)
        self._shape = loaded.shape

    def encode(self, encoder: VisionEncoder, dataset: datasets.Dataset) -> list[dict[str, Any]]:
        features = encoder.preprocess(self.inputs(dataset))
        if self.label_column not in dataset.column_names:
            return features
        self._shape = encoder.shape
        for feature, value in zip(features, dataset[self.label_column], strict=True):
            feature["labels"] = self._labels(value)
        return features

    def _labels(self, value: Mapping[str, Any] | bytes) -> np.ndarray:
        """A mask at the model's input size, int64, -100 where a pixel is not counted."""
        shape = self._shape
        if shape is None:
            raise ConfigError("The size of masks is the model's: encode the pictures first.")
        mask = resized(mask_of(value)[..., None], shape.height, shape.width, shape.shorter, NEAREST)[..., 0]
        return np.where(mask == self.config.ignore, -100, mask.astype(np.int64))

    def collate_labels(self, features: Sequence[dict[str, Any]], batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.from_numpy(np.stack([feature["labels"] for feature in features]))

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fine = functional.interpolate(logits, labels.shape[-2:], mode="bilinear", align_corners=False)
        total = functional.cross_entropy(fine, labels, ignore_index=-100, reduction="sum")
        return total, (labels != -100).sum()

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Mean over classes (that occur) of intersection over union, and the share of pixels that are right."""
        classes = logits.shape[1]
        confusion = np.zeros((classes, classes), dtype=np.int64)
        for scores, truth in zip(logits, labels, strict=True):  # one by one: a split of fine logits may not fit
            guess = self._classes(scores, truth.shape)
            counted = truth != -100
            confusion += np.bincount(truth[counted] * classes + guess[counted], minlength=classes * classes).reshape(
                classes, classes
            )
        hits, union = np.diag(confusion), confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
        return {
            "mean_iou": float((hits[union > 0] / union[union > 0]).mean()),
            "pixel_accuracy": float(hits.sum() / max(1, confusion.sum())),
        }

    def _classes(self, scores: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        fine = functional.interpolate(
            torch.from_numpy(scores)[None].float(), size, mode="bilinear", align_corners=False
        )
        return fine[0].argmax(0).numpy()

    def comparison_predictions(
        self, logits: np.ndarray, dataset: datasets.Dataset, encoder: VisionEncoder
    ) -> np.ndarray:
        """Class numbers at the model's input size, int16 `(pictures, height, width)`."""
        shape = encoder.shape
        return np.stack([self._classes(scores, (shape.height, shape.width)) for scores in logits]).astype(np.int16)

    def comparison_references(self, dataset: datasets.Dataset) -> np.ndarray:
        """Masks as `compared` has them, -100 where a pixel is not counted."""
        return np.stack([self._labels(value) for value in dataset[self.label_column]]).astype(np.int16)

    def baseline_predictions(self, train: datasets.Dataset, test: datasets.Dataset) -> tuple[str, np.ndarray]:
        """The class that most labeled pixels have, everywhere."""
        counted = np.concatenate([labels[labels != -100] for labels in map(self._labels, train[self.label_column])])
        return "commonest class", np.full_like(self.comparison_references(test), np.bincount(counted).argmax())

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: VisionEncoder) -> list[Any]:
        """Per picture, the share of its pixels given to each class that occurs, as text such as `road 0.61`."""
        rows = []
        for scores in logits:
            counts = np.bincount(scores.argmax(0).ravel(), minlength=len(self.label_names)) / scores[0].size
            order = [int(number) for number in np.argsort(-counts) if counts[number] > 0]
            text = "|".join(f"{self.label_names[number]} {counts[number]:.3f}" for number in order)
            rows.append({"prediction": text, "probability": float(counts.max())})
        return rows


def mask_of(value: Mapping[str, Any] | bytes) -> np.ndarray:
    """Class numbers of a mask, uint8 `(height, width)`; the palette of a PNG file is not applied.

    Raises:
        DataError: it cannot be read, or has several channels.
    """
    import io

    from PIL import Image as pil

    reference = value if isinstance(value, Mapping) else {"bytes": value, "path": None}
    content = reference["bytes"]
    stream = io.BytesIO(content) if content is not None else open(str(reference["path"]), "rb")  # noqa: SIM115
    with stream:
        if stream.read(4) == b"\x89PNG":
            stream.seek(0)
            with pil.open(stream) as picture:
                if picture.mode in {"P", "L", "1"}:
                    return np.asarray(picture).astype(np.uint8)
    try:
        array = pixels(reference, DecodeOptions(intensity="full"))
    except Unreadable as error:
        raise DataError(f"A mask cannot be read: {error}") from error
    if array.shape[2] != 1:
        raise DataError(f"A mask has {array.shape[2]} channels; it needs one, of class numbers.")
    return array[..., 0]
