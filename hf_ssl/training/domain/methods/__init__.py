"""One file per method; `base.py` is what they have in common."""
