"""Vocoders: Griffin-Lim, and HiFi-GAN from the files of two projects."""

import json
import math
import re

import numpy
import pytest
import torch
from speechbrain.lobes.models.HifiGAN import HifiganGenerator
from torch import nn

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.checkpoints.renaming import of_weight_norm
from s3prl_sb.lobes.checkpoints.values import CheckpointError
from s3prl_sb.lobes.mel import MelSettings, log_mel
from s3prl_sb.lobes.vocoders import VocoderError, griffin_lim, load_vocoder
from s3prl_sb.lobes.vocoders.files import fused
from s3prl_sb.lobes.vocoders.parallel_wavegan_files import read_statistics

# ParallelWaveGAN's files have the names of the older weight normalization
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
BANDS, FRAMES = 80, 30
SMALL = {  # odd and even factors; 60 samples a frame
    "in_channels": BANDS,
    "channels": 16,
    "upsample_scales": [5, 4, 3],
    "upsample_kernel_sizes": [10, 8, 6],
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilations": [[1, 3, 5], [1, 2, 4]],
}
SETTINGS = MelSettings(hop=60, n_fft=512)


def convolution(*sizes, transposed=False, **options):
    kind = nn.ConvTranspose1d if transposed else nn.Conv1d
    return nn.utils.weight_norm(kind(*sizes, **options))


class Block(nn.Module):
    """Three pairs of convolutions with a shortcut each."""

    def __init__(self, size, kernel, dilations):
        super().__init__()
        self.convs1, self.convs2 = nn.ModuleList(), nn.ModuleList()
        for convs, dilated in ((self.convs1, dilations), (self.convs2, (1, 1, 1))):
            for d in dilated:
                padding = (kernel - 1) // 2 * d
                layer = convolution(size, size, kernel, dilation=d, padding=padding)
                convs.append(nn.Sequential(nn.LeakyReLU(0.1), layer))

    def forward(self, x):
        for one, other in zip(self.convs1, self.convs2):
            x = x + other(one(x))
        return x


