"""Audio in all kinds of containers: equal sound gives equal results."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from s3prl_sb.audio.resampling import resample
from s3prl_sb.audio.waveforms import AudioError, batched, waveforms
from s3prl_sb.dataio.audio import AudioFileError
from s3prl_sb.identity.code import code_of
from s3prl_sb.lobes.cards.hub import HubUpstream
from s3prl_sb.lobes.upstreams import load

SAMPLES = 4000


@pytest.fixture
def wav():
    """[samples], of values that 8 bits hold: the same in every type of integers."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-100, 100, (SAMPLES,), generator=generator) / 128


@pytest.fixture(scope="module")
def upstream():
    return load("fbank_no_cmvn")


def integers(wav, bits, dtype):
    return (wav * 2 ** (bits - 1)).to(dtype)


SAME = {
    "float32": lambda w: w,
    "float64": lambda w: w.double(),
    "bfloat16": lambda w: w.bfloat16(),
    "with a gradient": lambda w: w.clone().requires_grad_(),
    "numpy": lambda w: w.numpy(),
    "numpy float16": lambda w: w.half().numpy(),
    "numpy, backwards in memory": lambda w: w.flip(0).numpy()[::-1],
    "numpy, big-endian": lambda w: w.numpy().astype(">f4"),
    "numpy, read-only": lambda w: np.frombuffer(w.numpy().tobytes(), "float32"),
    "int8": lambda w: integers(w, 8, torch.int8),
    "uint8, as wav has it": lambda w: (w * 128 + 128).to(torch.uint8),
    "int16": lambda w: integers(w, 16, torch.int16),
    "int32": lambda w: integers(w.double(), 32, torch.int32),
    "numpy int16": lambda w: integers(w, 16, torch.int16).numpy(),
    "numpy int16, big-endian": lambda w: (w.numpy() * 32768).astype(">i2"),
    "[1, samples]": lambda w: w[None],
    "[samples, 1]": lambda w: w[:, None],
    "[2, samples]": lambda w: torch.stack([w + 0.125, w - 0.125]),
    "[samples, 2]": lambda w: torch.stack([w + 0.125, w - 0.125], 1),
    "[samples, 6], numpy": lambda w: w[:, None].repeat(1, 6).numpy(),
    "[2, samples], int16": lambda w: integers(torch.stack([w, w]), 16, torch.int16),
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_sound(kind, wav, upstream):
    given = SAME[kind](wav)
    (found,) = waveforms([given], 16000)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.detach(), wav, rtol=0, atol=1e-6)
    expected = upstream.extract([wav])["last_hidden_state"]
    for call in (upstream.extract, upstream, HubUpstream(upstream)):
        states = call([given])["hidden_states"]
        torch.testing.assert_close(states[0], expected)
    if isinstance(given, torch.Tensor) and given.requires_grad:
        found.sum().backward()
        assert given.grad.eq(1).all()


def test_files(wav, upstream, tmp_path):
    stereo = torch.stack([wav, -wav / 2], 1).numpy()
    names = [tmp_path / "a.wav", tmp_path / "b.flac"]
    for name in names:
        soundfile.write(name, stereo, 8000)
    expected = resample(wav / 4, 8000, 16000)
    for given in (names, [str(name) for name in names], names[0], str(names[1])):
        for found in waveforms(given, 16000):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    mixed = upstream.extract([str(names[0]), wav, wav.numpy()])
    assert mixed["last_hidden_state"].shape == (3, upstream.frames(8000), 240)


def test_one_waveform_is_one_utterance(wav, upstream):
    expected = upstream.extract([wav])["last_hidden_state"]
    for given in (wav, wav.numpy(), wav[None], wav[:, None].numpy()):
        found = upstream.extract(given)
        assert torch.equal(found["last_hidden_state"], expected)
    for given in (wav, wav.numpy()):
        assert torch.equal(upstream(given)["last_hidden_state"], expected)
    states, lens = upstream(wav[None])  # a batch of one, as SpeechBrain calls it
    assert torch.equal(states[0], expected) and lens.tolist() == [1.0]


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 44100.0, np.int64(48000)])
def test_other_rates(rate, wav, upstream):
    expected = resample(wav, int(rate), 16000)
    for given in (wav, integers(wav, 16, torch.int16), torch.stack([wav, wav], 1)):
        (found,) = waveforms([given], 16000, sample_rate=rate)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    for call in (upstream.extract, HubUpstream(upstream)):
        found = call([wav], sample_rate=rate)["last_hidden_state"]
        assert found.shape[1] == upstream.frames(len(expected))


