"""Together's videos over the same jobs and tokens, below `/together`."""
