"""Masks as people draw them (0 and 255, gray steps, colors, palettes, JPEG) → pictures of class numbers."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.core.numbers import rounded_up
from hf_ssl.modalities.arrays import load_arrays
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.image.frames import FRAMED
from hf_ssl.modalities.image.jpeg_noise import too_near, without_noise
from hf_ssl.modalities.image.mask_pairs import number_objects
from hf_ssl.modalities.image.mask_sizes import fit_sizes, mark_of, upright
from hf_ssl.modalities.image.smoothed import refuse_negative, refuse_smoothed, refuse_two_scales

IGNORED = 255
NOTHING = -1
SHOWN = 12
MOST = 256


def class_masks(
    masks: Sequence[Any], given: list[str], report: Notes, pictures: Sequence[Any] = (), frames: str | None = None
) -> list[Any]:
    """References to masks of class numbers; those that already are stay what they are, and one that cannot be read is the reason (text).

    Args:
        masks: `{"bytes", "path"}` each, None where a row has none.
        given: the user's `mask_values`: value or color of classes 0, 1, 2 …
        report: told which values there are, and what they were taken for.
        pictures: references to what the masks are of, to compare sizes with.
        frames: `"first"`: of a file with several pictures the first is the mask; else such files are none.

    Raises:
        DataError: no mask can be read, or values may be class numbers or not (all of them are listed, with the option).
    """
    with ThreadPoolExecutor(8) as pool:
        tried = list(pool.map(lambda mask: _read(mask, frames), masks))
    reasons = {row: item for row, item in enumerate(tried) if isinstance(item, str)}
    if reasons and len(reasons) == sum(item is not None for item in tried):
        raise DataError(
            f"No mask can be read: {next(iter(reasons.values()))}. Is it the right column? label_column=..."
        )
    read = [None if isinstance(item, str) else item for item in tried]
    if several := sum(item.pages > 1 for item in read if item is not None):
        report.warn(
            f"{several:,} files of masks hold several pictures: the first of each is the mask, as frames='first' says"
        )
    made = _of_classes(masks, read, given, report, pictures)
    return [reasons.get(row, mask) for row, mask in enumerate(made)]


def _of_classes(
    masks: Sequence[Any], read: list[_Mask | None], given: list[str], report: Notes, pictures: Sequence[Any]
) -> list[Any]:
    known = [item for item in read if item is not None]
    if not known:
        return list(masks)
    fit_sizes(read, pictures, report)
    _by_palette(known)
    lossy = sum(item.lossy for item in known)
    colored = any(item.colored for item in known)
    values: Counter[int] = Counter()
    of_each: list[set[int]] = []
    for item in known:
        found, counts = np.unique(item.codes(colored), return_counts=True)
        values.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        of_each.append(set(found.tolist()) - {0, IGNORED})
    if given:
        return _mapped(masks, read, [_code(text, colored) for text in given], colored, lossy, values, report)
    if len(values) == 1:
        report.warn(
            f"all masks hold one value alone ({_listed(values, colored)}): there is nothing to tell apart; are they the right files?"
        )
    if not colored and not lossy:
        refuse_smoothed([item.pixels for item in known if not item.palette], values, report.max_left_out)
        refuse_two_scales([item.pixels for item in known], values, report.max_left_out)
    refuse_negative(values)
    if not all(item.palette for item in known) or max(values) >= MOST:  # places in one palette are class numbers
        _refuse_unclear(values, colored, lossy)
    numbers = sorted(value for value in values if value not in (IGNORED, NOTHING))
    if values[NOTHING]:
        share = values[NOTHING] / sum(values.values())
        report.warn(
            f"{share:.1%} of the pixels of masks are -1: not counted; mask_values={[str(one) for one in sorted(values)]} makes it a class"
        )
    if numbers == [0] and IGNORED in values:
        report.warn("masks hold 0 and 255: taken for classes 0 and 1; mask_values=['0', '255'] says so")
        return _mapped(masks, read, [0, IGNORED], False, 0, values, report)
    missing = sorted(set(range(numbers[-1] + 1)) - set(numbers)) if numbers else []
    if missing:
        shown = ", ".join(map(str, missing[:8]))
        report.warn(
            f"masks hold classes 0 to {numbers[-1]}, but no pixel of {shown}; mask_values={[str(n) for n in numbers]} numbers them anew"
        )
    if IGNORED in values:
        share = values[IGNORED] / sum(values.values())
        report.warn(
            f"{share:.1%} of the pixels of masks are 255: not counted, as the option `ignore` says; mask_values=[...] makes it a class"
        )
    if number_objects(of_each):
        every = [str(value) for value in numbers] if len(numbers) <= 2 * SHOWN else "[...]"
        report.warn(
            f"masks hold {len(numbers):,} values, and each other ones ({_listed(values, colored)}): they look like numbers of objects, and would be "
            f"{len(numbers):,} classes. Write 1 for every object; mask_values={every} says that they are classes"
        )
    report.decide(f"masks hold class numbers: {_listed(values, colored)}")
    return [
        mask if item is None or item.plain else {"bytes": _png(item.codes(False).astype(np.uint8)), "path": None}
        for mask, item in zip(masks, read, strict=True)
    ]


def _refuse_unclear(values: Counter[int], colored: bool, lossy: int) -> None:
    """Values that may be class numbers or not.

    Raises:
        DataError: lists them, with the option.
    """
    often = sorted(value for value, _ in values.most_common(SHOWN))
    ready = f"mask_values={[_name(value, colored) for value in often]}"
    if lossy:
        total = sum(values.values())
        # What JPEG adds lies around the values that were drawn.
        peaks = often if colored else [v for v in often if values[v] > max(values[v - 1], values[v + 1])]
        drawn = [value for value in peaks if values[value] > 0.01 * total]
        drawn = drawn if colored else without_noise(drawn, values)
        drawn = drawn if len(drawn) > 1 else [value for value in often if values[value] > 0.01 * total]
        if not colored and (near := too_near(drawn, values)):
            raise DataError(
                f"{lossy:,} masks are JPEG pictures, which blur class numbers ({len(values):,} different values: {_listed(values, colored)}), "
                f"and values as near as {near} cannot be told apart any more. Save masks as PNG, from what they were drawn with, or name "
                "another column: label_column=..."
            )
        likely = [_name(value, colored) for value in drawn]
        raise DataError(
            f"{lossy:,} masks are JPEG pictures, which blur class numbers ({len(values):,} different values: {_listed(values, colored)}). "
            f"Save them as PNG, or say which values are meant, and the nearest is taken: mask_values={likely} if the others are noise."
        )
    if colored and len(values) > 256:
        raise DataError(
            f"Masks are drawn in {len(values):,} colors ({_listed(values, colored)}), more than there are classes: photographs, or masks that "
            "were scaled or smoothed? Name the column of masks (label_column=...), or save masks without smoothing, as PNG."
        )
    if colored:
        every = [_name(value, colored) for value in sorted(values)]
        shown = _listed(values, colored)
        raise DataError(
            f"Masks are drawn in {len(values):,} colors: {shown}. Say which is class 0, 1, 2 ...: mask_values={every}."
        )
    numbers = sorted(value for value in values if value not in (IGNORED, NOTHING))
    if not numbers:
        raise DataError("Masks hold nothing but 255, which is not counted. Say what it means: mask_values=['255'].")
    highest = numbers[-1]
    if len(numbers) > 200 and highest <= IGNORED:
        raise DataError(
            f"Masks hold {len(values)} values up to {highest}, as shares do. Save class numbers, or name others: label_column=..."
        )
    if highest >= MOST or highest > 4 * len(numbers) or (highest > 2 * len(numbers) + 10 and len(numbers) < 20):
        raise DataError(
            f"Masks hold the values {_listed(values, colored)}: steps of gray rather than class numbers. Say which is class 0, 1, 2 ...: "
            f"{ready}."
        )


class _Mask:
    """Pixels of one mask: `(height, width)` integers, or `(height, width, 3)` colors.

    Args:
        pixels: as they are in the file.
        lossy: from a JPEG file.
        plain: the file holds one byte per pixel, and can stay what it is.
        palette: color of every value, where pixels are places in a palette.

    Attributes:
        pages: pictures in the file.
        marked: it has an EXIF mark of its own that turns it, and was turned.
    """

    def __init__(
        self, pixels: np.ndarray, lossy: bool, plain: bool = False, palette: dict[int, tuple[int, ...]] | None = None
    ) -> None:
        self.plain = plain
        self.palette = palette
        self.colored = pixels.ndim == 3 and not (pixels == pixels[..., :1]).all()
        self.pixels = pixels if self.colored or pixels.ndim == 2 else pixels[..., 0]
        self.lossy = lossy
        self.pages = 1
        self.marked = False

    def turn(self, orientation: int) -> None:
        """As the EXIF mark `orientation` says; the file is not what it holds then."""
        self.pixels, self.plain = upright(self.pixels, orientation), False

    def codes(self, colored: bool) -> np.ndarray:
        """One whole number per pixel: the value, or `0xRRGGBB`."""
        if not colored:
            return self.pixels.astype(np.int64)
        wide = (self.pixels if self.pixels.ndim == 3 else np.stack([self.pixels] * 3, axis=-1)).astype(np.int64)
        return wide[..., 0] * 65536 + wide[..., 1] * 256 + wide[..., 2]


def _read(value: Mapping[str, Any] | bytes | None, frames: str | None = None) -> _Mask | str | None:
    """The pixels, or why they cannot be read."""
    from PIL import Image as pil

    if value is None:
        return None
    reference = value if isinstance(value, Mapping) else {"bytes": value, "path": None}
    content, path = reference.get("bytes"), str(reference.get("path"))
    try:
        if content is None:
            with open(path, "rb") as stream:
                content = stream.read()
        if content[:6] == b"\x93NUMPY":
            array = _whole(load_arrays(io.BytesIO(content)).get("x", np.zeros(())))
            if array.ndim != 2 or array.dtype.kind not in "iub":
                raise DataError(
                    f"A mask is an array of {array.dtype} and shape {array.shape}; it needs whole numbers "
                    f"(height, width): file {path}. Save class numbers."
                )
            return _Mask(array.astype(np.int64), False)
        with pil.open(io.BytesIO(content)) as picture:
            lossy, pages = picture.format in ("JPEG", "MPO"), int(getattr(picture, "n_frames", 1))
            pages = pages if picture.format in FRAMED else 1
            if pages > 1 and frames != "first":
                return f"{path}: {pages} pictures in one file, and one holds class numbers: frames='first' takes the first, else save it alone"
            made = _drawn(picture, lossy)
            made.pages = pages
            if (mark := mark_of(picture)) != 1:
                made.turn(mark)
                made.marked = True
            return made
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        return f"{path}: {type(error).__name__ if content is None else error}"


def _drawn(picture: Any, lossy: bool) -> _Mask:
    """The pixels of an open picture.

    Raises:
        ValueError: they are numbers with a fraction.
    """
    if picture.mode in ("1", "P", "L", "I", "I;16", "I;16B", "I;16L"):
        plain = picture.mode == "L" or (picture.format == "PNG" and picture.mode in ("1", "P"))
        pixels = np.asarray(picture).astype(np.int64)
        return _Mask(pixels, lossy, plain, _palette_of(picture, pixels) if picture.mode == "P" else None)
    if picture.mode == "F":
        pixels = _whole(np.asarray(picture))
        if pixels.dtype.kind == "f":
            raise ValueError("holds numbers with a fraction, and class numbers are whole")
        return _Mask(pixels, lossy)
    if picture.mode in ("LA", "La"):
        return _Mask(np.asarray(picture.getchannel(0)).astype(np.int64), lossy)
    return _Mask(np.asarray(picture.convert("RGB")), lossy)


def _whole(array: np.ndarray) -> np.ndarray:
    """Whole numbers that are written as floats as int64, where NaN is not counted (255); anything else as it is."""
    if array.dtype.kind != "f":
        return array
    nothing = np.isnan(array)
    filled = np.where(nothing, IGNORED, array)
    return filled.astype(np.int64) if np.isfinite(filled).all() and (filled % 1 == 0).all() else array


def _palette_of(picture: Any, pixels: np.ndarray) -> dict[int, tuple[int, ...]]:
    colors = np.frombuffer(bytes(picture.getpalette("RGB") or []), np.uint8).reshape(-1, 3)
    return {int(value): tuple(map(int, colors[value])) if value < len(colors) else () for value in np.unique(pixels)}


def _by_palette(known: list[_Mask]) -> None:
    """Where one place has two colors in two files, the places mean nothing, and the colors do."""
    colors: dict[int, tuple[int, ...]] = {}
    places: dict[tuple[int, ...], int] = {}
    for item in known:
        for value, color in (item.palette or {}).items():
            if colors.setdefault(value, color) != color or color and places.setdefault(color, value) != value:
                break
        else:
            continue
        break
    else:
        return
    for item in known:
        if item.palette:
            table = np.zeros((max(item.palette) + 1, 3), np.uint8)
            for value, color in item.palette.items():
                table[value] = color or (0, 0, 0)
            item.pixels, item.colored, item.palette, item.plain = table[item.pixels], True, None, False


def _code(text: str, colored: bool) -> int:
    plain = str(text).strip()
    try:
        if plain.startswith("#"):
            code = int(plain[1:], 16)
            return code if colored else code & 255
        number = int(plain)
        return number * 65536 + number * 256 + number if colored else number
    except ValueError:
        raise DataError(f"mask_values: {text!r} is neither a value (0 to 255) nor a color such as #ff0000.") from None


def _name(value: int, colored: bool) -> str:
    return f"#{value:06x}" if colored else str(value)


def _listed(values: Counter[int], colored: bool) -> str:
    shown = sorted(value for value, _ in values.most_common(SHOWN))
    return ", ".join(_name(value, colored) for value in shown) + (" ..." if len(values) > SHOWN else "")


def _mapped(
    masks: Sequence[Any],
    read: Sequence[_Mask | None],
    codes: list[int],
    colored: bool,
    lossy: int,
    values: Counter[int],
    report: Notes,
) -> list[Any]:
    """Masks drawn anew with class numbers; values that are no class are not counted (255), near ones of JPEG are the class."""
    table = np.array(codes, dtype=np.int64)
    if len(set(codes)) < len(codes) or len(codes) > IGNORED:
        names = ", ".join(_name(code, colored) for code in codes[:SHOWN])
        raise DataError(f"mask_values names {len(codes)} values, some twice or more than {IGNORED}: {names}.")
    if lossy and not colored and (near := too_near(sorted(codes), {code: 1 for code in codes})):
        report.warn(
            f"{lossy:,} masks are JPEG pictures, in which values as near as {near} are mixed: many pixels may get the class beside theirs; "
            "masks saved as PNG keep them apart"
        )
    other = {} if lossy else {value: count for value, count in values.items() if value not in set(codes)}
    if other:
        share = sum(other.values()) / sum(values.values())
        shown = ", ".join(_name(value, colored) for value in sorted(other)[:SHOWN])
        text = f"{share:.1%} of the pixels of masks have values that mask_values does not name ({shown}): not counted"
        if share > report.max_left_out:
            every = [_name(value, colored) for value in dict.fromkeys([*codes, *sorted(other)])]
            named = f"Name them, too: mask_values={every}; or" if len(every) <= IGNORED else "To"
            raise DataError(
                f"{text}. That is more than max_left_out={report.max_left_out:g}. {named} go on without them: max_left_out={rounded_up(share)}."
            )
        report.warn(text)
    order = np.argsort(table)
    made: list[Any] = []
    for mask, item in zip(masks, read, strict=True):
        if item is None:
            made.append(mask)
            continue
        pixels = item.codes(colored)
        if lossy:
            classes = _nearest(pixels, table, colored)
        else:
            place = np.clip(np.searchsorted(table[order], pixels), 0, len(table) - 1)
            classes = np.where(table[order][place] == pixels, order[place], IGNORED)
        made.append({"bytes": _png(classes.astype(np.uint8)), "path": None})
    return made


def _nearest(pixels: np.ndarray, table: np.ndarray, colored: bool) -> np.ndarray:
    def spread(codes: np.ndarray) -> np.ndarray:
        return np.stack([codes // 65536, codes // 256 % 256, codes % 256], axis=-1) if colored else codes[..., None]

    distance = ((spread(pixels)[..., None, :] - spread(table)) ** 2).sum(axis=-1)
    return distance.argmin(axis=-1)


def _png(classes: np.ndarray) -> bytes:
    from PIL import Image as pil

    stream = io.BytesIO()
    pil.fromarray(classes).save(stream, format="PNG")
    return stream.getvalue()
