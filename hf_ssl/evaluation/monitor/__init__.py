"""What is measured while a model is pre-trained: health, drift, probes."""
