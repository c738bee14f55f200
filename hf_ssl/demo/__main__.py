"""`python -m hf_ssl.demo`."""

from __future__ import annotations

import sys

from hf_ssl.demo.cli import main

sys.exit(main())
