"""Weights that follow from their names and shapes: two environments make the same ones.

A fixture then has the shapes of a checkpoint in its published layout, and no weights.
"""

import json
import zlib
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).resolve().parent / "fixtures"


def weight(name, shape):
    """Returns a weight of the usual size: float32, a counter is an integer."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    values = random.standard_normal(shape)
    if name.endswith("num_batches_tracked"):
        return np.full(shape, 7, np.int64)
    if name == "norm_stats":  # of log mel energies
        return np.asarray([-7.5, 4.5], np.float32)
    if name.endswith("running_mean"):  # of decibels
        values = 10 * values - 30
    elif name.endswith("running_var"):
        values = 200 + 20 * values
    elif name.endswith(".weight") and len(shape) == 1:  # of a norm
        values = 1 + 0.2 * values
    elif name.endswith(".weight"):
        values = values / np.sqrt(np.prod(shape[1:]))
    else:
        values = 0.3 * values
    return np.asarray(values, np.float32)


def weights(shapes):
    """Returns the weights of a dict of names and shapes."""
    return {name: weight(name, shape) for name, shape in shapes.items()}


def utterance(samples):
    """Returns a tone that rises, in noise."""
    random = np.random.RandomState(samples)
    time = np.arange(samples) / 16000
    tone = np.sin(2 * np.pi * (200 + 900 * time) * time) * (1 + np.sin(9 * time))
    return (0.05 * tone + 0.01 * random.standard_normal(samples)).astype(np.float32)


def fixture(name):
    """Returns the content of a fixture of ``make_dasheng.py``.

    Returns
    -------
    weights : dict
        Weights in the published layout, under the authors' names.
    config : dict
        Options that the published file has beside them.
    states : dict
        Numbers of samples to the hidden states, each a list of the chunks
        [tokens and patches, hidden_size].
    """
    with np.load(FIXTURES / f"{name}.npz") as file:
        arrays = dict(file)
    shapes = json.loads(str(arrays.pop("shapes")))
    config = json.loads(str(arrays.pop("config")))
    states = {}
    for key in sorted(arrays):
        samples, layer, _ = map(int, key.split("/"))
        layers = states.setdefault(samples, [])
        if layer == len(layers):
            layers.append([])
        layers[layer].append(arrays[key])
    return weights(shapes), config, states
