"""BYOL-S: against naive formulas and the published layouts of the networks."""

import argparse

import pytest
import torch
import torchaudio
from torch import nn

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.building import sizes_only
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.byol_s import ByolS

CVT = {"channels": [8, 12, 16], "depths": [1, 2, 1], "heads": [1, 2, 1]}
RESNET = {"channels": [4, 6, 8, 10], "depths": [2, 1, 3, 1]}


class Network(nn.Module):
    """Options that the published networks share."""

    def forward(self, x):
        x = self.image(x[:, None])
        columns = x.permute(0, 3, 2, 1).reshape(len(x), x.shape[3], -1)
        columns = self.each(columns)
        return columns.mean(1) + columns.max(1).values

    def each(self, x):
        return x


class Default(Network):
    def __init__(self):
        super().__init__()
        layers = []
        for inputs in (1, 6, 6):
            layers += [nn.Conv2d(inputs, 6, 3, 1, 1), nn.BatchNorm2d(6), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.fc = nn.Sequential(
            *(nn.Linear(48, 20), nn.ReLU(), nn.Dropout(0.3)),
            *(nn.Linear(20, 20), nn.ReLU()),
        )

    def image(self, x):
        return self.features(x)

    def each(self, x):
        return self.fc(x)


class Norm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, size, 1, 1))
        self.b = nn.Parameter(torch.zeros(1, size, 1, 1))

    def forward(self, x):
        deviation = x - x.mean(1, keepdim=True)
        std = deviation.square().mean(1, keepdim=True).sqrt()
        return deviation / (std + 1e-5) * self.g + self.b


class Normed(nn.Module):
    """A norm, then a function."""

    def __init__(self, size, fn):
        super().__init__()
        self.norm, self.fn = Norm(size), fn

    def forward(self, x):
        return self.fn(self.norm(x))


class Projection(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 1, bias=False),
        )

    def forward(self, x):
        return self.net(x)


