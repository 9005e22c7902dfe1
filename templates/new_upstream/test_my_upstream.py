"""My upstream keeps the contract, and loads what was pre-trained."""

import os

import pytest
import torch

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams import load

CARD = __file__.replace("test_my_upstream.py", "card.yaml")
SMALL = {"hidden_size": 8, "num_layers": 1}


@pytest.fixture
def checkpoint():
    """A checkpoint as the training script saves it."""
    trained = load(CARD, config=SMALL, seed=1)
    model = {f"module.{n}": w for n, w in trained.network.state_dict().items()}
    model["head.weight"] = torch.zeros(8, 8)
    return {"config": SMALL, "model": model}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_contract(precision):
    # The batch against each utterance alone, all lengths, silence, bad audio,
    # frozen and trained: what a reviewer would ask for.
    check_upstream(load(CARD, precision=precision))


def test_checkpoint(checkpoint, tmp_path):
    torch.save(checkpoint, tmp_path / "my.ckpt")
    wav = torch.randn(1, 8000)
    states, _ = load(CARD, source=str(tmp_path / "my.ckpt"))(wav)
    expected, _ = load(CARD, config=SMALL, seed=1)(wav)
    assert len(states) == 2  # the checkpoint's architecture, not the card's
    assert all(map(torch.equal, states, expected))
    # Better still: compare with numbers that your original code has written down.


def test_checkpoint_that_lacks_something(checkpoint, tmp_path):
    del checkpoint["model"]["module.convolution.bias"]
    torch.save(checkpoint, tmp_path / "my.ckpt")
    with pytest.raises(CheckpointError, match="missing .*convolution.bias"):
        load(CARD, source=str(tmp_path / "my.ckpt"))


def test_checkpoint_that_is_a_program(checkpoint, tmp_path):
    class Program:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "proof"),)

    torch.save({**checkpoint, "more": Program()}, tmp_path / "my.ckpt")
    with pytest.raises(CheckpointError, match="refused"):
        load(CARD, source=str(tmp_path / "my.ckpt"))
    assert not (tmp_path / "proof").exists()


def test_seeds():
    wav, state = torch.randn(1, 8000), torch.random.get_rng_state()
    one, same, other = (load(CARD, seed=n)(wav)[0][-1] for n in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)
