"""VGGish: a convolutional network over windows of a log mel spectrogram.

Paper: Hershey et al., "CNN Architectures for Large-Scale Audio Classification",
ICASSP 2017, https://arxiv.org/abs/1609.09430. Reproduces S3PRL's
``upstream/vggish``: embeddings in the format of AudioSet, integers of 8 bits.

Authors
 * The s3prl_sb developers, 2026
"""

import functools

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints import values
from s3prl_sb.lobes.checkpoints.building import build, read_source
from s3prl_sb.lobes.checkpoints.fetch import fetch
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, plain, read
from s3prl_sb.lobes.upstreams.base import Upstream

SAMPLE_RATE, WINDOW, HOP, N_FFT = 16000, 400, 160, 512
FRAMES, N_MELS = 96, 64  # of the spectrogram in one example
LOWEST, HIGHEST = 125.0, 7500.0  # Hz
LIMIT = 2.0  # of the whitened embeddings; they become integers up to 255
POOLED = (0, 1, 3, 5)  # the convolutions that a pooling follows
#: The published sizes.
BASE = {
    "channels": [64, 128, 256, 256, 512, 512],
    "hidden_size": 4096,
    "output_size": 128,
}
#: The published places of the convolutions and of the linear maps.
PLACES = {"convolutions": (0, 3, 6, 8, 11, 13), "linears": (0, 2, 4)}
#: Examples that run through the network together: bounds the memory.
TOGETHER = 64


class Pca(nn.Module):
    """Whitening, and quantization to 8 bits.

    Example
    -------
    >>> pca = Pca(2)
    >>> _ = pca.load_state_dict({"vectors": torch.eye(2), "means": torch.ones(2)})
    >>> pca(torch.tensor([[1.0, 9.0]])).tolist()
    [[128.0, 255.0]]
    """

    def __init__(self, size):
        super().__init__()
        self.vectors = nn.Parameter(torch.empty(size, size))
        self.means = nn.Parameter(torch.empty(size))

    def forward(self, x):
        """[examples, size] -> the same, whole numbers from 0 to 255."""
        x = ((x - self.means) @ self.vectors.T).clamp(-LIMIT, LIMIT)
        x = (x + LIMIT) * (255 / (2 * LIMIT))
        # Rounding has no gradient: in training it passes for the identity.
        return x + (x.round() - x).detach() if x.requires_grad else x.round()


class VggishNetwork(nn.Module):
    """Convolutions, three linear maps, and the whitening.

    Arguments
    ---------
    channels : list of int
        Of the six convolutions.
    hidden_size, output_size : int
        Of the first two linear maps, and of the last.

    Example
    -------
    >>> network = VggishNetwork([4] * 6, hidden_size=8, output_size=8)
    >>> network(torch.randn(5, 96, 64)).shape
    torch.Size([5, 8])
    """

    def __init__(self, channels, hidden_size, output_size):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, padding=1)
            for inputs, outputs in zip([1, *channels], channels)
        )
        flat = channels[-1] * (FRAMES // 16) * (N_MELS // 16)
        sizes = [flat, hidden_size, hidden_size, output_size]
        self.linears = nn.ModuleList(map(nn.Linear, sizes, sizes[1:]))
        self.pca = Pca(output_size)

    def forward(self, x, postprocess=True):
        """[examples, frames, mels] -> [examples, output_size]"""
        x = x[:, None].to(self.linears[0].weight.dtype)
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x).relu()
            x = F.max_pool2d(x, 2) if i in POOLED else x
        x = x.permute(0, 2, 3, 1).flatten(1)  # channels vary fastest
        for linear in self.linears:
            x = linear(x).relu()
        return self.pca(x) if postprocess else x


def log_mel(wavs):
    """Log mel magnitudes as of Google's VGGish.

    Arguments
    ---------
    wavs : torch.Tensor
        [batch, samples].

    Returns
    -------
    torch.Tensor
        [batch, frames, mels], fp32: only whole frames of 25 ms, every 10 ms.

    Example
    -------
    >>> log_mel(torch.zeros(2, 16000)).shape
    torch.Size([2, 98, 64])
    """
    with torch.autocast(wavs.device.type, enabled=False):
        x = wavs.float().unfold(1, WINDOW, HOP) * _hann(wavs.device)
        x = torch.fft.rfft(x, N_FFT).abs() @ _mel_bands(wavs.device)
        return (x + 0.01).log()


