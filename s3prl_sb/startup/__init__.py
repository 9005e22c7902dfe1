"""Start of a recipe, before its Brain: settings, early checks, output folder."""
