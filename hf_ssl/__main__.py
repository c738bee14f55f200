"""`python -m hf_ssl` is `hf-ssl`."""

from __future__ import annotations

import sys

from hf_ssl.cli import main

sys.exit(main())
