# /// script
# dependencies = ["hf-ssl[demo]>=0.1"]
# ///
"""Topics of posts, step by step: load → pretrain → finetune → compare → push.

    python recipes/text.py                             (real MiniLM weights, real 20 Newsgroups text, minutes on two cores)
    python recipes/text.py --data my-data --model sentence-transformers/all-MiniLM-L6-v2 --output runs/topics

`my-data` holds unlabeled.jsonl (text), labels.csv and test.csv (text, label). The numbers are kept small so that it ends soon.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import hf_ssl
from hf_ssl import demo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", help="folder with your data (default: 20 Newsgroups)")
parser.add_argument("--model", help="checkpoint to start from (default: MiniLM)")
parser.add_argument("--output", default="runs/quickstart", help="run folder")
parser.add_argument("--steps", type=int, default=60, help="optimizer steps of each training")
parser.add_argument("--labels", type=int, nargs="+", default=[4, 16], help="labels per class that are compared")


def main() -> None:
    given = parser.parse_args()
    hf_ssl.set_verbosity("info")

    # 1. Load. Splits are made, labels encoded, copies between the pool and the test posts removed.
    with tempfile.TemporaryDirectory() as folder:
        source = given.data or demo.write_newsgroups(Path(folder), per_class=24, pool_limit=1500, test_limit=500)
        posts = hf_ssl.load_data(source)

    # 2. Continue the pre-training on the unlabeled posts. The best point is kept, which may be the start itself.
    model = given.model or str(demo.minilm_path())
    adapted = hf_ssl.pretrain(
        data=posts, model=model, output=given.output, objective="mlm", max_steps=given.steps, monitor_points=2
    )

    # 3. Fine-tune on a few labels per topic, with LoRA. Rate and steps were chosen on held-out training posts.
    tuning = {"max_steps": given.steps, "learning_rate": 1.5e-3, "max_length": 128, "self_training": 800}
    tuned = hf_ssl.finetune(
        data=posts, output=given.output, labels_per_class=max(given.labels), early_stopping_patience=0, **tuning
    )

    # 4. Did adapting help? Base against adapted on the same subsets and seeds, a cheap baseline beside them.
    answer = hf_ssl.compare(
        data=posts, output=given.output, labels_per_class=given.labels, num_seeds=2, test_limit=400, **tuning
    )

    # 5. Share it. A dry run stages the repository and tries it in a fresh process; without dry_run it is uploaded.
    shared = hf_ssl.push(
        output=given.output, repo="your-name/news-topics", license="apache-2.0", base_model="unpublished", dry_run=True
    )

    print(f"\n{(answer.path / 'table.md').read_text(encoding='utf-8')}")
    print(
        f"pre-training: {adapted.metrics['outcome']}\nfine-tuned model: {tuned.path / 'model'}\nrepository: {shared.path}"
    )


if __name__ == "__main__":
    main()
