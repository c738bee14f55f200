"""Training and embedding on a CUDA device next to peers, each where it is installed: `make bench-gpu`.

    masked words    ours | transformers' Trainer as run_mlm.py sets it up, with FlashAttention-2 where flash-attn is there
    embedding       ours | sentence-transformers' encode

Each pair runs in one process on the same card, data, checkpoint shape, batch and number format, in turns, the middle of three.
Embedding is each library at its own default batching.
Random weights of the released sizes: speed does not depend on their values, and nothing is downloaded. Figures go, with the
card's name, into results/gpu.json. Without a card it is skipped; a peer
that is not installed is named as not measured. SimCLR, wav2vec 2.0 and windows have no pair here yet.
"""

from __future__ import annotations

import importlib.util
import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

RESULTS = Path(__file__).parent / "results" / "gpu.json"
ROUNDS, STEPS, BATCH = 3, 40, 32
WORDS = (
    "the",
    "patient",
    "was",
    "given",
    "a",
    "dose",
    "of",
    "water",
    "and",
    "slept",
    "until",
    "noon",
    "without",
    "fever",
)


@dataclass
class Measured:
    """One side of a pair: units a second, and what is told beside it."""

    speed: float
    figures: dict[str, float]


def missing(*packages: str) -> str | None:
    """Why a side cannot be measured here."""
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    return f"{', '.join(absent)} not installed" if absent else None


def texts(count: int = 4000) -> list[str]:
    """Lengths as a forum has them: most short, some fill a row."""
    draw = random.Random(0)
    return [" ".join(draw.choices(WORDS, k=int(4 * 60 ** draw.random()))) for _ in range(count)]


def bert(folder: Path) -> str:
    """BERT base's shape with a small WordPiece vocabulary."""
    import transformers

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    transformers.BertTokenizer(vocab=vocabulary, model_max_length=512).save_pretrained(folder)
    transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=30_522)).save_pretrained(folder)
    return str(folder)


def fitted(module: Any, rows: Any, folder: Path, **more: Any) -> Measured:
    """Our own training."""
    from hf_ssl.training.trainer import arguments, train

    options = {"max_steps": STEPS, "per_device_train_batch_size": BATCH, "save_strategy": "no", "report_to": "none",
               "bf16": True, "logging_steps": STEPS, **more}  # fmt: skip
    result = train(module, rows, arguments(folder, seed=0, defaults={}, overrides=options), folder)
    return Measured(result.units / result.seconds, result.figures)


def stock(model: Any, rows: Any, collator: Any, units: Callable[[dict[str, Any]], int], folder: Path) -> Measured:
    """transformers' Trainer on the same number of steps; units are counted as batches are made, one more than trained."""
    import transformers

    args = transformers.TrainingArguments(
        str(folder), max_steps=STEPS, per_device_train_batch_size=BATCH, save_strategy="no", report_to="none", bf16=True,
        logging_steps=STEPS, remove_unused_columns=False, disable_tqdm=True, use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip
    seen = 0

    def counting(batch: list[Any]) -> dict[str, Any]:
        nonlocal seen
        made = collator(batch)
        seen += units(made)
        return dict(made)

    trainer = transformers.Trainer(model=model, args=args, train_dataset=rows, data_collator=counting)
    seconds = trainer.train().metrics["train_runtime"]
    return Measured(seen / seconds, {})


def masked_words(folder: Path) -> dict[str, Callable[[], Measured] | str]:
    import datasets
    import transformers

    from hf_ssl.modalities.text.text import Text
    from hf_ssl.objectives.mlm import MaskedLanguageModeling

    path = bert(folder / "bert")
    values = texts()

    def ours() -> Measured:
        encoder = Text().load(path, "AutoModelForMaskedLM")
        objective = MaskedLanguageModeling(encoder, MaskedLanguageModeling.Config(max_length=256))
        data = datasets.Dataset.from_dict({"text": values, "id": [str(i) for i in range(len(values))]})
        return fitted(objective, objective.rows(data, seed=0, training=True), folder / "ours")

    def peer() -> Measured:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        flash = missing("flash_attn") is None
        model = transformers.AutoModelForMaskedLM.from_pretrained(
            path, attn_implementation="flash_attention_2" if flash else "sdpa"
        )
        rows = [tokenizer(text, truncation=True, max_length=256) for text in values]
        collator = transformers.DataCollatorForLanguageModeling(tokenizer)
        return stock(model, rows, collator, lambda made: int(made["attention_mask"].sum()), folder / "stock")

    return {"ours": ours, "Trainer (run_mlm)": peer}


def embedding(folder: Path) -> dict[str, Callable[[], Measured] | str]:
    from hf_ssl.modalities.text.text import Text

    path, values = bert(folder / "bert"), texts()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def timed(embed: Callable[[list[str]], object]) -> Measured:
        embed(values[:BATCH])
        began = time.perf_counter()
        embed(values)
        return Measured(len(values) / (time.perf_counter() - began), {})

    def ours() -> Measured:
        encoder = Text().load(path, pooling="mean")
        encoder.model.to(device)
        return timed(lambda some: encoder.embed(some))

    def peer() -> Measured:
        import sentence_transformers

        model = sentence_transformers.SentenceTransformer(path, device=str(device))
        return timed(lambda some: model.encode(some, batch_size=BATCH, show_progress_bar=False))

    return {"ours": ours, "sentence-transformers": missing("sentence_transformers") or peer}


PAIRS: dict[str, Callable[[Path], dict[str, Callable[[], Measured] | str]]] = {
    "masked words, tokens/s": masked_words,
    "embedding, texts/s": embedding,
}


def measured(name: str, folder: Path) -> dict[str, Any]:
    """The sides of a pair in turns; the middle of the rounds, the ratio, and what was not measured."""
    sides = PAIRS[name](folder)
    found: dict[str, list[Measured]] = {side: [] for side, run in sides.items() if not isinstance(run, str)}
    for number in range(ROUNDS):
        for side in [*found][:: 1 if number % 2 == 0 else -1]:
            run = sides[side]
            assert not isinstance(run, str)
            found[side].append(run())
    speeds = {side: statistics.median(one.speed for one in runs) for side, runs in found.items()}
    best = max((speed for side, speed in speeds.items() if side != "ours"), default=0.0)
    return {
        "speeds": {side: float(np.round(speed, 1)) for side, speed in speeds.items()},
        "ratio": round(speeds["ours"] / best, 2) if best else None,
        "ours": found["ours"][-1].figures,
        "not measured": {side: why for side, why in sides.items() if isinstance(why, str)},
    }


@pytest.mark.timeout(1800)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="not measured: there is no CUDA device")
def test_speed_on_a_card(tmp_path: Path) -> None:
    rows = {name: measured(name, tmp_path / str(number)) for number, name in enumerate(PAIRS)}
    told = {"card": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows}
    RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=1))
    for name, row in rows.items():
        assert all(speed > 0 for speed in row["speeds"].values()), name
