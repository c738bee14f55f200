"""A checkpoint found, loaded, proved, looked into, and wrapped with adapters."""
