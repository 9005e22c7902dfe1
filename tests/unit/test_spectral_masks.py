"""Spectra, masks over them, the loss in any order, and the waveforms that come out."""

import itertools

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from s3prl_sb.lobes.permutation_invariant import permutation_invariant_distance
from s3prl_sb.lobes.spectral_masks import (
    COMPRESSIONS,
    TARGETS,
    estimated_masks,
    separated,
    target_magnitudes,
)
from s3prl_sb.lobes.stft import STFT, STFTError, align, hop_for


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("samples", [1, 200, 5119, 5120, 5121])
def test_frames_of_a_waveform_do_not_depend_on_padding(samples):
    stft, wav = STFT(512, 400, 160), noise(samples)
    alone, frames = stft(wav), stft.frames(samples)
    assert alone.shape == (frames, stft.bins) == (1 + samples // 160, 257)
    batch = pad_sequence([noise(6000, seed=1), wav], batch_first=True)
    assert torch.equal(stft(batch)[1, :frames], alone)


def test_a_frame_is_centred_and_windowed():
    stft, wav = STFT(64, 32, 16), noise(200)
    part = torch.zeros(64)
    part[16:48] = wav[80 - 16 : 80 + 16] * torch.hann_window(32)
    expected = torch.fft.rfft(part)
    assert torch.allclose(stft(wav)[5], expected, atol=1e-5)


@pytest.mark.parametrize(
    "sizes, words",
    [
        ((512, 512, 400), "choose 1 to 384"),
        ((512, 1024, 160), "raise n_fft"),
        ((512, 512, 0), "choose 1 to 384"),
    ],
)
def test_impossible_sizes(sizes, words):
    with pytest.raises(STFTError, match=words):
        STFT(*sizes)


@pytest.mark.parametrize("stride", [160, 441, 640])
@pytest.mark.parametrize("samples", [1, 4801])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_ones_give_the_mixture_to_its_last_sample(stride, samples, compression):
    """For upstreams of any stride."""
    stft = STFT(512, hop_length=hop_for(stride, 512))
    mixture = noise(samples)
    masks = torch.ones(stft.frames(samples), 2, stft.bins)
    found = separated(masks, mixture, stft, compression)
    assert found.shape == (2, samples)
    assert torch.allclose(found, mixture.expand(2, -1), atol=2e-5)


def test_no_impulse_at_the_end():
    """The last samples of a wrong spectrum are not larger than the others."""
    stft, mixture = STFT(512, hop_length=320), noise(4790)
    masks = noise(stft.frames(4790), 1, 257).abs()
    assert separated(masks, mixture, stft).abs().max() < 2 * mixture.abs().max()
    plain = masks[:, 0] * stft(mixture)
    impulse = stft.inverse(plain, 4790)  # what the transform without more frames gives
    assert impulse.abs().max() > 5 * mixture.abs().max()


def test_targets_are_projections_on_the_mixture():
    mixture = torch.polar(torch.tensor([2.0, 1.0, 0.0]), torch.tensor([0.3, -2.0, 0.0]))
    source = torch.polar(torch.tensor([1.5, 4.0, 3.0]), torch.tensor([0.8, 1.0, 2.0]))
    angles = torch.tensor([0.5, 3.0, 2.0])  # between them; zero has the phase zero
    expected = {
        "am": source.abs(),
        "psm": source.abs() * angles.cos(),
        "npsm": source.abs() * angles.cos().clamp_min(0),
    }
    for name in TARGETS:
        found = target_magnitudes(mixture[None, None], source[None, None, None], name)
        assert torch.allclose(found[0, 0, 0], expected[name], atol=1e-6)


@pytest.mark.parametrize("distance, power", [("mse", 2), ("l1", 1)])
@pytest.mark.parametrize("sources", [1, 2, 3])
def test_distance_is_the_least_of_all_orders(distance, power, sources):
    """Each utterance alone, without what is beyond its frames."""
    counts = [7, 4]
    estimates, references = noise(2, 7, sources, 5), noise(2, 7, sources, 5, seed=1)
    expected, orders = [], []
    for row, count in enumerate(counts):
        sums = {
            order: sum(
                (estimates[row, :count, i] - references[row, :count, j])
                .abs()
                .pow(power)
                .sum()
                .item()
                for i, j in enumerate(order)
            )
            for order in itertools.permutations(range(sources))
        }
        orders.append(list(min(sums, key=sums.get)))
        expected.append(min(sums.values()) / (count * sources))
    loss, found = permutation_invariant_distance(
        estimates, references, torch.tensor(counts), distance
    )
    assert loss.item() == pytest.approx(sum(expected) / 2, rel=1e-5)
    assert found.tolist() == orders


def test_features_are_held_where_an_upstream_ends():
    features = torch.arange(4.0).view(1, 4, 1)
    places = align(features, torch.ones(1), torch.tensor([6]), 320, 320)
    assert places[0, :, 0].tolist() == [0, 1, 2, 3, 3, 3]
    places = align(features, torch.ones(1), torch.tensor([9]), 213, 640)
    assert places[0, :, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2]
    fewer = align(features, torch.ones(1), torch.tensor([2]), 160, 160)
    assert fewer[0, :, 0].tolist() == [0, 1]


def test_masks_of_sources_are_consecutive():
    output = torch.tensor([[[-1.0, 2.0, 3.0, -4.0]]])
    assert estimated_masks(output, 2, "relu").tolist() == [[[[0, 2], [3, 0]]]]
    assert estimated_masks(output.bfloat16(), 1, "none").dtype == torch.float32
