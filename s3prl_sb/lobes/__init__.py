"""Reusable modules: upstreams, featurizers, heads, pooling."""
