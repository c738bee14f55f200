# /// script
# dependencies = ["hf-ssl[image]>=0.1"]
# ///
"""Satellite scenes: DINO with LoRA from DINOv2, views turned and flipped every way, then few labels.

    python recipes/image_satellite_dino.py --data scenes --model facebook/dinov2-base --group_column scene
    python recipes/image_satellite_dino.py --data my-data --model my-model --image_size 64     (offline, see the YAML)

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
