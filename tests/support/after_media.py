"""Sounds and pictures, second set."""

# A line per file: what is in it, and what must come out.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from after_base import add, rows_of, told
from data_kinds import Check, Made, asked, manifest, picture, tone, write

from hf_ssl.data import DomainData

A, P = "audio", "pictures"
Save = Callable[[Path, int], None]

# -- sounds: twenty files of two classes, 0.5 to 0.69 s


def sounds(save: Callable[[Path, int, np.ndarray], Any], check: Check, more: dict[str, str | bytes] | None = None, **options: Any) -> Callable[[Path], Made]:
    """`save(stem, number, samples)` writes one sound of 16 kHz."""

    def make(at: Path) -> Made:
        for number in range(20):
            stem = at / "d" / ("low" if number % 2 else "high") / str(number)
            stem.parent.mkdir(parents=True, exist_ok=True)
            time = np.arange(int((0.5 + 0.01 * number) * 16_000)) / 16_000
            save(stem, number, 0.5 * np.sin(2 * np.pi * ((200 if number % 2 else 800) + number) * time))
        for name, content in (more or {}).items():
            write(at / "d" / name, content)
        return at / "d", {"modality": "audio", **options}, check

    return make


def lengths(count: int = 20, within: int = 0) -> Check:
    """All sounds, each at its full length (to `within` samples), and the right pitch."""

    def check(data: DomainData) -> bool:
        from hf_ssl.modalities.audio.audio import Audio

        rows = rows_of(data)
        found = sorted(row["audio"]["length"] for row in rows)
        wanted = sorted(int((0.5 + 0.01 * n) * 16_000) for n in range(20))[:count]
        if len(found) != count or max(abs(a - b) for a, b in zip(found, wanted, strict=True)) > within:
            return False
        for row in rows:
            samples = Audio().samples(row["audio"])
            peak = np.abs(np.fft.rfft(samples)).argmax() * 16_000 / len(samples)
            if data.label_names[row["label"]] != ("low" if peak < 500 else "high"):
                return False
        return True

    return check


def as_file(suffix: str, rate: int = 16_000, **how: Any) -> Callable[[Path, int, np.ndarray], Any]:
    def save(stem: Path, number: int, samples: np.ndarray) -> None:
        import soundfile

        if rate != 16_000:
            time = np.arange(round(len(samples) / 16_000 * rate)) / rate
            samples = 0.5 * np.sin(2 * np.pi * ((200 if number % 2 else 800) + number) * time)
        soundfile.write(f"{stem}{suffix}", samples, rate, **how)

    return save


for suffix, how in ((".wav", {"subtype": "PCM_24"}), (".wav", {"subtype": "PCM_32"}), (".wav", {"subtype": "DOUBLE"}), (".wav", {"subtype": "PCM_U8"}), (".wav", {"subtype": "ULAW"}), (".WAV", {"format": "WAV"}), (".flac", {}), (".aiff", {}), (".au", {}), (".caf", {}), (".w64", {}), (".wav", {"format": "RF64"}), (".wav", {"format": "WAVEX"}), (".wav", {"format": "NIST"}), (".flac", {"format": "WAV"}), (".wav", {"format": "FLAC"}), (".mp3", {"format": "WAV"})):
    add(A, f"{how.get('format', '')} {how.get('subtype', '')} called {suffix}".strip(), sounds(as_file(suffix, **how), lengths()), error=suffix in (".au", ".caf", ".w64"))
add(A, "ogg", sounds(as_file(".ogg"), lengths(within=2000)), False)
add(A, "mp3", sounds(as_file(".mp3"), lengths(within=3000)), False)
add(A, "mp3 called wav", sounds(as_file(".wav", format="MP3"), lengths(within=3000)), False)
for rate in (8_000, 44_100, 48_000, 96_000):
    add(A, f"at {rate} Hz", sounds(as_file(".wav", rate), lengths(within=2)), False)
add(A, "stereo", sounds(lambda stem, n, x: as_file(".wav")(stem, n, np.stack([x, 0.5 * x], axis=1)), lengths()), False)
add(A, "one channel silent", sounds(lambda stem, n, x: as_file(".wav")(stem, n, np.stack([0 * x, x], axis=1)), lengths()), False)
add(A, "channels in opposite phase", sounds(lambda stem, n, x: as_file(".wav")(stem, n, np.stack([x, -x], axis=1)), lengths()))


def edited(change: Callable[[bytes, int], bytes]) -> Callable[[Path, int, np.ndarray], Any]:
    def save(stem: Path, number: int, samples: np.ndarray) -> None:
        as_file(".wav")(stem, number, samples)
        path = Path(f"{stem}.wav")
        path.write_bytes(change(path.read_bytes(), number))

    return save


