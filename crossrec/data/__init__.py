"""From raw files to domains and pairs of domains."""
