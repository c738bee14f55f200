"""What is published: staged, reloaded by a fresh process, described by a card, and committed at once."""
