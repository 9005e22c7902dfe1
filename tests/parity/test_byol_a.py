"""BYOL-A: against torchaudio and the published layout of the network."""

import argparse

import pytest
import torch
import torchaudio
from tensors import close
from torch import nn

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.building import sizes_only
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.byol_networks import log_mel
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.byol_a import ByolA, ByolAConfig

CHANNELS, SIZE = 6, 20


class Published(nn.Module):
    """The network with the names of its checkpoint, random and in eval mode."""

    def __init__(self):
        super().__init__()
        layers = []
        for inputs in (1, CHANNELS, CHANNELS):
            layers.append(nn.Conv2d(inputs, CHANNELS, 3, stride=1, padding=1))
            layers.append(nn.BatchNorm2d(CHANNELS))
            layers += [nn.ReLU(), nn.MaxPool2d(2, stride=2)]
        self.features = nn.Sequential(*layers)
        self.fc = nn.Sequential(
            *(nn.Linear(8 * CHANNELS, SIZE), nn.ReLU(), nn.Dropout(0.3)),
            *(nn.Linear(SIZE, SIZE), nn.ReLU()),
        )
        generator = torch.Generator().manual_seed(1)
        for name, tensor in self.state_dict().items():
            if tensor.is_floating_point():
                nn.init.normal_(tensor, std=0.3, generator=generator)
                if name.endswith("running_var"):
                    tensor.square_().add_(0.5)
        self.eval()

    def forward(self, x):
        x = self.features(x[:, None]).permute(0, 3, 2, 1)
        x = self.fc(x.reshape(*x.shape[:2], -1))
        return x.max(1).values + x.mean(1)


def melspec(win_length=1024):
    return torchaudio.transforms.MelSpectrogram(
        16000, 1024, win_length, 160, n_mels=64, f_min=60, f_max=7800
    )


# --------------------------------------------------------------------- formulas
@pytest.mark.parametrize("win_length", [1024, 400])
def test_log_mel_is_torchaudios(win_length):
    wavs = 0.1 * torch.randn(3, 8000)
    expected = (melspec(win_length)(wavs) + torch.finfo(torch.float).eps).log()
    close(log_mel(wavs, win_length), expected)


@pytest.mark.parametrize("window, stride", [(1.0, 1.0), (0.5, 0.2), (0.1, 0.3)])
@pytest.mark.parametrize("samples", [1, 700, 16000, 16001, 37000])
def test_hidden_state(samples, window, stride, tmp_path):
    """Window after window, each filled up with zeros."""
    published = Published()
    torch.save(published.state_dict(), tmp_path / "byol.pth")
    upstream = ByolA(str(tmp_path / "byol.pth"), None, window, stride)
    assert upstream.config == ByolAConfig(channels=CHANNELS, hidden_size=SIZE)
    wav, frames = 0.1 * torch.randn(samples), []
    for start in range(0, samples, int(16000 * stride)):
        piece = wav[start : start + int(16000 * window)]
        piece = nn.functional.pad(piece, (0, int(16000 * window) - len(piece)))
        x = (melspec()(piece) + torch.finfo(torch.float).eps).log()
        with torch.no_grad():
            frames.append(published((x[None] + 5.4919195) / 5.0389895)[0])
    (state,), _ = upstream(wav[None])
    close(state[0], torch.stack(frames))


# ------------------------------------------------------------------ checkpoints
def test_the_whole_model_of_pre_training(tmp_path):
    weights = Published().state_dict()
    states = {f"learner.online_encoder.net.{k}": v for k, v in weights.items()}
    target = {f"learner.target_encoder.net.{k}": 2 * v for k, v in weights.items()}
    heads = (
        "learner.online_encoder.projector.0.weight",
        "learner.online_predictor.0.b",
    )
    states = {**states, **target, **dict.fromkeys(heads, torch.ones(1))}
    wrapped = {"state_dict": states, "hyper": argparse.Namespace(lr=1)}
    torch.save(wrapped, tmp_path / "byol.ckpt")
    upstream = ByolA(tmp_path / "byol.ckpt")
    check_upstream(upstream)
    for name, tensor in weights.items():
        assert torch.equal(upstream.network.state_dict()[name], tensor)


def test_other_checkpoints_are_refused(tmp_path):
    weights, file = Published().state_dict(), tmp_path / "byol.pth"
    for states, message in (
        ({"model_weight": 1}, "not a checkpoint of BYOL-A.*keys: model_weight"),
        ([1, 2], "not a checkpoint of BYOL-A"),
        ({**weights, "extra": torch.ones(1)}, r"unexpected \(1\): extra"),
        ({**weights, "net.fc.0.bias": torch.ones(1)}, "several networks: two 'fc.0.b"),
        ({k: v for k, v in weights.items() if k != "fc.3.bias"}, r"missing \(1\): fc"),
    ):
        torch.save(states, file)
        with pytest.raises(CheckpointError, match=message):
            ByolA(file)


# ------------------------------------------------------------------ the upstream
@pytest.mark.parametrize("size", [512, 1024, 2048])
def test_cards(size):
    with sizes_only():
        upstream = load(f"byol_a_{size}", source=None)
    assert upstream.output_size == size and upstream.stride == 16000
    assert upstream.network.features[0].weight.shape == (64, 1, 3, 3)


def test_statistics_stay_when_fine_tuned():
    upstream = ByolA(config={"channels": 4, "hidden_size": 8}, freeze=False)
    before = {name: tensor.clone() for name, tensor in upstream.named_buffers()}
    upstream(torch.randn(2, 20000))[0][0].sum().backward()
    assert before and all(
        torch.equal(tensor, before[name]) for name, tensor in upstream.named_buffers()
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"config": {"size": 3}}, "Unknown in config: size. Known: channels, hidden"),
        ({"window_secs": 0.03}, "must have 513 samples or more"),
        ({"stride_secs": 0}, "must have 513 samples or more, and the step one"),
    ],
)
def test_mistakes_are_explained(options, message):
    with pytest.raises(ValueError, match=message):
        ByolA(**options)
