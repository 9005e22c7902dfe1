"""Fixtures in one .npz file each, and state dicts of full size without memory."""

from pathlib import Path

import numpy
import torch

from s3prl_sb.lobes.checkpoints.building import sizes_only


class Fixture:
    """Arrays of a file under fixtures/, as tensors."""

    def __init__(self, name):
        path = Path(__file__).parent / "fixtures" / f"{name}.npz"
        with numpy.load(path) as file:
            self.tensors = {key: torch.from_numpy(file[key]) for key in file.files}

    def below(self, prefix):
        """Names below a prefix to tensors."""
        return {
            key.removeprefix(prefix): tensor
            for key, tensor in self.tensors.items()
            if key.startswith(prefix)
        }

    def listed(self, prefix):
        """Tensors below a prefix whose names are numbers."""
        tensors = self.below(prefix)
        return [tensors[str(i)] for i in range(len(tensors))]

    @property
    def wavs(self):
        return self.listed("wav/")


def ones(*shape):
    """A tensor of any size that takes four bytes in a file."""
    return torch.ones(()).expand(shape)


def published(shapes):
    """Names and shapes to such tensors, the state dict of a published file."""
    return {name: ones(*shape) for name, shape in shapes.items()}


def linear(name, rows, columns, bias=True):
    """Names and shapes of a linear layer."""
    result = {f"{name}.weight": ones(rows, columns)}
    return {**result, f"{name}.bias": ones(rows)} if bias else result


def norm(name, size):
    return {f"{name}.weight": ones(size), f"{name}.bias": ones(size)}


def assert_fits(kind, config, weights):
    """All weights, and no others, have their places in the network of a configuration;
    the number of parameters."""
    with sizes_only():
        network = kind(config=config).network
    state = network.state_dict()
    shapes = {name: list(tensor.shape) for name, tensor in weights.items()}
    assert shapes == {name: list(tensor.shape) for name, tensor in state.items()}
    return sum(tensor.numel() for tensor in state.values())
