"""Transfer of content: items that mean the same lie at the same place."""
