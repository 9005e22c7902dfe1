"""VGGish: a convolutional network over windows of a log mel spectrogram.

Paper: Hershey et al., "CNN Architectures for Large-Scale Audio Classification",
ICASSP 2017, https://arxiv.org/abs/1609.09430. Reproduces S3PRL's
``upstream/vggish``: embeddings in the format of AudioSet, integers of 8 bits.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import functools

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints import values
from s3prl_sb.lobes.checkpoints.fetch import fetch
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

SAMPLE_RATE, WINDOW, HOP, N_FFT = 16000, 400, 160, 512
FRAMES, N_MELS = 96, 64  # size of the spectrogram of one example
LOWEST, HIGHEST = 125.0, 7500.0  # Hz
LIMIT = 2.0  # largest whitened embedding, which becomes the integer 255
POOLED = (0, 1, 3, 5)  # convolutions with pooling after them
#: Published indices of the convolutions and of the linear maps.
PLACES = {"convolutions": (0, 3, 6, 8, 11, 13), "linears": (0, 2, 4)}
#: Number of examples that run through the network at a time.
TOGETHER = 64


@dataclasses.dataclass
class VggishConfig:
    """Sizes of VGGish; defaults: those published.

    Arguments
    ---------
    channels : list of int
        Channels of the six convolutions.
    hidden_size, output_size : int
        Sizes of the first two linear maps, and of the last.
    """

    channels: list = dataclasses.field(
        default_factory=lambda: [64, 128, 256, 256, 512, 512]
    )
    hidden_size: int = 4096
    output_size: int = 128

    def __post_init__(self):
        if len(self.channels) != 6:
            raise ValueError("channels must be 6 numbers")


class Pca(nn.Module):
    """Whitening and quantization to 8 bits.

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
        # Rounding has no gradient: training treats it as the identity.
        return x + (x.round() - x).detach() if x.requires_grad else x.round()


class VggishNetwork(nn.Module):
    """Network of VGGish: convolutions, three linear maps, and the whitening.

    Arguments
    ---------
    channels, hidden_size, output_size
        See :class:`VggishConfig`.

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
    """Computes the log mel magnitudes of Google's VGGish.

    Arguments
    ---------
    wavs : torch.Tensor
        [batch, samples].

    Returns
    -------
    torch.Tensor
        [batch, frames, mels], fp32: complete frames of 25 ms, every 10 ms.

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
    """Reads the weights of the network and of the whitening.

    Arguments
    ---------
    path : str
        Weights of the network, or a file with ``vggish`` and ``pca``.
    pca : str, optional
        File of the whitening, or its address, if ``path`` has none.

    Returns
    -------
    config : dict
        Entries of :class:`VggishConfig`.
    weights : dict
        Weights of :class:`VggishNetwork`.

    Raises
    ------
    CheckpointError
        If a file is not of VGGish.
    """
    states = as_dict(read(path))
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
    parameters = as_dict(plain(parameters))  # published as arrays of NumPy
    keys = ("pca_eigen_vectors", "pca_means")
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
        "channels": [  # a missing one has the published size, for the error
            sizes.get(f"convolutions.{i}.weight", published)
            for i, published in enumerate(VggishConfig().channels)
        ],
        "hidden_size": sizes["linears.0.weight"],
        "output_size": sizes["pca.means"],
    }
    return config, {**weights, **states}  # the rest is unexpected


class Vggish(PretrainedUpstream):
    """VGGish.

    Its only hidden state has one frame for each 0.96 s.

    Arguments
    ---------
    source : str, optional
        Checkpoint of the network, or its address; it brings its own sizes.
        None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`VggishConfig` that differ from its defaults; only without
        ``source``.
    pca : str, optional
        File of the whitening, or its address; not needed if ``source`` has both.
    postprocess : bool
        Whiten and quantize the embeddings as published for AudioSet, to whole
        numbers from 0 to 255. The whitening is not trained.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    S3PRL declares a stride of 16000 samples; that of its frames is 15360, as here. It
    fails for audio of less than 15600 samples, which is padded here. The end of an
    utterance that does not fill an example is left out, as in S3PRL.

    S3PRL computes spectrograms in double precision, here they are fp32: a number
    between two integers may be rounded differently. In training the quantization
    passes gradients on, which are all zero in S3PRL.

    Example
    -------
    >>> tiny = {"channels": [4] * 6, "hidden_size": 8, "output_size": 8}
    >>> hidden_states, lens = Vggish(config=tiny)(torch.randn(2, 32000))
    >>> hidden_states[0].shape
    torch.Size([2, 2, 8])
    """

    Config = VggishConfig
    unknown_entry = "Unknown in config"
    num_layers = 1
    stride = FRAMES * HOP
    min_samples = WINDOW + (FRAMES - 1) * HOP  #: one example

    def __init__(self, source=None, config=None, pca=None, postprocess=True, **options):
        self.pca, self.postprocess = pca, postprocess
        super().__init__(source, config, **options)
        self.network.pca.requires_grad_(False)
        self.output_size = self.config.output_size

    def read(self, path):
        """Reads a checkpoint of VGGish, see :func:`read_vggish`."""
        return read_vggish(path, self.pca)

    def make_network(self):
        """Returns the network."""
        return VggishNetwork(**vars(self.config))

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        samples = max(samples, self.min_samples)
        return (1 + (samples - WINDOW) // HOP) // FRAMES

    def encode(self, wavs):
        """See :meth:`Upstream.encode`."""
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
    """Returns [bins, mels]: triangles over a mel axis, unlike torchaudio's."""

    def mel(hertz):
        return 1127 * torch.log1p(torch.as_tensor(hertz, dtype=torch.double) / 700)

    bins = mel(torch.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1, dtype=torch.double))
    edges = torch.linspace(mel(LOWEST), mel(HIGHEST), N_MELS + 2, dtype=torch.double)
    width = edges[1] - edges[0]
    bands = (1 - (bins[:, None] - edges[1:-1]).abs() / width).clamp_min(0)
    return bands.float().to(device)
