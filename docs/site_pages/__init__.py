"""The parts of the documentation site that are ours: pages, links, types."""
