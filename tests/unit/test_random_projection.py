import numpy
import torch
from speechbrain.nnet import quantisers

from s3prl_sb.lobes.pretext.random_projection import RandomProjectionQuantizer


def test_code_is_the_nearest_by_brute_force():
    quantizer, x = RandomProjectionQuantizer(12, entries=300), torch.randn(50, 12)
    projected = x.numpy().astype("float64") @ quantizer.projection.numpy()
    projected /= numpy.linalg.norm(projected, axis=1, keepdims=True)
    gaps = projected[:, None] - quantizer.codebook.numpy()[None]
    expected = numpy.linalg.norm(gaps, axis=-1).argmin(1)
    assert quantizer(x).tolist() == expected.tolist()
    assert len(set(expected)) > 20


def test_codes_are_those_of_speechbrain():
    ours = RandomProjectionQuantizer(12, entries=300)
    theirs = quantisers.RandomProjectionQuantizer(12, 16, 300)
    theirs.load_state_dict({"P": ours.projection, "CB": ours.codebook})
    x = torch.randn(1, 50, 12)
    assert torch.equal(ours(x[0]), theirs(x)[0])


def test_initialization():
    quantizer = RandomProjectionQuantizer(320, entries=8192)
    limit = (6 / (320 + 16)) ** 0.5
    assert 0.99 * limit < quantizer.projection.abs().max() <= limit
    torch.testing.assert_close(quantizer.codebook.norm(dim=1), torch.ones(8192))
    assert quantizer.codebook.mean(0).abs().max() < 0.02


def test_seed_alone_decides_and_checkpoints_contain_it():
    torch.manual_seed(1)
    first = RandomProjectionQuantizer(12, entries=8, seed=3)
    torch.manual_seed(2)
    again, other = (RandomProjectionQuantizer(12, entries=8, seed=s) for s in (3, 4))
    assert torch.equal(first.projection, again.projection)
    assert not torch.equal(first.codebook, other.codebook)
    assert not list(first.parameters())
    other.load_state_dict(first.state_dict())
    assert torch.equal(first.codebook, other.codebook)


def test_mixed_precision_changes_no_code():
    quantizer, x = RandomProjectionQuantizer(12, entries=300), torch.randn(200, 12)
    expected = quantizer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quantizer(x), expected)
    assert torch.equal(quantizer.half()(x), expected)
