"""Downstream tasks: one file each, found by name."""
