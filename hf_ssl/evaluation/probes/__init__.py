"""Small models on frozen features: linear, nearest-neighbor, TF-IDF, closed-form forecasts."""
