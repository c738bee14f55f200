"""Importing models of TensorFlow: is every value TensorFlow's, are the outputs, how long does it take, what of damaged files?

    python tests/benchmarks/bench_tensorflow_import.py --python /path/to/a/python/with/tensorflow [--also FOLDER ...] [--mutations 100]

Prints four tables: (1) every tensor of every file against `tf.train.load_checkpoint`, and after the import with its layout
undone; (2) the largest difference of the outputs for the same input, against TensorFlow run now for SavedModels, against the
outputs kept beside the fixtures for checkpoints; (3) the time of an import against that of `import tensorflow` alone; (4)
damaged files. `--also` adds SavedModels of your own; the real one of the package basic-pitch is read when it is installed.
Without `--python` what needs TensorFlow is left out.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils import logging

SUPPORT = Path(__file__).resolve().parent.parent / "support"
sys.path.insert(0, str(SUPPORT))
from tf_models import PARTS, PICTURES, TEXT, archive, expected, mutated, read_all, unpacked  # noqa: E402

from hf_ssl import import_tf  # noqa: E402
from hf_ssl.core.errors import CheckpointError  # noqa: E402
from hf_ssl.demo.cache import package_folder  # noqa: E402
from hf_ssl.models.tensorflow.bundle import Bundle  # noqa: E402
from hf_ssl.models.tensorflow.families.base import Options  # noqa: E402
from hf_ssl.models.tensorflow.forward import difference, outputs_of_torch  # noqa: E402
from hf_ssl.models.tensorflow.importing import family_of, import_checkpoint  # noqa: E402
from hf_ssl.models.tensorflow.sources import opened  # noqa: E402

READ_ALL = """
import sys, os, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
began = time.perf_counter()
import tensorflow as tf
import numpy as np
imported = time.perf_counter() - began
reader = tf.train.load_checkpoint(sys.argv[1])
found = {}
for name in reader.get_variable_to_shape_map():
    value = np.asarray(reader.get_tensor(name))
    if value.dtype.kind in "SO":
        continue
    found[name] = value.astype(np.float32) if value.dtype.name == "bfloat16" else value
np.savez(sys.argv[2], **{name.replace("/", "|"): value for name, value in found.items()})
print(imported)
"""


def against_reader(prefix: Path, python: str) -> tuple[int, int, float]:
    """Tensors compared with TensorFlow's own reader, how many differ, and seconds of `import tensorflow`."""
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / "values.npz"
        done = subprocess.run(
            [python, "-c", READ_ALL, str(prefix), str(target)], capture_output=True, text=True, check=True
        )
        bundle, compared, different = Bundle.open(prefix), 0, 0
        with np.load(target) as theirs:
            for name in theirs.files:
                ours, value = bundle.tensor(name.replace("|", "/")), theirs[name]
                compared += 1
                different += not (ours.dtype == value.dtype and np.array_equal(ours, value))
    return compared, different, float(done.stdout.strip().splitlines()[-1])


def prefix_of(folder: Path) -> Path:
    """The checkpoint of an unpacked fixture."""
    index = next(iter(sorted(folder.rglob("*.index"))))
    return index.with_name(index.name.removesuffix(".index"))


def recorded_difference(name: str, folder: Path, options: dict[str, Any]) -> float:
    """Against the outputs that TensorFlow gave when the fixture was made."""
    known = expected(name)
    with opened(str(archive(name))) as source:
        family = family_of(source, None, Options(**options))
        _, model = import_checkpoint(source, family, folder, None)
        ours = outputs_of_torch(family, model, folder, known)
        pairs = {**family.outputs(), "replaced": "logits"}
        if family.part == "generator":
            pairs = {"generator_output": "last_hidden_state", "mlm_logits": "logits"}
        elif "replaced" in known:
            pairs.pop("mlm_logits")
        return max(difference(known[mine], ours[key]) for mine, key in pairs.items() if mine in known and key in ours)


def row(label: str, result: dict[str, Any], read: tuple[Any, Any], worst: str, against: str) -> None:
    """A line of the first table."""
    cells = (label, result["architecture"], *read, result["compared"], result["different"], worst, against)
    print(f"| {' | '.join(map(str, cells))} |")


