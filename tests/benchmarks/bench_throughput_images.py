"""Pictures per second from files, interleaved in one run: our SimCLR and MAE, lightly-train's SimCLR, Trainer with ViTMAE.

    python tests/benchmarks/bench_throughput_images.py [--pictures 512] [--epochs 3] [--mae-epochs 10] [--rounds 2] [--peer PYTHON]

Same JPEG files (drawings of Open Clip Art on white, 400 pixels: ImageNet's pictures have 400 x 350 on average), same
backbone (timm resnet18 for SimCLR; for MAE a ViT-Tiny/16 with a decoder of one layer), size, batch and precision. What is
timed is one whole call: reading and checking the files (once, however many epochs), training, measuring, saving. `--peer` is the python of an
environment that has lightly-train; without it that row is left out. The plain `Trainer` loop decodes, crops and normalizes
each picture in its dataset, as transformers' run_mae.py does.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_ssl import load_data, pretrain
from hf_ssl.demo import images as demo_images
from hf_ssl.modalities.image.files import DecodeOptions, Unreadable, pixels
from hf_ssl.modalities.image.geometry import resized
from hf_ssl.training.trainer import bf16_is_fast

MAE: dict[str, Any] = {
    "patch_size": 16,
    "hidden_size": 192,
    "num_hidden_layers": 12,
    "num_attention_heads": 3,
    "intermediate_size": 768,
}
FILE_SIDE = 400
LIGHTLY = """
import os, sys, time
os.environ["LIGHTLY_TRAIN_EVENTS_DISABLED"] = "1"
import lightly_train, timm
data, out, epochs, batch, side, precision = sys.argv[1:7]
model = timm.create_model("resnet18", pretrained=False)
began = time.monotonic()
lightly_train.pretrain(
    out=out, data=data, model=model, method="simclr", epochs=int(epochs), batch_size=int(batch), accelerator="cpu",
    precision=precision, transform_args={"image_size": (int(side), int(side))}, overwrite=True,
)
print("SECONDS", time.monotonic() - began)
"""


def write_files(folder: Path, count: int) -> Path:
    """JPEG files of equal size; drawings that cannot be read are passed over."""
    from PIL import Image

    folder.mkdir(parents=True)
    rows = np.random.default_rng(0).permutation(sorted(demo_images.clipart_folder().rglob("*.png")))
    written = 0
    for file in rows:
        try:
            array = pixels(str(file), DecodeOptions(max_megapixels=4))
        except Unreadable:
            continue
        if array.shape[2] != 3:
            continue
        stream = io.BytesIO()
        Image.fromarray(resized(array, FILE_SIDE, FILE_SIDE, None, 2)).save(stream, format="JPEG", quality=90)
        (folder / f"{written:05d}.jpg").write_bytes(stream.getvalue())
        written += 1
        if written == count:
            break
    return folder


def ours(objective: str, start: Path, files: Path, out: Path, given: argparse.Namespace) -> tuple[float, float]:
    """Seconds of reading, training and saving; and the share of training spent waiting for data."""
    began = time.monotonic()
    data = load_data(files, "image", verbose=False, image_size=given.side)
    result = pretrain(
        data=data, modality="image", image_size=given.side, model=str(start), output=str(out), objective=objective,
        num_train_epochs=given.mae_epochs if objective == "mae" else given.epochs, per_device_train_batch_size=given.batch,
        monitor_points=1, keep_checkpoint="last", eval_fraction=max(0.02, 16 / given.pictures), logging_steps=2, save_strategy="no", bf16=given.bf16,
    )  # fmt: skip
    seconds = time.monotonic() - began
    curve = [json.loads(line) for line in (result.path / "curve.jsonl").read_text().splitlines()]
    waits = [row["data_wait_percent"] for row in curve if "data_wait_percent" in row]
    return seconds, waits[-1] if waits else float("nan")


def lightly(files: Path, out: Path, given: argparse.Namespace) -> tuple[float, float]:
    precision = "bf16-mixed" if given.bf16 else "32-true"
    command = [
        given.peer,
        "-c",
        LIGHTLY,
        str(files),
        str(out),
        str(given.epochs),
        str(given.batch),
        str(given.side),
        precision,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"lightly-train failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.rpartition("SECONDS")[2]), float("nan")


class Files(torch.utils.data.Dataset):
    """What transformers' example does per picture: open, crop, flip, to tensor, normalize."""

    def __init__(self, folder: Path, side: int) -> None:
        from torchvision.transforms import v2

        self.files = sorted(folder.glob("*.jpg"))
        self.change = v2.Compose([
            v2.RandomResizedCrop(side, scale=(0.2, 1.0), interpolation=v2.InterpolationMode.BICUBIC), v2.RandomHorizontalFlip(),
            v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        from PIL import Image

        with Image.open(self.files[index]) as picture:
            return {"pixel_values": self.change(picture.convert("RGB"))}


def plain_trainer(start: Path, files: Path, out: Path, given: argparse.Namespace) -> tuple[float, float]:
    from transformers import Trainer, TrainingArguments, ViTMAEForPreTraining

    model = ViTMAEForPreTraining.from_pretrained(start, norm_pix_loss=True)
    arguments = TrainingArguments(
        str(out), num_train_epochs=given.mae_epochs, per_device_train_batch_size=given.batch, learning_rate=5e-5,
        save_strategy="no", report_to="none", remove_unused_columns=False, disable_tqdm=True, bf16=given.bf16,
        use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip
    began = time.monotonic()
    Trainer(model=model, args=arguments, train_dataset=Files(files, given.side)).train()
    model.save_pretrained(out / "model")
    return time.monotonic() - began, float("nan")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--mae-epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--peer")
    parser.add_argument("--only-mae", action="store_true")
    given = parser.parse_args(arguments)
    given.bf16 = bf16_is_fast()
    import timm

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = write_files(root / "files", given.pictures)
        timm.models.save_for_hf(timm.create_model("resnet18"), str(root / "resnet18"), safe_serialization=True)
        demo_images.write_small_mae(root / "mae", side=given.side, **MAE)
        runs: dict[str, Any] = {
            "hf_ssl simclr": lambda out: ours("simclr", root / "resnet18", files, out, given),
            "hf_ssl mae": lambda out: ours("mae", root / "mae", files, out, given),
            "Trainer + ViTMAE": lambda out: plain_trainer(root / "mae", files, out, given),
        }
        if given.peer and not given.only_mae:
            runs["lightly-train simclr"] = lambda out: lightly(files, out, given)
        if given.only_mae:
            runs.pop("hf_ssl simclr")
        seconds: dict[str, list[float]] = {}
        waits: dict[str, list[float]] = {}
        for turn in range(given.rounds):
            for number, (name, run) in enumerate(runs.items()):
                took, wait = run(root / f"out{turn}-{number}")
                seconds.setdefault(name, []).append(took)
                waits.setdefault(name, []).append(wait)
                print(f"round {turn}: {name} {took:.1f} s", flush=True)
    print(
        f"{given.pictures} pictures, {given.epochs} epochs of SimCLR, {given.mae_epochs} of MAE, side {given.side}, batch "
        f"{given.batch}, {'bf16' if given.bf16 else 'float32'}, {torch.get_num_threads()} threads"
    )
    print("| | pictures/s | data wait | ratio |\n|---|---|---|---|")
    peers = {"hf_ssl simclr": "lightly-train simclr", "hf_ssl mae": "Trainer + ViTMAE"}
    for name, taken in seconds.items():
        total = given.pictures * (given.epochs if "simclr" in name else given.mae_epochs)
        ratio = ""
        if peers.get(name) in seconds:  # of pairs from the same round, so that a busy minute hits both
            pairs = [theirs / mine for mine, theirs in zip(taken, seconds[peers[name]], strict=True)]
            ratio = f"{statistics.median(pairs):.2f}x {peers[name]}"
        print(
            f"| {name} | {total / statistics.median(taken):.1f} | {statistics.median(waits[name]):.1f} % | {ratio} |"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
