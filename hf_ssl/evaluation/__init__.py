"""What a model is worth, and whether adapting it helped.

- `metrics`: `evaluate.Metric` classes that work offline, and `compute(names, ...)`.
- `probes`: linear, nearest-neighbor and TF-IDF probes fitted on the labeled budget only.
- `health`: feature spread, effective rank, drift, and the collapse verdict.
- `paired`: bootstrap, permutation and McNemar tests of two models on the same test items.
- `comparison`: the base-versus-adapted table and its verdict in words.
- `gap`: how far the user's domain lies from another one.

Underneath, `additive`, `spans`, `speech` and `scores` are the formulas: plain functions of numpy arrays.
"""
