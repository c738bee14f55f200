# /// script
# dependencies = ["hf-ssl[demo]>=0.1"]
# ///
"""The quickstart: real MiniLM weights, real 20 Newsgroups text; adapt, fine-tune, compare with not adapting.

    make quickstart          (or: python recipes/quickstart.py [--output runs/quickstart] [--pretrain.max_steps 200])

The numbers are kept small so that it ends within minutes on two processor cores. The verdict is whatever comes out.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from hf_ssl import demo, run_recipe, set_verbosity
from hf_ssl.core.parsing import from_tokens


def main(tokens: list[str]) -> None:
    set_verbosity("info")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "newsgroups"
        demo.write_newsgroups(data, per_class=24, pool_limit=1500, test_limit=500)
        # Rate and part of the pool were chosen on held-out training posts: tests/benchmarks/bench_few_labels.py --choose
        # --budgets 16 --draws 2 --max_steps 60 --max_length 128 --self_training 800 --learning_rate 1.5e-3
        tuning = {"max_steps": 60, "learning_rate": 1.5e-3, "max_length": 128, "self_training": 800}
        recipe = {
            "data": str(data),
            "model": str(demo.minilm_path()),
            "output": "runs/quickstart",
            "pretrain": {"objective": "mlm", "max_steps": 60, "monitor_points": 2},
            "finetune": {**tuning, "per_class": 16, "patience": 0},
            "compare": {**tuning, "budgets": [4, 16], "draws": 2, "test_limit": 400},
        }
        results = run_recipe({**recipe, **from_tokens(tokens)})
    print(f"\n{(results['compare'].path / 'table.md').read_text(encoding='utf-8')}")
    print(f"pre-training: {results['pretrain'].metrics['outcome']}")
    print(f"fine-tuned model: {results['finetune'].path / 'model'}")
    print(f"everything: {results['compare'].path.parent} ({(time.monotonic() - began) / 60:.1f} minutes)")


if __name__ == "__main__":
    main(sys.argv[1:])
