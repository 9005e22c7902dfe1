"""Finished runs: their results, and a table of them."""
