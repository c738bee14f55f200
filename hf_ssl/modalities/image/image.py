"""Images: photographs, scans, satellite scenes, with one, three or any number of channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hf_ssl.core.fields import Options, option
from hf_ssl.core.paths import path_below
from hf_ssl.modalities.base import Modality, Notes
from hf_ssl.modalities.cheap import CheapFeatures, Computed
from hf_ssl.modalities.image import geometry as geo
from hf_ssl.modalities.image.columns import array_features, arrays_stored, paths_resolved, table_of
from hf_ssl.modalities.image.copies import copies_in_folders, told
from hf_ssl.modalities.image.depth import remarks
from hf_ssl.modalities.image.edges import SIDE, edge_histograms
from hf_ssl.modalities.image.files import (
    ARRAYS,
    DICOM,
    PICTURES,
    TAR,
    DecodeOptions,
    ImageInfo,
    Unreadable,
    as_reference,
    identity,
    inspect,
    read_tar,
)
from hf_ssl.modalities.image.frames import frame_count, frames_of, looks_like_picture, patients_of, thumbnail
from hf_ssl.modalities.image.mask_pairs import mask_pairs
from hf_ssl.modalities.image.masks import class_masks

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.encoder import Processor
    from hf_ssl.modalities.image.encoder import ImageEncoder
    from hf_ssl.models.reference import CheckpointRef

TINY = 2
"""Pixels of a side of a picture that shows nothing."""
TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet", ".gz")
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
    block = 512
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
        background: int | None = option(
            None, "Gray value put behind transparent pixels (default: 255, white, and told).", ge=0, le=255
        )
        intensity: Literal["range", "full"] | None = option(
            None, "16-bit pixels: stretch each picture's own range (default, told), or divide by the type's."
        )
        value_range: list[float] | None = option(
            None, "Pixel values that become black and white, for all pictures of more than 8 bits, such as 0,4095."
        )
        nodata: float | None = option(
            None, "Pixel value that means no measurement, such as -9999 (default: found; nan: there is none)."
        )
        frames: Literal["first", "all"] | None = option(
            None, "Pictures of a file with several (TIFF pages, animations, DICOM): first or all (asked for)."
        )
        mask_values: list[str] = option(
            [], "Values of masks (or colors such as #ff0000) that are classes 0, 1, 2 ..., in this order."
        )
        max_megapixels: float = option(100.0, "Larger pictures are refused unopened.", gt=0)
        jpeg_decoder: Literal["pillow", "nvjpeg"] = option(
            "pillow", "nvjpeg: an NVIDIA GPU decodes (torchcodec); pixels differ by a level on average."
        )

        def problems(self) -> list[str]:
            scale = self.crop_scale
            fits = scale is None or (len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1)
            found = [
                *super().problems(),
                *([] if fits else [f"crop_scale: two fractions such as 0.2,1, not {scale}."]),
            ]
            edges = self.value_range
            if edges is not None and (len(edges) != 2 or not edges[0] < edges[1]):
                found.append(f"value_range: two values such as 0,4095, the lesser first, not {edges}.")
            return found

    config: Config

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        c = self.config
        edges = None if c.value_range is None else (c.value_range[0], c.value_range[1])
        self.reading = DecodeOptions(
            255 if c.background is None else c.background,
            c.intensity,
            c.max_megapixels,
            c.frames,
            edges,
            c.nodata,
            c.jpeg_decoder == "nvjpeg",
        )
        self._infos: dict[str, ImageInfo] = {}

    # -- data side --------------------------------------------------------------------------------------------------

    def read_files(self, files: list[Path], root: Path, quarantine: list[dict[str, str]]) -> datasets.Dataset:
        """Every readable picture as a reference; each file is decoded once here, so that broken ones are known."""
        tars = [file for file in files if file.suffix.lower() in TAR]
        plain = [file for file in files if file.suffix.lower() not in TAR]
        rows: list[dict[str, Any]] = []
        for file in plain:
            rows.append({"image": {"bytes": None, "path": str(file)}, "path": path_below(file, root) or file.name})
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
        patients = patients_of([Path(row["image"]["path"]) for row in kept if row["image"]["path"]])
        return table_of(
            [{**row, "PatientID": patients.get(Path(row["image"]["path"] or ""))} for row in kept]
            if patients
            else kept
        )

    def stream_file(self, file: Path, root: Path) -> Iterator[dict[str, Any]]:
        """A reference, or the pictures of an archive one after the other."""
        if file.suffix.lower() in TAR:
            yield from read_tar(file, [])
        else:
            yield {"image": {"bytes": None, "path": str(file)}, "path": file.relative_to(root).as_posix()}

    def streaming(self) -> Image:
        from hf_ssl.modalities.image.streamed import StreamedImage

        return StreamedImage(self.config)

    def recognizes(self, file: Path) -> bool:
        """Pictures whose name does not say so."""
        return file.suffix.lower() not in TABLES and looks_like_picture(file)

    def answers_among(self, files: list[Path], root: Path) -> tuple[bool, str] | None:
        """Masks among pictures: told apart by their folders, or by their names."""
        plain = [file for file in files if file.suffix.lower() not in TAR]
        copies = copies_in_folders(plain, root)
        self._pending += told(copies, len(plain), root)
        again = {file for found in copies.values() for file in found}
        found = mask_pairs([file for file in plain if file not in again], root)
        if found is None:
            return None
        mask, picture = (
            file.relative_to(root) if file.is_relative_to(root) else file
            for file in next(iter(found.pictures.items()))
        )
        where = "" if found.sides is None else f" in folders {found.sides[0] or '.'!r}"
        return found.sides is not None, (
            f"{len(found.pictures):,} of {len(files):,} pictures{where} are called as others are ({mask} as {picture}), and as masks or hold few "
            "values each: they look like masks, and would be read as pictures. For masks give a table with a column of paths to pictures and "
            "one of paths to masks (label_column=... names it)"
        )

    def hint(self, reason: str) -> str:
        return "frames='first' or frames='all' says which are used" if "in one file" in reason else ""

    def preview(self, value: object) -> tuple[str, bytes | None]:
        """Size, and a thumbnail of at most 96 pixels."""
        seen = self._inspect(value)
        if seen.problem is not None:
            return seen.problem, None
        return f"{seen.width} x {seen.height}, {seen.channels} channels", thumbnail(value, self.reading)

    def class_masks(self, masks: Sequence[Any], report: Notes, pictures: Sequence[Any] = ()) -> list[Any]:
        """Masks of class numbers, whatever values or colors they were drawn in; see `hf_ssl.modalities.image.masks`."""
        return class_masks(masks, list(self.config.mask_values), report, pictures, self.config.frames)

    def canonicalize(self, dataset: datasets.Dataset, folders: Sequence[Path] = ()) -> Any:
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
                dataset, notes = paths_resolved(dataset, name, self.column if name == column else None, folders)
                self._pending += notes
            elif isinstance(feature, dict) and {"bytes", "path"} <= feature.keys():
                dataset = dataset.cast_column(name, datasets.Image(decode=False))
            elif name == column and isinstance(feature, array_features()):
                dataset = arrays_stored(dataset, name)
        return dataset

    def validate(self, value: object) -> str | None:
        return self._inspect(value).problem

    def content_key(self, value: object) -> str:
        """Hash of the pixels: another file format or a grey picture saved as color is the same content."""
        return self._inspect(value).key

    def signature(self, value: object) -> np.ndarray | None:
        return self._inspect(value).signature

    def describe(self, dataset: datasets.Dataset) -> dict[str, Any]:
        """Sides and channels: median, least and greatest."""
        batches = dataset.select_columns([self.column]).iter(batch_size=1000)
        seen = [self._inspect(value) for batch in batches for value in batch[self.column]]
        widths, heights = np.array([g.width for g in seen] or [0]), np.array([g.height for g in seen] or [0])
        channels = sorted({g.channels for g in seen})
        return {
            "width_median": int(np.median(widths)), "height_median": int(np.median(heights)),
            "side_min": int(min(widths.min(), heights.min())), "side_max": int(max(widths.max(), heights.max())),
            "channels": channels[0] if len(channels) == 1 else " and ".join(map(str, channels)),
        }  # fmt: skip

    def remarks(self, values: Iterable[Any]) -> list[str]:
        """Pictures of more than 8 bits, pixels without a measurement, and transparent ones."""
        seen = {one.key: one for one in map(self._inspect, values)}  # the pool may hold the rows of train again
        told = [*self.take_notes(), *remarks([one.depth for one in seen.values()], self.reading)]
        sides = [min(one.width, one.height) for one in seen.values()]
        if (tiny := sum(side <= TINY for side in sides)) and np.median(sides) >= 8 * TINY:
            told.append(
                f"{tiny:,} of {len(seen):,} pictures have at most {TINY} pixels a side, as what stands for a missing picture has: read like the "
                "others. Delete them, or list the others in a table with a column of paths"
            )
        if (clear := sum(one.transparent for one in seen.values())) and self.config.background is None:
            told.append(
                f"{clear:,} of {len(seen):,} pictures are transparent in places, which are read as white: background=0 makes them black, "
                "background=255 says that white is meant"
            )
        return told

    def traits(self, value: object) -> dict[str, str]:
        """Its size, whether it is gray, transparent, or was of more than 8 bits."""
        seen = self._inspect(value)
        colors = "gray values" if seen.gray else "colors" if seen.channels == 3 else f"{seen.channels} channels"
        return {
            **({} if self.config.channels == 1 else {"color": colors}),
            "size": f"{seen.width} x {seen.height} pixels",
            "transparency": "places that are" if seen.transparent else "none",
            "depth": "more than 8 bits" if seen.depth is not None else "8 bits",
        }

    def baseline_features(self, values: Sequence[Any]) -> np.ndarray:
        """Pixels: every picture at 28 x 28, `channels` of them (gray ones as color, too), on the scale of 0 to 1."""
        shape = geo.Geometry(28, 28, None, 2, (0.0,), (1.0,))
        channels = self.config.channels or 3
        return geo.store(list(values), self.reading, shape, channels).reshape(len(values), -1).astype(np.float32) / 255

    def cheap_features(self) -> list[CheapFeatures]:
        """Pixels; edges and shades."""
        return [Computed("pixels", self.baseline_features), Computed("edges", self._edges, standardize=True)]

    def _edges(self, values: Sequence[Any]) -> np.ndarray:
        shape = geo.Geometry(SIDE, SIDE, None, 2, (0.0,), (1.0,))
        channels = self.config.channels or 3
        starts = range(0, len(values), 1024)
        parts = [geo.store(list(values[s : s + 1024]), self.reading, shape, channels) for s in starts]
        return np.concatenate([edge_histograms(part) for part in parts])

    def _inspect(self, value: object) -> ImageInfo:
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

    # -- models of this kind ----------------------------------------------------------------------------------------

    @classmethod
    def encoder_class(cls) -> type[ImageEncoder]:
        from hf_ssl.modalities.image.encoder import ImageEncoder

        return ImageEncoder

    def load_processor(self, ref: CheckpointRef) -> Processor | None:
        """The checkpoint's processor, with `image_size` and `channels` written into it, so that they travel."""
        from hf_ssl.modalities.image.backbones import fit_processor

        processor: Any = super().load_processor(ref)
        return fit_processor(processor, self.config.channels, self.config.image_size)
