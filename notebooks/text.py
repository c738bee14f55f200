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
# # Adapt a text encoder to your domain, see whether it helped, share it
#
# One story in three steps, on real weights (all-MiniLM-L6-v2) and real posts (20 Newsgroups):
#
# 1. **adapt**: continue masked-language-model training on posts without labels;
# 2. **compare**: the same few labels for the start checkpoint and for the adapted one; the verdict is whatever comes out;
# 3. **share**: a model repository, staged and tried in a fresh process, before anything is uploaded.
#
# It is kept small so that it runs in a minute on two processor cores: a handful of optimizer steps adapt nothing much, and
# the honest outcome may well be "no difference shown". For your own data, change the first cell and take the limits away.

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
from hf_ssl import demo

work = Path(tempfile.mkdtemp())
os.chdir(work)
demo.write_newsgroups(Path("posts"), per_class=5, pool_limit=80, test_limit=80)
posts = load_data("posts", "text", verbose=False)  # a folder with unlabeled.jsonl, labels.csv, test.csv
options = {"data": posts, "model": str(demo.minilm_path()), "output": "run"}
{split: len(rows) for split, rows in posts.items()}

# %% [markdown]
# ## Adapt
#
# MiniLM comes without a masked-language-model head. The new head is warmed up while the encoder stands still; then the rate
# ramps up. Health, drift and a probe are measured on the way, and the best point is kept. The start counts as a point, too.

# %%
adapted = pretrain(
    **options, objective="mlm", max_steps=6, max_length=128, logging_steps=1, monitor_points=1, monitor_examples=48, head_warmup=0.3
)
print("kept step:", adapted.metrics["kept_step"], "-", adapted.metrics["outcome"])

# %%
curve = [json.loads(line) for line in Path("run/pretrain/curve.jsonl").read_text().splitlines()]
steps, losses = zip(*[(row["step"], row["loss"]) for row in curve if "loss" in row])
figure, axis = plt.subplots(figsize=(6, 3))
axis.plot(steps, losses, marker="o")
axis.axvspan(0, 0.3 * 6, color="0.9", label="only the new head learns")
axis.set(xlabel="optimizer step", ylabel="loss on masked words", title="Adapting to the posts")
axis.legend()
plt.show()

# %% [markdown]
# ## Compare
#
# Both encoders, frozen, get the same labels; beside them TF-IDF, which needs no pretrained model. The interval is over test
# posts, the spread over draws of the labels.

# %%
answer = compare(**options, labels_per_class=[1, 2, 4], num_seeds=3, probe_draws=6, finetune_arms=False, test_limit=50, self_training=0)
print(answer.metrics["verdict"])

# %%
display(SVG(filename="run/compare/label_efficiency_frozen_probe.svg"))
display(Markdown((answer.path / "table.md").read_text()))

# %% [markdown]
# ## Fine-tune and look at the space
#
# LoRA on four labels per class, then the test split, once. The map shows where test posts of six groups lie for the adapted
# encoder: two directions out of 384, so distances are only part of the truth.

# %%
finetune(data=posts, output="run", labels_per_class=4, max_steps=8, max_length=96, early_stopping_patience=0, self_training=0)
metrics = evaluate(data=posts, output="run").metrics
print({name: round(value, 3) for name, value in metrics.items()})

# %%
import pyarrow.parquet as pq

embed(data=posts, output="run", split="test", max_length=128)
rows = pq.read_table("run/embed/embeddings.parquet")
vectors, labels = np.stack(rows["vector"].to_numpy()), np.array(rows["label"].to_pylist())
centerd = vectors - vectors.mean(0)
plane = centerd @ np.linalg.svd(centerd, full_matrices=False)[2][:2].T
groups = [
    "comp.graphics",
    "rec.autos",
    "rec.sport.hockey",
    "sci.space",
    "talk.politics.mideast",
    "soc.religion.christian",
]
figure, axis = plt.subplots(figsize=(6, 4))
for group, marker in zip(groups, "os^Dv*"):
    chosen = labels == group
    axis.scatter(*plane[chosen].T, marker=marker, label=group, alpha=0.8)
axis.set(title="Test posts, two principal directions", xticks=[], yticks=[])
axis.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Share
#
# `push` stages a plain model repository: merged weights, tokenizer, label names, and a card with all of the above. A fresh
# process without network loads it through `pipeline()`, and its answers must equal those of the run. With `dry_run` nothing
# is uploaded. Without it, the same call makes one commit on the Hub:
#
# ```bash
# hf-ssl push --output run --repo YOU/posts --base_model sentence-transformers/all-MiniLM-L6-v2
# ```

# %%
staged = push(output="run", repo="you/posts", base_model="sentence-transformers/all-MiniLM-L6-v2", dry_run=True)
print("compared:", staged.metrics["compared"], "largest difference:", staged.metrics["difference"])
for name, size in staged.metrics["files"].items():
    print(f"{size:>12,}  {name}")

# %%
card = (staged.path / "README.md").read_text()
print(card[: card.index("## How it was made")])

# %%
from transformers import pipeline

classify = pipeline("text-classification", model=str(staged.path))
print(classify("the goalie stopped the puck in the third period")[0]["label"])
