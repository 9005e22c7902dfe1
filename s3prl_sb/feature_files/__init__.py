"""Features as files for other programs: sources, post-processing, formats."""
