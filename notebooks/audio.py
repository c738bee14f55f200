# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3

# %% [markdown]
# # An English speech encoder meets the tones of Mandarin
#
# Whisper tiny.en has heard English only, where the pitch of a syllable does not change the word. In Mandarin it does: the
# data are single syllables of two speakers (gcin-voice), the label is the tone, and no syllable of the test split occurs in
# training. In three steps:
#
# 1. **adapt**: hide pieces of the spectrograms of syllables without labels, and learn to fill them in;
# 2. **compare**: the same few labels for the start checkpoint and for the adapted one; the verdict is whatever comes out;
# 3. **share**: a model repository, tried through `pipeline()` in a fresh process before anything is uploaded.
#
# It is kept small so that it runs in a minute on two processor cores. For your own recordings, change the first cell and
# take the limits away.

# %%
import json
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import SVG, Markdown, display

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything here is on this machine

from hf_ssl import compare, evaluate, finetune, load_data, pretrain, push
from hf_ssl.demo import audio as demo_audio

os.chdir(tempfile.mkdtemp())
demo_audio.write_gcin("syllables", target="tone")
demo_audio.write_whisper("start")
for split, rows in (
    ("train", 64),
    ("validation", 32),
    ("test", 160),
    ("unlabeled", 160),
):  # a quick look, not all of it
    table = pd.read_csv(f"syllables/{split}.csv").sample(rows, random_state=0)
    table.to_csv(f"syllables/{split}.csv", index=False)
hear = {"modality": "audio", "window": 1}  # seconds; Whisper's own window is 30 s, nearly all of it silence here
syllables = load_data("syllables", verbose=False, **hear)  # tables with the columns path, label, speaker
options = {"data": syllables, "model": "start", "output": "run", **hear}
{split: len(rows) for split, rows in syllables.items()}

# %%
from hf_ssl.modalities.audio.audio import Audio

samples = Audio().samples  # mono, 16,000 a second
train = syllables["train"]
names = train.features["label"].names
figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), sharey=True)
for axis, label in zip(axes, range(4)):
    voiced = [row for row in range(len(train)) if train[row]["label"] == label]
    longest = max(voiced, key=lambda row: train[row]["audio"]["length"])
    *_, picture = axis.specgram(samples(train[longest]["audio"]), NFFT=1024, noverlap=896, Fs=16_000, cmap="magma")
    loudest = picture.get_array().max()
    picture.set_clim(loudest - 60, loudest)  # decibels
    axis.set(title=f"tone {names[label]}", xlabel="seconds", ylim=(0, 1500))
axes[0].set_ylabel("Hz")
figure.tight_layout()
plt.show()

# %% [markdown]
# High and level, rising, low and dipping, falling: the stripes are the harmonics of the voice.
#
# ## Adapt
#
# A new head that fills in the hidden pieces is warmed up while the encoder stands still. Health, drift and a probe are
# measured on the way, and the best point is kept. The start counts as a point, too.

# %%
adapted = pretrain(
    **options,
    objective="masked-spectrogram",
    mask_span=5,
    max_steps=12,
    per_device_train_batch_size=32,
    learning_rate=2e-5,
    logging_steps=1,
    monitor_points=2,
    monitor_examples=64,
)
print("kept step:", adapted.metrics["kept_step"], "-", adapted.metrics["outcome"])

# %%
curve = [json.loads(line) for line in Path("run/pretrain/curve.jsonl").read_text().splitlines()]
points = [json.loads(line) for line in Path("run/pretrain/monitor.jsonl").read_text().splitlines()]
steps, losses = zip(*[(row["step"], row["loss"]) for row in curve if "loss" in row])
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
left.plot(steps, losses, marker="o", markersize=3)
left.set(xlabel="optimizer step", ylabel="error on hidden pieces", title="Adapting to the syllables")
right.plot([row["step"] for row in points], [row["probe"] for row in points], marker="o")
right.set(xlabel="optimizer step", ylabel="probe on the few labels", ylim=(0, 1), title="What it does to the features")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Compare
#
# Both encoders, frozen, get the same labels; beside them the mean and spread of 80 frequency bands, which need no encoder at
# all. The interval is over test syllables, the spread over draws of the labels.

# %%
answer = compare(**options, labels_per_class=[2, 4, 8], num_seeds=3, probe_draws=6, finetune_arms=False, self_training=0)
print(answer.metrics["verdict"])

# %%
display(SVG(filename="run/compare/label_efficiency_frozen_probe.svg"))
display(Markdown((answer.path / "table.md").read_text()))

# %% [markdown]
# ## Fine-tune and look at the mistakes
#
# LoRA on all of the few labels, then the test split, once.

# %%
finetune(data=syllables, output="run", max_steps=20, early_stopping_patience=0, self_training=0, **hear)
metrics = evaluate(data=syllables, output="run", **hear).metrics
print({name: round(value, 3) for name, value in metrics.items() if isinstance(value, float)})

# %%
import pyarrow.parquet as pq

rows = pq.read_table("run/evaluate/predictions.parquet").to_pylist()
truth = dict(zip(syllables["test"]["id"], syllables["test"]["label"]))
confusion = np.zeros((4, 4), int)
for row in rows:
    confusion[truth[row["id"]], names.index(row["prediction"])] += 1
figure, axis = plt.subplots(figsize=(3.6, 3.4))
axis.imshow(confusion, cmap="Blues")
for true, guess in np.ndindex(4, 4):
    color = "white" if confusion[true, guess] > confusion.max() / 2 else "black"
    axis.text(guess, true, confusion[true, guess], ha="center", va="center", color=color)
axis.set_xticks(range(4), names)
axis.set_yticks(range(4), names)
axis.set(xlabel="predicted tone", ylabel="spoken tone", title="Test syllables")
plt.show()

# %% [markdown]
# ## Share
#
# `push` stages a plain model repository: merged weights, feature extractor, label names, and a card with all of the above.
# A fresh process without network loads it through `pipeline()`; made-up sounds must get the same answers as from the model
# of the run. With `dry_run` nothing is uploaded. Without it, the same call makes one commit on the Hub.

# %%
staged = push(output="run", repo="you/tones", base_model="openai/whisper-tiny.en", license="mit", dry_run=True)
print("compared:", staged.metrics["compared"], "largest difference:", f"{staged.metrics['difference']:.0e}")
for name, size in staged.metrics["files"].items():
    print(f"{size:>12,}  {name}")

# %%
card = (staged.path / "README.md").read_text()
print(card[: card.index("## How it was made")])

# %%
from transformers import pipeline

classify = pipeline("audio-classification", model=str(staged.path))
one = syllables["test"][0]
print("truth: tone", names[one["label"]])
for guess in classify(samples(one["audio"])):
    print(f"{guess['score']:.2f}  tone {guess['label']}")
