"""What helped on five real sets? The command line as a user types it: `pretrain` twice, `gap`, `compare` with all its arms.

    python tests/benchmarks/bench_comparisons.py [--only forda,molecules] [--work runs/comparisons] [--budget 20m] [--stages pretrain,probes,all]
    python tests/benchmarks/bench_comparisons.py --page         writes docs/results/comparisons.md from the results

Sets: 20 Newsgroups (MiniLM), B3DB molecules (a BERT of chemical reactions), Fashion-MNIST (EfficientNet-Lite0), initials of Mandarin
syllables (gcin-voice; Whisper tiny's encoder), FordA (PatchTST, from random weights). Settings are the recipes' own or the library's
defaults; nothing was chosen on test data. Frozen probes are on 20 draws at 4, 16 and 64 labels a class, fine-tuned models on 3 draws at
16, as far as `--budget` reaches. The stages are ordinary runs, so a call that was stopped goes on where it was. Every result is written
with its date and commit.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_ssl import demo
from hf_ssl.demo import audio, images, molecules, series

RESULTS = Path(__file__).parent / "results" / "comparisons"
ARMS = (
    "random", "base", "adapted", "adapted-lora", "self-training", "adapted+self-training", "domain-adversarial",
    "adapted+domain-adversarial",
)  # fmt: skip
STAGES = ("pretrain", "probes", "all")


@dataclass(frozen=True)
class Set:
    """One comparison.

    Args:
        title: for people.
        write: puts data and start checkpoint into two folders; gives the model's name.
        shared: options of every stage.
        pretrain: of both pre-trainings.
        lora: more, of the one with adapters.
        compare: of the comparison.
        arms: which of `ARMS`.
        budgets: labels per class of the frozen probes; the middle one is fine-tuned.
    """

    title: str
    write: Callable[[Path, Path], str]
    shared: str
    pretrain: str
    lora: str = "--peft lora"
    compare: str = ""
    arms: Sequence[str] = ARMS
    budgets: Sequence[int] = (4, 16, 64)


def newsgroups(data: Path, start: Path) -> str:
    demo.write_newsgroups(data, per_class=128, pool_limit=3000, test_limit=1500)
    return str(demo.minilm_path())


def b3db(data: Path, start: Path) -> str:
    molecules.write_molecules(data, per_class=256, test_limit=1503)
    return str(molecules.write_reaction_bert(start))


def fashion(data: Path, start: Path) -> str:
    images.write_fashion_mnist(data, per_class=192, pool_limit=6000, test_limit=2000)
    return str(images.write_efficientnet_lite0(start))


def initials(data: Path, start: Path) -> str:
    audio.write_gcin(data)
    return str(audio.write_whisper(start))


def forda(data: Path, start: Path) -> str:
    series.write_ucr("FordA", data, per_class=512)
    return "patchtst"


SETS = {
    "forda": Set(
        "FordA, a PatchTST from random weights", forda, "--modality timeseries --patch_length 32 --patch_stride 16",
        "--objective ts-contrastive --from_config true --spectrum 1.0 --keep_checkpoint last --layer_decay 1.0 --head_warmup 0.0 "
        "--lr_schedule cosine --num_train_epochs 12", arms=[arm for arm in ARMS if arm != "random"],
    ),
    "molecules": Set(
        "B3DB molecules, a BERT of chemical reactions", b3db, "--normalize exact --near_duplicates false --max_length 128",
        "--objective mlm --max_steps 200 --per_device_train_batch_size 4 --learning_rate 3e-4",
    ),
    "fashion": Set(
        "Fashion-MNIST, EfficientNet-Lite0 (ImageNet)", fashion, "--modality image --image_size 64",
        "--objective simclr --max_steps 60 --per_device_train_batch_size 48 --color 0.5 --crop_scale 0.3,1.0",
    ),
    "newsgroups": Set(
        "20 Newsgroups, MiniLM", newsgroups, "--max_length 128", "--objective tsdae --max_steps 60 --per_device_train_batch_size 16",
    ),
    "initials": Set(
        "Mandarin initials, Whisper tiny.en", initials, "--modality audio --window 1 --min_seconds 0.05",
        "--objective masked-spectrogram --mask_span 5 --max_steps 40 --per_device_train_batch_size 16 --learning_rate 2e-5",
        budgets=(4, 8, 16),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--work", type=Path, default=Path("runs/comparisons"))
    parser.add_argument("--budget", default="20m", help="for the fine-tuned models of a set")
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    for name in given.only.split(","):
        for stage in given.stages.split(","):
            DO[stage](SETS[name], name, given.work / name, given.budget)


def hf_ssl(verb: str, *options: str) -> float:
    """Run a verb as a user would; seconds that it took."""
    words = [verb, *(word for option in options for word in shlex.split(option))]
    print("hf-ssl", shlex.join(words), flush=True)
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "hf_ssl", *words], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return time.monotonic() - began


def prepared(one: Set, work: Path) -> list[str]:
    """Options of every stage; data and start are written once."""
    data, start, model = work / "data", work / "start", work / "model.txt"
    if not model.is_file():
        model.parent.mkdir(parents=True, exist_ok=True)
        model.write_text(one.write(data, start), encoding="utf-8")
    return [f"--data {data} --model {model.read_text(encoding='utf-8')}", one.shared]


def pretrain(one: Set, name: str, work: Path, budget: str) -> None:
    """Continued pre-training of all weights, and with adapters."""
    shared = prepared(one, work)
    hf_ssl("pretrain", *shared, one.pretrain, f"--output {work / 'run'} --resume")
    hf_ssl("pretrain", *shared, one.pretrain, one.lora, f"--output {work / 'lora'} --resume")


DO: dict[str, Callable[[Set, str, Path, str], None]] = {"pretrain": pretrain}

if __name__ == "__main__":
    main()
