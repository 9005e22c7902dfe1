"""Acoustic features: S3PRL's numbers, Kaldi's and the STFT's formulas."""

import json

import numpy as np
import pytest
import torch
import yaml
from tensors import noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.features import (
    KaldiFeatures,
    StftFeatures,
    add_deltas,
    from_s3prl,
    normalize,
)

CARDS = ["fbank", "fbank_no_cmvn", "mfcc", "mel", "linear", "spectrogram", "stft_mag"]
VARIANTS = [
    KaldiFeatures("fbank", deltas=1, delta_window=9, num_mel_bins=40, use_energy=True),
    KaldiFeatures("fbank", snip_edges=False, frame_length=20, frame_shift=12.5),
    KaldiFeatures("mfcc", num_ceps=10, window_type="hamming", htk_compat=True),
    KaldiFeatures("spectrogram", round_to_power_of_two=False),
    StftFeatures("mel", deltas=2, n_fft=512, hop_ms=20),
    StftFeatures("mfcc", deltas=1, n_mels=40, n_mfcc=20),
    StftFeatures("linear", log=False, n_fft=401),
    StftFeatures("magnitude", log=False),
]


def error(result, reference):
    """Largest difference, relative to the largest value."""
    assert result.shape == reference.shape
    return abs(np.asarray(result) - reference).max() / abs(reference).max()


# ------------------------------------------------------------------ parity
def compare(upstream, folder):
    wavs, reference = np.load(folder.parent / "wavs.npz"), np.load(folder / "ref.npz")
    for name in json.loads((folder / "meta.json").read_text())["utterances"]:
        wav = torch.from_numpy(wavs[name])
        hidden_states, _ = upstream(wav[None])
        assert hidden_states[0].shape[1] == upstream.frames(len(wav))
        assert error(hidden_states[0][0], reference[f"{name}/h0"]) < 1e-4


def test_s3prl_custom(oracle_folder):
    folder = oracle_folder / "baseline_local_delta"
    config = yaml.safe_load((folder / "conf.yaml").read_text())
    compare(from_s3prl(config), folder)
    compare(StftFeatures("mfcc", deltas=2), folder)


# ------------------------------------------- independent, runs everywhere
def triangles(edges, points):
    """Filters [points, bands] between neighbouring edges."""
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    up = (points[:, None] - left) / (centre - left)
    down = (right - points[:, None]) / (right - centre)
    return np.maximum(0, np.minimum(up, down))


def htk(hertz):
    return 2595 * np.log10(1 + hertz / 700)


def cmvn(x):
    return (x - x.mean(0)) / x.std(0, ddof=1)


def differences(x):
    index = np.clip(np.arange(-2, len(x) + 2), 0, len(x) - 1)
    x, n = x[index], len(x)
    return (2 * x[4 : 4 + n] + x[3 : 3 + n] - x[1 : 1 + n] - 2 * x[:n]) / 10


def power_frames(wav, hop=160):
    """Power spectra of the centred STFT with a periodic Hann window of 400."""
    padded = np.pad(wav, 200, mode="reflect")
    window = np.hanning(401)[:-1]
    starts = range(0, len(padded) - 400 + 1, hop)
    frames = np.stack([padded[s : s + 400] * window for s in starts])
    return abs(np.fft.rfft(frames)) ** 2


def mel_power(wav, bands):
    points = 700 * (10 ** (np.linspace(0, htk(8000), bands + 2) / 2595) - 1)
    return power_frames(wav) @ triangles(points, np.linspace(0, 8000, 201))


def test_mel_formula():
    wav = noise(9999)
    expected = cmvn(np.log(mel_power(wav.double().numpy(), 80) + 1e-10))
    assert error(load("mel")(wav[None])[0][0][0], expected) < 1e-4


def test_linear_formula():
    wav = noise(9999)
    expected = cmvn(np.log(power_frames(wav.double().numpy()) + 1e-10))
    assert error(load("linear")(wav[None])[0][0][0], expected) < 1e-4


