"""Finished runs: what they measured, as a table."""
