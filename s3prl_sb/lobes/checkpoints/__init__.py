"""Reading checkpoints: formats, names of weights, networks with weights."""
