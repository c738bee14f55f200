# /// script
# dependencies = ["hf-ssl[image]>=0.1"]
# ///
"""Gray scans: SimCLR without color changes from a convolutional checkpoint, then few labels.

    python recipes/image_medical_simclr.py --data scans --model timm/resnet50.a1_in1k --group_column patient
    python recipes/image_medical_simclr.py --data my-data --model my-model --image_size 64     (offline, see the YAML)

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
