"""Run folders as a page, as Markdown and as LaTeX: the same tables in three forms."""
