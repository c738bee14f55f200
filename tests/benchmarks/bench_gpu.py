"""Training and embedding on a CUDA device next to peers, each where it is installed: `make bench-gpu`.

    masked words    ours | transformers' Trainer as run_mlm.py sets it up, with FlashAttention-2 where flash-attn is there
    embedding       ours | sentence-transformers' encode
    pictures        ours (mae) | Trainer with ViTMAE and torchvision's transforms;  ours (simclr) | lightly-train's SimCLR
    sound           ours (wav2vec2) | Wav2Vec2ForPreTraining as transformers' pre-training script feeds it
    windows         ours (masked-patch) | PatchTST on granite-tsfm's dataset

Each pair runs in one process on the same card, data, checkpoint shape, batch and number format, in turns, the middle of three.
Embedding is each library at its own default batching.
Random weights of the released sizes: speed does not depend on their values, and nothing is downloaded. Figures go, with the
card's name, into results/gpu.json and docs/how-to/speed.md. Without a card it is skipped; a peer that is not installed is named as not measured.
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
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "speed.md"
BEGIN, END = "<!-- figures of make bench-gpu -->\n", "<!-- end of figures -->\n"
GOAL = 1.5
"""Times the best peer; where it is missed a profile says why."""
ROUNDS, STEPS, BATCH = 3, 40, 32
SIZES: dict[str, Any] = {
    "pictures": 1024, "side": 224, "vit": {}, "clips": 256, "wav2vec2": {}, "steps": 100_000, "profile": False,
}  # fmt: skip
"""How much of everything; an empty configuration is the base model's."""
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
    args = arguments(folder, seed=0, defaults={}, overrides=options)
    result = train(module, rows, args, folder, profile=SIZES["profile"])
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


def jpegs(folder: Path) -> Path:
    """Pictures of noise that was smoothed, as large as photographs are after a first look."""
    from PIL import Image

    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for number in range(SIZES["pictures"]):
        small = Image.fromarray(draw.integers(0, 256, (24, 24, 3), dtype=np.uint8))
        small.resize((400, 400)).save(folder / f"{number:05d}.jpg", quality=90)
    return folder


