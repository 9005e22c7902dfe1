"""Heads, and the encoders and pooling that they are composed of."""
