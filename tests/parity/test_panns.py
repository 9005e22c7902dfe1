"""PANNs: the numbers of panns-inference and of SpeechBrain, every published name."""

import functools
from pathlib import Path

import numpy
import pytest
import torch
import torchaudio.functional

from s3prl_sb.lobes.checkpoints.building import sizes_only
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks import cnn14
from s3prl_sb.lobes.upstreams import load, panns
from s3prl_sb.lobes.upstreams.panns import Panns

FIXTURES = Path(__file__).parent / "fixtures" / "panns"
PUBLISHED = {"Cnn14_32000": {}, "Cnn14_16000": {}}
PUBLISHED["Cnn14_DecisionLevelMax_32000"] = {"embedding": "frame"}
TINY = {"channels": [4] * 6}


def close(ours, theirs):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


def transform(n_fft):
    """The Fourier transform as convolutions, which every file has and none needs."""
    zeros = torch.zeros(1).expand(n_fft // 2 + 1, 1, n_fft)
    name = "spectrogram_extractor.stft.conv_{}.weight"
    return {name.format(part): zeros for part in ("real", "imag")}


@functools.cache
def fixture(name):
    """Arrays by the part of their name before the first slash."""
    found = {}
    with numpy.load(FIXTURES / f"{name}.npz") as arrays:
        for key, array in arrays.items():
            kind, _, rest = key.partition("/")
            found.setdefault(kind, {})[rest] = torch.as_tensor(array)
    return found


def checkpoint(name, folder):
    """A file of the authors' layout."""
    weights = fixture(name)["weights"]
    n_fft = 2 * len(weights["logmel_extractor.melW"]) - 2
    path = folder / f"{name}.pth"
    torch.save({"iteration": 1, "model": {**transform(n_fft), **weights}}, path)
    return path


# ------------------------------------------------------ the numbers of others
@pytest.mark.parametrize("name", PUBLISHED)
def test_equals_panns_inference(name, tmp_path):
    upstream = Panns(checkpoint(name, tmp_path), **PUBLISHED[name])
    expected = fixture(name)
    assert upstream.sample_rate == int(name.rpartition("_")[2])
    random = Panns(config={**TINY, "sample_rate": upstream.sample_rate})
    close(random.network.mel, upstream.network.mel)
    wavs = [wav / 256 for wav in expected["wavs"].values()]
    batch = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    lens = torch.tensor([len(wav) for wav in wavs]) / batch.shape[1]
    states, lens = upstream(batch, lens)
    assert (lens * 4).round().tolist() == [1, 2, 4]
    for i, frames in enumerate((1, 2, 4)):
        close(states[0][i, :frames], expected["frames"][str(i)])
        embeddings = expected["embeddings"][str(i)]
        close(states[1][i, :frames], embeddings.expand(frames, -1))


def test_equals_speechbrain():
    """SpeechBrain leaves out the embedding, which is the identity here."""
    from speechbrain.lobes.models.Cnn14 import Cnn14

    generator = torch.Generator().manual_seed(0)
    theirs = Cnn14(64, 16).eval()
    for name, tensor in theirs.state_dict().items():
        if name.startswith("norm0") or "norm" in name and "running_var" in name:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    weights = theirs.state_dict()
    config = {"channels": [64, 128, 256, 512, 1024, 16], "sample_rate": 16000}
    with sizes_only():
        names = Panns(config=config).network.state_dict()
    states = {}
    for name in names:
        their_name = name.replace("bn", "norm")
        if name.startswith("blocks."):
            _, i, rest = their_name.split(".", 2)
            their_name = f"conv_block{int(i) + 1}.{rest}"
        states[name] = weights.get(their_name)
    states["mel"] = torchaudio.functional.melscale_fbanks(
        257, 50.0, 8000.0, 64, 16000, norm="slaney", mel_scale="slaney"
    )
    states["fc1.weight"], states["fc1.bias"] = torch.eye(16), torch.zeros(16)
    ours = Panns.from_weights(config, states)
    wav = 0.1 * torch.randn(1, 12345, generator=generator)
    with torch.no_grad():
        expected = theirs(
            ours.network.mel_spectrogram(wav, ours.network.mel)[0].T[None]
        )[0]
    states, _ = ours(wav)
    close(states[1][0], expected.relu().expand(2, -1))
    close(states[0][0].amax(0) + states[0][0].mean(0), expected[0])


# ------------------------------------------------------------------ files
def published_shapes(n_fft):
    """Every name of a published file, with its shape."""
    shapes = {"logmel_extractor.melW": [n_fft // 2 + 1, 64]}

    def norm(name, size):
        parts = "weight", "bias", "running_mean", "running_var"
        shapes.update({f"{name}.{part}": [size] for part in parts})
        shapes[f"{name}.num_batches_tracked"] = []

    norm("bn0", 64)
    channels = [1, 64, 128, 256, 512, 1024, 2048]
    for i, (inputs, outputs) in enumerate(zip(channels, channels[1:]), start=1):
        shapes[f"conv_block{i}.conv1.weight"] = [outputs, inputs, 3, 3]
        shapes[f"conv_block{i}.conv2.weight"] = [outputs, outputs, 3, 3]
        norm(f"conv_block{i}.bn1", outputs)
        norm(f"conv_block{i}.bn2", outputs)
    for name, size in (("fc1", 2048), ("fc_audioset", 527)):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = [size, 2048], [size]
    return shapes


@pytest.mark.parametrize(
    "card, n_fft", [("panns_cnn14", 1024), ("panns_cnn14_16k", 512)]
)
def test_every_published_name(card, n_fft, monkeypatch):
    states = {
        name: torch.zeros(shape, device="meta")
        for name, shape in published_shapes(n_fft).items()
    }
    states.update(transform(n_fft))
    monkeypatch.setattr(panns, "read", lambda path: {"model": states})
    config, weights = panns.read_panns("panns.pth")
    with sizes_only():
        network = load(card, source=None).network
    assert vars(network.config) == vars(type(network.config)(**config))
    expected = {name: t.shape for name, t in network.state_dict().items()}
    assert {name: t.shape for name, t in weights.items()} == expected


def test_files_of_others_are_refused(tmp_path):
    weights = dict(fixture("Cnn14_16000")["weights"])
    for change, message in (
        ({"fc1.weight": None}, "not a checkpoint of PANNs' CNN14: these have logmel"),
        ({"logmel_extractor.melW": torch.zeros(201, 64)}, "201 frequencies; CNN14 has"),
        ({"conv_block2.conv1.weight": None}, r"missing \(1\): blocks.1.conv1.weight"),
        ({"wavegram.weight": torch.zeros(1)}, r"unexpected \(1\): wavegram.weight"),
    ):
        states = {**weights, **change}
        states = {name: t for name, t in states.items() if t is not None}
        torch.save(states, tmp_path / "other.pth")
        with pytest.raises(CheckpointError, match=message):
            Panns(tmp_path / "other.pth")


# ------------------------------------------------------------- front end, pieces
@pytest.mark.parametrize("rate", cnn14.HIGHEST)
def test_mel_matrix_and_spectrum(rate):
    """Tones are loudest in the band around them."""
    network = Panns(config={**TINY, "sample_rate": rate}).network
    hertz = torch.tensor([200.0, 1000.0, 0.4 * rate])
    seconds = torch.arange(rate) / rate
    tones = (2 * torch.pi * hertz[:, None] * seconds).sin()
    spectrum = torch.stack(network.mel_spectrogram(list(tones), network.mel)).mT
    assert spectrum.shape == (3, 101, 64)
    bands = spectrum[:, 50].argmax(1)
    edges = torch.linspace(0, rate / 2, len(network.mel))
    centres = edges[network.mel.argmax(0)]
    highest = cnn14.HIGHEST[rate]
    assert ((centres[bands] - hertz).abs() <= 0.05 * hertz + edges[1]).all()
    assert not network.mel[edges > highest].any()
    (silence,) = network.mel_spectrogram([torch.zeros(rate)], network.mel)
    assert torch.equal(silence, torch.full_like(silence, -100))


@pytest.mark.parametrize("extra", [0, 17, 31])
def test_pieces_change_nothing(monkeypatch, extra):
    upstream = Panns(config={"channels": [4, 4, 4, 4, 8, 8], "sample_rate": 8000})
    wav = 0.1 * torch.randn(1, 2560 * 19 + 80 * extra)
    expected, _ = upstream(wav)
    monkeypatch.setitem(cnn14.TOGETHER, "cpu", 5)
    other = torch.randn(1, wav.shape[1])
    states, _ = upstream(torch.cat([other, wav, other]))
    close(states[0][1:2], expected[0])
    close(states[1][1:2], expected[1])


def test_the_embedding_of_a_clip_is_its_own_mean():
    upstream = Panns(config=TINY)
    states, _ = upstream(torch.randn(1, 48000))
    assert torch.equal(states[1][0, 0], states[1][0, 3])
    with pytest.raises(ValueError, match="Unknown embedding 'clips'. Known: clip, fra"):
        Panns(config=TINY, embedding="clips")
    with pytest.raises(ValueError, match="sample_rate 44100: CNN14 is for 32000, 160"):
        Panns(config={"sample_rate": 44100})