REFUSED = {
    "nothing": (None, "the audio is None. Give a file name, a numpy array"),
    "an empty list": ([], "the audio is an empty list"),
    "None in a list": ([torch.ones(9), None], "utterance 1 of the batch is None"),
    "a nested list": ([[0.1, 0.2]], "utterance 0 .* is a list inside of a list"),
    "a list of numbers": ([0.1, 0.2], "is a single number: of a list of numbers"),
    "a tensor without dimensions": (torch.tensor(1.0), "a single number"),
    "what torchaudio.load gives": (
        (torch.ones(2, 900), 16000),
        "utterance 1 .* is a single number",
    ),
    "a dict": ([{"array": np.ones(9), "sampling_rate": 8000}], "give its array, and"),
    "bytes": ([b"RIFF"], "of the type bytes"),
    "a name that is no file": (["none.wav"], "is 'none.wav', which is no file"),
    "complex": ([torch.ones(9, dtype=torch.cfloat)], "of real numbers"),
    "complex, numpy": ([np.ones(9, complex)], "of real numbers"),
    "texts": ([np.array(["a", "b"])], "of real numbers"),
    "objects": ([np.array([None, 1])], "of real numbers"),
    "int64": (
        [torch.ones(9, dtype=torch.int64)],
        "full scale nobody knows. Give uint8",
    ),
    "uint16": ([np.ones(9, "uint16")], "full scale nobody knows"),
    "bool": ([torch.ones(9, dtype=torch.bool)], "full scale nobody knows"),
    "empty": ([torch.ones(9), torch.ones(0)], "utterance 1 of the batch is empty"),
    "two empty channels": ([torch.ones(2, 0)], "is empty"),
    "NaN": ([torch.tensor([0.1, float("nan")])], "NaN or infinite"),
    "infinite, numpy": ([np.array([0.1, np.inf])], "NaN or infinite"),
    "integers in floats": ([torch.ones(9) * 20000], "up to 20000: .*Divide it by"),
    "a batch, or channels": (torch.ones(2, 900), r"a tensor \[2, 900\]: 2 utterances"),
    "the same, numpy": (np.ones((900, 2)), r"a tensor \[900, 2\]: 900 utterances"),
    "unclear channels": ([torch.ones(3, 4)], r"has the shape \[3, 4\]"),
    "too many channels": ([torch.ones(100, 9000)], r"has the shape \[100, 9000\]"),
    "three dimensions": ([torch.ones(1, 2, 900)], r"has the shape \[1, 2, 900\]"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_in_words(kind, upstream):
    given, words = REFUSED[kind]
    with pytest.raises(AudioError, match=f"(?s){words}") as caught:
        upstream.extract(given)
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 400
    if not isinstance(given, torch.Tensor) or given.dim() < 2:
        with pytest.raises((AudioError, ValueError), match=f"(?s){words}"):
            upstream(given)


@pytest.mark.parametrize("rate", [0, -1, 44100.5, float("nan"), "16000", True, 10**9])
def test_impossible_rates(rate):
    with pytest.raises(AudioError, match="sample.rate"):
        waveforms([torch.zeros(99)], 16000, sample_rate=rate)


def test_a_file_that_is_no_audio(tmp_path, upstream):
    (tmp_path / "a.wav").write_text("no audio")
    with pytest.raises(AudioFileError, match=re.escape(str(tmp_path / "a.wav"))):
        upstream.extract([Path(tmp_path / "a.wav")])


def test_lengths_belong_to_a_batch(wav, upstream):
    lens = torch.tensor([1.0])
    with pytest.raises(ValueError, match="padded batch"):
        upstream([wav], lens)
    with pytest.raises(AudioError, match="padded batch"):
        batched([wav], lens, 16000)
    assert batched(wav[None], lens, 16000)[1] is lens


def test_a_batch_has_the_dimensions_of_its_kind(wav):
    """Waveforms [batch, samples], and features [batch, frames, size]."""
    for lens, what in ((None, "has the shape"), (torch.ones(2), "padded batch")):
        with pytest.raises(AudioError, match=what):
            batched(torch.zeros(2, 100, 13), lens, 16000)
    assert batched(torch.zeros(2, 100, 13), None, 100, input_size=13)[0].dim() == 3
    with pytest.raises(AudioError, match=r"\[batch, frames, 13\]"):
        batched(torch.zeros(2, 100), torch.ones(2), 100, input_size=13)
    batch, lens = batched([torch.ones(4, 2), torch.ones(3, 2)], None, 100, input_size=2)
    assert batch.shape == (2, 4, 2) and lens.tolist() == [1, 0.75]


def test_the_door_is_no_part_of_what_features_are_known_by():
    """Nothing that a cache holds goes through it."""
    modules = code_of(["s3prl_sb.lobes.upstreams.hubert.Hubert"])["modules"]
    assert not [name for name in modules if name.startswith("s3prl_sb.dataio")]


def test_floats_longer_than_those_of_torch(wav, upstream):
    expected = upstream.extract([wav])["last_hidden_state"]
    found = upstream.extract([wav.numpy().astype("longdouble")])["last_hidden_state"]
    assert torch.equal(found, expected)


def test_lengths_and_a_rate_of_the_hub(wav, upstream):
    """The one belongs to a padded batch, the other to what is not padded."""
    with pytest.raises(ValueError, match="give one of them"):
        HubUpstream(upstream)(wav[None], torch.tensor([0.5]), sample_rate=8000)
