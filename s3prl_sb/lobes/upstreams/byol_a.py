"""BYOL-A: a convolutional network over windows of a log mel spectrogram.

Paper: Niizumi et al., "BYOL for Audio: Self-Supervised Learning for
General-Purpose Audio Representation", IJCNN 2021,
https://arxiv.org/abs/2103.06695. Reproduces S3PRL's ``upstream/byol_a``.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import re

import torch
import torchaudio.functional
from torch import nn

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints.building import build, read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm2d
from s3prl_sb.lobes.networks.byol_networks import N_MELS, mean_and_max
from s3prl_sb.lobes.upstreams.base import Upstream

SAMPLE_RATE, N_FFT, HOP = 16000, 1024, 160
#: Mean and standard deviation of log mel energies, those of S3PRL.
MEAN, STD = -5.4919195, 5.0389895
#: Windows that run through a network together: bounds the memory.
TOGETHER = 128


class AudioNtt(nn.Module):
    """The network of BYOL-A, one vector for each window.

    Arguments
    ---------
    channels : int
        Of the three convolutions.
    hidden_size : int
        Of the vectors.

    Example
    -------
    >>> AudioNtt(channels=8, hidden_size=32)(torch.randn(5, 64, 101)).shape
    torch.Size([5, 32])
    """

    def __init__(self, channels=64, hidden_size=2048):
        super().__init__()
        layers = []
        for inputs in (1, channels, channels):
            layers += [
                nn.Conv2d(inputs, channels, 3, padding=1),
                FixedBatchNorm2d(channels),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.features = nn.Sequential(*layers)
        self.fc = nn.Sequential(
            nn.Linear(channels * (N_MELS // 8), hidden_size),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden_size, hidden_size),
            nn.ReLU(),
        )
        self.output_size = hidden_size

    def forward(self, x):
        """[windows, mels, frames] -> [windows, hidden_size]"""
        return mean_and_max(self.features(x[:, None]), self.fc)


def log_mel(windows, win_length=N_FFT):
    """Log mel energies of each window by itself.

    Arguments
    ---------
    windows : torch.Tensor
        [..., samples].
    win_length : int
        Of the Hann window, in samples.

    Returns
    -------
    torch.Tensor
        [..., mels, frames], fp32.

    Example
    -------
    >>> log_mel(torch.zeros(2, 3, 16000)).shape
    torch.Size([2, 3, 64, 101])
    """
    with torch.autocast(windows.device.type, enabled=False):
        x = windows.float().flatten(0, -2)
        hann = _hann(win_length, x.device)
        x = torch.stft(x, N_FFT, HOP, win_length, hann, return_complex=True)
        x = _mel_bands(x.device) @ x.abs().pow(2)
        x = (x + torch.finfo(x.dtype).eps).log()
    return x.unflatten(0, windows.shape[:-1])


def check_sizes(window, stride):
    """Raises ValueError for windows that no spectrum can be computed of."""
    if window <= N_FFT // 2 or stride < 1:
        raise ValueError(
            f"windows of {window} samples every {stride}: a window must have "
            f"{N_FFT // 2 + 1} samples or more, and the step one"
        )


def in_parts(network, windows):
    """Runs a network over many windows, some at a time.

    Arguments
    ---------
    network : callable
        [windows, …] -> [windows, size].
    windows : torch.Tensor
        [batch, windows, …].

    Returns
    -------
    torch.Tensor
        [batch, windows, size].
    """
    parts = windows.flatten(0, 1).split(TOGETHER)
    return torch.cat([network(part) for part in parts]).unflatten(0, windows.shape[:2])


def read_byol_a(path):
    """Reads a checkpoint of BYOL-A.

    Arguments
    ---------
    path : str
        Weights of the network, alone or under ``state_dict``; or the whole
        model of pre-training, whose heads and target network are dropped.

    Returns
    -------
    config : dict
        ``channels`` and ``hidden_size``.
    weights : dict
        Of :class:`AudioNtt`.

    Raises
    ------
    CheckpointError
        If the file is of another kind.
    """
    states = checkpoints.read(path)
    states = states if isinstance(states, dict) else {}
    states = states.get("state_dict", states)
    weights = {}
    for name, tensor in states.items():
        if re.search(r"\b(target_encoder|projector|online_predictor)\.", str(name)):
            continue
        name = re.sub(r"^.*\b(features|fc)\.", r"\1.", str(name))
        if name in weights:
            raise CheckpointError(f"'{path}' holds several networks: two '{name}'")
        weights[name] = tensor
    needed = ("features.0.weight", "features.8.weight", "fc.0.weight", "fc.3.weight")
    if not weights.keys() >= set(needed):
        raise CheckpointError(
            f"'{path}' is not a checkpoint of BYOL-A: these have {', '.join(needed)}. "
            "Its keys: " + ", ".join(sorted(map(str, states))[:12])
        )
    config = {
        "channels": len(weights["features.0.weight"]),
        "hidden_size": len(weights["fc.0.weight"]),
    }
    return config, weights


class ByolA(Upstream):
    """BYOL-A.

    Its only hidden state has one frame for each window.

    Arguments
    ---------
    source : str, optional
        Checkpoint, or its address; it brings its own sizes. None: a random
        network of ``config``.
    config : dict, optional
        ``channels`` (64) and ``hidden_size`` (2048), only without ``source``.
    window_secs, stride_secs : float
        Seconds that a frame sees, and from one to the next. The windows begin
        at 0; after the end of an utterance they hold zeros.
    freeze, precision
        As for every upstream.
    seed : int
        Of the random network's weights.

    Note
    ----
    When fine-tuned, batch norm keeps the statistics of pre-training, so that
    an utterance gets what it gets alone. S3PRL counts the windows of the
    longest utterance for all of a batch; here each has its own.

    Example
    -------
    >>> upstream = ByolA(config={"channels": 8, "hidden_size": 32})
    >>> hidden_states, lens = upstream(torch.randn(2, 40000))
    >>> hidden_states[0].shape
    torch.Size([2, 3, 32])
    """

    num_layers = 1
    base = {"channels": 64, "hidden_size": 2048}

    def __init__(
        self,
        source=None,
        config=None,
        window_secs=1.0,
        stride_secs=1.0,
        freeze=True,
        precision="fp32",
        seed=0,
    ):
        super().__init__(freeze, precision)
        config, weights = config or {}, None
        if source is not None:
            config, weights = read_source(source, read_byol_a)
        unknown = [key for key in config if key not in self.base]
        if unknown:
            raise ValueError(
                f"Unknown in config: {', '.join(unknown)}. Known: "
                + ", ".join(self.base)
            )
        self.window = int(window_secs * self.sample_rate)
        self.stride = int(stride_secs * self.sample_rate)
        check_sizes(self.window, self.stride)
        self.config = {**self.base, **config}
        self.network = build(lambda: AudioNtt(**self.config), weights, source, seed)
        self.output_size = self.network.output_size

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        return 1 + (max(samples, 1) - 1) // self.stride

    def encode(self, wavs):
        """[batch, samples] -> one hidden state [batch, frames, output_size]."""
        end = (self.frames(wavs.shape[1]) - 1) * self.stride + self.window
        wavs = nn.functional.pad(wavs, (0, end - wavs.shape[1]))
        windows = wavs.unfold(1, self.window, self.stride)
        x = (log_mel(windows) - MEAN) / STD
        x = x.to(self.network.fc[0].weight.dtype)
        return [in_parts(self.network, x)]


# Not buffers: these stay fp32 when the module is cast.
@functools.lru_cache(maxsize=16)
def _hann(size, device):
    return torch.hann_window(size, device=device)


@functools.lru_cache(maxsize=16)
def _mel_bands(device):
    bands = torchaudio.functional.melscale_fbanks(
        N_FFT // 2 + 1, 60.0, 7800.0, N_MELS, SAMPLE_RATE
    )
    return bands.T.contiguous().to(device)
