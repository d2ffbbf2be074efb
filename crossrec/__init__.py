"""crossrec: recommenders that a language model carries from one domain to another."""

__version__ = "0.1.0"
