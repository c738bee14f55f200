"""Run a SavedModel in TensorFlow: `python run_in_tensorflow.py FOLDER INPUTS.npz OUTPUTS.npz`.

A program of its own: it may be run by another Python than the one that imports, so that TensorFlow (1.6 GB) never has to be
installed beside torch. It imports nothing of hf_ssl. Inputs are given by name; of each signature, and of the object's own
`__call__` and `mlm`, the ones it asks for are taken, and its outputs are written under their names.
"""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # the plain kernels: the ones whose rounding is nearest to torch's

import numpy as np
import tensorflow as tf

# What an input is called by the exporters of different years.
CALLED = {
    "input_ids": "input_word_ids", "segment_ids": "input_type_ids", "mlm_positions": "masked_lm_positions",
    "inputs": "images", "input_1": "images", "image": "images", "args_0": "images", "x": "images",
}  # fmt: skip


def known(name: str, given: dict[str, np.ndarray]) -> np.ndarray | None:
    """The input a signature means by a name."""
    return given.get(name, given.get(CALLED.get(name, "")))


def by_signatures(folder: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of every signature whose inputs are all known; works for models of TensorFlow 1 and 2."""
    found: dict[str, np.ndarray] = {}
    loader = tf.compat.v1.saved_model
    for tags in (["serve"], [], ["train"]):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            try:
                meta = loader.load(session, tags, folder)
            except RuntimeError:  # no graph with these tags
                continue
            for signature in meta.signature_def.values():
                fed = {info.name: known(name, given) for name, info in signature.inputs.items()}
                if not fed or any(value is None for value in fed.values()):
                    continue
                wanted = {name: info.name for name, info in signature.outputs.items() if info.name}
                found.update(session.run(wanted, fed))
            return found
    return found


def by_objects(folder: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of the loaded object itself and of its part for masked words, which has no signature at TensorFlow Hub."""
    found: dict[str, np.ndarray] = {}
    model = tf.saved_model.load(folder)
    text = {name: tf.constant(value) for name, value in given.items() if name.startswith("input_")}
    calls = [(model, text)]
    if hasattr(model, "mlm"):
        calls.append((model.mlm, {**text, "masked_lm_positions": tf.constant(given["masked_lm_positions"])}))
    for call, inputs in calls:
        outputs = call(inputs, training=False)
        found.update({name: value.numpy() for name, value in outputs.items() if not isinstance(value, (list, tuple))})
    return found


def main(folder: str, inputs: str, outputs: str) -> None:
    given = dict(np.load(inputs))
    found: dict[str, Any] = {}
    problems = []
    for way in (by_signatures, by_objects):
        if way is by_objects and ("images" in given or "mlm_logits" in found):
            continue
        try:
            found.update(way(folder, given))
        except Exception as error:  # TensorFlow raises of every kind; the other way may do
            problems.append(
                f"{way.__name__}: {type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
            )
    if not found:
        sys.exit("; ".join(problems) or "no signature takes these inputs")
    np.savez(outputs, **found)


if __name__ == "__main__":
    main(*sys.argv[1:4])