class Naive(nn.Module):
    """ParallelWaveGAN's HiFi-GAN in plain torch, with its names of weights."""

    def __init__(self, config):
        super().__init__()
        size = config["channels"]
        self.input_conv = convolution(config["in_channels"], size, 7, padding=3)
        self.upsamples, self.blocks = nn.ModuleList(), nn.ModuleList()
        for scale in config["upsample_scales"]:
            odd = scale % 2
            options = {"padding": scale // 2 + odd, "output_padding": odd}
            layer = convolution(
                size, size // 2, 2 * scale, scale, transposed=True, **options
            )
            self.upsamples.append(nn.Sequential(nn.LeakyReLU(0.1), layer))
            size //= 2
            for kernel, dilations in zip(
                config["resblock_kernel_sizes"], config["resblock_dilations"]
            ):
                self.blocks.append(Block(size, kernel, dilations))
        last = convolution(size, 1, 7, padding=3)
        self.output_conv = nn.Sequential(nn.LeakyReLU(), last, nn.Tanh())

    def forward(self, x):
        x, blocks = self.input_conv(x), iter(self.blocks)
        count = len(self.blocks) // len(self.upsamples)
        for upsample in self.upsamples:
            x = upsample(x)
            x = sum(next(blocks)(x) for _ in range(count)) / count
        return self.output_conv(x)


def write_config(folder, **changes):
    config = {
        "sampling_rate": 24000,
        "fft_size": SETTINGS.n_fft,
        "hop_size": SETTINGS.hop,
        "win_length": None,
        "window": "hann",
        "num_mels": BANDS,
        "fmin": 80,
        "fmax": 7600,
        "format": "hdf5",
        "generator_type": "HiFiGANGenerator",
        "generator_params": SMALL,
        **changes,
    }
    (folder / "config.yml").write_text(json.dumps(config))  # which is YAML too


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A random network as ParallelWaveGAN writes it: folder, network, mean, scale."""
    folder = tmp_path_factory.mktemp("vocoder") / "hifigan"
    folder.mkdir()
    torch.manual_seed(0)
    network = Naive(SMALL).eval()
    for steps, factor in ((900, 0.5), (1000, 1.0)):
        generator = {n: w * factor for n, w in network.state_dict().items()}
        content = {"model": {"generator": generator}, "steps": steps}
        content["optimizer"] = {"generator": {"state": {}, "param_groups": []}}
        torch.save(content, folder / f"checkpoint-{steps}steps.pkl")
    mean, scale = torch.randn(BANDS), torch.rand(BANDS) + 0.5
    write_config(folder)
    numpy.save(folder / "stats.npy", torch.stack([mean, scale]).numpy())
    return folder, network, mean, scale


def test_waveforms_of_parallel_wavegan(made):
    folder, network, mean, scale = made
    spectrogram = torch.randn(FRAMES, BANDS)
    with torch.no_grad():
        expected = network(((spectrogram - mean) / scale).T[None])[0, 0]
    for name in (folder.parent, folder, folder / "checkpoint-1000steps.pkl"):
        waveform = load_vocoder(str(name), SETTINGS).waveform(spectrogram)
        assert waveform.shape == (FRAMES * SETTINGS.hop,)
        torch.testing.assert_close(waveform, expected, rtol=1e-4, atol=1e-6)
    other = load_vocoder(str(folder / "checkpoint-900steps.pkl"), SETTINGS)
    assert (other.waveform(spectrogram) - expected).abs().max() > 1e-3


WAVENET = {
    "layers": 4,
    "stacks": 2,
    "residual_channels": 6,
    "gate_channels": 10,
    "skip_channels": 7,
    "aux_channels": BANDS,
    "aux_context_window": 2,
    "upsample_net": "ConvInUpsampleNetwork",
    "upsample_params": {"upsample_scales": [5, 4, 3]},
}


def wavenet_weights():
    """Random weights of a Parallel WaveGAN, with the toolkit's names."""
    sizes = {"first_conv": (6, 1, 1), "upsample_net.conv_in": (BANDS, BANDS, 5)}
    for n, factor in enumerate(WAVENET["upsample_params"]["upsample_scales"]):
        name = f"upsample_net.upsample.up_layers.{2 * n + 1}"
        sizes[name] = (1, 1, 1, 2 * factor + 1)
    for n in range(WAVENET["layers"]):
        sizes[f"conv_layers.{n}.conv"] = (10, 6, 3)
        sizes[f"conv_layers.{n}.conv1x1_aux"] = (10, BANDS, 1)
        sizes[f"conv_layers.{n}.conv1x1_out"] = (6, 5, 1)
        sizes[f"conv_layers.{n}.conv1x1_skip"] = (7, 5, 1)
    sizes["last_conv_layers.1"], sizes["last_conv_layers.3"] = (7, 7, 1), (1, 7, 1)
    weights = {}
    for name, size in sizes.items():
        weights[f"{name}.weight_v"] = torch.randn(size)
        weights[f"{name}.weight_g"] = torch.rand(size[0], *(1,) * (len(size) - 1))
        if "upsample" not in name and "aux" not in name:
            weights[f"{name}.bias"] = 0.1 * torch.randn(size[0])
    return weights


def naive_wavenet(weights, spectrogram, noise):
    """Parallel WaveGAN with one matrix product a tap: [samples] of [frames, bands]."""

    def convolve(x, name, dilation=1, padded=True):  # x: [time, channels]
        g, v = weights[f"{name}.weight_g"], weights[f"{name}.weight_v"]
        kernel = g * v / v.flatten(1).norm(dim=1).view(g.shape)
        taps, half = kernel.shape[-1], kernel.shape[-1] // 2 * dilation
        if padded:
            x = torch.nn.functional.pad(x, (0, 0, half, half))
        count = len(x) - (taps - 1) * dilation
        shifted = (x[t * dilation :][:count] @ kernel[..., t].T for t in range(taps))
        return sum(shifted) + weights.get(f"{name}.bias", torch.zeros(()))

    repeated = [spectrogram[:1]] * 2 + [spectrogram] + [spectrogram[-1:]] * 2
    condition = convolve(torch.cat(repeated), "upsample_net.conv_in", padded=False)
    for n, factor in enumerate(WAVENET["upsample_params"]["upsample_scales"]):
        name = f"upsample_net.upsample.up_layers.{2 * n + 1}"
        v, g = weights[f"{name}.weight_v"].flatten(), weights[f"{name}.weight_g"]
        kernel = g.item() * v / v.norm()
        condition = condition.repeat_interleave(factor, dim=0)
        padded = torch.nn.functional.pad(condition, (0, 0, factor, factor))
        count = len(condition)
        condition = sum(k * padded[t:][:count] for t, k in enumerate(kernel))
    hidden, total = convolve(noise, "first_conv"), 0.0
    for n in range(WAVENET["layers"]):
        place = f"conv_layers.{n}."
        both = convolve(hidden, place + "conv", dilation=2 ** (n % 2))
        both = both + convolve(condition, place + "conv1x1_aux")
        gated = both[:, :5].tanh() * both[:, 5:].sigmoid()
        total = total + convolve(gated, place + "conv1x1_skip")
        hidden = (convolve(gated, place + "conv1x1_out") + hidden) * math.sqrt(0.5)
    output = (total * math.sqrt(1 / WAVENET["layers"])).relu()
    output = convolve(output, "last_conv_layers.1").relu()
    return convolve(output, "last_conv_layers.3")[:, 0]


def test_waveforms_of_parallel_wavegan_itself(tmp_path):
    """S3PRL's vocoders of VCC2020 are such ones; the noise is always the same."""
    torch.manual_seed(0)
    weights, spectrogram = wavenet_weights(), torch.randn(FRAMES, BANDS)
    torch.save({"model": {"generator": weights}}, tmp_path / "checkpoint-1steps.pkl")
    statistics = torch.stack([torch.randn(BANDS), torch.rand(BANDS) + 0.5])
    numpy.save(tmp_path / "stats.npy", statistics.numpy())
    write_config(tmp_path, generator_type="ParallelWaveGANGenerator")
    config = json.loads((tmp_path / "config.yml").read_text())
    config["generator_params"] = WAVENET
    del config["generator_type"]  # which older versions have none
    (tmp_path / "config.yml").write_text(json.dumps(config))
    vocoder = load_vocoder(str(tmp_path), SETTINGS)
    waveform = vocoder.waveform(spectrogram)
    noise = torch.Generator().manual_seed(0)
    noise = torch.randn(FRAMES * SETTINGS.hop, 1, generator=noise)
    mean, scale = statistics
    expected = naive_wavenet(weights, (spectrogram - mean) / scale, noise)
    torch.testing.assert_close(waveform, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(vocoder.waveform(spectrogram), waveform)


def test_statistics_of_hdf5(made):
    h5py = pytest.importorskip("h5py")
    folder, _, mean, scale = made
    before = load_vocoder(str(folder), SETTINGS)
    with h5py.File(folder / "stats.h5", "w") as file:
        file["mean"], file["scale"] = mean.numpy() + 1, scale.numpy()
    after = load_vocoder(str(folder), SETTINGS)
    (folder / "stats.h5").unlink()
    torch.testing.assert_close(after.mean, before.mean + 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"sampling_rate": 22050},
            "sample_rate 22050 Hz instead of 24000.*griffin_lim",
        ),
        ({"fmin": 0, "fmax": None}, "fmin 0 Hz instead of 80, fmax 12000 Hz instead"),
        ({"fft_size": 1024}, "n_fft 1024 instead of 512"),
        ({"win_length": 300}, "win_length 300 instead of 512"),
        (
            {"generator_type": "MelGANGenerator"},
            "of a MelGANGenerator; HiFiGANGenerator and Par",
        ),
        ({"generator_params": {**SMALL, "use_causal_conv": True}}, "use_causal_conv"),
        ({"num_mels": 40}, "has the statistics of 80 bands instead of 40"),
        ({"fft_size": None}, "n_fft is None, where a number above 0 is needed"),
        ({"hop_size": 50}, "makes 60 samples of a frame, and hop is 50"),
    ],
)
def test_other_networks_and_spectrograms_are_refused(made, tmp_path, changes, words):
    for path in made[0].iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "config.yml").unlink()
    write_config(tmp_path, **changes)
    with pytest.raises(VocoderError, match=words):
        load_vocoder(str(tmp_path), SETTINGS)


