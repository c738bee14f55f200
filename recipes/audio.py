# /// script
# dependencies = ["hf-ssl[audio]>=0.1"]
# ///
"""Classes of sounds, step by step: load → pretrain → finetune → compare → push.

    python -m hf_ssl.demo fetch gcin && python recipes/audio.py       (syllables, a small encoder from random weights)
    python recipes/audio.py --data recordings --model openai/whisper-tiny --output runs/sounds

`recordings` holds a folder per class, or tables with `path` and `label`. The numbers are kept small so that it ends soon.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import hf_ssl
from hf_ssl.demo import audio

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", help="folder with your recordings (default: spoken syllables)")
parser.add_argument("--model", help="checkpoint to start from (default: a small encoder with random weights)")
parser.add_argument("--output", default="runs/sounds", help="run folder")
parser.add_argument("--steps", type=int, default=120, help="optimizer steps of each training")
parser.add_argument("--labels", type=int, nargs="+", default=[4, 8], help="labels per class that are compared")


def main() -> None:
    given = parser.parse_args()
    hf_ssl.set_verbosity("info")
    with tempfile.TemporaryDirectory() as folder:
        run(given, Path(folder))


def run(given: argparse.Namespace, folder: Path) -> None:
    # 1. Load. Recordings are decoded once, to 16 kHz, beside a report of what was too short, silent or clipped.
    source = given.data or audio.write_gcin(folder / "data")
    sounds = hf_ssl.load_data(source, modality="audio")

    # 2. Hidden pieces of the spectrograms are filled in. From random weights all layers learn, at a higher rate.
    model = given.model or str(audio.write_small(folder / "model"))
    scratch = (
        {} if given.model else {"learning_rate": 1e-3, "layer_decay": 1, "head_warmup": 0, "keep_checkpoint": "last"}
    )
    adapted = hf_ssl.pretrain(
        data=sounds, modality="audio", model=model, output=given.output, objective="masked-spectrogram", mask_span=3,
        max_steps=given.steps, per_device_train_batch_size=32, monitor_points=2, **scratch,
    )  # fmt: skip

    # 3. Fine-tune on a few labels per class.
    tuned = hf_ssl.finetune(
        data=sounds, modality="audio", output=given.output, labels_per_class=max(given.labels), peft="full" if scratch else "lora",
        max_steps=given.steps,
    )  # fmt: skip

    # 4. Did adapting help? Frozen probes of both, and a classifier on log-mel statistics beside them.
    answer = hf_ssl.compare(
        data=sounds,
        modality="audio",
        output=given.output,
        labels_per_class=given.labels,
        num_seeds=2,
        finetune_arms=False,
    )

    # 5. Share it. Without dry_run the staged repository is uploaded.
    shared = hf_ssl.push(
        output=given.output, repo="your-name/sounds", license="apache-2.0", base_model="unpublished", dry_run=True
    )

    print(f"\n{(answer.path / 'table.md').read_text(encoding='utf-8')}")
    print(
        f"pre-training: {adapted.metrics['outcome']}\nfine-tuned model: {tuned.path / 'model'}\nrepository: {shared.path}"
    )


if __name__ == "__main__":
    main()