def masked_pictures(folder: Path) -> dict[str, Callable[[], Measured] | str]:
    import transformers
    from bench_throughput_images import Files

    from hf_ssl.data import load_data
    from hf_ssl.modalities.image.image import Image
    from hf_ssl.objectives.mae import MAE

    files, start, side = jpegs(folder / "files"), folder / "start", SIZES["side"]
    config = transformers.ViTMAEConfig(image_size=side, **SIZES["vit"])
    transformers.ViTMAEForPreTraining(config).save_pretrained(start)
    transformers.ViTImageProcessor(size={"height": side, "width": side}).save_pretrained(start)

    def ours() -> Measured:
        objective = MAE(Image().load(str(start), MAE.auto_class), MAE.Config())
        data = load_data(files, "image", verbose=False)["unlabeled"]
        return fitted(objective, objective.rows(data, seed=0, training=True), folder / "ours", num_train_epochs=100)

    def peer() -> Measured:
        model = transformers.ViTMAEForPreTraining.from_pretrained(start, norm_pix_loss=True)

        def collated(rows: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
            return {"pixel_values": torch.stack([row["pixel_values"] for row in rows])}

        return stock(model, Files(files, side), collated, lambda made: len(made["pixel_values"]), folder / "stock")

    return {"ours": ours, "Trainer + ViTMAE": peer}


def contrasted_pictures(folder: Path) -> dict[str, Callable[[], Measured] | str]:
    from hf_ssl.data import load_data
    from hf_ssl.modalities.image.image import Image
    from hf_ssl.objectives.simclr import SimCLR

    files, side = jpegs(folder / "files"), SIZES["side"]

    def ours() -> Measured:
        import transformers

        config = transformers.ViTConfig(image_size=side, **SIZES["vit"])
        start = folder / "start"
        transformers.ViTModel(config).save_pretrained(start)
        transformers.ViTImageProcessor(size={"height": side, "width": side}).save_pretrained(start)
        objective = SimCLR(Image().load(str(start), SimCLR.auto_class), SimCLR.Config())
        data = load_data(files, "image", verbose=False)["unlabeled"]
        return fitted(objective, objective.rows(data, seed=0, training=True), folder / "ours", num_train_epochs=100)

    def peer() -> Measured:
        import lightly_train
        import timm

        model = timm.create_model("vit_base_patch16_224", pretrained=False, img_size=side)
        began, epochs = time.perf_counter(), 5
        lightly_train.pretrain(
            out=folder / "lightly", data=files, model=model, method="simclr", epochs=epochs, batch_size=BATCH,
            precision="bf16-mixed", transform_args={"image_size": (side, side)}, overwrite=True,
        )  # fmt: skip
        return Measured(epochs * SIZES["pictures"] / (time.perf_counter() - began), {})

    return {"ours": ours, "lightly-train": missing("lightly_train", "timm") or peer}


def sound(folder: Path) -> dict[str, Callable[[], Measured] | str]:
    import soundfile
    import transformers
    from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices, _sample_negative_indices

    from hf_ssl.data import load_data
    from hf_ssl.modalities.audio.audio import Audio
    from hf_ssl.objectives.wav2vec2 import Wav2Vec2

    start, draw = folder / "start", np.random.default_rng(0)
    config = transformers.Wav2Vec2Config(
        feat_extract_norm="layer", do_stable_layer_norm=True, layerdrop=0.0, **SIZES["wav2vec2"]
    )
    transformers.Wav2Vec2ForPreTraining(config).save_pretrained(start)
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True, do_normalize=True)
    extractor.save_pretrained(start)
    waves = [
        draw.standard_normal(int(16_000 * draw.uniform(2, 15))).astype(np.float32) * 0.1 for _ in range(SIZES["clips"])
    ]
    paths = [str(folder / f"{number}.wav") for number in range(len(waves))]
    for path, wave in zip(paths, waves, strict=True):
        soundfile.write(path, wave, 16_000)

    def ours() -> Measured:
        objective = Wav2Vec2(Audio().load(str(start), Wav2Vec2.auto_class), Wav2Vec2.Config())
        data = load_data([{"path": path} for path in paths], "audio", cache_dir=str(folder / "cache"), verbose=False)[
            "unlabeled"
        ]
        return fitted(objective, objective.rows(data, seed=0, training=True), folder / "ours", num_train_epochs=100)

    def peer() -> Measured:
        model: Any = transformers.Wav2Vec2ForPreTraining.from_pretrained(start)

        def collated(rows: list[np.ndarray]) -> dict[str, torch.Tensor]:
            values = [{"input_values": extractor(row, sampling_rate=16_000).input_values[0]} for row in rows]
            batch = extractor.pad(values, padding=True, return_tensors="pt")
            length = int(model._get_feat_extract_output_lengths(batch["input_values"].shape[-1]))
            seen = model._get_feature_vector_attention_mask(length, batch["attention_mask"])
            mask = _compute_mask_indices((len(rows), length), 0.65, 10, attention_mask=seen, min_masks=2)
            negatives = _sample_negative_indices((len(rows), length), 100, mask_time_indices=mask)
            made = {"mask_time_indices": torch.tensor(mask), "sampled_negative_indices": torch.tensor(negatives)}
            return {**batch, **made}

        return stock(model, waves, collated, lambda made: int(made["attention_mask"].sum()) / 16_000, folder / "stock")

    return {"ours": ours, "Trainer (wav2vec2 script)": peer}


