"""Real-token throughput and peak memory of continued MLM against the stock way, each in its own process, in turns.

Stock: `Trainer` + `DataCollatorForLanguageModeling` on texts padded to 128, everything else at its default (float32,
8 rows a step). Ours: rows packed to 128, head on masked positions, the same 8 rows a step, float32 and bfloat16.
`ours-recompute` is bfloat16 with `gradient_checkpointing`: layers are computed again on the way back instead of kept.
Three rounds of all four; medians, and the ratios' range.
Memory is the process's peak resident set minus what it held when the Trainer stood ready.

    make bench      or      python tests/benchmarks/bench_mlm_throughput.py stock|ours-fp32|ours-bf16|ours-recompute
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS, WARM, ROUNDS = 14, 4, 3
ARMS = ("stock", "ours-fp32", "ours-bf16", "ours-recompute")


def measure(arm: str) -> dict[str, float]:
    import datasets
    import torch
    from transformers import (
        AutoModelForMaskedLM,
        AutoTokenizer,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from hf_ssl import demo
    from hf_ssl.models.loading import load_model
    from hf_ssl.training.cpu import freed_at_once

    path = str(demo.minilm_path())
    tokenizer = AutoTokenizer.from_pretrained(path)
    texts = datasets.Dataset.from_list(demo.newsgroups("train", limit=600, seed=0)).select_columns(["text"])
    if arm == "stock":
        model = AutoModelForMaskedLM.from_pretrained(path, dtype=torch.float32)
    else:
        model, _ = load_model(path, "AutoModelForMaskedLM")
    clock: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args: object, **kwargs: object) -> None:
            clock.append(time.monotonic())

    with tempfile.TemporaryDirectory() as folder:
        common = dict(
            output_dir=folder,
            max_steps=STEPS,
            save_strategy="no",
            use_cpu=not torch.cuda.is_available(),
            disable_tqdm=True,
            seed=0,
        )
        if arm == "stock":
            rows = texts.map(
                lambda b: tokenizer(b["text"], truncation=True, max_length=128, padding="max_length"),
                batched=True,
                remove_columns=["text"],
            )
            trained, collate = model, DataCollatorForLanguageModeling(tokenizer)
            real = sum(map(sum, rows["attention_mask"])) / len(rows)
            args = TrainingArguments(**common)
        else:
            from hf_ssl.modalities.text.encoder import TextEncoder
            from hf_ssl.modalities.text.text import Text
            from hf_ssl.objectives.mlm import MaskedLanguageModeling

            encoder = TextEncoder(Text(), model, tokenizer)
            trained = MaskedLanguageModeling(encoder, MaskedLanguageModeling.Config(max_length=128))
            rows, collate = trained.rows(texts, seed=0, training=True), trained.collate
            real = int(rows.pieces.lengths.sum()) / len(rows)
            args = TrainingArguments(
                **common,
                bf16=arm != "ours-fp32",
                gradient_checkpointing=arm == "ours-recompute",
                remove_unused_columns=False,
            )
        trainer = Trainer(model=trained, args=args, train_dataset=rows, data_collator=collate, callbacks=[Clock()])
        before = _resident()
        with freed_at_once(arm != "stock"):
            trainer.train()
    seconds = (clock[-1] - clock[WARM - 1]) / (STEPS - WARM)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "real_tokens_per_second": real * args.per_device_train_batch_size / seconds,
        "peak_mb": peak,
        "training_mb": peak - before,
    }


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_mlm_throughput() -> None:
    found: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    for _ in range(ROUNDS):
        for arm in ARMS:
            # As the command `hf-ssl` asks torch for huge pages; stock training does not.
            pages = {"THP_MEM_ALLOC_ENABLE": "0" if arm == "stock" else "1"}
            done = subprocess.run(
                [sys.executable, __file__, arm], capture_output=True, text=True, timeout=280, env=os.environ | pages
            )
            assert done.returncode == 0, done.stderr[-2000:]
            found[arm].append(json.loads(done.stdout.splitlines()[-1]))
    print()
    for arm, rounds in found.items():
        speed, memory, peak = (
            [one[name] for one in rounds] for name in ("real_tokens_per_second", "training_mb", "peak_mb")
        )
        times = [a / b["real_tokens_per_second"] for a, b in zip(speed, found["stock"], strict=True)]
        share = statistics.median(memory) / statistics.median(one["training_mb"] for one in found["stock"])
        print(
            f"{arm:14} {statistics.median(speed):7.0f} real tokens/s, training {statistics.median(memory):.0f} MB, process "
            f"{statistics.median(peak):.0f} MB: {statistics.median(times):.2f}x the tokens/s ({min(times):.2f} to "
            f"{max(times):.2f}), {share:.2f}x the memory"
        )


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