def values_and_outputs(root: Path, python: str | None, also: list[Path]) -> float:
    """Tables 1 and 2; returns the seconds of `import tensorflow`."""
    print(
        "\n| model | → | by TensorFlow's reader | different | after the import | different | outputs differ by at most | against |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---|")
    imports = []
    cases: list[tuple[str, dict[str, Any]]] = [
        (name, {"num_heads": 2} if name == "bert_hub1" else {}) for name in (*TEXT[:-1], *PICTURES)
    ]
    cases += [("electra_tf1", {"num_heads": 2}), ("electra_tf1", {"num_heads": 2, "part": "generator"})]
    for number, (name, options) in enumerate(cases):
        read: tuple[Any, Any] = ("–", "–")
        folder = unpacked(name, root / f"files{number}")
        if python:
            compared, different, seconds = against_reader(prefix_of(folder), python)
            read = (compared, different)
            imports.append(seconds)
        live = bool(python) and (folder / "saved_model.pb").is_file()
        result = import_tf(
            source=str(archive(name)), output=str(root / f"out{number}"), check="tf" if live else "none", tf_python=python, **options
        ).metrics  # fmt: skip
        (root / f"again{number}").mkdir()
        worst = (
            max(result["forward"].values()) if live else recorded_difference(name, root / f"again{number}", options)
        )
        label = f"{name} generator" if "part" in options else name
        row(label, result, read, f"{worst:.1e}", "TensorFlow, now" if live else "outputs kept beside it")
    for number, folder in enumerate(also):
        result = import_tf(
            source=str(folder), output=str(root / f"also{number}"), check="tf" if python else "none", tf_python=python
        ).metrics  # fmt: skip
        read = against_reader(prefix_of(folder), python)[:2] if python else ("–", "–")
        worst_ = f"{max(result['forward'].values()):.1e}" if python else "–"
        row(f"{folder.name}, {result['parameters'] / 1e6:.0f} M parameters", result, read, worst_, "TensorFlow, now")
    pitch = package_folder("basic_pitch", "saved_models", "icassp_2022", "nmp")
    if pitch is not None and python:
        compared, different, _ = against_reader(pitch / "variables" / "variables", python)
        print(f"| basic-pitch 0.4.0 | refused: no known family | {compared} | {different} | | | | |")
    return float(np.median(imports)) if imports else float("nan")


def times(root: Path, tensorflow: float, also: list[Path]) -> None:
    """Table 3."""
    print("\n| what | seconds |\n|---|---:|")
    sources = [archive("bert_tf2"), *also]
    for number, source in enumerate(sources):
        began = time.perf_counter()
        found = import_tf(source=str(source), output=str(root / f"time{number}")).metrics
        seconds = time.perf_counter() - began
        print(f"| import of {source.name}, {found['parameters']:,} parameters, with both proofs | {seconds:.2f} |")
    pitch = package_folder("basic_pitch", "saved_models", "icassp_2022", "nmp")
    if pitch is not None:
        began = time.perf_counter()
        read_all(pitch)
        print(f"| reading all of basic-pitch's real SavedModel | {time.perf_counter() - began:.3f} |")
    print(f"| `import tensorflow` alone (median) | {tensorflow:.2f} |")


def damaged(root: Path, count: int) -> None:
    """Table 4."""
    print("\n| damaged file | how many | clear error | read the same | other values | another exception |")
    print("|---|---:|---:|---:|---:|---:|")
    for number, name in enumerate(PARTS):
        folder = unpacked("bert_tf2", root / f"damaged{number}")
        good, content, draw = read_all(folder), (folder / name).read_bytes(), random.Random(name)
        counts = [0, 0, 0, 0]
        for _ in range(count):
            (folder / name).write_bytes(mutated(content, draw))
            try:
                counts[1 if read_all(folder) == good else 2] += 1
            except CheckpointError:
                counts[0] += 1
            except Exception:  # noqa: BLE001 - what this table is for
                counts[3] += 1
        print(f"| {name} | {count} | {' | '.join(map(str, counts))} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="a Python that has TensorFlow")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="more SavedModels")
    parser.add_argument("--mutations", type=int, default=100)
    given = parser.parse_args()
    logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        seconds = values_and_outputs(root, given.python, given.also)
        times(root, seconds, given.also)
        damaged(root, given.mutations)


if __name__ == "__main__":
    main()
