"""The base class of models over patches: frames, chunks, bands, the shortest audio."""

import pytest
import torch

from s3prl_sb.lobes.upstreams.atst import Atst, AtstClip
from s3prl_sb.lobes.upstreams.ced import Ced
from s3prl_sb.lobes.upstreams.eat import Eat

TINY = {"hidden_size": 32, "ffn_size": 48, "num_layers": 2, "num_heads": 4}


def noise(samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(samples, generator=generator)


def states(upstream, wav):
    return upstream(wav[None])[0]


@pytest.mark.parametrize("kind", [Atst, AtstClip, Eat])
def test_frames_are_whole_patches_of_chunks(kind):
    """Counted one spectrogram frame at a time."""
    options = {"grid": [8, 5]} if kind is Eat else {"grid": [1, 5], "chunk": 21}
    upstream = kind(config={**TINY, **options})
    wide, chunk = upstream.config.patch[1], upstream.chunk
    for frames in (
        wide,
        wide + 1,
        chunk - 1,
        chunk,
        chunk + wide,
        3 * chunk + 2 * wide,
    ):
        samples = 160 * (frames - 1) + (400 if kind is Eat else 0)
        samples = max(samples, upstream.min_samples)
        assert upstream.features.frames(samples) == frames
        left, patches = frames, 0
        while left > 0:
            patches += min(left, chunk) // wide
            left -= chunk
        assert upstream.frames(samples) == patches


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
    upstream = Atst(config={**TINY, "grid": [1, 10], "chunk": 41})
    spectrogram = torch.randn(64, 41 + 30)
    upstream.spectrograms = lambda wavs: [spectrogram]
    whole = list(upstream.encode_packed([None]))
    upstream.spectrograms = lambda wavs: [spectrogram[:, 41:]]
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
    for chunk in (3, 1004):
        with pytest.raises(
            ValueError, match=f"{chunk} frames are not 1 to 250 patches"
        ):
            Atst(config={**TINY, "chunk": chunk})