@pytest.mark.parametrize("channels", [32, 8_000_000])
def test_weights_of_another_size(made, tmp_path, channels):
    """A configuration alone does not decide how much memory a network takes."""
    for path in made[0].iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "config.yml").unlink()
    write_config(tmp_path, generator_params={**SMALL, "channels": channels})
    with pytest.raises(CheckpointError, match="does not fit HifiganGenerator"):
        load_vocoder(str(tmp_path), SETTINGS)


def test_missing_files(made, tmp_path):
    for name, words in (("config.yml", "checkpoint-<steps>steps.pkl"),):
        (tmp_path / name).write_bytes((made[0] / name).read_bytes())
        with pytest.raises(VocoderError, match=words):
            load_vocoder(str(tmp_path), SETTINGS)
    name = "checkpoint-1000steps.pkl"
    (tmp_path / name).write_bytes((made[0] / name).read_bytes())
    with pytest.raises(VocoderError, match="neither stats.h5 nor stats.npy"):
        load_vocoder(str(tmp_path), SETTINGS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        VocoderError, match="neither config.yml .* nor hyperparams.yaml"
    ):
        load_vocoder(str(tmp_path / "empty"))


HYPERPARAMS = {
    "sample_rate": 24000,
    "n_fft": 512,
    "hop_length": 60,
    "win_length": 512,
    "n_mel_channels": BANDS,
    "mel_fmin": 80,
    "mel_fmax": 7600,
    "mel_normalized": False,
    "power": 1,
    "norm": "slaney",
    "mel_scale": "slaney",
    "dynamic_range_compression": True,
    "in_channels": BANDS,
    "out_channels": 1,
    "resblock_type": "2",
    "resblock_dilation_sizes": [[1, 2], [2, 6]],
    "resblock_kernel_sizes": [3, 5],
    "upsample_kernel_sizes": [10, 24],
    "upsample_initial_channel": 8,
    "upsample_factors": [5, 12],
    "inference_padding": 5,
}


