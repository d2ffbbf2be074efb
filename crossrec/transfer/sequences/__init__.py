"""Transfer through sequences: one person's events in both domains, read in the order of time."""
