"""The stages of the main job: each makes one artifact, or reuses it."""
