# /// script
# dependencies = ["hf-ssl[audio]>=0.1"]
# ///
"""Classes of sounds: continued masked spectrograms on the pool, LoRA on the labels, base against adapted.

    python recipes/audio_classification.py --data my-data --model openai/whisper-tiny --window 3
    accelerate launch recipes/audio_classification.py --data my-data --model openai/whisper-tiny --window 3 --pretrain.max_steps 200

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
