"""Readers: one file per raw format, each returns interactions and items."""
