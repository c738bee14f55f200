"""One file per pipeline of transformers that may serve a published model: how it is tried, shown, and put into a demo."""
