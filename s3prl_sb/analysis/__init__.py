"""Analyses of hidden states without training: similarity of layers, phones."""
