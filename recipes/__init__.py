"""Recipes: one runnable script and one YAML file per use; installed as `hf_ssl._recipes`, never as `recipes`."""
