"""Paired comparison of two models on the same test items, and its verdict in words."""
