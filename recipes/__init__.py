"""Recipes (YAML) and scripts that show the Python API; installed as `hf_ssl._recipes`, never as `recipes`."""
