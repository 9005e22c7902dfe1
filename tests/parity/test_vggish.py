"""VGGish: against formulas and the published layout of the network."""

import argparse

import numpy as np
import pytest
import torch
from torch import nn

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.vggish import Vggish, log_mel

CHANNELS, HIDDEN, SIZE = [4, 6, 8, 10, 12, 14], 20, 16


class Published(nn.Module):
    """The network with the names of its checkpoint."""

    def __init__(self):
        super().__init__()
        layers, inputs = [], 1
        for i, channels in enumerate(CHANNELS):
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2, 2)] if i in (0, 1, 3, 5) else []
            inputs = channels
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            *(nn.Linear(inputs * 6 * 4, HIDDEN), nn.ReLU()),
            *(nn.Linear(HIDDEN, HIDDEN), nn.ReLU()),
            *(nn.Linear(HIDDEN, SIZE), nn.ReLU()),
        )
        generator = torch.Generator().manual_seed(1)
        for parameter in self.parameters():  # keeps the activations alive
            fan = max(1, parameter[0].numel()) if parameter.dim() > 1 else 30
            std = (2 / fan) ** 0.5
            nn.init.normal_(parameter, std=std, generator=generator)

    def forward(self, x):
        x = self.features(x[:, None])
        x = x.transpose(1, 3).transpose(1, 2).contiguous()
        return self.embeddings(x.view(len(x), -1))


def whitening():
    generator = np.random.RandomState(0)
    vectors = 0.15 * np.linalg.qr(generator.randn(SIZE, SIZE))[0].astype("float32")
    means = generator.randn(SIZE, 1).astype("float32")
    return {"pca_eigen_vectors": vectors, "pca_means": means}


def naive_log_mel(wav):
    """numpy, in double precision."""
    wav = np.asarray(wav, dtype=np.float64)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    starts = range(0, len(wav) - 400 + 1, 160)
    spectrum = [np.abs(np.fft.rfft(wav[s : s + 400] * window, 512)) for s in starts]

    def mel(hertz):
        return 1127.0 * np.log(1 + hertz / 700.0)

    edges = np.linspace(mel(125.0), mel(7500.0), 66)
    bands = np.zeros((257, 64))
    for k in range(1, 257):
        m = mel(k * 16000 / 512)
        for band in range(64):
            low, centre, high = edges[band : band + 3]
            rise, fall = (m - low) / (centre - low), (high - m) / (high - centre)
            bands[k, band] = max(0.0, min(rise, fall))
    return np.log(np.array(spectrum) @ bands + 0.01)


@pytest.fixture
def files(tmp_path):
    torch.save(Published().state_dict(), tmp_path / "vggish.pth")
    torch.save(whitening(), tmp_path / "pca.pth")  # arrays of numpy, as published
    return {"source": str(tmp_path / "vggish.pth"), "pca": str(tmp_path / "pca.pth")}


# --------------------------------------------------------------------- formulas
def test_log_mel():
    wav = 0.1 * torch.randn(16000)
    expected = torch.from_numpy(naive_log_mel(wav))
    found = log_mel(wav[None])[0].double()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples, frames", [(15600, 1), (30959, 1), (30960, 2)])
def test_hidden_state(samples, frames, files):
    wav = 0.1 * torch.randn(samples)
    examples = torch.from_numpy(naive_log_mel(wav)).float()
    examples = examples[: frames * 96].view(frames, 96, 64)
    with torch.no_grad():
        embeddings = Published()(examples)
    raw = Vggish(**files, postprocess=False)
    assert raw.frames(samples) == frames
    limit = 1e-4 * embeddings.max().item()
    (state,), _ = raw(wav[None])
    torch.testing.assert_close(state[0], embeddings, rtol=0, atol=limit)
    pca = whitening()
    white = (embeddings.numpy() - pca["pca_means"].T) @ pca["pca_eigen_vectors"].T
    expected = np.round((np.clip(white, -2, 2) + 2) * 255 / 4)
    assert len(np.unique(expected)) > SIZE / 2
    (state,), _ = Vggish(**files)(wav[None])
    assert np.abs(state[0].numpy() - expected).max() <= 1
    assert torch.equal(state, state.round())


def test_short_audio_is_padded(files):
    upstream, wav = Vggish(**files), 0.1 * torch.randn(5000)
    assert upstream.min_samples == 15600 and upstream.stride == 15360
    padded = torch.cat([wav, torch.zeros(10600)])
    (state,), _ = upstream(wav[None])
    assert torch.equal(state, upstream(padded[None])[0][0])


# ------------------------------------------------------------------ checkpoints
def test_both_in_one_file(files, tmp_path):
    pca = {key: torch.from_numpy(value) for key, value in whitening().items()}
    both = {
        "vggish": Published().state_dict(),
        "pca": pca,
        "args": argparse.Namespace(),
    }
    torch.save(both, tmp_path / "both.pt")
    wav = 0.1 * torch.randn(1, 20000)
    together, apart = Vggish(tmp_path / "both.pt"), Vggish(**files)
    assert torch.equal(together(wav)[0][0], apart(wav)[0][0])
    assert together.config == apart.config
    assert together.config.channels == CHANNELS
    check_upstream(together)


def test_other_checkpoints_are_refused(files, tmp_path):
    with pytest.raises(CheckpointError, match="needs the file of the whitening"):
        Vggish(files["source"])
    with pytest.raises(CheckpointError, match="is not the whitening.*features.0"):
        Vggish(files["source"], pca=files["source"])
    with pytest.raises(CheckpointError, match="not a checkpoint of VGGish.*pca_means"):
        Vggish(files["pca"], pca=files["pca"])
    weights = Published().state_dict()
    for change, message in (
        (lambda w: w.pop("features.6.bias"), r"missing \(1\): convolutions.2.bias"),
        (lambda w: w.pop("features.13.weight"), r"missing \(1\): convolutions.5.w"),
        (lambda w: w.update(extra=torch.ones(1)), r"unexpected \(1\): extra"),
    ):
        changed = dict(weights)
        change(changed)
        torch.save(changed, tmp_path / "changed.pth")
        with pytest.raises(CheckpointError, match=message):
            Vggish(tmp_path / "changed.pth", pca=files["pca"])


# ------------------------------------------------------------------ the upstream
def test_card():
    from s3prl_sb.lobes.checkpoints.building import sizes_only

    with sizes_only():
        upstream = load("vggish", source=None)
    assert upstream.output_size == 128 and upstream.num_layers == 1
    sizes = [list(linear.weight.shape) for linear in upstream.network.linears]
    assert sizes == [[4096, 12288], [4096, 4096], [128, 4096]]


def test_gradients_pass_the_quantization(files):
    """In S3PRL the gradient of the rounding is zero everywhere."""
    upstream = Vggish(**files, freeze=False)
    (state,), _ = upstream(0.1 * torch.randn(1, 20000))
    assert (state - state.round()).abs().max() < 1e-4
    state.square().sum().backward()
    for name, parameter in upstream.named_parameters():
        trained = not name.startswith("network.pca.")
        assert parameter.requires_grad == trained
        assert not trained or parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    "config, message",
    [
        ({"chanels": 3}, "Unknown in config: chanels. Known: channels, hidden_size"),
        ({"channels": [3]}, "must be 6 numbers"),
    ],
)
def test_mistakes_are_explained(config, message):
    with pytest.raises(ValueError, match=message):
        Vggish(config=config)
