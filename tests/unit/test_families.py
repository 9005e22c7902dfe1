"""The protocol of a family: signatures, weights in memory, unknown entries."""

import dataclasses
import inspect

import pytest
import torch

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.decoar import Decoar
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.lighthubert import LightHubert
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

TINY = {"hidden_size": 16, "ffn_size": 16, "num_layers": 2, "num_heads": 2}
TINY |= {"position_kernel": 8, "position_groups": 2, "conv_layers": [[8, 10, 5]]}
CASES = [(Apc, {"hidden_size": 8, "codebook_size": [4]}), (Hubert, TINY)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family, config", CASES)
def test_weights_in_memory(family, config, precision):
    expected = family(config=config, seed=3, precision=precision)
    weights = family(config=config, seed=3).network.state_dict()
    entries = dataclasses.asdict(expected.config)
    upstream = family.from_weights(entries, weights, precision=precision)
    assert not any(p.requires_grad for p in upstream.parameters())
    wavs = 0.1 * torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    for one, other in zip(upstream(wavs)[0], expected(wavs)[0]):
        assert one.dtype == other.dtype and torch.equal(one, other)
    weights.popitem()
    with pytest.raises(CheckpointError, match="'here' does not fit .*\n  missing"):
        family.from_weights(entries, weights, "here")


def test_options_are_in_the_signature():
    names = list(inspect.signature(Decoar.__init__).parameters)
    assert names[:4] == ["self", "source", "config", "every_layer"]
    assert names[4:] == ["freeze", "precision", "adapter", "seed"]
    tiny = {"hidden_size": 8}
    assert Decoar(config=tiny).arguments == Decoar(config=tiny, freeze=True).arguments
    assert Decoar(config=tiny, freeze="no").freeze is False


def test_positional_arguments():
    """In the order of the family, then ``freeze`` and ``precision``; never others."""
    tiny = {"hidden_size": 8}
    assert Apc(None, tiny, False).freeze is False
    assert Decoar(None, tiny, True, True, "bf16").precision == "bf16"
    assert Hubert(None, TINY, "fairseq_layers", False).freeze is False
    for cls in (LightHubert, Hubert):
        names = list(inspect.signature(cls.__init__).parameters)
        assert names.index("precision") == names.index("freeze") + 1 < 6
    with pytest.raises(TypeError, match=r"Apc.__init__\(\) too many positional"):
        Apc(None, tiny, False, "fp32", 3)
    with pytest.raises(TypeError, match=r"Apc.__init__\(\) got an unexpected .*'fox'"):
        Apc(fox=1)


def test_subclasses_with_any_signature():
    class Positional(Apc):
        def __init__(self, source=None, config=None, freeze=True, precision="fp32"):
            super().__init__(source, config, freeze, precision)

    class Variadic(Apc):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    class Mine(Variadic):
        def __init__(self, mine=3, **options):
            super().__init__(**options)

    tiny = {"hidden_size": 8}
    assert Positional(None, tiny, False).freeze is False
    assert Variadic(None, tiny, False).freeze is False
    assert Variadic(None, tiny).arguments == {"args": (None, tiny), "kwargs": {}}
    assert Mine(4, config=tiny, freeze=False).output_size == 8


def test_features_are_counted_by_their_front_end():
    upstream = Apc(config={"audio": {"frame_shift": 20}})
    assert upstream.stride == upstream.features.stride == 320
    assert upstream.frames(1) == 1 and upstream.frames(16000) == 49
    assert upstream.min_samples == 400


def test_unknown_entries_are_refused():
    @dataclasses.dataclass
    class Config:
        size: int = 4

    class Mine(PretrainedUpstream):
        stride, num_layers, output_size = 160, 1, 4

        def make_network(self):
            return torch.nn.Linear(160, self.config.size)

    Mine.Config = Config
    assert Mine(config={"size": 2}).network.out_features == 2
    with pytest.raises(ValueError, match="Unknown entry of config: a, b. Known: size"):
        Mine(config={"a": 1, "size": 2, "b": 1})


@pytest.mark.parametrize("family", [Apc, Hubert, LightHubert])
@pytest.mark.parametrize("config", [[1], "base", 3])
def test_a_config_that_is_no_dict(family, config):
    with pytest.raises(ValueError, match=r"config is a dict of entries, not"):
        family(config=config)
