"""My upstream: strided convolutions over log mel, then GRUs.

The first lines say what the model is and where it was published:
Me et al., "A title", https://arxiv.org/abs/0000.00000.

Outside the package, ``s3prl-sb trust .`` allows a card to run this file: see README.md.

The base class prepares the input of ``encode``: it cuts a padded batch into its
waveforms, stacks those of equal length, and refuses empty or broken audio by name. So
there is no padding or mask here, and a bidirectional GRU or a norm over time is exact.

Authors
 * Me, 2026
"""

import torch

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints.building import read_source
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.lobes.upstreams.features import StftFeatures

#: The architecture. A checkpoint or a card says what it does otherwise.
DEFAULTS = {"n_mels": 80, "hidden_size": 64, "num_layers": 2}


class Network(torch.nn.Module):
    """Pre-trained network, on features of equal length.

    Any module can replace it; it does not depend on this package.

    Arguments
    ---------
    n_mels, hidden_size, num_layers : int
        Mel bands; size of each hidden state; number of GRU layers.

    Example
    -------
    >>> states = list(Network(n_mels=80, hidden_size=8)(torch.randn(2, 101, 80)))
    >>> len(states), states[0].shape
    (3, torch.Size([2, 51, 8]))
    """

    STRIDE = 2  # mel frames from one hidden frame to the next

    def __init__(self, n_mels=80, hidden_size=64, num_layers=2):
        super().__init__()
        # Over the bands of each frame: loudness goes, the spectrum's shape stays.
        self.norm = torch.nn.LayerNorm(n_mels)
        self.convolution = torch.nn.Conv1d(
            n_mels, hidden_size, kernel_size=3, stride=self.STRIDE, padding=1
        )
        # A module for each layer: what lies between them is a hidden state too.
        self.layers = torch.nn.ModuleList(
            torch.nn.GRU(
                hidden_size, hidden_size // 2, batch_first=True, bidirectional=True
            )
            for _ in range(num_layers)
        )

    def frames(self, mel_frames):
        """Returns the number of hidden frames for a number of mel frames."""
        return (mel_frames - 1) // self.STRIDE + 1

    def forward(self, x):
        """[batch, mel_frames, n_mels] -> states [batch, frames, hidden_size]."""
        x = self.norm(x).transpose(1, 2)
        x = self.convolution(x).transpose(1, 2).relu()
        yield x
        for layer in self.layers:
            x = x + layer(x)[0]
            yield x


class MyUpstream(Upstream):
    """My upstream.

    Its hidden states are the output of the convolution and of each GRU layer.

    Arguments
    ---------
    source : str, optional
        Checkpoint: a file or an address. It brings its own architecture. None: a
        random network of ``config``.
    config : dict, optional
        What differs from ``DEFAULTS``; only without ``source``.
    freeze : bool
        No training.
    precision : str
        "fp32", "bf16" or "fp16".
    seed : int
        Of the random network's weights.

    Example
    -------
    >>> upstream = MyUpstream(config={"hidden_size": 8})
    >>> hidden_states, lens = upstream(torch.randn(2, 16000), torch.tensor([1, 0.5]))
    >>> len(hidden_states), hidden_states[0].shape, upstream.frames(16000)
    (3, torch.Size([2, 51, 8]), 51)
    """

    def __init__(self, source=None, config=None, freeze=True, precision="fp32", seed=0):
        super().__init__(freeze=freeze, precision=precision)
        weights = None
        if source is not None:
            # An address becomes a file; nothing that is in it is run.
            config, weights = read_source(
                source, lambda path: convert(checkpoints.read(path))
            )
        self.config = {**DEFAULTS, **(config or {})}
        with torch.random.fork_rng(devices=[]):  # the caller's dice stay as they are
            torch.manual_seed(seed)  # the same weights in every process
            self.network = Network(**self.config)
        if weights is not None:
            # All of them and nothing else: a missing name is an error.
            checkpoints.load_weights(self.network, weights, source)
        self.mel = StftFeatures(
            "mel",
            n_mels=self.config["n_mels"],
            cmvn=False,
            freeze=freeze,
            precision=precision,
        )
        # What every upstream has to say of itself. Recipes take their sizes from it.
        self.stride = self.mel.stride * Network.STRIDE
        self.num_layers = 1 + self.config["num_layers"]
        self.output_size = self.config["hidden_size"]

    @property
    def min_samples(self):
        """Up to here audio is padded, so that there is one frame at least."""
        return self.mel.min_samples

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        return self.network.frames(self.mel.frames(samples))

    def encode(self, wavs):
        """[batch, samples] -> hidden states [batch, frames, output_size].

        ``wavs`` are of equal length, all of it audio, ``min_samples`` at least.
        """
        # One state after the other: they need not all be in memory at once.
        yield from self.network(self.mel.encode(wavs)[0])


def convert(checkpoint):
    """A checkpoint's content -> config, weights under the names of ``Network``.

    Every difference between your training script's file and this module is settled
    here: other names, a head that is not needed, weights saved by DataParallel.

    Arguments
    ---------
    checkpoint : dict
        ``{"config": {…}, "model": {name: tensor}}``. A ``.safetensors`` file has
        the weights only: keep its config as JSON beside it, or in the card.

    Returns
    -------
    config : dict
        As for :class:`MyUpstream`.
    weights : dict
        Names to tensors.

    Example
    -------
    >>> model = {"module.layers.0.bias": torch.ones(1), "head.bias": torch.ones(1)}
    >>> convert({"config": {"num_layers": 1}, "model": model})
    ({'num_layers': 1}, {'layers.0.bias': tensor([1.])})
    """
    weights = {
        name.removeprefix("module."): tensor
        for name, tensor in checkpoint["model"].items()
        if not name.startswith("head.")  # of the pre-training task
    }
    # An argparse.Namespace was read as an inert stub: plain() makes a dict of it.
    return checkpoints.plain(checkpoint["config"]), weights