def test_stft_mfcc_formula():
    scipy_fft = pytest.importorskip("scipy.fft")
    wav = noise(9999)
    mel = np.log(mel_power(wav.double().numpy(), 40) + 1e-6)
    expected = scipy_fft.dct(mel, norm="ortho")[:, :13]
    upstream = StftFeatures("mfcc", n_mels=40, cmvn=False)
    assert error(upstream(wav[None])[0][0][0], expected) < 1e-4


def test_fbank_formula():
    wav = noise(9999)
    x = wav.double().numpy()
    frames = np.stack([x[s : s + 400] for s in range(0, len(x) - 399, 160)])
    frames = frames - frames.mean(1, keepdims=True)
    frames = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], 1)
    power = abs(np.fft.rfft(frames * np.hanning(400) ** 0.85, 512)) ** 2
    hertz = np.arange(257) * 16000 / 512
    edges = np.linspace(*(1127 * np.log1p(np.array([20, 8000]) / 700)), 82)
    mel = np.log(power @ triangles(edges, 1127 * np.log1p(hertz / 700)))
    first = differences(mel)
    expected = np.concatenate([mel, first, differences(first)], 1)
    assert error(load("fbank_no_cmvn")(wav[None])[0][0][0], expected) < 1e-4
    assert error(load("fbank")(wav[None])[0][0][0], cmvn(expected)) < 1e-4


@pytest.mark.parametrize("window", [3, 5, 9])
@pytest.mark.parametrize("frames", [1, 2, 30])
def test_deltas_are_torchaudios(frames, window):
    from torchaudio.functional import compute_deltas

    x = torch.randn(2, frames, 7)
    first = compute_deltas(x.mT, window)
    expected = torch.cat([x.mT, first, compute_deltas(first, window)], 1).mT
    torch.testing.assert_close(add_deltas(x, 2, window), expected)


# ------------------------------------------------------------ the contract
@pytest.mark.parametrize("name", [*CARDS, "baseline"])
def test_contract(name):
    check_upstream(load(name))
    check_upstream(load(name, precision="bf16"))


@pytest.mark.parametrize("upstream", VARIANTS, ids=range(len(VARIANTS)))
def test_frames_are_exact(upstream):
    check_upstream(upstream)
    wav = noise(5000)
    for samples in range(1, 5000, 97):
        state = upstream(wav[None, :samples])[0][0]
        assert state.shape[1:] == (upstream.frames(samples), upstream.output_size)
        assert torch.isfinite(state).all()


@pytest.mark.parametrize("name", CARDS)
def test_batch_against_alone(name):
    upstream = load(name)
    samples = [300, 16000, 399, 7777, 16000, 1]
    wavs = [noise(n, seed=i) for i, n in enumerate(samples)]
    wavs[3][6000:] = 0  # digital silence at the end is audio
    together = upstream.extract(wavs)["hidden_states"][0]
    for i, wav in enumerate(wavs):
        alone = upstream(wav[None])[0][0][0]
        assert len(alone) == upstream.frames(len(wav))
        limit = 1e-5 * alone.abs().max().item()
        torch.testing.assert_close(together[i, : len(alone)], alone, rtol=0, atol=limit)
        assert (together[i, len(alone) :] == 0).all()


def test_the_mean_is_zero_also_after_an_unusual_first_frame():
    """The rounding of a mean far from zero would remain in every frame."""
    x = noise(2 * 300 * 201).reshape(2, 300, 201)
    x[:, 0] -= 1
    assert normalize(x).double().mean(1).abs().max() < 1e-7  # 2e-6 by one subtraction


def test_one_frame_and_silence_are_zero():
    assert normalize(torch.full((1, 1, 3), -15.9)).eq(0).all()
    silence = torch.zeros(1, 8000)
    for name in ("fbank", "mfcc", "mel", "linear", "spectrogram"):
        assert load(name)(silence)[0][0].eq(0).all()
    assert load("fbank")(noise(300)[None])[0][0].eq(0).all()  # a single frame


