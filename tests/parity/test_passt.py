"""PaSST: the formulas window by window, the authors' checkpoints, the cards."""

import naive_vision_transformer as naive
import pytest
import torch
import torchaudio
from tensors import close, noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.building import sizes_only
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams import load, names
from s3prl_sb.lobes.upstreams.passt import Passt, log_mel

TINY = {"hidden_size": 32, "ffn_size": 48, "num_layers": 2, "num_heads": 4}


def authors_checkpoint(times=99):
    """Random weights in the authors' format."""
    return {
        **naive.random_weights(),
        **naive.head(norm="head.0", linear="head.1"),
        "head_dist.weight": torch.ones(7, 128),
        "head_dist.bias": torch.ones(7),
        "cls_token": naive.noise(1, 1, 128, seed=5),
        "dist_token": naive.noise(1, 1, 128, seed=6),
        "new_pos_embed": naive.noise(1, 2, 128, seed=7),
        "freq_new_pos_embed": naive.noise(1, 128, 12, 1, seed=8),
        "time_new_pos_embed": naive.noise(1, 128, 1, times, seed=9),
    }


def features(window, hop):
    """[samples] -> [128, frames] with torchaudio's transforms."""
    x = torchaudio.functional.preemphasis(window, 0.97)[1:]
    stft = torchaudio.transforms.Spectrogram(
        1024, 800, hop, power=2, window_fn=lambda n: torch.hann_window(n, False)
    )
    banks, _ = torchaudio.compliance.kaldi.get_mel_banks(
        128, 1024, 32000, 0.0, 15000.0, 100.0, -500.0, 1.0
    )
    power = stft(x)
    assert banks.shape == (128, 512) and power.shape[0] == 513  # but for Nyquist's
    return ((banks @ power[:512] + 1e-5).log() + 4.5) / 5


def window_around(wav, frame, length):
    """Samples at 32 kHz around a multiple of 50 ms, mirrored at both ends."""
    first = frame * 1600 - length // 2
    places = torch.arange(first, first + length).abs()
    last = len(wav) - 1
    return wav[last - (last - places).abs()]


def expected_frame(weights, wav, frame, hop, lengths, mel):
    parts = []
    for length in lengths:
        x = features(window_around(wav, frame, length), hop)
        times = (x.shape[1] - 16) // 10 + 1
        positions = weights["freq_new_pos_embed"][0, :, :, 0].T[:, None]
        positions = positions + weights["time_new_pos_embed"][0, :, 0, :times].T
        tokens = torch.cat([weights["cls_token"][0], weights["dist_token"][0]])
        tokens = tokens + weights["new_pos_embed"][0]
        states = naive.forward(weights, x, positions, tokens, (10, 10))
        parts += naive.classify(weights, states[-1], "head.0", "head.1")
    if mel:
        parts.append(features(window_around(wav, frame, 6 * hop), hop).flatten())
    return torch.cat(parts)


@pytest.mark.parametrize(
    "options, lengths",
    [
        ({}, [5120]),
        ({"hop": 160, "scales": [1, 5]}, [5120, 25600]),
        ({"scales": [1, 4], "mel": True}, [5120, 20480]),
        ({"hop": 100, "mel": True}, [5120]),
    ],
    ids=str,
)
def test_authors_checkpoint(options, lengths, tmp_path):
    weights = authors_checkpoint()
    torch.save(weights, tmp_path / "passt.pt")
    upstream = Passt(tmp_path / "passt.pt", **options)
    wav = noise(8111)
    (state,), _ = upstream(wav[None])
    size = len(lengths) * (7 + 128) + 768 * ("mel" in options)
    assert state.shape == (1, 11, size) == (1, upstream.frames(8111), size)
    wav = torchaudio.transforms.Resample(16000, 32000)(wav)
    for frame in (0, 1, 5, 10):
        expected = expected_frame(
            weights, wav, frame, options.get("hop", 320), lengths, "mel" in options
        )
        close(state[0, frame], expected, 1e-4)


