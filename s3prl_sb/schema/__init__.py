"""What the keys of a recipe are, and which values they may have."""
