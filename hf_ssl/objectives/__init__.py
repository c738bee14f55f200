"""Self-supervised objectives: one file each, found by name."""
