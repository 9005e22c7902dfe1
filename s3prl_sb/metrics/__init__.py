"""Evaluation metrics, vectorised."""