def read_vggish(path, pca=None):
    """Reads the weights, and those of the whitening.

    Arguments
    ---------
    path : str
        Weights of the network; or a file with ``vggish`` and ``pca``.
    pca : str, optional
        File of the whitening, or its address, where ``path`` has none.

    Returns
    -------
    config : dict
        ``channels``, ``hidden_size`` and ``output_size``.
    weights : dict
        Of :class:`VggishNetwork`.

    Raises
    ------
    CheckpointError
        If a file is of another kind.
    """
    states = read(path)
    states = states if isinstance(states, dict) else {}
    parameters = states.get("pca")
    states = dict(states.get("vggish", states))
    if "features.0.weight" not in states or "embeddings.0.weight" not in states:
        raise CheckpointError(
            f"'{path}' is not a checkpoint of VGGish: these have features.0.weight "
            "and embeddings.0.weight. Its keys: "
            + ", ".join(sorted(map(str, states))[:12])
        )
    if parameters is None:
        if pca is None:
            raise CheckpointError(f"'{path}' needs the file of the whitening: pca")
        path = fetch(pca)
        parameters = read(path)
    parameters = plain(parameters)  # published as arrays of NumPy
    keys = ("pca_eigen_vectors", "pca_means")
    parameters = parameters if isinstance(parameters, dict) else {}
    if sorted(parameters) != list(keys):
        raise CheckpointError(
            f"'{path}' is not the whitening of VGGish: that has {' and '.join(keys)}. "
            f"It holds: {', '.join(sorted(map(str, parameters))[:12])}"
        )
    vectors, means = (values.single(parameters, key) for key in keys)
    weights = {"pca.vectors": vectors, "pca.means": means.flatten()}
    for ours, theirs in (("convolutions", "features"), ("linears", "embeddings")):
        for i, place in enumerate(PLACES[ours]):
            for part in ("weight", "bias"):
                name = f"{theirs}.{place}.{part}"
                if name in states:
                    weights[f"{ours}.{i}.{part}"] = states.pop(name)
    sizes = {name: len(tensor) for name, tensor in weights.items()}
    config = {
        "channels": [  # of one that is missing the published size, for the error
            sizes.get(f"convolutions.{i}.weight", published)
            for i, published in enumerate(BASE["channels"])
        ],
        "hidden_size": sizes["linears.0.weight"],
        "output_size": sizes["pca.means"],
    }
    return config, {**weights, **states}  # what is left is not expected


class Vggish(Upstream):
    """VGGish.

    Its only hidden state has one frame for each 0.96 s.

    Arguments
    ---------
    source : str, optional
        Checkpoint of the network, or its address; it brings its own sizes.
        None: a random network of ``config``.
    config : dict, optional
        ``channels`` of the six convolutions, ``hidden_size``, ``output_size``;
        what differs from the published ones, only without ``source``.
    pca : str, optional
        File of the whitening, or its address. Not needed if ``source`` holds
        both.
    postprocess : bool
        Whitened and quantized embeddings as published for AudioSet: whole
        numbers from 0 to 255. False: those of the network.
    freeze, precision
        See :class:`~s3prl_sb.lobes.upstreams.base.Upstream`. The whitening is not trained.
    seed : int
        Seed of the random weights.

    Note
    ----
    S3PRL declares a stride of 16000 samples; that of its frames is 15360, as
    here. It fails for audio of less than 15600 samples, which here is padded.
    The end of an utterance that fills no example is left out, as in S3PRL.

    S3PRL computes spectrograms in double precision, here they are fp32: a
    number on the edge between two integers may get the other one. In training
    the quantization passes gradients on, which in S3PRL are all zero.

    Example
    -------
    >>> tiny = {"channels": [4] * 6, "hidden_size": 8, "output_size": 8}
    >>> hidden_states, lens = Vggish(config=tiny)(torch.randn(2, 32000))
    >>> hidden_states[0].shape
    torch.Size([2, 2, 8])
    """

    num_layers = 1
    stride = FRAMES * HOP
    min_samples = WINDOW + (FRAMES - 1) * HOP  #: one example

    def __init__(
        self,
        source=None,
        config=None,
        pca=None,
        postprocess=True,
        freeze=True,
        precision="fp32",
        seed=0,
    ):
        super().__init__(freeze, precision)
        config, weights = config or {}, None
        if source is not None:
            config, weights = read_source(source, lambda path: read_vggish(path, pca))
        unknown = [key for key in config if key not in BASE]
        if unknown:
            raise ValueError(
                f"Unknown in config: {', '.join(unknown)}. Known: {', '.join(BASE)}"
            )
        self.config = {**BASE, **config}
        if len(self.config["channels"]) != len(BASE["channels"]):
            raise ValueError(f"channels must be {len(BASE['channels'])} numbers")
        self.postprocess = postprocess
        self.network = build(
            lambda: VggishNetwork(**self.config), weights, source, seed
        )
        self.network.pca.requires_grad_(False)
        self.output_size = self.config["output_size"]

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        samples = max(samples, self.min_samples)
        return (1 + (samples - WINDOW) // HOP) // FRAMES

    def encode(self, wavs):
        """[batch, samples] -> one hidden state [batch, frames, output_size]."""
        frames = self.frames(wavs.shape[1])
        x = log_mel(wavs)[:, : frames * FRAMES].reshape(-1, FRAMES, N_MELS)
        parts = [self.network(part, self.postprocess) for part in x.split(TOGETHER)]
        return [torch.cat(parts).unflatten(0, (len(wavs), frames))]


# Not buffers: these stay fp32 when the module is cast.
@functools.lru_cache(maxsize=16)
def _hann(device):
    return torch.hann_window(WINDOW, device=device)


@functools.lru_cache(maxsize=16)
def _mel_bands(device):
    """[bins, mels]: triangles over a mel axis, unlike those of torchaudio."""

    def mel(hertz):
        return 1127 * torch.log1p(torch.as_tensor(hertz, dtype=torch.double) / 700)

    bins = mel(torch.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1, dtype=torch.double))
    edges = torch.linspace(mel(LOWEST), mel(HIGHEST), N_MELS + 2, dtype=torch.double)
    width = edges[1] - edges[0]
    bands = (1 - (bins[:, None] - edges[1:-1]).abs() / width).clamp_min(0)
    return bands.float().to(device)
