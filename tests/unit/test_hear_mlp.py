"""HEAR's heads: batch norm against torch's, padding, initialization."""

import pytest
import torch

from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.hear_mlp import FrameMLP, PooledMLP
from s3prl_sb.lobes.networks.masked_batch_norm import MaskedBatchNorm


def test_masked_batch_norm_is_that_of_torch():
    torch.manual_seed(0)
    ours, theirs = MaskedBatchNorm(5), torch.nn.BatchNorm1d(5)
    for norm in (ours, theirs):
        with torch.no_grad():
            norm.weight.copy_(torch.linspace(0.5, 2, 5))
            norm.bias.copy_(torch.linspace(-1, 1, 5))
    for _ in range(3):
        x = torch.randn(7, 5) * 3 + 2
        padded = torch.cat([x[:4], torch.full((2, 5), 1e4), x[4:]])
        mask = torch.tensor([1, 1, 1, 1, 0, 0, 1, 1, 1]).bool()
        inputs = [t.clone().requires_grad_() for t in (padded, x)]
        outputs = [ours(inputs[0], mask)[mask], theirs(inputs[1])]
        torch.testing.assert_close(*outputs)
        for output in outputs:
            output.pow(3).sum().backward()
        torch.testing.assert_close(inputs[0].grad[mask], inputs[1].grad)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x), theirs(x))


def test_one_row_is_normalized_by_the_statistics_so_far():
    norm, x = MaskedBatchNorm(3), torch.tensor([[1.0, 2.0, 3.0]])
    torch.testing.assert_close(norm(x), norm.eval()(x))
    assert norm.num_batches_tracked == 0


def test_the_layers_are_those_of_hear():
    """The same as the layers of its evaluation kit in their order."""
    torch.manual_seed(0)
    head = PooledMLP(6, 3, hidden_size=4, num_layers=2, dropout=0.0)
    layers = torch.nn.Sequential()
    for layer, norm in zip(head.mlp.layers, head.mlp.norms):
        theirs = torch.nn.BatchNorm1d(4)
        theirs.load_state_dict(norm.state_dict())
        layers.extend([layer, theirs, torch.nn.ReLU()])
    layers.append(head.mlp.classifier)
    x = torch.randn(8, 5, 6)
    torch.testing.assert_close(head(x, torch.ones(8)), layers(x.mean(1)))


@pytest.mark.parametrize("name, limit", [("uniform", 6**0.5), ("normal", None)])
def test_initialization(name, limit):
    torch.manual_seed(0)
    head = FrameMLP(300, 7, 500, initialization=f"xavier_{name}")
    for layer, gain in zip(
        (*head.mlp.layers, head.mlp.classifier), (1, 2**0.5, 2**0.5)
    ):
        expected = gain * (2 / (layer.in_features + layer.out_features)) ** 0.5
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
        largest = layer.weight.abs().max().item()
        bound = gain * (6 / (layer.in_features + layer.out_features)) ** 0.5
        assert (largest <= bound) is (limit is not None)


def test_an_unknown_initialization_is_an_error():
    with pytest.raises(HeadError, match="xavier_uniform or xavier_normal, not 'he'"):
        PooledMLP(6, 3, initialization="he")
