"""Load a staged folder the way its readers will, in a fresh process without network, and compare what it answers.

    python -m hf_ssl.hub.reload_check JOB.json

The process knows the staged folder only (and, for an adapter, its base): it uses transformers, PEFT or datasets alone,
runs the usage lines of the card, and prints one JSON object. Nothing of the run's folder is needed for it to pass.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import HubError
from hf_ssl.hub.pipelines.base import ANSWERS, difference, find_pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping

TOLERANCE = 1e-4  # of the largest output: other batch shapes round differently, other weights differ by far more
SECONDS = 900


def check_reload(job: dict[str, Any], tensors: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """Run the check in a fresh process.

    Args:
        job: `folder`, `kind`, `auto_class`, `pipeline_tag`, `usage` (code), `as_named` (what the usage lines call the
            folder), and for an adapter `base` and `base_named`. `answer`: its `usage`, `start` (the checkpoint of its readings, where
            that is not in the folder) and the `values` behind the probabilities `answer`.
        tensors: from `hf_ssl.hub.staging.reference`.
        values: the made-up values behind `value.*`.

    Returns:
        what was compared, and the largest relative difference.

    Raises:
        HubError: it does not load, answers otherwise, or its usage lines fail.
    """
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory(prefix="hf_ssl_reload_") as place:
        work = Path(place)
        save_file(tensors, work / "reference.safetensors")
        job = {**job, "values": [keep_value(value, work / f"value{number}") for number, value in enumerate(values)]}
        if job.get("answer"):
            asked = [
                keep_value(value, work / f"asked{number}") for number, value in enumerate(job["answer"]["values"])
            ]
            job["answer"] = {**job["answer"], "values": asked}
        (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if "TOKEN" not in name}
        package = str(Path(__file__).resolve().parents[2])
        environment |= {
            "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(work / "home"), "TOKENIZERS_PARALLELISM": "false",
            "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])), "TQDM_DISABLE": "1",
        }  # fmt: skip
        command = [sys.executable, "-m", "hf_ssl.hub.reload_check", str(work / "job.json")]
        result = subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    lines = result.stdout.strip().splitlines()
    if result.returncode or not lines:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise HubError(f"The staged folder does not work in a fresh process, so it is not published: {reason}")
    answer = json.loads(lines[-1])
    if not answer["difference"] <= TOLERANCE:
        raise HubError(
            f"Loaded in a fresh process, the staged folder answers otherwise than the model of the run: {answer['worst']} "
            f"differs by {answer['difference']:.1e} of the largest output (allowed: {TOLERANCE:.0e}). It is not published. "
            "The usual causes are a processor of another model beside the weights, or weights that were not saved."
        )
    return answer


def keep_value(value: object, stem: Path) -> Any:
    """A value that JSON can carry: text as it is, arrays and images as a file."""
    if isinstance(value, str):
        return value
    np.save(stem.with_suffix(".npy"), np.asarray(value))
    return {"file": str(stem.with_suffix(".npy")), "image": not isinstance(value, np.ndarray)}


def main(path: str) -> None:
    """The fresh process: prints `{"compared": [...], "difference": x, "worst": name, "printed": text}`."""
    from safetensors.torch import load_file

    job = json.loads(Path(path).read_text(encoding="utf-8"))
    with contextlib.redirect_stdout(sys.stderr):
        if job["kind"] == "embeddings":
            found = _check_vectors(job)
        else:
            file = Path(path).parent / "reference.safetensors"
            found = differences(job, {name: tensor.numpy() for name, tensor in load_file(file).items()})
        printed = _run_usage(job)
    worst = max(found, key=lambda name: found[name])
    answer = {"compared": sorted(found), "worst": worst, "difference": found[worst], "printed": printed}
    print(json.dumps(answer))


def differences(job: dict[str, Any], expected: dict[str, np.ndarray]) -> dict[str, float]:
    """What was compared → its largest relative difference: tensors, timm's own loader, and the pipeline where one serves it.

    Args:
        job: as in `check_reload`, with values as `keep_value` leaves them.
        expected: from `hf_ssl.hub.staging.reference`.
    """
    found = dict(_check_tensors(job, expected)) | dict(_check_timm(job, expected))
    if job.get("pipeline_tag") and job["kind"] != "adapter":
        found |= dict(_check_pipeline(job, expected))
    if job.get("answer"):
        found |= dict(_check_answer(job, expected))
    return found


def _check_answer(job: dict[str, Any], expected: dict[str, np.ndarray]) -> Iterator[tuple[str, float]]:
    """What the run answers with, loaded as others will."""
    import hf_ssl

    own = job["answer"]
    answer = hf_ssl.load_answer(job["folder"], start=own["start"])
    yield "classes of the answer", 0.0 if answer.classes == job["labels"] else float("inf")
    if own["values"]:
        values = [_value(value) for value in own["values"]]
        if job.get("rate"):
            values = [{"array": value, "sampling_rate": job["rate"]} for value in values]
        yield "the answer", difference(answer.probabilities(values), expected["answer"])


def _load(job: dict[str, Any]) -> Any:
    import transformers

    auto_class = getattr(transformers, job["auto_class"])
    if job["kind"] != "adapter":
        return auto_class.from_pretrained(job["folder"]).eval()
    from peft import PeftModel

    return PeftModel.from_pretrained(auto_class.from_pretrained(job["base"], **job["options"]), job["folder"]).eval()


def _check_tensors(job: dict[str, Any], expected: dict[str, np.ndarray]) -> Iterator[tuple[str, float]]:
    import torch

    model = _load(job)
    for batch in sorted({name.split(".")[1] for name in expected if name.startswith("in.")}):
        start = f"in.{batch}."
        inputs = {
            name.removeprefix(start): torch.from_numpy(expected[name]) for name in expected if name.startswith(start)
        }
        with torch.no_grad():
            torch.manual_seed(0)
            output = model(**inputs)
        values = output.values() if hasattr(output, "values") else output
        floats = [
            v.float().numpy() for v in values if isinstance(v, torch.Tensor) and v.is_floating_point() and v.numel()
        ]
        for number, got in enumerate(floats):
            if f"out.{batch}.{number}" not in expected:  # of random tensors
                continue
            name = f"output {number}" + (f" on value {int(batch) - 1}" if batch != "0" else "")
            yield name, difference(got, expected[f"out.{batch}.{number}"])


def _check_timm(job: dict[str, Any], expected: dict[str, np.ndarray]) -> Iterator[tuple[str, float]]:
    """A timm network is one for timm as well."""
    config = Path(job["folder"], "config.json")
    if job["kind"] == "adapter" or json.loads(config.read_text(encoding="utf-8")).get("model_type") != "timm_wrapper":
        return
    import timm
    import torch

    network: Any = timm.create_model(f"local-dir:{job['folder']}", pretrained=True).eval()
    pixels = torch.from_numpy(expected["in.0.pixel_values"])
    with torch.no_grad():
        got = network(pixels) if network.num_classes else network.forward_features(pixels)
    yield "timm.create_model", difference(got.numpy(), expected["out.0.0"])


def _check_pipeline(job: dict[str, Any], expected: dict[str, np.ndarray]) -> Iterator[tuple[str, float]]:
    from transformers import pipeline

    served = find_pipeline(job["pipeline_tag"])
    if served is None:
        raise HubError(f"Nothing is known of the pipeline {job['pipeline_tag']!r}.")
    tag: Any = served.tag  # transformers types a pipeline by the literal of its tag
    serve = pipeline(tag, model=job["folder"])
    names = served.class_names(serve) if job.get("labels") else None
    if names is not None:
        yield "names of the classes", 0.0 if names == job["labels"] else float("inf")
    for number, value in enumerate(job["values"]):
        for what, unlike in served.compare(serve, _value(value), expected[f"value.{number}"][0]).items():
            told = f"pipeline({served.tag!r}) on value {number}" if what == ANSWERS else f"{what} of value {number}"
            yield told, unlike


def _value(value: str | Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return value
    array = np.load(value["file"], allow_pickle=False)
    if not value["image"]:
        return array
    from PIL import Image

    return Image.fromarray(array)


def _check_vectors(job: dict[str, Any]) -> dict[str, float]:
    from datasets import load_dataset

    rows = load_dataset(job["folder"], split="train")
    vectors = np.asarray(rows.with_format("numpy")["vector"])
    stored = np.load(job["vectors"], allow_pickle=False)
    return {"vectors": difference(vectors, stored)}


def _run_usage(job: dict[str, Any]) -> str:
    """The lines that the card shows, with the staged folder in the place of the repository."""
    code = job["usage"].replace(job["as_named"], job["folder"])
    if job.get("base"):
        code = code.replace(job["base_named"], job["base"])
    served = find_pipeline(job.get("pipeline_tag"))
    if served is not None and job.get("values"):
        served.write_example(_value(job["values"][0]), job.get("rate"))
    if job.get("answer"):
        given = f'"{job["folder"]}", start={job["answer"]["start"]!r})'
        _run(job["answer"]["usage"].replace(f'"{job["as_named"]}")', given))
    return _run(code)


def _run(code: str) -> str:
    Path("usage.py").write_text(code, encoding="utf-8")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        runpy.run_path("usage.py")
    return out.getvalue().strip()[:2000]


if __name__ == "__main__":
    main(sys.argv[1])
