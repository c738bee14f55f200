"""Models of TensorFlow Hub read without TensorFlow, and proved to be the same afterwards."""
