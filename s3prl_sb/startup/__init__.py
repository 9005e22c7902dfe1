"""What a recipe does before its Brain: read, check, refuse, take its folder."""
