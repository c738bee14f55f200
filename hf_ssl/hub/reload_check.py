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
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core.errors import HubError

TOLERANCE = 1e-4  # of the largest output: other batch shapes round differently, other weights differ by far more
SECONDS = 900


def check_reload(job: dict[str, Any], tensors: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """Run the check in a fresh process.

    Args:
        job: `folder`, `kind`, `auto_class`, `pipeline_tag`, `usage` (code), `as_named` (what the usage lines call the
            folder), and for an adapter `base` and `base_named`.
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
        job = {**job, "values": [_keep(value, work / f"value{number}") for number, value in enumerate(values)]}
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


def _keep(value: Any, stem: Path) -> Any:
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
        differences: dict[str, float] = {}
        if job["kind"] == "embeddings":
            differences = _check_vectors(job)
        else:
            expected = {
                name: tensor.numpy() for name, tensor in load_file(Path(path).parent / "reference.safetensors").items()
            }
            differences |= dict(_check_tensors(job, expected)) | dict(_check_timm(job, expected))
            if job.get("pipeline_tag") and job["kind"] != "adapter":
                differences |= dict(_check_pipeline(job, expected))
        printed = _run_usage(job)
    worst = max(differences, key=lambda name: differences[name])
    answer = {"compared": sorted(differences), "worst": worst, "difference": differences[worst], "printed": printed}
    print(json.dumps(answer))


def relative(got: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference, relative to the largest value; infinite where shapes differ or a number is not finite."""
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return float("inf")
    return float(np.abs(got - wanted).max() / max(float(np.abs(wanted).max()), 1e-12))


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
            yield name, relative(got, expected[f"out.{batch}.{number}"])


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
    yield "timm.create_model", relative(got.numpy(), expected["out.0.0"])


def _check_pipeline(job: dict[str, Any], expected: dict[str, np.ndarray]) -> Iterator[tuple[str, float]]:
    from transformers import pipeline

    tag = job["pipeline_tag"]
    serve = pipeline(tag, model=job["folder"])
    values = [_value(value) for value in job["values"]]
    if job.get("labels") and tag.endswith("-classification"):
        there = [serve.model.config.id2label[index] for index in range(serve.model.config.num_labels)]
        yield "names of the classes", 0.0 if there == job["labels"] else float("inf")
    for number, value in enumerate(values):
        wanted = expected[f"value.{number}"][0]
        if tag.endswith("-classification") and tag != "token-classification":
            answer = serve(value, function_to_apply="none", top_k=serve.model.config.num_labels)
            names = serve.model.config.id2label  # of ImageNet's, two are `crane`
            pairs = sorted((names[index], float(score)) for index, score in enumerate(wanted))
            rows = sorted((row["label"], row["score"]) for row in answer)
            same = [name for name, _ in pairs] == [name for name, _ in rows]
            wanted, got = (np.array([score for _, score in found]) for found in (pairs, rows if same else []))
        elif tag == "token-classification":
            chances, names = _softmax(wanted), serve.model.config.label2id
            rows = serve(value, ignore_labels=[])
            wanted = np.array([chances[row["index"]].max() for row in rows])
            got = np.array([row["score"] * (names[row["entity"]] == chances[row["index"]].argmax()) for row in rows])
        elif tag == "fill-mask":
            rows = serve(value, top_k=3)
            ids = serve.tokenizer(value)["input_ids"]
            chances = _softmax(wanted[ids.index(serve.tokenizer.mask_token_id)])
            wanted, got = chances[[row["token"] for row in rows]], np.array([row["score"] for row in rows])
        elif tag == "automatic-speech-recognition":
            got = _logits(
                serve.model, serve.feature_extractor(value, sampling_rate=serve.feature_extractor.sampling_rate)
            )
            said = serve.tokenizer.decode(wanted.argmax(-1))
            yield f"words of value {number}", 0.0 if serve(value)["text"] == said else float("inf")
        elif tag == "image-segmentation":
            got = _logits(serve.model, serve.image_processor(value))
            areas = {row["label"]: np.asarray(row["mask"]) > 0 for row in serve(value, subtask="semantic")}
            yield f"areas of value {number}", _unlike(areas, wanted, serve.model.config.id2label)
        else:
            got = np.asarray(serve(value)[0], dtype=np.float32)
        yield f"pipeline({tag!r}) on value {number}", relative(got, wanted)


def _logits(model: Any, inputs: Any) -> np.ndarray:
    """What the pipeline's own model says to what its own processor made of a value."""
    import torch

    with torch.no_grad():
        return model(**inputs.convert_to_tensors("pt")).logits[0].float().numpy()


def _unlike(areas: dict[str, np.ndarray], scores: np.ndarray, names: dict[int, str]) -> float:
    """Share of a picture's pixels that a segmentation gives to another class than `scores` `(classes, rows, columns)`."""
    import torch

    size = next(iter(areas.values())).shape
    fine = torch.nn.functional.interpolate(torch.from_numpy(scores)[None], size, mode="bilinear", align_corners=False)
    best = fine[0].argmax(0).numpy()
    none = np.zeros(size, dtype=bool)
    right = sum(int((areas.get(names[number], none) & (best == number)).sum()) for number in range(len(scores)))
    return 1 - right / best.size


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return value
    array = np.load(value["file"], allow_pickle=False)
    if not value["image"]:
        return array
    from PIL import Image

    return Image.fromarray(array)


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def _check_vectors(job: dict[str, Any]) -> dict[str, float]:
    from datasets import load_dataset

    rows = load_dataset(job["folder"], split="train")
    vectors = np.asarray(rows.with_format("numpy")["vector"])
    stored = np.load(job["vectors"], allow_pickle=False)
    return {"vectors": relative(vectors, stored)}


def _run_usage(job: dict[str, Any]) -> str:
    """The lines that the card shows, with the staged folder in the place of the repository."""
    code = job["usage"].replace(job["as_named"], job["folder"])
    if job.get("base"):
        code = code.replace(job["base_named"], job["base"])
    _media(job)
    Path("usage.py").write_text(code, encoding="utf-8")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        runpy.run_path("usage.py")
    return out.getvalue().strip()[:2000]


def _media(job: dict[str, Any]) -> None:
    """The files that usage lines of images and sound speak of."""
    values = [_value(value) for value in job.get("values", ())]
    if "photo.png" in job["usage"] and values:
        values[0].save("photo.png")
    if "clip.wav" in job["usage"] and values:
        with wave.open("clip.wav", "wb") as file:
            file.setparams((1, 2, job["rate"], 0, "NONE", ""))
            file.writeframes((np.clip(values[0], -1, 1) * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    main(sys.argv[1])