def windows(folder: Path) -> dict[str, Callable[[], Measured] | str]:
    import pandas as pd
    import transformers

    from hf_ssl.data import load_data
    from hf_ssl.modalities.timeseries.timeseries import TimeSeries
    from hf_ssl.objectives.masked_patch import MaskedPatch

    start, steps, context = folder / "start", SIZES["steps"], 512
    sizes = {"context_length": context, "patch_length": 16, "patch_stride": 16, "num_input_channels": 3}
    config = transformers.PatchTSTConfig(
        **sizes, mask_type="random", d_model=256, num_attention_heads=8, ffn_dim=1024, num_hidden_layers=6
    )
    transformers.PatchTSTForPretraining(config).save_pretrained(start)
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.standard_normal((steps, 3)).cumsum(0).astype(np.float32), columns=["a", "b", "c"])
    frame.insert(0, "timestamp", pd.date_range("2020-01-01", periods=steps, freq="min"))

    def ours() -> Measured:
        options = {"context_length": context, "frequency": "min", "target_columns": ["a", "b", "c"]}
        data = load_data(frame, "timeseries", test_fraction=0, validation_fraction=0, verbose=False, **options)
        encoder = TimeSeries(TimeSeries.Config(**options)).load(str(start), MaskedPatch.auto_class)
        objective = MaskedPatch(encoder, MaskedPatch.Config())
        rows = objective.rows(next(iter(data.values())), seed=0, training=True)
        return fitted(objective, rows, folder / "ours", num_train_epochs=100)

    def peer() -> Measured:
        from tsfm_public.toolkit.dataset import ForecastDFDataset

        rows = ForecastDFDataset(
            frame, timestamp_column="timestamp", target_columns=["a", "b", "c"], context_length=context, prediction_length=1
        )  # fmt: skip

        def collated(items: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
            return {"past_values": torch.stack([item["past_values"] for item in items])}

        model = transformers.PatchTSTForPretraining.from_pretrained(start)
        return stock(model, rows, collated, lambda made: len(made["past_values"]), folder / "stock")

    return {"ours": ours, "granite-tsfm": missing("tsfm_public") or peer}


PAIRS_AND_PEERS = {
    "masked words, tokens/s": "Trainer (run_mlm)",
    "embedding, texts/s": "sentence-transformers",
    "masked pictures, pictures/s": "Trainer + ViTMAE",
    "contrasted pictures, pictures/s": "lightly-train",
    "sound, seconds/s": "Trainer (wav2vec2 script)",
    "windows, windows/s": "granite-tsfm",
}
PAIRS: dict[str, Callable[[Path], dict[str, Callable[[], Measured] | str]]] = {
    "masked words, tokens/s": masked_words,
    "embedding, texts/s": embedding,
    "masked pictures, pictures/s": masked_pictures,
    "contrasted pictures, pictures/s": contrasted_pictures,
    "sound, seconds/s": sound,
    "windows, windows/s": windows,
}


def table(told: dict[str, Any] | None) -> str:
    """What the docs say of the figures; `told` is the content of gpu.json, None where nothing was measured."""
    lines = ["| pair | against | ours | the other | ratio | MFU | data wait |", "|---|---|--:|--:|--:|--:|--:|"]
    if told is not None:
        lines = [f"On one {told['card']}, torch {told['torch']}:", "", *lines]
    for name, peer in PAIRS_AND_PEERS.items():
        row = (told or {}).get("rows", {}).get(name)
        if row is None:
            lines.append(f"| {name} | {peer} | not measured | not measured | | not measured | not measured |")
            continue
        other = f"{row['speeds'][peer]:,}" if peer in row["speeds"] else "not measured"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        used = [
            f"{row['ours'][key]:.1f} %" if key in row["ours"] else "" for key in ("mfu_percent", "data_wait_percent")
        ]
        lines.append(f"| {name} | {peer} | {row['speeds']['ours']:,} | {other} | {ratio} | {used[0]} | {used[1]} |")
        if row.get("loss"):
            lines.append(f"| | {row['loss']} | | | | | |")
    return "\n".join(lines) + "\n"


def write_page(told: dict[str, Any]) -> None:
    """Put the figures into the docs."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + table(told) + END + rest.partition(END)[2], encoding="utf-8")


def largest_loss(run: Callable[[], Measured], folder: Path) -> str | None:
    """What a profile of our side says; None where it does not train."""
    SIZES["profile"] = True
    try:
        run()
    finally:
        SIZES["profile"] = False
    page = folder / "ours" / "profile" / "summary.md"
    lines = page.read_text(encoding="utf-8").splitlines() if page.is_file() else []
    return next((line.replace("**", "") for line in lines if line.startswith("**")), None)


def measured(name: str, folder: Path) -> dict[str, Any]:
    """The sides of a pair in turns; the middle of the rounds, the ratio, and what was not measured."""
    sides = PAIRS[name](folder)
    found: dict[str, list[Measured]] = {side: [] for side, run in sides.items() if not isinstance(run, str)}
    for number in range(ROUNDS):
        for side in [*found][:: 1 if number % 2 == 0 else -1]:
            run = sides[side]
            if isinstance(run, str):
                continue
            try:
                found[side].append(run())
            except Exception as error:
                if side == "ours":
                    raise
                sides[side] = f"failed: {error!r}"[:300]  # another library's fault costs no other figure
    speeds = {
        side: statistics.median(one.speed for one in runs)
        for side, runs in found.items()
        if not isinstance(sides[side], str)
    }
    best = max((speed for side, speed in speeds.items() if side != "ours"), default=0.0)
    ratio, ours = round(speeds["ours"] / best, 2) if best else None, sides["ours"]
    assert not isinstance(ours, str)
    return {
        "speeds": {side: float(np.round(speed, 1)) for side, speed in speeds.items()},
        "ratio": ratio,
        "loss": largest_loss(ours, folder) if ratio is not None and ratio < GOAL else None,
        "ours": found["ours"][-1].figures,
        "not measured": {side: why for side, why in sides.items() if isinstance(why, str)},
    }


@pytest.mark.timeout(1800)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="not measured: there is no CUDA device")
def test_speed_on_a_card(tmp_path: Path) -> None:
    rows = {name: measured(name, tmp_path / str(number)) for number, name in enumerate(PAIRS)}
    told = {"card": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows}
    RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    write_page(told)
    print(json.dumps(told, indent=1))
    for name, row in rows.items():
        assert all(speed > 0 for speed in row["speeds"].values()), name
