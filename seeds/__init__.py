"""Data, no code: facts, scenarios, prompts, tokens."""
