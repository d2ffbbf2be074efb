"""What `python -m crossrec.serve` is made of: a run that answers at once."""
