"""The marketplace: simulated shoppers whose true preferences are known."""
