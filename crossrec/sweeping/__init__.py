"""Sweeps on this machine: a W&B sweep file run by Optuna, without an account."""
