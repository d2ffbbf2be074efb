"""What the domains of a pair are: sizes, distributions, overlap and texts, in numbers and plots."""
