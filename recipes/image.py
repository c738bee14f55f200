# /// script
# dependencies = ["hf-ssl[image,demo]>=0.1"]
# ///
"""Classes of pictures, step by step: load → pretrain → finetune → compare → push.

    python recipes/image.py                            (Fashion-MNIST and EfficientNet-Lite0, see python -m hf_ssl.demo where)
    python recipes/image.py --data pictures --model timm/resnet50.a1_in1k --output runs/pictures

`pictures` holds unlabeled/, train/CLASS/ and test/CLASS/. The numbers are kept small so that it ends soon.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import hf_ssl
from hf_ssl.demo import images

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", help="folder with your pictures (default: Fashion-MNIST)")
parser.add_argument("--model", help="checkpoint to start from (default: EfficientNet-Lite0)")
parser.add_argument("--output", default="runs/pictures", help="run folder")
parser.add_argument("--steps", type=int, default=60, help="optimizer steps of each training")
parser.add_argument("--labels", type=int, nargs="+", default=[4, 16], help="labels per class that are compared")


def main() -> None:
    given = parser.parse_args()
    hf_ssl.set_verbosity("info")
    with tempfile.TemporaryDirectory() as folder:
        run(given, Path(folder))


def run(given: argparse.Namespace, folder: Path) -> None:
    # 1. Load. Options of the modality, such as the size, are given by their names to every step.
    size = {"modality": "image", "image_size": 64}
    source = given.data or images.write_fashion_mnist(folder / "data", per_class=20, pool_limit=1000, test_limit=300)
    pictures = hf_ssl.load_data(source, **size)

    # 2. Two random views of a picture are to be alike, those of others not. What may vary is your choice: domain, color, blur.
    model = given.model or str(images.write_efficientnet_lite0(folder / "model"))
    adapted = hf_ssl.pretrain(
        data=pictures, model=model, output=given.output, objective="simclr", per_device_train_batch_size=32,
        max_steps=given.steps, monitor_points=2, **size,
    )  # fmt: skip

    # 3. Fine-tune with LoRA on a few labels per class; scans would also want `group_column`, so that no patient is on two sides.
    tuned = hf_ssl.finetune(
        data=pictures, output=given.output, labels_per_class=max(given.labels), max_steps=given.steps, **size
    )

    # 4. Did adapting help? Frozen probes of both, and a classifier on pixels beside them.
    answer = hf_ssl.compare(
        data=pictures, output=given.output, labels_per_class=given.labels, num_seeds=2, finetune_arms=False, **size
    )

    # 5. Share it. Without dry_run the staged repository is uploaded.
    shared = hf_ssl.push(
        output=given.output, repo="your-name/pictures", license="apache-2.0", base_model="unpublished", dry_run=True
    )

    print(f"\n{(answer.path / 'table.md').read_text(encoding='utf-8')}")
    print(
        f"pre-training: {adapted.metrics['outcome']}\nfine-tuned model: {tuned.path / 'model'}\nrepository: {shared.path}"
    )


if __name__ == "__main__":
    main()
