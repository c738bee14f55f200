"""Metrics: `evaluate.Metric` classes that work offline, and the formulas underneath."""
