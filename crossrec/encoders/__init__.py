"""Item text to content vectors with a language model."""
