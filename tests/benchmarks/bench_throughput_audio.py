"""Audio-seconds per second and memory of wav2vec2 pre-training: hf_ssl against the loop of the Hub's example.

    python tests/benchmarks/bench_throughput_audio.py [--steps 6] [--rounds 4] [--clips 400]

The example's loop (transformers' run_wav2vec2_pretraining_no_trainer) is written out here: clips in random order, padded by
the feature extractor, masks and negatives from transformers' numpy functions, `Wav2Vec2ForPreTraining.forward` with
negatives gathered for every frame. Ours is `Clips` and `Wav2Vec2.forward`. Same random weights, same clips (Tux Paint
captions and Asterisk prompts, 1 to 15 s), same batch size, AdamW, float32, one process each.

Both workers stay alive and take turns of `--steps` steps, so that whatever else runs on the machine disturbs both alike.
Preparation (decoding, and for the example the `map` that stores features) is timed apart. Memory is the peak of the
process beyond what it had with model and data loaded.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

BATCH = 8


def model_and_processor(seed: int = 0) -> tuple[Any, Any]:
    """wav2vec2 with all seven convolutions and the released codebook, narrow enough for a processor."""
    import transformers

    config = transformers.Wav2Vec2Config(
        conv_dim=(128,) * 7, hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=1024,
        feat_extract_norm="layer", do_stable_layer_norm=True, layerdrop=0.0, mask_time_prob=0.65, num_negatives=100,
        codevector_dim=256, proj_codevector_dim=256, hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0,
        feat_proj_dropout=0.0, feat_quantizer_dropout=0.0,
    )  # fmt: skip
    torch.manual_seed(seed)
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True, do_normalize=True)
    return transformers.Wav2Vec2ForPreTraining(config), extractor


class Ours:
    """hf_ssl: memory-mapped clips batched by length, quantizer and negatives on hidden frames only."""

    def __init__(self, paths: list[str], cache: str) -> None:
        from hf_ssl.core import plugins
        from hf_ssl.data import load_data
        from hf_ssl.modalities.audio.audio import Audio
        from hf_ssl.modalities.audio.encoder import AudioEncoder

        began = time.monotonic()
        data = load_data([{"path": path} for path in paths], "audio", cache_dir=cache, max_seconds=15.0, verbose=False)
        self.preparation = time.monotonic() - began
        model, extractor = model_and_processor()
        encoder, kind = AudioEncoder(Audio(), model, extractor), plugins.find("objectives", "wav2vec2")
        encoder.prepare()
        self.module = kind(encoder, kind.Config()).train()
        self.rows = self.module.rows(data["unlabeled"], seed=0, training=True)
        self.place, self.step = 0, 0

    def parameters(self) -> Any:
        return self.module.parameters()

    def next_batch(self) -> dict[str, torch.Tensor]:
        if self.place + BATCH > len(self.rows):
            self.place = 0
            self.rows.set_epoch(self.rows.epoch + 1)
        chosen = [self.rows[i] for i in range(self.place, self.place + BATCH)]
        self.place += BATCH
        return self.module.collate(chosen)

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.module(**batch).loss

    def after_step(self) -> None:
        self.step += 1
        self.module.on_optimizer_step(self.step, 1_000)


class Example:
    """The Hub's example loop."""

    def __init__(self, paths: list[str], cache: str) -> None:
        import datasets

        from hf_ssl.modalities.audio.recordings import read

        datasets.disable_progress_bars()
        self.model, self.extractor = model_and_processor()
        self.model.train()
        began = time.monotonic()

        def prepare(row: dict[str, Any]) -> dict[str, Any]:
            samples = read(row["path"], 16_000)[: 15 * 16_000]
            return {"input_values": self.extractor(samples, sampling_rate=16_000).input_values[0]}

        raw = datasets.Dataset.from_dict({"path": paths})
        self.data = raw.map(prepare, remove_columns=["path"], cache_file_name=str(Path(cache) / "example.arrow"))
        self.preparation = time.monotonic() - began
        self.rng, self.order = np.random.default_rng(0), np.zeros(0, dtype=int)

    def parameters(self) -> Any:
        return self.model.parameters()

    def next_batch(self) -> dict[str, torch.Tensor]:
        from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices, _sample_negative_indices

        if len(self.order) < BATCH:
            self.order = self.rng.permutation(len(self.data))
        chosen, self.order = self.order[:BATCH], self.order[BATCH:]
        batch = self.extractor.pad([self.data[int(i)] for i in chosen], padding=True, return_tensors="pt")
        length = int(self.model._get_feat_extract_output_lengths(batch["input_values"].shape[-1]))
        shape = (BATCH, length)
        sub = self.model._get_feature_vector_attention_mask(length, batch["attention_mask"])
        config = self.model.config
        mask = _compute_mask_indices(shape, config.mask_time_prob, config.mask_time_length, attention_mask=sub)
        negatives = _sample_negative_indices(shape, config.num_negatives, mask_time_indices=mask)
        batch["mask_time_indices"] = torch.tensor(mask, dtype=torch.long)
        batch["sampled_negative_indices"] = torch.tensor(negatives, dtype=torch.long)
        return dict(batch)

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.model(**batch).loss / batch["mask_time_indices"].sum()

    def after_step(self) -> None:
        self.model.set_gumbel_temperature(0.5)