def sized(content: bytes, riff: int | None, data: int | None, junk: bytes = b"") -> bytes:
    """With other sizes in the header, and a chunk before the data."""
    made = bytearray(content)
    place = made.index(b"data")
    if data is not None:
        made[place + 4 : place + 8] = struct.pack("<I", data)
    if junk:
        made[place:place] = junk
    if riff is not None:
        made[4:8] = struct.pack("<I", riff)
    return bytes(made)


LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf58.29.100\0"
add(A, "ffmpeg's pipe with its name", sounds(edited(lambda c, n: sized(c, 0xFFFFFFFF, 0xFFFFFFFF, LIST)), lengths()), False)
add(A, "sox's pipe", sounds(edited(lambda c, n: sized(c, 0x7FFFF024, 0x7FFFF000)), lengths()), False)
add(A, "arecord's pipe", sounds(edited(lambda c, n: sized(c, 0x80000024, 0x80000000)), lengths()), False)
add(A, "size of 2 GB", sounds(edited(lambda c, n: sized(c, 0x7FFFFFFF - 8, 0x7FFFFFFF - 44)), lengths()))
add(A, "RIFF size 0, data size right", sounds(edited(lambda c, n: sized(c, 0, None)), lengths()), False)
add(A, "RIFF size right, data size 0", sounds(edited(lambda c, n: sized(c, None, 0)), lengths()), False)
add(A, "some through a pipe", sounds(edited(lambda c, n: sized(c, 0, 0) if n % 3 == 0 else c), lengths()), False)
add(A, "pipe of 24 bits", sounds(lambda stem, n, x: (as_file(".wav", subtype="PCM_24")(stem, n, x), Path(f"{stem}.wav").write_bytes(sized(Path(f"{stem}.wav").read_bytes(), 0, 0))), lengths()), False)
add(A, "text after the samples", sounds(edited(lambda c, n: c + b"LIST\x04\0\0\0INFO"), lengths()), False)
add(A, "a size one byte too large", sounds(edited(lambda c, n: sized(c, None, len(c) - 44 + 1)), lengths()))
add(A, "sizes a tenth too large", sounds(edited(lambda c, n: sized(c, None, (len(c) - 44) * 11 // 10)), asked))
add(A, "three of twenty cut short", sounds(edited(lambda c, n: c[: len(c) // 2] if n < 3 else c), asked))
add(A, "one of twenty cut short", sounds(edited(lambda c, n: c[: len(c) // 2] if n == 3 else c), told(lambda data: len(rows_of(data)) == 19)))
add(A, "one FLAC of twenty cut short", sounds(lambda stem, n, x: (as_file(".flac")(stem, n, x), Path(f"{stem}.flac").write_bytes(Path(f"{stem}.flac").read_bytes()[: -2000 if n == 3 else None])), told(lambda data: True)))
add(A, "web pages called wav", sounds(lambda stem, n, x: write(Path(f"{stem}.wav"), "<html>404</html>"), asked))
add(A, "one web page called wav", sounds(lambda stem, n, x: write(Path(f"{stem}.wav"), "<html>404</html>") if n == 3 else as_file(".wav")(stem, n, x), told(lambda data: len(rows_of(data)) == 19)))
add(A, "samples without header", sounds(lambda stem, n, x: write(Path(f"{stem}.raw"), (x * 30000).astype("<i2").tobytes()), asked))
add(A, "one of two kinds not read", sounds(lambda stem, n, x: write(Path(f"{stem}.m4a"), b"\0\0\0\x20ftypM4A " + bytes(99)) if n % 2 else as_file(".wav")(stem, n, x), asked))
add(A, "float, quiet and loud", sounds(lambda stem, n, x: as_file(".wav", subtype="FLOAT")(stem, n, x * 3.0), lengths()))
add(A, "float of 32 bits' range", sounds(lambda stem, n, x: as_file(".wav", subtype="FLOAT")(stem, n, x * 2**31), asked))
add(A, "NaN among samples", sounds(lambda stem, n, x: as_file(".wav", subtype="FLOAT")(stem, n, np.where(np.arange(len(x)) == 50, np.nan, x) if n == 3 else x), told(lambda data: len(rows_of(data)) == 19)))
add(A, "Apple's shadows", sounds(as_file(".wav"), lengths(), {f"low/._{n}.wav": b"\0\x05\x16\x07" + bytes(60) for n in range(1, 20, 2)}), False)
add(A, "a table that is of something else", sounds(as_file(".wav"), lengths(), {"speakers.csv": "speaker,age\na,30\nb,40\n"}))
add(A, "lists of the splits", sounds(as_file(".wav"), told(lambda data: True), {"testing_list.txt": "".join(f"low/{n}.wav\n" for n in (1, 3, 5, 7)), "validation_list.txt": "low/9.wav\nhigh/8.wav\n"}))
add(A, "a folder of noise", sounds(as_file(".wav"), told(lambda data: True), {"_background_noise_/README.md": "noise", "_background_noise_/hum.wav": b""}))
add(A, "videos beside", sounds(as_file(".wav"), told(lengths()), {f"low/{n}.mp4": b"\0\0\0\x18ftypisom" + bytes(99) for n in range(8)}))
# -- tables of parts: eight recordings of four seconds, low, high, low, high; each row is one second


def at_path(talk: int) -> str:
    return f"clips/talk{talk}.wav"


for name, columns in (
    ("begin_time and end_time", lambda t, n: {"path": at_path(t), "begin_time": n, "end_time": n + 1}),
    ("Begin Time (s) and End Time (s)", lambda t, n: {"path": at_path(t), "Begin Time (s)": n, "End Time (s)": n + 1}),
    ("start_seconds and end_seconds", lambda t, n: {"path": at_path(t), "start_seconds": float(n), "end_seconds": n + 1.0}),
    ("Start and Stop", lambda t, n: {"path": at_path(t), "Start": n, "Stop": n + 1}),
    ("xmin and xmax", lambda t, n: {"path": at_path(t), "xmin": n, "xmax": n + 1}),
    ("onset and duration", lambda t, n: {"path": at_path(t), "onset": n, "duration": 1}),
    ("startTime and endTime", lambda t, n: {"path": at_path(t), "startTime": n, "endTime": n + 1}),
    ("from and to", lambda t, n: {"path": at_path(t), "from": n, "to": n + 1}),
    ("seg_start and seg_end", lambda t, n: {"path": at_path(t), "seg_start": n, "seg_end": n + 1}),
    ("start(s) and end(s)", lambda t, n: {"path": at_path(t), "start(s)": n, "end(s)": n + 1}),
    ("clock times", lambda t, n: {"path": at_path(t), "start": f"00:00:0{n}.000", "end": f"00:00:0{n + 1}.000"}),
    ("start_frame and num_frames", lambda t, n: {"path": at_path(t), "start_frame": 16_000 * n, "num_frames": 16_000}),
    ("offset and length", lambda t, n: {"path": at_path(t), "offset": n, "length": 1}),
    ("start_ms and duration", lambda t, n: {"path": at_path(t), "start_ms": 1000 * n, "duration": 1.0}),
    ("begin and length in samples", lambda t, n: {"path": at_path(t), "begin": 16_000 * n, "length": 16_000}),
    ("start and end in samples, unsaid", lambda t, n: {"path": at_path(t), "start": 16_000 * n, "end": 16_000 * (n + 1)}),
    ("start and end in microseconds", lambda t, n: {"path": at_path(t), "start": 1_000_000 * n, "end": 1_000_000 * (n + 1)}),
    ("start and end with units", lambda t, n: {"path": at_path(t), "start": f"{n} s", "end": f"{n + 1} s"}),
    ("decimal commas", lambda t, n: {"path": at_path(t), "start": f"{n},0", "end": f"{n + 1},0"}),
    ("file and t0, t1", lambda t, n: {"file": at_path(t), "t0": n, "t1": n + 1}),
    ("slice and its start in the original", lambda t, n: {"path": at_path(t), "start": 50 + n, "end": 51 + n}),
):  # fmt: skip
    add(A, f"parts by {name}", manifest(columns, "m.csv"))
add(A, "parts that end before they begin", manifest(lambda t, n: {"path": at_path(t), "start": n + 1, "end": n}, "m.csv"))
add(A, "NeMo with offset null", manifest(lambda t, n: {"audio_filepath": at_path(t), "offset": float(n) if n else None, "duration": 1.0}), False)
add(A, "NeMo with command", lambda at: (lambda made: (made[0], made[1], made[2]))(manifest(lambda t, n: {"audio_filepath": at_path(t), "offset": float(n), "duration": 1.0, "command": "x"})(at)))
add(A, "NeMo, durations rounded up", manifest(lambda t, n: {"audio_filepath": at_path(t), "offset": float(n), "duration": 1.0 if n < 3 else 1.2}))


def whole(rows: Callable[[int], dict[str, Any]], name: str, check: Check, sep: str = ",", header: bool = True, **options: Any) -> Callable[[Path], Made]:
    """A table beside twenty whole sounds in `wavs`."""

    def make(at: Path) -> Made:
        for n in range(20):
            tone(at / "d" / "wavs" / f"s{n}.wav", (200 if n % 2 else 800) + n, 0.5 + 0.01 * n)
        made = [rows(n) for n in range(20)]
        if name.endswith("jsonl"):
            write(at / "d" / name, "".join(json.dumps(row) + "\n" for row in made))
        else:
            pd.DataFrame(made).to_csv(at / "d" / name, index=False, sep=sep, header=header)
        return at / "d", {"modality": "audio", **options}, check

    return make


def kind(n: int) -> str:
    return "low" if n % 2 else "high"


add(A, "NeMo's manifest of whole files", whole(lambda n: {"audio_filepath": f"wavs/s{n}.wav", "duration": 0.5 + 0.01 * n, "label": kind(n)}, "m.jsonl", lambda data: lengths()(data) and not data.report["warnings"]), False)
add(A, "NeMo's manifest, durations that are wrong", whole(lambda n: {"audio_filepath": f"wavs/s{n}.wav", "duration": 0.2, "label": kind(n)}, "m.jsonl", told(lambda data: True)))
add(A, "ESC-50", whole(lambda n: {"filename": f"s{n}.wav", "fold": n % 5 + 1, "target": n % 2, "category": kind(n)}, "meta.csv", told(lambda data: len(rows_of(data)) == 20)))
add(A, "Common Voice", whole(lambda n: {"client_id": f"c{n // 4}", "path": f"s{n}.wav", "sentence": f"The number is {n}", "up_votes": 2, "age": "", "locale": "en"}, "validated.tsv", told(lambda data: True), sep="\t", label_kind="transcript"))
add(A, "LJSpeech", whole(lambda n: {"a": f"s{n}", "b": f"The number, {n}", "c": f"The number, {n}"}, "metadata.csv", asked, sep="|", header=False))
add(A, "paths of another machine", whole(lambda n: {"path": f"/home/jo/data/wavs/s{n}.wav", "label": kind(n)}, "m.csv", lengths()))
add(A, "paths of another machine with drives", whole(lambda n: {"path": f"C:\\data\\wavs\\s{n}.wav", "label": kind(n)}, "m.csv", lengths()))
add(A, "paths without suffixes", whole(lambda n: {"path": f"wavs/s{n}", "label": kind(n)}, "m.csv", lengths()))
add(A, "paths with another case", whole(lambda n: {"path": f"wavs/S{n}.WAV", "label": kind(n)}, "m.csv", lengths()))
add(A, "paths that are URLs", whole(lambda n: {"path": f"https://example.com/wavs/s{n}.wav", "label": kind(n)}, "m.csv", lengths()))
add(A, "a fifth of the files is missing", whole(lambda n: {"path": f"wavs/{'x' if n < 4 else 's'}{n}.wav", "label": kind(n)}, "m.csv", asked))
add(A, "each file named twice with two labels", whole(lambda n: {"path": f"wavs/s{n // 2}.wav", "label": kind(n)}, "m.csv", told(lambda data: True)))

# -- pictures


def pictures(save: Save, check: Check, more: dict[str, str | bytes] | None = None, folders: Sequence[str] = ("square", "round"), **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        for number in range(24):
            where = at / "d" / folders[number % 2]
            where.mkdir(parents=True, exist_ok=True)
            save(where, number)
        for name, content in (more or {}).items():
            write(at / "d" / name, content)
        return at / "d", {"modality": "image", **options}, check

    return make


def look(count: int = 24, names: Sequence[str] = ("round", "square")) -> Check:
    """So many pictures, and each with the class whose color it has."""

    def check(data: DomainData) -> bool:
        from hf_ssl.modalities.image.files import DecodeOptions, pixels

        rows = rows_of(data)
        if len(rows) != count or data.label_names != list(names):
            return False
        for row in rows:
            middle = pixels(row["image"], DecodeOptions())[12, 12].astype(int)
            if len(middle) == 3 and abs(middle[0] - middle[1]) > 20 and data.label_names[row["label"]] != names[int(middle[0] > middle[1])]:
                return False
        return True

    return check


def saved(suffix: str, form: str, mode: str | None = None, **how: Any) -> Save:
    return lambda folder, n: (picture(n, n % 2).convert(mode) if mode else picture(n, n % 2)).save(folder / f"{n}{suffix}", format=form, **how)


for suffix, form, mode in ((".webp", "WEBP", None), (".bmp", "BMP", None), (".gif", "GIF", None), (".tiff", "TIFF", None), (".jp2", "JPEG2000", None), (".tga", "TGA", None), (".ppm", "PPM", None), (".jpg", "JPEG", "CMYK"), (".png", "PNG", "RGBA"), (".png", "PNG", "L"), (".png", "PNG", "LA"), (".png", "PNG", "P"), (".png", "PNG", "1"), (".tif", "TIFF", "CMYK"), (".jpg", "JPEG", "L"), (".JPG", "JPEG", None), (".jpeg", "PNG", None), (".ico", "ICO", None), (".pcx", "PCX", None), (".sgi", "SGI", None), (".eps", "EPS", None)):
    add(P, f"{form} {mode or ''} called {suffix}".replace("  ", " "), pictures(saved(suffix, form, mode), look()), error=suffix in (".ico", ".pcx", ".sgi", ".eps"))
add(P, "AVIF", pictures(saved(".avif", "AVIF"), look()))
add(P, "16 bits", pictures(lambda folder, n: __import__("PIL.Image", fromlist=["x"]).fromarray(np.asarray(picture(n, n % 2))[..., 0].astype(np.uint16) * 257).save(folder / f"{n}.png"), lambda data: len(rows_of(data)) == 24), False)


def phone(folder: Path, n: int) -> None:
    """Two pictures in a JPEG (MPO), as telephones save them."""
    picture(n, n % 2).save(folder / f"{n}.jpg", format="MPO", save_all=True, append_images=[picture(100 + n, n % 2)])


add(P, "JPEG of two pictures (MPO)", pictures(phone, look()))
add(P, "JPEG of two pictures (MPO), first", pictures(phone, look(), frames="first"), False)
add(P, "one animated GIF of 24", pictures(lambda folder, n: picture(n, n % 2).save(folder / f"{n}.gif", save_all=True, append_images=[picture(50 + n, n % 2)] if n == 3 else []), told(lambda data: True)))
add(P, "icons of several sizes", pictures(lambda folder, n: picture(n, n % 2).save(folder / f"{n}.ico", sizes=[(16, 16), (24, 24)]), told(lambda data: True)))
add(P, "empty files", pictures(lambda folder, n: write(folder / f"{n}.png", b"") and None, asked))
add(P, "one empty file", pictures(lambda folder, n: (write(folder / f"{n}.png", b"") and None) if n == 3 else saved(".png", "PNG")(folder, n), told(lambda data: len(rows_of(data)) == 23)))
add(P, "one cut short", pictures(lambda folder, n: saved(".jpg", "JPEG")(folder, n) if n != 3 else (saved(".jpg", "JPEG")(folder, n), (folder / "3.jpg").write_bytes((folder / "3.jpg").read_bytes()[:400])) and None, told(lambda data: len(rows_of(data)) == 23)))
add(P, "web pages called jpg", pictures(lambda folder, n: write(folder / f"{n}.jpg", "<html>404 not found</html>") and None, asked))
add(P, "pointers of Git LFS", pictures(lambda folder, n: write(folder / f"{n}.png", f"version https://git-lfs.github.com/spec/v1\noid sha256:{n:064d}\nsize 1\n") and None, asked))
add(P, "drawings in SVG", pictures(lambda folder, n: write(folder / f"{n}.svg", f"<svg width='{n}'/>") and None, asked))
add(P, "a third in SVG", pictures(lambda folder, n: write(folder / f"{n}.svg", f"<svg width='{n}'/>") and None if n % 3 == 0 else saved(".png", "PNG")(folder, n), told(lambda data: True)))
add(P, "a third in RAW", pictures(lambda folder, n: write(folder / f"{n}.cr2", b"II*\0" + bytes(50)) and None if n % 3 == 0 else saved(".png", "PNG")(folder, n), told(lambda data: True)))
add(P, "PSD", pictures(lambda folder, n: write(folder / f"{n}.psd", b"8BPS\0\1" + bytes(50)) and None, asked))
add(P, "videos only", pictures(lambda folder, n: write(folder / f"{n}.mov", b"\0\0\0\x14ftypqt  " + bytes(99)) and None, asked))
add(P, "videos called jpg", pictures(lambda folder, n: write(folder / f"{n}.jpg", b"\0\0\0\x18ftypisom" + bytes(99)) and None, asked))
add(P, "system files beside", pictures(saved(".png", "PNG"), look(), {"Thumbs.db": b"\xd0\xcf", ".DS_Store": b"\0", "square/._0.png": b"\0\x05", "__MACOSX/round/._1.png": b"\0\x05", "desktop.ini": "[x]"}), False)
add(P, "papers beside", pictures(saved(".png", "PNG"), look(), {"README.md": "x", "LICENSE": "x", "CITATION.cff": "x", "square/notes.txt": "x"}), False)
add(P, "a zip beside", pictures(saved(".png", "PNG"), look(), {"more.zip": b"PK\x03\x04"}))
add(P, "COCO's annotations beside", pictures(saved(".png", "PNG"), told(lambda data: True), {"annotations.json": json.dumps({"images": [{"id": n, "file_name": f"{n}.png"} for n in range(24)], "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [0, 0, 5, 5]} for n in range(24)], "categories": [{"id": 1, "name": "x"}]})}))
add(P, "VOC's annotations beside", pictures(saved(".jpg", "JPEG"), told(lambda data: True), {f"Annotations/{n}.xml": f"<annotation><filename>{n}.jpg</filename></annotation>" for n in range(24)}))
add(P, "YOLO", pictures(saved(".jpg", "JPEG"), told(lambda data: True), {f"labels/train/{n}.txt": "0 0.5 0.5 0.1 0.1" for n in range(24)}, folders=("images/train", "images/val")))
add(P, "folders images and masks", pictures(saved(".png", "PNG"), asked, folders=("images", "masks")))
for one, two in (("image", "label"), ("JPEGImages", "SegmentationClass"), ("img", "gt"), ("input", "target"), ("imgs", "annotations"), ("images", "labels"), ("rgb", "depth")):
    add(P, f"the same names in {one} and {two}", pictures(lambda folder, n: picture(n, 0).save(folder / f"{n // 2}.png"), asked, folders=(one, two)))
add(P, "masks beside pictures", pictures(lambda folder, n: picture(n, n % 2).save(folder / f"{n // 2}{'_mask' if n % 2 else ''}.png"), told(lambda data: True), folders=("set", "set")))
add(P, "the same picture in two classes", pictures(lambda folder, n: picture(n // 2, 0).save(folder / f"{n}.png"), told(lambda data: True)))
add(P, "each picture twice", pictures(lambda folder, n: picture(n % 12, n % 2).save(folder / f"{n}.png"), told(lambda data: len(rows_of(data)) == 12)))
add(P, "names with blanks and accents", pictures(lambda folder, n: picture(n, n % 2).save(folder / f"Mü ller's #{n} 100%.png"), look()), False)
add(P, "turned by EXIF", pictures(lambda folder, n: picture(n, n % 2).save(folder / f"{n}.jpg", exif=_exif()), look()), False)


def _exif() -> Any:
    from PIL import Image as pil

    found = pil.Exif()
    found[274] = 6
    return found


def frames_of(count: int, suffix: str) -> Save:
    def save(folder: Path, n: int) -> None:
        from pydicom.dataset import FileDataset, FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian, generate_uid

        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = "1.2.840.10008.5.1.4.1.1.7", generate_uid(), ExplicitVRLittleEndian
        made = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        pixels = np.random.default_rng(n).integers(0, 4000, (count, 24, 24), dtype=np.uint16)
        made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 24, 24, 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
        if count > 1:
            made.NumberOfFrames = count
        made.PixelData = pixels.tobytes()
        made.save_as(folder / f"{n}{suffix}", enforce_file_format=True)

    return save


add(P, "DICOM", pictures(frames_of(1, ".dcm"), lambda data: len(rows_of(data)) == 24), False)
add(P, "DICOM without suffix", pictures(frames_of(1, ""), lambda data: len(rows_of(data)) == 24), False)
add(P, "DICOM of several frames", pictures(frames_of(3, ".dcm"), asked))
add(P, "DICOM of several frames, all", pictures(frames_of(3, ".dcm"), lambda data: len(rows_of(data)) == 72, frames="all"), False)
add(P, "DICOM of several frames, first", pictures(frames_of(3, ".dcm"), lambda data: len(rows_of(data)) == 24, frames="first"), False)
# -- sheets


def sheet(row: Callable[[int], dict[str, Any] | None], check: Check, given: bool = True, suffix: str = ".png", sep: str = ",", rows: int = 24, **options: Any) -> Callable[[Path], Made]:
    """Pictures in `pics`, and a table that labels them: as `labels_file`, or in the same folder."""

    def make(at: Path) -> Made:
        for n in range(24):
            (at / "d" / "pics").mkdir(parents=True, exist_ok=True)
            picture(n, n % 2).save(at / "d" / "pics" / f"p{n}{suffix}")
        made = [found for n in range(rows) if (found := row(n)) is not None]
        pd.DataFrame(made).to_csv(at / "d" / "labels.csv", index=False, sep=sep)
        if given:
            return at / "d" / "pics", {"modality": "image", "labels_file": str(at / "d" / "labels.csv"), **options}, check
        return at / "d", {"modality": "image", **options}, check

    return make


def shape(n: int) -> str:
    return "round" if n % 2 else "square"


def unnamed(count: int) -> Check:
    """Pictures that no row names are unlabeled, and the report says so."""
    return lambda data: len(rows_of(data)) == count and any("unlabeled" in text for text in data.report["warnings"])


add(P, "sheet by semicolons", sheet(lambda n: {"file_name": f"p{n}.png", "label": shape(n)}, look(), sep=";"), False)
add(P, "sheet in another order", sheet(lambda n: {"file_name": f"p{23 - n}.png", "label": shape(23 - n)}, look()), False)
add(P, "sheet with suffixes in capitals", sheet(lambda n: {"file_name": f"p{n}.PNG", "label": shape(n)}, look()))
add(P, "sheet with other suffixes", sheet(lambda n: {"file_name": f"p{n}.jpg", "label": shape(n)}, look()))
add(P, "sheet with paths of another machine", sheet(lambda n: {"path": f"/data/old/p{n}.png", "label": shape(n)}, look()))
add(P, "sheet with drives", sheet(lambda n: {"path": f"D:\\old\\p{n}.png", "label": shape(n)}, look()))
add(P, "sheet with URLs", sheet(lambda n: {"url": f"https://example.com/p{n}.png?x=1", "label": shape(n)}, look()))
add(P, "sheet that lacks one", sheet(lambda n: {"file_name": f"p{n}.png", "label": shape(n)} if n != 5 else None, unnamed(23)))
add(P, "sheet that lacks half", sheet(lambda n: {"file_name": f"p{n}.png", "label": shape(n)} if n < 12 else None, unnamed(12)))
add(P, "sheet with ten more", sheet(lambda n: {"file_name": f"p{n}.png", "label": shape(n)}, told(look()), rows=34))
add(P, "sheet with an entry twice", sheet(lambda n: {"file_name": f"p{n % 24}.png", "label": shape(n % 24)}, told(look()), rows=25))
add(P, "sheet with two labels for one", sheet(lambda n: {"file_name": f"p{n % 24}.png", "label": shape(n if n < 24 else 1 + n % 24)}, asked, rows=25))
add(P, "sheet of HAM10000", sheet(lambda n: {"lesion_id": f"L{n // 2}", "image_id": f"p{n}", "dx": shape(n), "age": 50}, told(lambda data: len(rows_of(data)) == 24)))
add(P, "sheet of one column per class", sheet(lambda n: {"image": f"p{n}", "round": float(n % 2), "square": float(1 - n % 2)}, told(lambda data: len(rows_of(data)) == 24)))
add(P, "sheet without header names", sheet(lambda n: {"0": f"p{n}.png", "1": shape(n)}, told(lambda data: True)))
add(P, "sheet of numbers", sheet(lambda n: {"id": n, "label": shape(n)}, look()))
add(P, "table of ids without suffixes", sheet(lambda n: {"image_id": f"p{n}", "label": shape(n)}, look(), given=False))
add(P, "metadata.csv of datasets", sheet(lambda n: {"file_name": f"pics/p{n}.png", "label": shape(n)}, look(), given=False), False)
# -- masks


def masks(draw: Callable[[int], Any], classes: Sequence[int] | None, suffix: str = ".png", check: Check | None = None, **options: Any) -> Callable[[Path], Made]:
    """`classes`: numbers that pixels must have in the end (255 is ignored); None: nothing is right but an error."""

    def make(at: Path) -> Made:
        for n in range(16):
            for name in ("im", "mask"):
                (at / "d" / name).mkdir(parents=True, exist_ok=True)
            picture(n).save(at / "d" / "im" / f"{n}.png")
            found = draw(n)
            if isinstance(found, np.ndarray) and suffix == ".npy":
                np.save(at / "d" / "mask" / f"{n}.npy", found)
            else:
                found.save(at / "d" / "mask" / f"{n}{suffix}")
        pd.DataFrame({"image": [f"im/{n}.png" for n in range(16)], "mask": [f"mask/{n}{suffix}" for n in range(16)]}).to_csv(at / "d" / "list.csv", index=False)

        def right(data: DomainData) -> bool:
            from hf_ssl.tasks.segmentation import mask_of

            found = {value for split in ("train", "validation", "test") for row in data[split] for value in np.unique(mask_of(row["label"])).tolist()}
            return classes is not None and sorted(found) == list(classes)

        return at / "d", {"modality": "image", "label_column": "mask", **options}, check or (asked if classes is None else right)

    return make


def gray(values: Sequence[int], mode: str = "L", side: int = 24) -> Callable[[int], Any]:
    from PIL import Image as pil

    def draw(n: int) -> Any:
        pixels = np.full((side, side), values[0], np.uint16 if mode == "I;16" else np.int32 if mode == "I" else np.uint8)
        for place, value in enumerate(values):
            pixels[4 * place : 4 * place + 4 + n % 2] = value
        made = pil.fromarray(pixels)
        if mode in ("1", "LA", "RGBA"):
            return made.convert(mode)
        return made

    return draw


def voc(n: int) -> Any:
    """VOC: a palette whose first colors are 0, 1, 15, with a border of 255."""
    from PIL import Image as pil

    pixels = np.zeros((24, 24), np.uint8)
    pixels[4:12], pixels[12:20], pixels[3], pixels[20] = 1, 15, 255, 255
    made = pil.fromarray(pixels, "P")
    palette = np.zeros((256, 3), np.uint8)
    palette[1], palette[15], palette[255] = (128, 0, 0), (192, 128, 128), (224, 224, 192)
    made.putpalette(palette.ravel().tolist())
    return made


def own_palette(n: int) -> Any:
    """Red and green on black, each file with a palette in an order of its own."""
    from PIL import Image as pil

    order = [(0, 0, 0), (255, 0, 0), (0, 255, 0)][n % 3 :] + [(0, 0, 0), (255, 0, 0), (0, 255, 0)][: n % 3]
    pixels = np.full((24, 24), order.index((0, 0, 0)), np.uint8)
    pixels[4:12], pixels[12:20] = order.index((255, 0, 0)), order.index((0, 255, 0))
    made = pil.fromarray(pixels, "P")
    made.putpalette([value for color in order for value in color])
    return made


add(P, "masks whose palettes differ", masks(own_palette, None))
add(P, "masks whose palettes differ, given", masks(own_palette, [0, 1, 2], mask_values=["#000000", "#ff0000", "#00ff00"]), False)
add(P, "masks of another shape", masks(lambda n: gray([0, 1, 2], side=48)(n).crop((0, 0, 48, 20)), None))
add(P, "masks of VOC", masks(voc, [0, 1, 15, 255]))
add(P, "masks of 1, 2, 3 (pets)", masks(gray([1, 2, 3]), None, check=told(lambda data: True)))
add(P, "masks of 0 and 1 in one bit", masks(lambda n: gray([0, 255], "1")(n), [0, 1]), False)
add(P, "masks with alpha", masks(gray([0, 1, 2], "LA"), [0, 1, 2]))
add(P, "masks of 32 bits", masks(gray([0, 1, 2], "I"), [0, 1, 2], ".tif"))
add(P, "masks of instances", masks(gray([0, 1001, 1002, 26001], "I;16"), None))
add(P, "masks of Cityscapes", masks(gray([0, 7, 8, 11, 255]), [0, 7, 8, 11, 255], check=told(lambda data: True)))
add(P, "masks of 0, 1, 254", masks(gray([0, 1, 254]), None, check=told(lambda data: True)))
add(P, "masks of 0, 85, 170, 255", masks(gray([0, 85, 170, 255]), [0, 1, 2, 3]))
add(P, "masks of 0, 127, 254", masks(gray([0, 127, 254]), [0, 1, 2]))
add(P, "masks of 50 and 200", masks(gray([50, 200]), [0, 1]))
add(P, "masks of 255 and 254", masks(gray([254, 255]), None, check=told(lambda data: True)))
add(P, "masks of one class", masks(gray([0]), None, check=told(lambda data: True)))
add(P, "masks of many grays", masks(lambda n: gray(list(range(0, 250, 50)))(n).resize((24, 24), 2).rotate(30, 2), None, check=told(lambda data: True)))
add(P, "masks of 0 and 255 drawn smooth", masks(lambda n: gray([0, 255])(n).resize((48, 48), 2).resize((24, 24), 2), None))
add(P, "masks of another size", masks(gray([0, 1, 2], side=48), None, check=told(lambda data: True)))
add(P, "masks turned by EXIF", masks(lambda n: gray([0, 1, 2])(n), [0, 1, 2]), False)
add(P, "masks as arrays", masks(lambda n: np.asarray(gray([0, 1, 2])(n)), [0, 1, 2], ".npy"))
add(P, "masks as arrays of floats", masks(lambda n: np.asarray(gray([0, 1])(n)) * 0.5, None, ".npy"))
add(P, "masks in colors that are many", masks(lambda n: picture(n), None))
add(P, "masks in panoptic colors", masks(lambda n: __import__("PIL.Image", fromlist=["x"]).merge("RGB", [gray([0, 3, 7])(n), gray([0, 1, 2])(n), gray([0, 0, 1])(n)]), None, check=told(lambda data: True)))
add(P, "masks in JPEG, 0 and 1", masks(gray([0, 1]), None, ".jpg"))
add(P, "masks of 0 and 255 with values turned", masks(gray([0, 255]), [0, 1], mask_values=["255", "0"]), False)
add(P, "masks with a value that is not given", masks(gray([0, 100, 255]), None, mask_values=["0", "255"]))
assert io
