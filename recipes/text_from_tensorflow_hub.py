# /// script
# dependencies = ["hf-ssl[tfhub]>=0.1"]
# ///
"""From TensorFlow Hub: a BERT expert imported and proved, then as any other text checkpoint.

    python recipes/text_from_tensorflow_hub.py --data my-data --model tf:my-saved-model
    accelerate launch recipes/text_from_tensorflow_hub.py --data my-data --pretrain.max_steps 200

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
