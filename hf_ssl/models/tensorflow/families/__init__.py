"""One file per family of models: which variables are its own, and what each is called in transformers or timm."""
