"""Hours of audio: a hint where attention looks at all of it, and its memory."""

import weakref

import pytest
import torch

from s3prl_sb.lobes.networks import attention
from s3prl_sb.lobes.upstreams import base
from s3prl_sb.lobes.upstreams.beats import Beats
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.hubert import Hubert

TINY = {"hidden_size": 16, "ffn_size": 16, "num_layers": 2, "num_heads": 2}
TINY |= {"position_kernel": 8, "position_groups": 2, "conv_layers": [[8, 10, 160]]}


@pytest.fixture(autouse=True)
def a_second_is_long(monkeypatch):
    monkeypatch.setattr(base, "LONG", 1)
    monkeypatch.setattr(base._long, "seen", set())


def said(caplog):
    return [r.getMessage() for r in caplog.records if "chunk_seconds" in r.getMessage()]


def test_a_hint_is_given_once(caplog):
    upstream = Hubert(config=TINY)
    upstream(torch.zeros(1, 15_999))
    assert not said(caplog)
    for _ in range(3):
        upstream(torch.zeros(2, 48_000), torch.tensor([0.1, 1.0]))
    assert (
        len(said(caplog)) == 1 and "Hubert gets audio of 0 minutes" in said(caplog)[0]
    )


@pytest.mark.parametrize(
    "upstream", [Hubert(config=TINY, chunk_seconds=0.5), KaldiFeatures("fbank")]
)
def test_no_hint_where_it_would_not_help(upstream, caplog):
    upstream(torch.zeros(1, 48_000))
    assert not said(caplog)


def test_blocks_of_relative_attention_are_not_kept(monkeypatch):
    """Each is copied: small results between large blocks held the memory of these,
    14 GB for ten minutes."""
    monkeypatch.setattr(attention, "BLOCK", 2 * 64)
    tiny = {**TINY, "num_layers": 1}
    upstream = Beats(config={n: v for n, v in tiny.items() if n != "conv_layers"})
    layer, alive, most = upstream.network.encoder.layers[0].attention, [], 0
    compute = layer.kernel

    def kernel(*args):
        nonlocal most
        result = compute(*args)
        alive.append(weakref.ref(result.untyped_storage()))
        most = max(most, sum(each() is not None for each in alive))
        return result

    monkeypatch.setattr(layer, "kernel", kernel)
    upstream(torch.zeros(1, 32_000))
    assert len(alive) > 20 and most <= 2
