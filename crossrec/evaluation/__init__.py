"""Exact ranking, metrics and significance, as pure functions."""
