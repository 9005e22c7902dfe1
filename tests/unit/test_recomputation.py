"""Layers that run again in the backward pass, and gradients that are scaled."""

import contextlib

import pytest
import torch

from s3prl_sb.lobes.networks.gradient_scale import scale_gradient
from s3prl_sb.lobes.networks.recomputation import RecomputationError, recompute_layers
from s3prl_sb.lobes.upstreams.acoustic_encoder import AcousticEncoder
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.mockingjay import AudioAlbert

SIZES = {"hidden_size": 32, "ffn_size": 64, "num_layers": 3, "num_heads": 4}
NETWORKS = {
    "transformer": lambda: Hubert(
        config={**SIZES, "conv_layers": [[16, 10, 5], [16, 8, 64]]}, freeze=False
    ),
    "wavlm": lambda: AcousticEncoder(
        config={**SIZES, "attention": "gated_relative"}, freeze=False
    ),
    "conformer": lambda: AcousticEncoder(
        config={**SIZES, "layer": "conformer", "attention": "rotary"}, freeze=False
    ),
    "shared": lambda: AudioAlbert(
        config={
            "transformer": {
                "hidden_size": 32,
                "num_attention_heads": 4,
                "intermediate_size": 64,
            }
        },
        freeze=False,
    ),
}


@contextlib.contextmanager
def kept_memory(sizes):
    """Collects the bytes of the tensors that the backward pass needs."""

    def keep(tensor):
        sizes.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield


def step(network, recomputes):
    """Returns the loss, the gradients, the buffers and the bytes of one step."""
    network.begin_pretraining()
    if recomputes:
        recompute_layers(network)
    generator = torch.Generator().manual_seed(0)
    wavs = [torch.randn(n, generator=generator) for n in (16000, 9000)]
    torch.manual_seed(7)
    sizes = []
    with kept_memory(sizes):
        loss = list(network.encode_packed(wavs))[-1].pow(3).sum()
    loss.backward()
    gradients = {n: p.grad for n, p in network.named_parameters()}
    buffers = {n: b.clone() for n, b in network.named_buffers()}
    return loss.item(), gradients, buffers, sum(sizes)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_same_step_in_less_memory(kind):
    """With dropout; and batch norms count each frame once."""
    loss, gradients, buffers, memory = step(NETWORKS[kind](), False)
    again, others, other_buffers, less = step(NETWORKS[kind](), True)
    assert loss == again
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, others[name], rtol=1e-5, atol=1e-6), name
    assert all(torch.equal(b, other_buffers[name]) for name, b in buffers.items())
    assert less < 0.6 * memory


def test_names_and_frozen_features_stay():
    network = NETWORKS["conformer"]().eval()
    names, wav = list(network.state_dict()), torch.randn(1, 8000)
    states, _ = network(wav)
    assert recompute_layers(network) == 3
    assert list(network.state_dict()) == names
    assert all(torch.equal(a, b) for a, b in zip(states, network(wav)[0]))


def test_a_network_without_such_layers_is_refused():
    with pytest.raises(RecomputationError, match="Apc has no layers"):
        recompute_layers(Apc(config={"hidden_size": 8}))


@pytest.mark.parametrize("factor", [0.1, 1, 2.5])
def test_scaled_gradient(factor):
    x = torch.randn(5, 3, requires_grad=True)
    y = scale_gradient(x, factor)
    assert torch.equal(x, y)
    weight = torch.randn(5, 3)
    (y * weight).sum().backward()
    assert torch.allclose(x.grad, factor * weight)


def test_no_gradient_at_all():
    x = torch.randn(3, requires_grad=True)
    assert not scale_gradient(x, 0).requires_grad
