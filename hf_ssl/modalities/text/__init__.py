"""Text: reading, tokenizing, packing, pooling."""
