"""Networks are built without values, and get random or given ones once."""

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from s3prl_sb.lobes.checkpoints.building import build, sizes_only
from s3prl_sb.lobes.networks.initialization import initialize


class Operations(TorchDispatchMode):
    """The names of the operations that tensors do inside."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


class Layers(nn.Module):
    """Layers that torch initializes in different ways, and one of its own."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.table = nn.Embedding(4, 2, padding_idx=0)
        self.norm = nn.BatchNorm1d(3)
        self.recurrent = nn.GRU(3, 2)
        self.scale = nn.Parameter(nn.init.ones_(torch.empty(3)))
        nn.init.trunc_normal_(self.linear.weight, std=0.02)
        nn.init.xavier_uniform_(tensor=self.linear.weight)


def test_nothing_is_initialized_without_values():
    with Operations() as operations, sizes_only():
        network = build(lambda: Layers())
    filling = {"normal_", "uniform_", "fill_", "zero_", "normal", "bernoulli_"}
    assert not filling & operations.names
    assert {weight.device.type for weight in network.parameters()} == {"meta"}
    assert network.recurrent.weight_ih_l0.shape == (6, 3)


def test_random_weights_are_those_of_the_network_on_the_cpu():
    expected = Layers()
    initialize(expected, seed=3)
    found, weights = build(lambda: Layers(), seed=3).state_dict(), expected.state_dict()
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)
