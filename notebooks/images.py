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
# ---

# %% [markdown]
# # A network for color photographs meets gray pictures of clothes
#
# EfficientNet-Lite0 was trained on photographs of ImageNet. Here are 28 x 28 gray pictures of ten kinds of clothes
# (Fashion-MNIST): a few hundred without labels, nine labeled ones of every kind. In three steps:
#
# 1. **adapt**: SimCLR on the pictures without labels: two random views of a picture should look alike to the network;
# 2. **compare**: the same few labels for the start checkpoint and for the adapted one; the verdict is whatever comes out;
# 3. **share**: a model repository, tried through `pipeline()` in a fresh process before anything is uploaded.
#
# It is kept small so that it runs in a minute on two processor cores. For your own pictures, change the first cell and take
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

from hf_ssl import compare, evaluate, finetune, load_data, pretrain, push
from hf_ssl.demo import images as demo_images

os.chdir(tempfile.mkdtemp())
demo_images.write_fashion_mnist("clothes", per_class=9, pool_limit=200, test_limit=250)
demo_images.write_efficientnet_lite0("start")
look = {"modality": "image", "image_size": 64}  # the network's own size, 224, would only be slower on 28 pixels
clothes = load_data("clothes", verbose=False, **look)  # a folder with unlabeled, train and test tables
options = {"data": clothes, "model": "start", "output": "run", **look}
{split: len(rows) for split, rows in clothes.items()}

# %%
import datasets

train = clothes["train"].cast_column("image", datasets.Image())
names = train.features["label"].names
figure, axes = plt.subplots(2, 10, figsize=(10, 2.2), gridspec_kw={"hspace": 0.05})
for label, column in enumerate(axes.T):
    for axis, row in zip(column, np.flatnonzero(np.array(train["label"]) == label)[:2].tolist()):
        axis.imshow(train[row]["image"], cmap="gray_r")
        axis.set(xticks=[], yticks=[])
    column[0].set_title(names[label], fontsize=8)
plt.show()

# %% [markdown]
# ## Adapt
#
# Health, drift and a probe are measured on the way, and the best point is kept. The start counts as a point, too: "no
# better than the start" is an honest end of this step.

# %%
adapted = pretrain(
    **options,
    objective="simclr",
    max_steps=10,
    per_device_train_batch_size=32,
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
left.set(xlabel="optimizer step", ylabel="contrastive loss", title="Adapting to the pictures")
right.plot([row["step"] for row in points], [row["probe"] for row in points], marker="o")
right.set(xlabel="optimizer step", ylabel="probe on the few labels", ylim=(0, 1), title="What it does to the features")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Compare
#
# Both networks, frozen, get the same labels; beside them plain pixels, which need no network at all. The interval is over
# test pictures, the spread over draws of the labels.

# %%
answer = compare(**options, labels_per_class=[1, 2, 4], num_seeds=3, probe_draws=6, finetune_arms=False, self_training=0)
print(answer.metrics["verdict"])

# %%
display(SVG(filename="run/compare/label_efficiency_frozen_probe.svg"))
display(Markdown((answer.path / "table.md").read_text()))

# %% [markdown]
# ## Fine-tune and look at the mistakes
#
# LoRA inside the convolutions on eight labels per class, then the test split, once.

# %%
finetune(data=clothes, output="run", max_steps=20, early_stopping_patience=0, self_training=0, **look)
metrics = evaluate(data=clothes, output="run", **look).metrics
print({name: round(value, 3) for name, value in metrics.items() if isinstance(value, float)})

# %%
import pyarrow.parquet as pq

rows = pq.read_table("run/evaluate/predictions.parquet").to_pylist()
truth = dict(zip(clothes["test"]["id"], clothes["test"]["label"]))
confusion = np.zeros((10, 10), int)
for row in rows:
    confusion[truth[row["id"]], names.index(row["prediction"])] += 1
figure, axis = plt.subplots(figsize=(5.4, 4.6))
axis.imshow(confusion, cmap="Blues")
for true, guess in np.argwhere(confusion):
    color = "white" if confusion[true, guess] > confusion.max() / 2 else "black"
    axis.text(guess, true, confusion[true, guess], ha="center", va="center", color=color, fontsize=8)
axis.set_xticks(range(10), names, rotation=45, ha="right", fontsize=8)
axis.set_yticks(range(10), names, fontsize=8)
axis.set(xlabel="prediction", ylabel="truth", title="Test pictures")
plt.show()

# %% [markdown]
# ## Share
#
# `push` stages a plain model repository: merged weights, image processor, label names, and a card with all of the above. A
# fresh process without network loads it through `pipeline()`; made-up pictures must get the same answers as from the model
# of the run. With `dry_run` nothing is uploaded. Without it, the same call makes one commit on the Hub.

# %%
staged = push(output="run", repo="you/clothes", base_model="timm/tf_efficientnet_lite0.in1k", dry_run=True)
print("compared:", staged.metrics["compared"], "largest difference:", f"{staged.metrics['difference']:.0e}")
for name, size in staged.metrics["files"].items():
    print(f"{size:>12,}  {name}")

# %%
card = (staged.path / "README.md").read_text()
print(card[: card.index("## How it was made")])

# %%
from transformers import pipeline

classify = pipeline("image-classification", model=str(staged.path))
one = clothes["test"].cast_column("image", datasets.Image())[0]
print("truth:", clothes["test"].features["label"].int2str(one["label"]))
for guess in classify(one["image"], top_k=3):
    print(f"{guess['score']:.2f}  {guess['label']}")
