"""Manifests, data pipes, samplers and the feature cache."""
