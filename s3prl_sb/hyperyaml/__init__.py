"""HyperPyYAML documents: their nodes, tags and lines."""
