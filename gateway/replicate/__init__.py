"""Replicate's predictions over the same jobs and tokens, below `/replicate`."""
