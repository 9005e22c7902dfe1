"""Cards: the catalogue of upstreams, and what is done with a card."""
