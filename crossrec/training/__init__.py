"""LightningModules: pretraining, source training and transfer."""
