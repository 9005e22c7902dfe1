"""Objectives of pre-training, each over any network of the contract's second half."""
