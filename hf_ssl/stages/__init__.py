"""One file per verb, and what the verbs share. `hf-ssl VERB` and `hf_ssl.VERB()` call the same functions."""
