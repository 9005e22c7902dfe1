"""The base class of models over patches: frames, chunks, bands, the shortest audio."""

import pytest
import torch
from tensors import noise

from s3prl_sb.lobes.upstreams.atst import Atst, AtstClip
from s3prl_sb.lobes.upstreams.ced import Ced
from s3prl_sb.lobes.upstreams.dasheng import Dasheng
from s3prl_sb.lobes.upstreams.eat import Eat
from s3prl_sb.lobes.upstreams.m2d import M2d

TINY = {"hidden_size": 32, "ffn_size": 48, "num_layers": 2, "num_heads": 4}


def states(upstream, wav):
    return upstream(wav[None])[0]


@pytest.mark.parametrize("kind", [Atst, AtstClip, Eat, Dasheng, Ced, M2d])
def test_frames_are_one_stride_apart_across_chunks(kind):
    """After an hour they would be late by seconds if a chunk had a rest."""
    upstream = kind(config={**TINY, "num_layers": 1})
    assert upstream.chunk % upstream.config.patch[1] == 0
    for samples in (16001, 16000 * 9, upstream.min_samples):
        frames = upstream.frames(samples)
        for more in (1, 7, 70, 22_500):
            assert upstream.frames(samples + more * upstream.stride) == frames + more
    state = states(upstream, noise(16000 * 14))[0]
    assert state.shape[1] == upstream.frames(16000 * 14)


@pytest.mark.parametrize("kind", [Atst, AtstClip, Eat])
def test_the_shortest_audio_has_one_frame(kind):
    upstream = kind(config=TINY)
    least = upstream.min_samples
    assert upstream.features.frames(least) >= upstream.config.patch[1]
    front_end_needs = upstream.features.min_samples
    if least > front_end_needs:
        assert upstream.features.frames(least - 1) < upstream.config.patch[1]
    for samples in (1, least - 1, least):
        assert states(upstream, noise(samples))[0].shape == (1, 1, 32)


@pytest.mark.parametrize("kind", [Ced, Eat])
def test_the_mean_over_bands_is_that_of_the_bands_side_by_side(kind):
    mean, concat = (kind(config=TINY, bands=bands) for bands in ("mean", "concat"))
    bands = mean.config.grid[0]
    assert (mean.output_size, concat.output_size) == (32, 32 * bands)
    wav = noise(20000)
    for one, all_of_them in zip(states(mean, wav), states(concat, wav)):
        expected = all_of_them.unflatten(-1, (bands, 32)).mean(2)
        torch.testing.assert_close(one, expected)


def test_chunks_do_not_see_each_other():
    """Frames of the second chunk depend on its own part of the spectrogram alone."""
    upstream = Atst(config={**TINY, "grid": [1, 10], "chunk": 40})
    spectrogram = torch.randn(64, 40 + 30)
    upstream.spectrograms = lambda wavs: [spectrogram]
    whole = list(upstream.encode_packed([None]))
    upstream.spectrograms = lambda wavs: [spectrogram[:, 40:]]
    second = list(upstream.encode_packed([None]))
    for state, alone in zip(whole, second):
        assert state.shape == (10 + 7, 32)
        assert torch.equal(state[10:], alone)


def test_loudness_of_the_company_has_no_influence():
    """The range of 80 dB is that of each utterance."""
    upstream = Atst(config=TINY)
    quiet, loud = 1e-5 * noise(16000, seed=1), 5 * noise(16000, seed=2)
    together, _ = upstream(torch.stack([quiet, loud]))
    for state, alone in zip(together, states(upstream, quiet)):
        torch.testing.assert_close(state[0], alone[0], rtol=0, atol=1e-5)


def test_attention_sees_no_more_than_a_chunk():
    upstream = Atst(config={**TINY, "num_layers": 1})
    lengths = []
    layer = upstream.network.layers[0]
    layer.register_forward_pre_hook(lambda _, args: lengths.extend(args[1]))
    states(upstream, torch.zeros(16000 * 60))
    assert max(lengths) == 250 and sum(lengths) == upstream.frames(16000 * 60)


def test_mistakes_are_explained():
    with pytest.raises(ValueError, match="Unknown bands 'max'. Known: mean, concat"):
        Eat(config=TINY, bands="max")
    with pytest.raises(ValueError, match=r"patch_stride \[10, 10\] overlap over time"):
        Eat(config={**TINY, "patch_stride": [10, 10]})
    with pytest.raises(ValueError, match="Unknown config: depth. Known: hidden_size"):
        Atst(config={"depth": 3})
    for chunk in (0, 42, 1004):
        with pytest.raises(
            ValueError, match=f"{chunk} frames are not 1 to 250 patches"
        ):
            Atst(config={**TINY, "chunk": chunk})
