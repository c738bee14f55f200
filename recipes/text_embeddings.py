# /// script
# dependencies = ["hf-ssl>=0.1"]
# ///
"""Sentence embeddings of your domain: contrastive pre-training on the pool, similarity measured before and after, vectors.

    python recipes/text_embeddings.py --data my-data --model sentence-transformers/all-MiniLM-L6-v2
    accelerate launch recipes/text_embeddings.py --data my-data --pretrain.objective tsdae

The options are those of the YAML file beside it; the command line wins.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from hf_ssl import run_recipe, set_verbosity
from hf_ssl.core.parsing import from_tokens, from_yaml


def main(tokens: list[str]) -> None:
    set_verbosity("info")
    recipe = from_yaml(Path(__file__).with_suffix(".yaml"))
    results = run_recipe({**recipe, **from_tokens(tokens)})
    for stage, result in results.items():
        logging.getLogger("hf_ssl").info("%s: %s", stage, result.path)


if __name__ == "__main__":
    main(sys.argv[1:])
