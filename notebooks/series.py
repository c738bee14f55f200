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
# # Which engines have the fault? Learning from noise without labels
#
# FordA (UCR archive) has recordings of engine noise, 500 readings each; some of the engines have a certain fault. Recordings
# are cheap, labels are not: sixteen a class here. There is no checkpoint to start from, so a small PatchTST begins with random
# weights. In three steps:
#
# 1. **adapt**: two random views of a recording should look alike to the model, those of other recordings should not;
# 2. **compare**: the same few labels for the random start and for the trained model; the verdict is whatever comes out;
# 3. **share**: a model repository, tried in a fresh process before anything is uploaded.
#
# It is kept small so that it runs in a minute on two processor cores. For your own series, change the first cell and take
# the limits away.

# %%
import json
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import SVG, Markdown, display

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything here is on this machine

from hf_ssl import compare, embed, evaluate, finetune, load_data, pretrain, push
from hf_ssl.demo import series as demo_series

os.chdir(tempfile.mkdtemp())
demo_series.write_ucr("FordA", "engines", per_class=18)
pool, test = Path("engines/unlabeled/series.npy"), Path("engines/test/all.tsv")
np.save(pool, np.random.default_rng(0).permutation(np.load(pool))[:800])  # a quick look, not all of it
lines = np.random.default_rng(1).permutation(test.read_text().splitlines())[:400]
test.write_text("\n".join(lines) + "\n")
shape = {"modality": "timeseries", "patch_length": 32, "patch_stride": 16}
engines = load_data("engines", verbose=False, **shape)  # folders with .npy, .tsv, .ts or .arff files
{split: len(rows) for split, rows in engines.items()}

# %%
train = engines["train"]
names = train.features["label"].names
figure, axes = plt.subplots(2, 3, figsize=(11, 2.8), sharex=True, sharey=True)
for label, row_of_axes in enumerate(axes):
    for axis, row in zip(row_of_axes, np.flatnonzero(np.array(train["label"]) == label).tolist()):
        axis.plot(np.array(train[row]["series"]).ravel(), linewidth=0.8, color=f"C{label}")
    row_of_axes[0].set_ylabel(f"class {names[label]}")
axes[1, 1].set_xlabel("reading")
plt.show()

# %% [markdown]
# ## Adapt
#
# The loss is on views of recordings nobody labeled. A probe on the few labels is measured on the way.

# %%
adapted = pretrain(
    data=engines,
    output="run",
    model="patchtst",
    from_config=True,
    objective="ts-contrastive",
    spectrum=1.0,
    num_train_epochs=14,
    per_device_train_batch_size=64,
    logging_steps=8,
    monitor_points=4,
    monitor_examples=128,
    keep_checkpoint="last",
    layer_decay=1.0,
    head_warmup=0.0,
    lr_schedule="cosine",
    **shape,
)
print("kept step:", adapted.metrics["kept_step"], "-", adapted.metrics["outcome"])

# %%
curve = [json.loads(line) for line in Path("run/pretrain/curve.jsonl").read_text().splitlines()]
points = [json.loads(line) for line in Path("run/pretrain/monitor.jsonl").read_text().splitlines()]
steps, losses = zip(*[(row["step"], row["loss"]) for row in curve if "loss" in row])
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
left.plot(steps, losses, marker="o", markersize=3)
left.set(xlabel="optimizer step", ylabel="contrastive loss", title="Learning from the pool")
right.plot([row["step"] for row in points], [row["probe"] for row in points], marker="o")
right.set(xlabel="optimizer step", ylabel="probe on the few labels", ylim=(0, 1), title="What it does to the features")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Compare
#
# Both models, frozen, get the same labels; beside them random convolution kernels (after Rocket), which need no training at
# all. The interval is over test recordings, the spread over draws of the labels.
#
# The right baseline for noise is a spectrum: on these data a linear probe on the log spectrum, without any training, does as
# well as the trained model (`tests/benchmarks/bench_fewlabel_series.py`). Look at what is cheap before you train.

# %%
answer = compare(
    data=engines,
    output="run",
    labels_per_class=[2, 4, 8, 16],
    num_seeds=5,
    test_limit=300,
    finetune_arms=False,
    self_training=0,
    **shape,
)
print(answer.metrics["verdict"])

# %%
display(SVG(filename="run/compare/label_efficiency_frozen_probe.svg"))
display(Markdown((answer.path / "table.md").read_text()))

# %% [markdown]
# ## Fine-tune and look at the space
#
# The whole small model on sixteen labels per class, then the test split, once. The map shows where the test recordings lie
# for the model that has seen no label: two directions out of many, so distances are only part of the truth.

# %%
finetune(data=engines, output="run", peft="full", max_steps=40, early_stopping_patience=0, self_training=0, **shape)
metrics = evaluate(data=engines, output="run", **shape).metrics
print({name: round(value, 3) for name, value in metrics.items() if isinstance(value, float)})

# %%
import pyarrow.parquet as pq

embed(data=engines, output="run", split="test", **shape)
rows = pq.read_table("run/embed/embeddings.parquet")
vectors, labels = np.stack(rows["vector"].to_numpy()), np.array(rows["label"].to_pylist())
centerd = vectors - vectors.mean(0)
plane = centerd @ np.linalg.svd(centerd, full_matrices=False)[2][:2].T
figure, axis = plt.subplots(figsize=(6, 4))
for name, marker in zip(names, "o^"):
    axis.scatter(*plane[labels == name].T, marker=marker, label=f"class {name}", alpha=0.7)
axis.set(title="Test recordings, two principal directions", xticks=[], yticks=[])
axis.legend()
plt.show()

# %% [markdown]
# ## Share
#
# `push` stages a plain model repository: weights, what the model expects as input, label names, and a card with all of the
# above. `transformers` has no pipeline for series, so a fresh process without network loads the class itself; made-up series,
# one with a gap, must get the same answers as from the model of the run. With `dry_run` nothing is uploaded. Without it, the
# same call makes one commit on the Hub.

# %%
staged = push(output="run", repo="you/engines", base_model="unpublished", license="mit", dry_run=True)
print("compared:", staged.metrics["compared"], "largest difference:", f"{staged.metrics['difference']:.0e}")
for name, size in staged.metrics["files"].items():
    print(f"{size:>12,}  {name}")

# %%
card = (staged.path / "README.md").read_text()
print(card[: card.index("## How it was made")])

# %%
import torch
from transformers import PatchTSTForClassification

model = PatchTSTForClassification.from_pretrained(staged.path).eval()
one = engines["test"][0]
series = torch.tensor(one["series"]).reshape(1, -1, 1)
scaled = (series - series.mean()) / series.std(unbiased=False)  # as in training
with torch.no_grad():
    chances = model(past_values=scaled).prediction_logits.softmax(-1)[0]
print("truth: class", names[one["label"]])
for guess in chances.argsort(descending=True).tolist():
    print(f"{chances[guess]:.2f}  class {model.config.id2label[guess]}")
