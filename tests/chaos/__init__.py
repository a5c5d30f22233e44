"""Faults at random under load, and proof that nothing was lost and nothing doubled."""
