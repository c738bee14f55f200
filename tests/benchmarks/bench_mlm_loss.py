"""Loss at equal tokens: packed rows, head on masked positions, against stock `Trainer` + `DataCollatorForLanguageModeling`.

    python tests/benchmarks/bench_mlm_loss.py [--tokens 150000] [--seeds 0,1,2]

The same MiniLM, the same new head, learning rate (1e-4, linear) and texts of 20 Newsgroups, float32, 8 rows of at most 128
tokens a step; each way takes steps until it has seen as many real tokens as asked. Then both are measured alike: mean
negative log-likelihood on the same masked positions of 200 posts that none was trained on. Noise is the spread over seeds.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from typing import Any

import datasets
import numpy as np
import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
    set_seed,
)

from hf_ssl import demo
from hf_ssl.evaluation.monitor.monitor import mean_loss
from hf_ssl.modalities.text.encoder import TextEncoder
from hf_ssl.modalities.text.text import Text
from hf_ssl.objectives.mlm import MaskedLanguageModeling

LENGTH, BATCH = 128, 8


def objective(model: Any, tokenizer: Any) -> MaskedLanguageModeling:
    return MaskedLanguageModeling(
        TextEncoder(Text(), model, tokenizer), MaskedLanguageModeling.Config(max_length=LENGTH)
    )


def train(arm: str, seed: int, texts: datasets.Dataset, held: datasets.Dataset, tokens: int) -> float:
    """Held-out loss per masked token after so many real tokens."""
    path = str(demo.minilm_path())
    tokenizer = AutoTokenizer.from_pretrained(path)
    set_seed(seed)
    model = AutoModelForMaskedLM.from_pretrained(path, dtype=torch.float32)
    if arm == "stock":
        rows: Any = texts.map(
            lambda batch: tokenizer(batch["text"], truncation=True, max_length=LENGTH),
            batched=True,
            remove_columns=["text"],
        )
        trained, collate = model, DataCollatorForLanguageModeling(tokenizer)
        real = sum(map(sum, rows["attention_mask"])) / len(rows)
    else:
        trained = objective(model, tokenizer)
        rows, collate = trained.rows(texts, seed=seed, training=True), trained.collate
        real = int(rows.pieces.lengths.sum()) / len(rows)
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            output_dir=folder, max_steps=math.ceil(tokens / (real * BATCH)), per_device_train_batch_size=BATCH,
            learning_rate=1e-4, save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=seed,
            use_cpu=not torch.cuda.is_available(), remove_unused_columns=arm == "stock",
        )  # fmt: skip
        Trainer(model=trained, args=args, train_dataset=rows, data_collator=collate).train()
    judge = objective(model, tokenizer)
    return mean_loss(judge, judge.rows(held, seed=0, training=False), 16, bf16=False)["eval_loss"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=150_000)
    parser.add_argument("--seeds", default="0,1,2")
    args = parser.parse_args()
    posts = datasets.Dataset.from_list(demo.newsgroups("train", limit=3200, seed=0)).select_columns(["text"])
    texts, held = posts.select(range(3000)), posts.select(range(3000, 3200))
    found: dict[str, list[float]] = {"stock": [], "ours": []}
    for seed in map(int, args.seeds.split(",")):
        for arm, losses in found.items():
            losses.append(train(arm, seed, texts, held, args.tokens))
        print(f"seed {seed}: " + ", ".join(f"{arm} {losses[-1]:.4f}" for arm, losses in found.items()), flush=True)
    for arm, losses in found.items():
        print(f"{arm}: {np.mean(losses):.4f} ± {np.std(losses, ddof=1) if len(losses) > 1 else 0:.4f}")


if __name__ == "__main__":
    main()
