"""Data that are read as they are needed: a source is opened, never listed, and comes in blocks."""