def write_speechbrain(folder, **changes):
    entries = {k: v for k, v in {**HYPERPARAMS, **changes}.items() if v != "absent"}
    lines = [f"{key}: {json.dumps(value)}" for key, value in entries.items()]
    lines.append("generator: !new:speechbrain.lobes.models.HifiGAN.HifiganGenerator")
    lines.append("  in_channels: !ref <in_channels>")
    (folder / "hyperparams.yaml").write_text("\n".join(lines) + "\n")


def test_waveforms_of_speechbrain(tmp_path):
    """As its own inference, which gets natural logarithms; edges are cut off."""
    torch.manual_seed(0)
    names = "in_channels|out_channels|resblock|upsample|inference"
    options = {k: v for k, v in HYPERPARAMS.items() if re.match(names, k)}
    # The first factor is even in kernel and padding, so that a frame has 60 samples
    options["upsample_kernel_sizes"] = [11, 24]
    network = HifiganGenerator(**options).eval()
    write_speechbrain(tmp_path, upsample_kernel_sizes=[11, 24])
    place = tmp_path / "save/CKPT+2026"
    place.mkdir(parents=True)
    torch.save(network.state_dict(), place / "generator.ckpt")
    spectrogram = log_mel(0.1 * torch.randn(60 * FRAMES), SETTINGS)
    natural = (spectrogram * math.log(10)).clamp_min(math.log(1e-5))
    own = network.inference(natural.T[None])[0, 0]
    vocoder = load_vocoder(str(tmp_path), SETTINGS)
    waveform = vocoder.waveform(spectrogram)
    assert waveform.shape == (len(spectrogram) * 60,)
    cut = own[5 * 60 :][: len(waveform)]
    torch.testing.assert_close(waveform, cut, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mel_fmin": "absent"}, "it has no mel_fmin. Copy these keys"),
        ({"norm": None}, "norm None instead of 'slaney'"),
        ({"cond_channels": 3}, "cond_channels 3 instead of 0"),
        ({"upsample_factors": "absent"}, "it has no upsample_factors"),
        ({}, "neither generator.ckpt nor"),
    ],
)
def test_faults_of_speechbrains_files(tmp_path, changes, words):
    write_speechbrain(tmp_path, **changes)
    with pytest.raises(VocoderError, match=words):
        load_vocoder(str(tmp_path), SETTINGS)


