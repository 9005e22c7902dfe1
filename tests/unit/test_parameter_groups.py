"""Groups of parameters: weight decay and rates by layer."""

import pytest
import torch

from s3prl_sb.brains.parameter_groups import (
    grouped,
    initial_rate,
    of_upstream,
    set_rates,
)
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.hubert import Hubert

TINY = {"hidden_size": 16, "ffn_size": 16, "num_layers": 3, "num_heads": 2}
TINY |= {"conv_layers": [[8, 10, 5], [8, 8, 64]]}


def rates_of(upstream, groups):
    """Names of parameters to (learning rate, weight decay) in the optimizer."""
    names = {p: name for name, p in upstream.named_parameters()}
    optimizer = torch.optim.AdamW(groups, lr=1.0, weight_decay=0.01)
    return {
        names[p]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }


def test_by_default_an_optimizer_gets_what_it_got():
    upstream = Hubert(config=TINY, freeze=False)
    trained = [p for p in upstream.parameters() if p.requires_grad]
    assert grouped(iter(trained)) == trained
    assert of_upstream(upstream, 0.1) == trained


def test_norms_biases_and_the_weights_of_layers_do_not_decay():
    modules = torch.nn.ModuleList([Featurizer(3), torch.nn.LayerNorm(4)])
    modules += [torch.nn.Linear(4, 1), torch.nn.Conv1d(4, 4, 2)]
    decays = {p: d for p, (_, d) in _named(modules).items()}
    assert {name for name, decay in decays.items() if decay} == {"2.weight", "3.weight"}
    assert len(decays) == 7


def _named(modules):
    return rates_of(modules, grouped(modules.parameters(), "matrices"))


def test_decay_is_what_adamw_does_without_gradient():
    linear = torch.nn.Linear(2, 2)
    before = {n: p.detach().clone() for n, p in linear.named_parameters()}
    optimizer = torch.optim.AdamW(
        grouped(linear.parameters(), "matrices"), lr=0.1, weight_decay=0.5
    )
    for parameter in linear.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(linear.weight.detach(), 0.95 * before["weight"])
    assert torch.equal(linear.bias, before["bias"])


@pytest.mark.parametrize("decay_on", ["all", "matrices"])
def test_rates_fall_from_layer_to_layer(decay_on):
    upstream = Hubert(config=TINY, freeze=False, freeze_front_end=False)
    rates = rates_of(upstream, of_upstream(upstream, 1.0, 0.5, decay_on))
    assert rates.keys() == {
        n for n, p in upstream.named_parameters() if p.requires_grad
    }
    for name, (rate, decay) in rates.items():
        layers = "network.encoder.layers."
        above = 2 - int(name.removeprefix(layers)[0]) if layers in name else 3
        assert rate == 0.5**above, name
        vector = upstream.get_parameter(name).dim() == 1
        assert decay == (0 if decay_on == "matrices" and vector else 0.01)


def test_recurrent_layers():
    upstream = Apc(config={"hidden_size": 8, "num_layers": 3}, freeze=False)
    for name, (rate, _) in rates_of(upstream, of_upstream(upstream, 1.0, 0.5)).items():
        layer = int(name.partition("layers.")[2].partition(".")[0])
        assert rate == 0.5 ** (2 - layer)


def test_adapters_have_the_rates_of_their_layers():
    upstream = Hubert(config=TINY, freeze=False, adapter={"kind": "lora", "rank": 2})
    rates = rates_of(upstream, of_upstream(upstream, 1.0, 0.5))
    assert len(rates) == 12 and all("adapter" in name for name in rates)
    found = {name.partition("layers.")[2][0]: rate for name, (rate, _) in rates.items()}
    assert found == {"0": 0.25, "1": 0.5, "2": 1.0}


def test_a_schedule_scales_every_group():
    upstream = Hubert(config=TINY, freeze=False)
    optimizer = torch.optim.SGD(of_upstream(upstream, 0.1, 0.5), lr=0.1)
    before = [group["lr"] for group in optimizer.param_groups]
    for share in (0.1, 0.7):
        set_rates([optimizer], share)
    assert [g["lr"] for g in optimizer.param_groups] == [0.7 * lr for lr in before]
    assert initial_rate(optimizer) == 0.1
    resumed = torch.optim.SGD(of_upstream(upstream, 0.1, 0.5), lr=0.1)
    resumed.load_state_dict(optimizer.state_dict())
    for each in (optimizer, resumed):
        set_rates([each], 0.3)
    rates = [[g["lr"] for g in each.param_groups] for each in (optimizer, resumed)]
    assert rates[0] == rates[1]
