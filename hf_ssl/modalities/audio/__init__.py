"""Audio: reading, resampling, random views, spectrograms, backbones."""