def test_griffin_lim_is_consistent_and_deterministic():
    """The spectrogram of the waveform is near the one that it was made of."""
    settings = MelSettings()
    time = torch.arange(12000) / settings.sample_rate
    signal = sum(torch.sin(2 * torch.pi * 150 * k * time) / k for k in range(1, 20))
    spectrogram = log_mel(0.1 * signal * torch.sin(20 * time), settings)
    waveforms = [load_vocoder("griffin_lim").waveform(spectrogram) for _ in range(2)]
    assert torch.equal(*waveforms)
    assert len(waveforms[0]) == (len(spectrogram) - 1) * settings.hop
    true = settings.magnitudes(spectrogram)
    errors = [
        torch.linalg.norm(settings.magnitudes(log_mel(w, settings)) - true)
        / torch.linalg.norm(true)
        for w in (waveforms[0], griffin_lim(spectrogram, settings, iterations=1))
    ]
    assert errors[0] < 0.15 and errors[0] < errors[1] / 2


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_griffin_lim_of_few_frames(frames):
    waveform = griffin_lim(torch.zeros(frames, BANDS), MelSettings(), iterations=2)
    assert waveform.shape == (max(frames - 1, 1) * 256,) and waveform.isfinite().all()


@pytest.mark.parametrize(
    "g", [torch.ones(2, 1, 1), torch.ones(4), "a", torch.ones(4, 1, 1).int()]
)
def test_parts_of_a_weight_norm_that_do_not_fit(g):
    """With a short magnitude, torch reads and writes beyond its end."""
    v = torch.ones(4, 3, 2)
    with pytest.raises(CheckpointError, match="of 'up.weight' do not fit"):
        fused({"up.weight_g": g, "up.weight_v": v})
    with pytest.raises(CheckpointError, match="do not fit"):
        of_weight_norm(v, g, 2, "positions")


@pytest.mark.parametrize(
    ("statistics", "words"),
    [
        (numpy.ones((1, BANDS)), "not statistics of ParallelWaveGAN"),
        (numpy.full((2, BANDS), "a"), "not statistics of ParallelWaveGAN"),
        (numpy.full((2, BANDS), numpy.nan), "numbers that are not finite"),
        (numpy.ones((2, 3)), "statistics of 3 bands instead of 80"),
    ],
)
def test_faults_of_statistics(tmp_path, statistics, words):
    numpy.save(tmp_path / "stats.npy", statistics)
    with pytest.raises(UserError, match=words):
        read_statistics(tmp_path, BANDS)


def test_a_network_that_makes_nothing_is_found_at_once(made):
    """Its layers can be built, and fail at the first spectrogram."""
    folder, *_ = made
    dilations = [[1, 3, "a"], [1, 2, 4]]
    write_config(folder, generator_params={**SMALL, "resblock_dilations": dilations})
    with pytest.raises(UserError, match="is not the network that its configuration"):
        load_vocoder(str(folder), SETTINGS)
    write_config(folder)