class Attention(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.heads = heads
        self.to_q = Projection(size, 64 * heads, 1)
        self.to_kv = Projection(size, 128 * heads, 2)
        self.to_out = nn.Sequential(nn.Conv2d(64 * heads, size, 1), nn.Dropout(0.0))

    def forward(self, x):
        q, (k, v) = self.to_q(x), self.to_kv(x).chunk(2, dim=1)
        shape, out = q.shape, []
        for head in range(self.heads):
            part = slice(64 * head, 64 * head + 64)
            a, b, c = (t[:, part].flatten(2) for t in (q, k, v))
            weights = (torch.einsum("bdi,bdj->bij", a, b) / 8).softmax(-1)
            out.append(torch.einsum("bij,bdj->bdi", weights, c))
        return self.to_out(torch.cat(out, 1).view(shape))


class FeedForward(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.net = nn.Sequential(
            *(nn.Conv2d(size, 4 * size, 1), nn.GELU(), nn.Dropout(0.0)),
            *(nn.Conv2d(4 * size, size, 1), nn.Dropout(0.0)),
        )

    def forward(self, x):
        return self.net(x)


class Transformer(nn.Module):
    def __init__(self, size, depth, heads):
        super().__init__()
        attention = [Normed(size, Attention(size, heads)) for _ in range(depth)]
        forward = [Normed(size, FeedForward(size)) for _ in range(depth)]
        self.layers = nn.ModuleList(map(nn.ModuleList, zip(attention, forward)))

    def forward(self, x):
        for attention, feed_forward in self.layers:
            x = x + attention(x)
            x = x + feed_forward(x)
        return x


class PublishedCvt(Network):
    def __init__(self):
        super().__init__()
        stages, inputs = [], 1
        for i, (size, *sizes) in enumerate(zip(*CVT.values())):
            kernel, stride = (3, 2) if i else (7, 4)
            embedding = nn.Conv2d(inputs, size, kernel, stride, kernel // 2)
            stages.append(
                nn.Sequential(embedding, Norm(size), Transformer(size, *sizes))
            )
            inputs = size
        self.layers = nn.Sequential(*stages, nn.Identity())

    def image(self, x):
        return self.layers(x)


class Block(nn.Module):
    def __init__(self, inputs, size, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, size, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(size), nn.BatchNorm2d(size)
        self.conv2 = nn.Conv2d(size, size, 3, 1, 1, bias=False)
        self.downsample = None
        if stride != 1 or inputs != size:
            shortcut = nn.Conv2d(inputs, size, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(size))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (self.downsample(x) if self.downsample else x)).relu()


class PublishedResNet(Network):
    def __init__(self):
        super().__init__()
        inputs = RESNET["channels"][0]
        self.conv1 = nn.Conv2d(1, inputs, 7, 1, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        for i, (size, depth) in enumerate(zip(*RESNET.values()), start=1):
            blocks = [Block(inputs, size, 1 if i == 1 else 2)]
            blocks += [Block(size, size, 1) for _ in range(depth - 1)]
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
            inputs = size

    def image(self, x):
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


NETWORKS = {
    "default": (Default, {"channels": 6, "hidden_size": 20}),
    "cvt": (PublishedCvt, {**CVT, "expansion": 4}),
    "resnetish34": (PublishedResNet, RESNET),
}


def published(name, seed=1):
    """A random network, and its weights under the published names."""
    network = NETWORKS[name][0]().eval()
    generator = torch.Generator().manual_seed(seed)
    for key, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            fan = tensor[0].numel() if tensor.dim() > 1 and len(tensor) > 1 else 9
            std = max(1, fan) ** -0.5
            nn.init.normal_(tensor, std=std, generator=generator)
            if key.endswith("running_var"):
                tensor.square_().add_(0.5)
    return network, network.state_dict()


def naive(network, wav, window=16000, hop=800):
    """Window by window."""
    melspec = torchaudio.transforms.MelSpectrogram(
        16000, 1024, 400, 160, n_mels=64, f_min=60, f_max=7800
    )
    wav = nn.functional.pad(wav, (window // 2, window - window // 2))
    images, start = [], 0
    while start + window <= len(wav):
        image = melspec(wav[start : start + window])
        images.append((image + torch.finfo(torch.float).eps).log())
        start += hop
    images, count = torch.stack(images), len(images)
    images = (images - images.mean() / count) / (images.std() / count)
    with torch.no_grad():
        return network(images)


def close(result, expected, relative=1e-4):
    limit = relative * expected.abs().max().item()
    torch.testing.assert_close(result, expected, rtol=0, atol=limit)


# --------------------------------------------------------------------- formulas
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("samples", [300, 8000])
def test_hidden_state(name, samples, tmp_path):
    network, weights = published(name)
    torch.save(weights, tmp_path / "byol.pth")
    upstream = ByolS(str(tmp_path / "byol.pth"))
    assert upstream.config == {"network": name, **NETWORKS[name][1]}
    wav = 0.1 * torch.randn(samples)
    (state,), _ = upstream(wav[None])
    close(state[0], naive(network, wav))
    assert state.shape == (1, upstream.frames(samples), upstream.output_size)


@pytest.mark.parametrize("window, hop", [(0.5, 0.2), (0.2, 0.3), (0.04, 0.0333)])
def test_windows(window, hop, tmp_path):
    network, weights = published("resnetish34")
    torch.save(weights, tmp_path / "byol.pth")
    upstream = ByolS(tmp_path / "byol.pth", None, window, hop)
    for samples in (1, 3200, 5000):
        wav = 0.1 * torch.randn(samples)
        (state,), _ = upstream(wav[None])
        close(state[0], naive(network, wav, upstream.window, upstream.stride))


def test_silence_is_finite():
    """Its deviation is zero, by which S3PRL divides."""
    upstream = ByolS(config={"channels": 4, "hidden_size": 8})
    silence, noise = torch.zeros(1, 16000), 0.1 * torch.randn(1, 16000)
    (quiet,), _ = upstream(silence)
    (loud,), _ = upstream(noise)
    assert quiet.isfinite().all() and quiet.abs().max() < 100 * loud.abs().max()


# ------------------------------------------------------------------ checkpoints
@pytest.mark.parametrize("name", NETWORKS)
def test_other_checkpoints_are_refused(name, tmp_path):
    _, weights = published(name)
    last, file = list(weights)[-1], tmp_path / "byol.pth"
    for states, message in (
        ({"model": argparse.Namespace(a=1)}, "not a checkpoint of BYOL-S.*keys: model"),
        ([1, 2], "not a checkpoint of BYOL-S"),
        ({**weights, "extra": torch.ones(1)}, r"unexpected \(1\): encoder.extra"),
        ({k: v for k, v in weights.items() if k != last}, r"missing \(1\): encoder"),
    ):
        torch.save(states, file)
        with pytest.raises(CheckpointError, match=message):
            ByolS(file)


def test_checkpoints_without_sizes_are_refused(tmp_path):
    _, weights = published("cvt")
    del weights["layers.1.0.weight"]
    torch.save(weights, tmp_path / "byol.pth")
    with pytest.raises(CheckpointError, match="lacks 'layers.1.0.weight'"):
        ByolS(tmp_path / "byol.pth")


# ------------------------------------------------------------------ the upstream
@pytest.mark.parametrize("name", NETWORKS)
def test_contract_with_trained_statistics(name, tmp_path):
    _, weights = published(name)
    torch.save(weights, tmp_path / "byol.pth")
    upstream = ByolS(tmp_path / "byol.pth", hop_secs=0.2, freeze=False)
    check_upstream(upstream)
    before = {key: tensor.clone() for key, tensor in upstream.named_buffers()}
    upstream(torch.randn(1, 8000))[0][0].sum().backward()
    for key, tensor in upstream.named_buffers():
        assert torch.equal(tensor, before[key])
    for key, parameter in upstream.named_parameters():
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("name", NETWORKS)
def test_cards(name):
    with sizes_only():
        upstream = load(f"byol_s_{name}", source=None)
    assert upstream.output_size == 2048 and upstream.stride == 800
    assert upstream.window == 16000
    millions = sum(p.numel() for p in upstream.parameters()) / 1e6
    expected = {"default": 5.3, "cvt": 5.0, "resnetish34": 21.3}[name]
    assert abs(millions - expected) < 0.1


@pytest.mark.parametrize(
    "options, message",
    [
        ({"config": {"network": "clstm"}}, "Unknown network 'clstm'. Known: default"),
        ({"config": {"depths": [1]}}, "config: depths. Known: network, channels, hid"),
        ({"window_secs": 0.03}, "must have 513 samples or more"),
    ],
)
def test_mistakes_are_explained(options, message):
    with pytest.raises(ValueError, match=message):
        ByolS(**options)
