"""fal's queue over the same jobs and tokens, below `/fal`."""