def test_audio_of_32_khz():
    """Nothing is resampled, and the frames are at the same times."""
    options = {"config": TINY, "scales": [1, 5], "mel": True}
    usual, wav = Passt(**options), noise(8111)
    upstream = Passt(**options, sample_rate=32000)
    (expected,), _ = usual(wav[None])
    wav = torchaudio.transforms.Resample(16000, 32000)(wav)
    (state,), _ = upstream(wav[None])
    close(state, expected, 1e-4)
    assert (upstream.sample_rate, upstream.stride) == (32000, 2 * usual.stride)
    for samples in (1, 2, 12801):
        (state,), _ = upstream(0.1 * torch.randn(1, samples))
        assert state.shape[1] == 1 + samples // 1600 and state.isfinite().all()
    with pytest.raises(ValueError, match="44100: PaSST is for 16000 or 32000 Hz"):
        Passt(config=TINY, sample_rate=44100)


def test_features_have_six_frames_in_the_short_window():
    for hop in (320, 160, 100):
        x = noise(6 * hop)
        assert log_mel(x[None], hop).shape == (1, 128, 6)
        torch.testing.assert_close(log_mel(x[None], hop)[0], features(x, hop))


def test_batches_of_windows_change_nothing(monkeypatch):
    upstream, wav = Passt(config=TINY), noise(16000)
    (whole,), _ = upstream(wav[None])
    monkeypatch.setattr("s3prl_sb.lobes.upstreams.passt.PATCHES", 24)
    (cut,), _ = upstream(wav[None])
    close(cut, whole)


@pytest.mark.parametrize("samples", [1, 2, 799, 800, 1280, 1281, 6400, 6401])
def test_short_audio(samples):
    """All lengths have the frames that their own length asks for."""
    upstream = Passt(config=TINY, scales=[1, 5], mel=True)
    for wav in (noise(samples), torch.zeros(samples)):
        (state,), _ = upstream(wav[None])
        assert state.shape == (1, 1 + samples // 800, upstream.output_size)
        assert state.isfinite().all()


@pytest.mark.parametrize("freeze", [False, True])
def test_contract(freeze):
    options = {"hop": 160, "scales": [1, 2], "mel": True, "stride_secs": 0.1}
    check_upstream(Passt(config=TINY, freeze=freeze, **options))


def test_training_is_not_random():
    upstream, wav = Passt(config=TINY, freeze=False), noise(8000)[None]
    assert upstream.training
    first, second = upstream(wav)[0][0], upstream(wav)[0][0]
    assert torch.equal(first, second)
    close(first, Passt(config=TINY)(wav)[0][0])


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "passt.pt"

    def error(change):
        weights = authors_checkpoint()
        change(weights)
        torch.save(weights, file)
        with pytest.raises(CheckpointError) as caught:
            Passt(file)
        return str(caught.value)

    message = error(lambda w: w.pop("time_new_pos_embed"))
    assert "not a checkpoint of PaSST" in message and "Its keys: blocks" in message
    assert "missing (1): norm.bias" in error(lambda w: w.pop("norm.bias"))
    assert "unexpected (1): extra" in error(lambda w: w.update(extra=torch.ones(1)))
    table = torch.ones(1, 128, 90, 1)
    message = error(lambda w: w.update(freq_new_pos_embed=table))
    assert "positions for 90 patches of 16 bands" in message


@pytest.mark.parametrize(
    "options, message",
    [
        ({"window_secs": 0.1}, "0.1 s has 0 patches over time; .* 1 to 99"),
        ({"scales": [1, 80]}, "12.8 s has 127 patches"),
        ({"scales": []}, "there must be a stride, a scale"),
        ({"hop": 50}, "100 samples or more"),
        ({"stride_secs": 0}, "there must be a stride"),
        ({"config": {"depth": 3}}, "Unknown config: depth"),
    ],
)
def test_mistakes_are_explained(options, message):
    with pytest.raises(ValueError, match=message):
        Passt(**{"config": TINY, **options})


def test_cards():
    sizes = {}
    with sizes_only():
        for name in names("passt_*"):
            upstream = load(name, source=None)
            sizes[name] = upstream.output_size
            ratio = 2 if name == "passt_base_32k" else 1
            assert (upstream.num_layers, upstream.stride) == (1, 800 * ratio)
            assert upstream.frames(17000 * ratio) == 22
    assert sorted(sizes.values()) == [1295] * 6 + [2590] * 3 + [3358] * 3
    assert sizes["passt_base20sec"] == sizes["passt_hop100base"] == 1295
    assert sizes["passt_base2level"] == sizes["passt_hop160base2lvl"] == 2590
    assert sizes["passt_base2levelmel"] == sizes["passt_hop100base2lvlmel"] == 3358
