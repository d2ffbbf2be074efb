"""From YAML and the command line to the settings of a run, and what they may not say."""
