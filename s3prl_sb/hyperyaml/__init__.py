"""HyperPyYAML documents: nodes, tags, lines and loading."""
