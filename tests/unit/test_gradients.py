"""Weights without a gradient are known before training begins."""

import pytest
import torch

from s3prl_sb.brains.distributed import may_leave_weights_out
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.upstreams.distilhubert import DistilHubert
from s3prl_sb.lobes.upstreams.hubert import Hubert

SMALL = {"conv_layers": [[32, 10, 5], [32, 8, 4], [32, 4, 4]], "hidden_size": 32}
SMALL |= {"ffn_size": 48, "num_layers": 2, "num_heads": 2}
KINDS = {
    "hubert": lambda **more: Hubert(config=SMALL, **more),
    # Its last hidden states are heads beside one another.
    "distilhubert": lambda **more: DistilHubert(
        config={**SMALL, "target_size": 32}, **more
    ),
}


@pytest.mark.parametrize("layers", ["all", "last", 0, [1, 2]])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_no_step_trains(kind, layers):
    upstream = KINDS[kind](freeze=False, freeze_front_end=False).train()
    featurizer = Featurizer(upstream.num_layers, layers)
    told = may_leave_weights_out(upstream, featurizer)
    assert upstream.training and not any(
        p.grad is not None for p in upstream.parameters()
    )
    features = featurizer(upstream(0.1 * torch.randn(2, 16000))[0])
    (features * torch.randn_like(features)).sum().backward()
    trained = [p for p in upstream.parameters() if p.requires_grad]
    assert told == any(p.grad is None for p in trained)


def test_frozen_and_dropped_layers():
    frozen = KINDS["hubert"]()
    assert not may_leave_weights_out(frozen, Featurizer(3, 0))
    dropping = KINDS["hubert"](freeze=False, layerdrop=0.1)
    assert may_leave_weights_out(dropping, Featurizer(3, "all"))


def test_the_generator_of_training_stays_where_it_was():
    """Or a run on two processes would be another one than it was."""
    before = torch.get_rng_state()
    upstream = KINDS["distilhubert"](freeze=False)
    may_leave_weights_out(upstream, Featurizer(upstream.num_layers, "last"))
    assert torch.equal(before, torch.get_rng_state())
