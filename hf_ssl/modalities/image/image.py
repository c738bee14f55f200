"""Images: photographs, scans, satellite scenes, with one, three or any number of channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hf_ssl.core.errors import ConfigError, nearest
from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.base import Modality, Notes
from hf_ssl.modalities.image import geometry as geo
from hf_ssl.modalities.image import views as random_views
from hf_ssl.modalities.image.columns import array_features, arrays_stored, paths_resolved, table_of
from hf_ssl.modalities.image.files import (
    ARRAYS,
    DICOM,
    PICTURES,
    TAR,
    DecodeOptions,
    ImageInfo,
    Unreadable,
    as_reference,
    dimensions,
    identity,
    inspect,
    read_tar,
)
from hf_ssl.modalities.image.frames import frame_count, frames_of, looks_like_picture, thumbnail
from hf_ssl.modalities.image.masks import class_masks

if TYPE_CHECKING:
    import datasets
    import torch
    from torch import nn
    from transformers import PreTrainedModel

    from hf_ssl.models.loading import LoadReport

TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet", ".gz")
POOLINGS = ("mean", "cls", "max", "native", "grid")
GRID_NUMBERS = 4096  # that `grid` pooling gives at most, but for 2 x 2 cells
PATH_COLUMNS = (
    "image",
    "img",
    "image_path",
    "img_path",
    "file_name",
    "filename",
    "file_path",
    "filepath",
    "file",
    "path",
)
# Families whose released checkpoints were trained through the first token.
_CLS_FAMILIES = {"vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "vit_msn"}
CHUNK = 2048  # images decoded at a time when embedding


class Image(Modality):
    """Pictures of any mode and bit depth. The column holds `{"bytes", "path"}`, undecoded.

    To look at one: `data["train"].cast_column("image", datasets.Image())[0]["image"]` is a Pillow image.
    """

    name = "image"
    column = "image"
    aliases = ("image", "img", "picture", "photo", "pixel_values", *PATH_COLUMNS[2:])
    suffixes = (*PICTURES, *ARRAYS, *DICOM, *TAR)
    containers = TAR
    default_objective = "simclr"
    processor = "image"
    labeled_class = "AutoModelForImageClassification"
    pipeline_tag = "image-classification"
    feature_pipeline = "image-feature-extraction"
    baseline = "pixels"
    near_bits = 16
    learning_rate = 1e-4

    @dataclass
    class Config(Options):
        """How images are read and varied."""

        image_size: int | None = option(
            None, "Side of the model's input in pixels (default: the checkpoint's own).", ge=1
        )
        channels: int | None = option(
            None, "Channels of the images; the model's first layer is adapted to them.", ge=1
        )
        domain: Literal["natural", "medical", "satellite"] = option(
            "natural", "Which random changes keep a picture's meaning."
        )
        crop_scale: list[float] | None = option(None, "Least and greatest area share of random crops, such as 0.2,1.")
        color: float | None = option(None, "Multiplies the method's color changes; 0 switches them off.", ge=0)
        blur: bool | None = option(None, "False switches blur off in random views.")
        local_views: int | None = option(None, "Small crops per picture (dino).", ge=0)
        background: int = option(255, "Gray value put behind transparent pixels.", ge=0, le=255)
        intensity: Literal["range", "full"] = option(
            "range", "16-bit pixels: stretch each picture's own range, or divide by the type's."
        )
        frames: Literal["first", "all"] | None = option(
            None, "Pictures of a file with several (TIFF pages, animations, DICOM): first or all (asked for)."
        )
        mask_values: list[str] = option(
            [], "Values of masks (or colors such as #ff0000) that are classes 0, 1, 2 ..., in this order."
        )
        max_megapixels: float = option(100.0, "Larger pictures are refused unopened.", gt=0)

        def problems(self) -> list[str]:
            scale = self.crop_scale
            fits = scale is None or (len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1)
            return [*super().problems(), *([] if fits else [f"crop_scale: two fractions such as 0.2,1, not {scale}."])]

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        c = self.config
        self.reading = DecodeOptions(c.background, c.intensity, c.max_megapixels, c.frames)
        self._infos: dict[str, ImageInfo] = {}

    # -- data side --------------------------------------------------------------------------------------------------

    def read_files(self, files: list[Path], root: Path, quarantine: list[dict[str, str]]) -> datasets.Dataset:
        """Every readable picture as a reference; each file is decoded once here, so that broken ones are known."""
        tars = [file for file in files if file.suffix.lower() in TAR]
        plain = [file for file in files if file.suffix.lower() not in TAR]
        rows: list[dict[str, Any]] = []
        for file in plain:
            relative = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
            rows.append({"image": {"bytes": None, "path": str(file)}, "path": relative})
        for file in tars:
            rows += read_tar(file, quarantine)
        kept = []
        for row, seen in zip(rows, self._inspect_all([row["image"] for row in rows]), strict=True):
            if seen.problem is None and seen.frames > 1 and self.config.frames == "all":
                kept += [
                    {**row, "image": frame, "path": f"{row['path']}#{number}", "recording": row["path"]}
                    for number, frame in enumerate(frames_of(row["image"], self.reading))
                ]
            elif seen.problem is None:
                kept.append(row)
            else:
                quarantine.append({"path": row["image"]["path"] or row["path"], "reason": seen.problem})
        several = [row for row in kept if row.get("recording")]
        if several:
            count = len({row["recording"] for row in several})
            self._pending.append(f"{count:,} files hold several pictures: {len(several):,} rows, as frames='all' says")
        return table_of(kept)

    def recognizes(self, file: Path) -> bool:
        """Pictures whose name does not say so."""
        return file.suffix.lower() not in TABLES and looks_like_picture(file)

    def hint(self, reason: str) -> str:
        return "frames='first' or frames='all' says which are used" if "in one file" in reason else ""

    def preview(self, value: Any) -> tuple[str, bytes | None]:
        """Size, and a thumbnail of at most 96 pixels."""
        seen = self._inspect(value)
        if seen.problem is not None:
            return seen.problem, None
        return f"{seen.width} x {seen.height}, {seen.channels} channels", thumbnail(value, self.reading)

    def class_masks(self, masks: Sequence[Any], report: Notes) -> list[Any]:
        """Masks of class numbers, whatever values or colors they were drawn in; see `hf_ssl.modalities.image.masks`."""
        return class_masks(masks, list(self.config.mask_values), report)

    def canonicalize(self, dataset: Any, folders: Sequence[Path] = ()) -> Any:
        """Undecoded references from image features, from columns of paths, and from arrays.

        A column of paths is one whose first entry is a picture's file below one of `folders`; this finds masks too.
        """
        import datasets

        for name, feature in (dataset.features or {}).items():
            if isinstance(feature, datasets.Image) and feature.decode:
                dataset = dataset.cast_column(name, datasets.Image(decode=False))
        if not isinstance(dataset, datasets.Dataset) or not len(dataset):
            return dataset
        lower = {name.lower(): name for name in reversed(dataset.column_names)}
        column = next((lower[alias] for alias in self.aliases if alias in lower), None)
        read = isinstance(
            dataset.features.get(self.column), datasets.Image
        )  # then `path` says where pictures are from
        for name, feature in dataset.features.items():
            if name == "path" and read:
                continue
            if feature in (datasets.Value("string"), datasets.Value("large_string")):
                dataset = paths_resolved(dataset, name, self.column if name == column else None, folders)
            elif isinstance(feature, dict) and {"bytes", "path"} <= feature.keys():
                dataset = dataset.cast_column(name, datasets.Image(decode=False))
            elif name == column and isinstance(feature, array_features()):
                dataset = arrays_stored(dataset, name)
        return dataset

    def validate(self, value: Any) -> str | None:
        return self._inspect(value).problem

    def content_key(self, value: Any) -> str:
        """Hash of the pixels: another file format or a grey picture saved as color is the same content."""
        return self._inspect(value).key

    def signature(self, value: Any) -> np.ndarray | None:
        return self._inspect(value).signature

    def describe(self, dataset: datasets.Dataset) -> dict[str, Any]:
        """Sides and channels: median, least and greatest."""
        seen = [self._inspect(value) for value in dataset[self.column]]
        widths, heights = np.array([g.width for g in seen] or [0]), np.array([g.height for g in seen] or [0])
        channels = sorted({g.channels for g in seen})
        return {
            "width_median": int(np.median(widths)), "height_median": int(np.median(heights)),
            "side_min": int(min(widths.min(), heights.min())), "side_max": int(max(widths.max(), heights.max())),
            "channels": channels[0] if len(channels) == 1 else " and ".join(map(str, channels)),
        }  # fmt: skip

    def baseline_features(self, values: Sequence[Any]) -> np.ndarray:
        """Pixels: every picture at 28 x 28, `channels` of them (gray ones as color, too), on the scale of 0 to 1."""
        shape = geo.Geometry(28, 28, None, 2, (0.0,), (1.0,))
        channels = self.config.channels or 3
        return geo.store(list(values), self.reading, shape, channels).reshape(len(values), -1).astype(np.float32) / 255

    def _inspect(self, value: Any) -> ImageInfo:
        try:
            reference = as_reference(value)
        except Unreadable as error:
            return ImageInfo(str(error))
        name = identity(reference)
        if name not in self._infos:
            self._infos[name] = inspect(reference, self.reading, frame_count(reference))
        return self._infos[name]

    def _inspect_all(self, values: Sequence[Any]) -> list[ImageInfo]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self._inspect, values))

    # -- model side -------------------------------------------------------------------------------------------------

    def load_model(
        self, model_id: str, auto_class: str = "AutoModel", *, dataset: Any = None, **options: Any
    ) -> tuple[PreTrainedModel, LoadReport]:
        """Load, and fit the first layer to `channels` and the recorded input size to `image_size`."""
        from hf_ssl.modalities.image.backbones import load_fitted

        return load_fitted(model_id, auto_class, self.config.channels, self.config.image_size, **options)

    def load_processor(self, model_id: str, revision: str | None = None) -> Any:
        """The checkpoint's processor, with `image_size` and `channels` written into it, so that they travel."""
        from hf_ssl.modalities.image.backbones import fit_processor

        found = super().load_processor(model_id, revision)
        return fit_processor(found, self.config.channels, self.config.image_size)

    def shape(self, processor: Any) -> geo.Geometry:
        """What the processor does."""
        return geo.geometry(processor)

    def channels(self, processor: Any) -> int:
        """Channels of the model that this processor feeds."""
        return self.config.channels or len(self.shape(processor).mean)

    def encode(self, processor: Any, values: Sequence[Any], max_length: int | None = None) -> list[dict[str, Any]]:
        """uint8 pixels at the model's size, `(channels, height, width)`; normalized only when a batch is made."""
        shape = self.shape(processor)
        return [{"pixel_values": one} for one in geo.store(values, self.reading, shape, self.channels(processor))]

    def size(self, feature: dict[str, Any]) -> int:
        """Patches of 16 x 16 pixels."""
        _, height, width = feature["pixel_values"].shape
        return max(1, math.ceil(height / 16) * math.ceil(width / 16))

    def collate(self, processor: Any, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """`pixel_values`, float32 `(batch, channels, height, width)`, normalized."""
        import torch

        stacked = torch.from_numpy(np.stack([feature["pixel_values"] for feature in features]))
        scaled = stacked.to(torch.float32).mul_(1 / 255)
        return {"pixel_values": random_views.normalized(scaled, self.shape(processor))}

    def embed(self, backbone: nn.Module, processor: Any, values: Sequence[Any], **options: Any) -> np.ndarray:
        """As in every modality, but decoded a few thousand at a time."""
        if len(values) <= CHUNK:
            return super().embed(backbone, processor, values, **options)
        starts = range(0, len(values), CHUNK)
        return np.concatenate(
            [super(Image, self).embed(backbone, processor, values[s : s + CHUNK], **options) for s in starts]
        )

    def features(self, backbone: nn.Module, batch: dict[str, torch.Tensor], pooling: str) -> torch.Tensor:
        """One vector per picture.

        `mean` and `max` of the backbone's map; `cls`, its first token; `native`, what the network itself gives; `grid`, the
        means of cells of the map one after the other, as many as give 4,096 numbers, for pictures that are aligned
        (products, faces, scans), where it matters at which place something is. With `@-2` behind, the map is that of the
        layer (or stage) before the last, and so on: the last one follows the objective it was trained with.
        """
        from torch.nn import functional

        from hf_ssl.modalities.image.backbones import layer_map, run, special_tokens

        how, _, layer = pooling.partition("@")
        if how not in POOLINGS or (layer and (how in ("cls", "native") or not _is_layer(layer))):
            raise ConfigError(
                f"No pooling is called {pooling!r}.{nearest(how, POOLINGS)} Known: {', '.join(POOLINGS)}; mean, max and grid "
                "also of an earlier layer, such as mean@-2."
            )
        special = special_tokens(backbone)
        if layer:
            tokens, grid, own = None, layer_map(backbone, batch["pixel_values"], special, int(layer)), None
        else:
            tokens, grid, own = run(backbone, batch["pixel_values"], special)
        if how == "native" and own is not None:
            return own
        if how == "cls" and special and tokens is not None:
            return tokens[:, 0]
        if how == "max":
            return grid.flatten(2).amax(dim=2)
        if how == "grid":
            cells = max(2, math.isqrt(GRID_NUMBERS // grid.shape[1]))
            return functional.adaptive_avg_pool2d(
                grid, (min(cells, grid.shape[2]), min(cells, grid.shape[3]))
            ).flatten(1)
        return grid.flatten(2).mean(dim=2)

    def forward(self, model: nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        from hf_ssl.modalities.image.backbones import laid_out

        return super().forward(model, {**inputs, "pixel_values": laid_out(model, inputs["pixel_values"])})

    def patch_features(self, backbone: nn.Module, batch: dict[str, torch.Tensor], **inputs: Any) -> torch.Tensor:
        """The backbone's last map, `(batch, hidden, rows, columns)`, special tokens taken away."""
        return self.tokens_and_map(backbone, batch, **inputs)[1]

    def tokens_and_map(
        self, backbone: nn.Module, batch: dict[str, torch.Tensor], **inputs: Any
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """All tokens `(batch, tokens, hidden)`, None for a network without; and the map, as in `patch_features`."""
        from hf_ssl.modalities.image.backbones import run, special_tokens

        return run(backbone, batch["pixel_values"], special_tokens(backbone), **inputs)[:2]

    def default_pooling(self, model_id: str) -> str:
        """`cls` where the family was trained through its first token, `native` for timm, else the mean of the map."""
        from hf_ssl.modalities.image.backbones import family

        kind = family(model_id)
        return "cls" if kind in _CLS_FAMILIES else "native" if kind == "timm_wrapper" else "mean"

    def example_values(self, processor: Any = None) -> list[Any]:
        """As large as the processor resizes to: two libraries' resizing differs here and there. Pipelines take three channels."""
        return geo.ramp_and_rings(processor) if processor is None or self.channels(processor) == 3 else []

    # -- views ------------------------------------------------------------------------------------------------------

    def view_store(self, processor: Any, values: Sequence[Any], recipe: str) -> Any:
        """Pictures decoded once, uint8, an eighth larger than the model's input, which random crops are cut from."""
        shape = self.shape(processor)
        side = min(shape.height, shape.width)
        largest = max((min(dimensions(value, self.reading)) for value in values[:256]), default=side)
        working = side if largest <= side else round(side * 1.125)
        return geo.store(values, self.reading, shape, self.channels(processor), working)

    def view_groups(self, processor: Any, recipe: str) -> tuple[tuple[Any, ...], ...]:
        """The views of a method, fitted to the domain: groups of views that have one shape."""
        c = self.config
        return random_views.plan(
            recipe, c.domain, self.channels(processor), crop_scale=c.crop_scale, color=c.color, blur=c.blur,
            local_views=c.local_views,
        )  # fmt: skip

    def views(
        self, processor: Any, items: Sequence[Any], rngs: Sequence[np.random.Generator], recipe: str, multiple: int = 1
    ) -> list[dict[str, torch.Tensor]]:
        """Random views: one batch per group, `(views * images, ...)`, all first views before all second ones."""
        shape = self.shape(processor)
        batches = []
        for group in self.view_groups(processor, recipe):
            side = max(1, round(min(shape.height, shape.width) * group[0].size / multiple)) * multiple
            batches.append({"pixel_values": random_views.make(items, rngs, group, shape, side)})
        return batches


def _is_layer(text: str) -> bool:
    return text.removeprefix("-").isdigit() and int(text) < 0
