"""A language model as judge of the best items, and as writer of reasons."""
