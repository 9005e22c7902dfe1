"""Trimming silence against the rules, sample by sample."""

import json

import numpy as np
import pytest
import torch

from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.extraction import describe
from s3prl_sb.dataio.pipes import LoadAudio
from s3prl_sb.dataio.silence import TrimSilence
from s3prl_sb.lobes.upstreams import load

RATE, WINDOW, ENOUGH = 1000, 20, 100


def plain(samples, threshold, forgets=False):
    """The indices that stay, by a machine that sees one sample at a time.

    ``forgets``: as sox does, the level starts from nothing after a pause.
    """
    kept, held, history, copying = [], [], [0.0] * WINDOW, False
    for index, sample in enumerate(samples):
        history = [*history[1:], float(sample) ** 2]
        loud = sum(history) / WINDOW >= threshold**2
        if loud != copying:
            held.append(index)
            if len(held) == ENOUGH:
                if not copying:
                    kept += held
                elif forgets:
                    history = [0.0] * WINDOW
                held, copying = [], not copying
        elif copying:
            kept += [*held, index]
            held = []
        else:
            held = []
    return kept + held if copying else kept


def random_speech(seed):
    """Stretches of any length, of any level."""
    rng = np.random.default_rng(seed)
    parts = [
        rng.choice([0, 1e-4, 1e-3, 0.02, 0.5]) * rng.standard_normal(rng.integers(250))
        for _ in range(rng.integers(1, 15))
    ]
    return torch.tensor(np.concatenate([[0.0], *parts]), dtype=torch.float32)


@pytest.mark.parametrize("seed", range(25))
def test_against_the_rules(seed):
    sig, trim = random_speech(seed), TrimSilence(threshold=-40, sample_rate=RATE)
    kept = plain(sig.tolist(), 0.01)
    found = [i for start, stop in trim.sounds(sig) for i in range(start, stop)]
    assert found == kept
    expected = sig[kept] if kept else sig
    assert torch.equal(trim.trim(sig), expected)
    # Sox may leave out up to a window more after each pause, and nothing else
    sox = plain(sig.tolist(), 0.01, forgets=True)
    lost = set(kept) - set(sox)
    assert set(sox) <= set(kept)
    if len(sox):
        assert len(lost) <= WINDOW * len(trim.sounds(sig))


def test_default_threshold():
    """0.1 % of full scale, of what is 3 dB quieter."""
    trim = TrimSilence()
    assert 10 ** ((trim.threshold - 3) / 20) == pytest.approx(0.001, rel=1e-6)
    quiet = torch.full((16000,), 0.00141)
    assert trim.sounds(quiet) == []
    [(start, stop)] = trim.sounds(1.01 * quiet)
    assert 310 < start < 320 and stop == 16000  # once it fills the window


def test_nothing_is_made_up():
    trim = TrimSilence()
    for sig in (torch.zeros(5000), torch.zeros(1), 0.5 * torch.ones(300)):
        assert torch.equal(trim.trim(sig), sig)
    with pytest.raises(ValueError, match="must be > 0"):
        TrimSilence(seconds=0)


def test_in_a_dataset_and_in_the_name_of_a_cache(tmp_path):
    from speechbrain.dataio import audio_io

    wav = str(tmp_path / "a.wav")
    sig = torch.cat([torch.zeros(8000), 0.1 * torch.ones(8000), torch.zeros(8000)])
    audio_io.save(wav, sig[None], 16000)
    record = {"wav": wav, "start": None, "stop": None, "duration": 1.5}
    pipes = [LoadAudio(), TrimSilence()]
    dataset = ManifestDataset({"a": record}, pipes, ["sig"])
    assert 8000 <= len(dataset[0]["sig"]) < 8400
    assert dataset.variants(0) == 1
    described = []
    for threshold in (-57.0, -50.0):
        pipes[1] = TrimSilence(threshold=threshold)
        dataset = ManifestDataset({"a": record}, pipes, ["sig"])
        described.append(describe(load("fbank_no_cmvn"), dataset, "frames")["audio"])
    assert described[0] != described[1]
    text = json.dumps(described[0][1])
    assert "TrimSilence" in text and '["threshold", -57.0]' in text