def test_features_stay_fp32_under_autocast():
    wav = noise(8000)[None]
    for name in ("fbank", "mel"):
        expected = load(name)(wav)[0][0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(load(name)(wav)[0][0], expected)
        half = load(name, precision="bf16")(wav)[0][0]
        assert torch.equal(half, expected.bfloat16())


def test_arguments_are_recorded():
    arguments = KaldiFeatures("fbank", num_mel_bins=40).arguments
    assert arguments["feature"] == "fbank"
    assert arguments["options"] == {"num_mel_bins": 40}


# ---------------------------------------------------------------- mistakes
@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: KaldiFeatures("fbanks"), "Unknown feature: fbanks. Known: fbank"),
        (lambda: KaldiFeatures("mfcc", n_ceps=13), "n_ceps. Known: .*num_ceps"),
        (lambda: KaldiFeatures("fbank", dither=1.0), "Unknown option .*dither"),
        (lambda: KaldiFeatures("fbank", delta_window=4), "delta_window odd"),
        (lambda: StftFeatures("fbank"), "Known: mel, linear, mfcc, magnitude"),
        (lambda: StftFeatures("mel", n_fft=256), "must fit n_fft"),
        (lambda: StftFeatures("mfcc", n_mels=12), "n_mfcc 13"),
        (lambda: from_s3prl({"model": {}}), "this one has: model"),
        (lambda: from_s3prl({"input": {"feat_type": "wav"}}), "feature: wav"),
        (lambda: from_s3prl({"kaldi": {}, "cmvn": {"eps": 1}}), "cmvn: eps"),
    ],
)
def test_mistakes_are_explained(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_s3prl_kaldi_configuration():
    config = {
        "kaldi": {"feat_type": "mfcc", "mfcc": {"num_ceps": 12, "dither": 0.0}},
        "delta": {"order": 1, "win_length": 3},
        "cmvn": {"use_cmvn": False},
    }
    upstream = from_s3prl(config)
    expected = KaldiFeatures("mfcc", 1, 3, cmvn=False, num_ceps=12)
    wav = noise(8000)[None]
    assert torch.equal(upstream(wav)[0][0], expected(wav)[0][0])
    assert upstream.output_size == 24


@pytest.mark.parametrize("seconds", [3.0, 3.5])
@pytest.mark.parametrize(
    "build",
    [
        lambda: KaldiFeatures("fbank", num_mel_bins=80),
        lambda: KaldiFeatures("mfcc", deltas=1, cmvn=False),
        lambda: KaldiFeatures("spectrogram", snip_edges=False),
        lambda: KaldiFeatures("fbank", subtract_mean=True),
        lambda: StftFeatures("mel", deltas=2),
        lambda: StftFeatures("linear", n_fft=512, cmvn=False),
        lambda: StftFeatures("magnitude", n_fft=401),
        lambda: StftFeatures("mfcc"),
    ],
)
def test_long_audio_in_pieces(build, seconds, monkeypatch):
    """The same, whether it is computed at once or in pieces.

    Normalization sums in another order there. Both results are within 1.1e-6 of that in
    float64, given the same spectrum, and within 1e-6 of each other.
    """
    wavs = 0.1 * torch.randn(2, round(seconds * 16000))
    expected = build()(wavs)[0][0]
    seen = []
    monkeypatch.setattr("s3prl_sb.lobes.upstreams.features.LONG", 150)
    monkeypatch.setattr("s3prl_sb.lobes.upstreams.features.PIECE", 70)
    upstream = build()
    pieces = upstream.pieces
    upstream.pieces = lambda *given: (
        seen.append(p.shape[1]) or p for p in pieces(*given)
    )
    found = upstream(wavs)[0][0]
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-6)
    assert seen and sum(seen) % expected.shape[1] == 0