def work(kind: str, list_file: str, cache: str) -> None:
    """A worker: builds everything, then answers `steps N` lines with one JSON line each."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    paths = Path(list_file).read_text(encoding="utf-8").splitlines()
    side = {"ours": Ours, "example": Example}[kind](paths, cache)
    optimizer = torch.optim.AdamW([p for p in side.parameters() if p.requires_grad], lr=5e-5)
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"preparation": side.preparation}), flush=True)
    for line in sys.stdin:
        began, sound, padded, loss = time.monotonic(), 0.0, 0.0, 0.0
        processor_began = time.process_time()
        for _ in range(int(line)):
            batch = side.next_batch()
            sound += float(batch["attention_mask"].sum()) / 16_000
            padded += batch["input_values"].numel() / 16_000
            value = side.loss(batch)
            value.backward()
            optimizer.step()
            optimizer.zero_grad()
            side.after_step()
            loss = float(value.detach())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = {
            "seconds": time.monotonic() - began, "processor": time.process_time() - processor_began, "sound": sound,
            "padded": padded, "loss": loss, "peak": (peak - idle) / 1024,
        }  # fmt: skip
        print(json.dumps(answer), flush=True)


def clips(count: int) -> list[str]:
    """Clips of 1 to 15 s, a fixed random part."""
    import soundfile

    from hf_ssl.demo import audio as demo_audio

    found = [row["path"] for row in [*demo_audio.asterisk(), *demo_audio.tuxpaint()]]
    chosen = []
    for place in np.random.default_rng(0).permutation(len(found)):
        info = soundfile.info(found[place]) if Path(found[place]).stat().st_size > 100 else None
        if info is not None and 1.0 <= info.duration <= 15.0 and "silence" not in found[place]:
            chosen.append(found[place])
        if len(chosen) == count:
            break
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--worker", nargs=3, metavar=("KIND", "LIST", "CACHE"))
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "clips.txt"
        listed.write_text("\n".join(clips(options.clips)), encoding="utf-8")
        workers, prepared = {}, {}
        for kind in ("ours", "example"):
            command = [sys.executable, __file__, "--worker", kind, str(listed), folder]
            workers[kind] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            prepared[kind] = json.loads(workers[kind].stdout.readline())["preparation"]
        results: dict[str, list[dict[str, float]]] = {kind: [] for kind in workers}
        for turn in range(options.rounds + 1):  # the first one warms up
            for kind, worker in workers.items():
                print(options.steps if turn else 1, file=worker.stdin, flush=True)
                answer = json.loads(worker.stdout.readline())
                if turn:
                    results[kind].append(answer)
        for worker in workers.values():
            worker.stdin.close()
            worker.wait()
    report(results, prepared, options)


def report(results: dict[str, list[dict[str, float]]], prepared: dict[str, float], options: Any) -> None:
    def total(kind: str, name: str) -> float:
        return sum(turn[name] for turn in results[kind])

    print(f"{options.rounds} x {options.steps} steps of {BATCH} clips, taking turns; {options.clips} clips\n")
    print("| loop | audio-s per s | audio-s per processor-s | padding | peak memory, MB | preparation, s |")
    print("|---|---|---|---|---|---|")
    rates = {}
    for kind in results:
        wall = total(kind, "sound") / total(kind, "seconds")
        rates[kind] = (
            wall,
            total(kind, "sound") / total(kind, "processor"),
            max(turn["peak"] for turn in results[kind]),
        )
        padding = 1 - total(kind, "sound") / total(kind, "padded")
        print(
            f"| {kind} | {wall:.2f} | {rates[kind][1]:.2f} | {padding:.0%} | {rates[kind][2]:.0f} | {prepared[kind]:.1f} |"
        )
    ratios = [a / b for a, b in zip(rates["ours"], rates["example"], strict=True)]
    print(f"\nours / example: {ratios[0]:.2f}x wall, {ratios[1]:.2f}x processor time, {ratios[2]:.2f}x memory")


if __name__ == "__main__":
    main()
