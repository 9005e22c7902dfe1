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

import dataclasses

import torch

from s3prl_sb.lobes.checkpoints import reading
from s3prl_sb.lobes.upstreams.features import StftFeatures
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream


@dataclasses.dataclass
class MyConfig:
    """Configuration of the network. A checkpoint or a card changes the defaults.

    Arguments
    ---------
    n_mels, hidden_size, num_layers : int
        Mel bands; size of each hidden state; number of GRU layers.
    """

    n_mels: int = 80
    hidden_size: int = 64
    num_layers: int = 2


class Network(torch.nn.Module):
    """Network as it was pre-trained, on features of equal length.

    Bring your own as it is: it needs to know nothing of this package. It is built
    without memory: constants that no checkpoint holds are computed in ``forward``.

    Arguments
    ---------
    n_mels, hidden_size, num_layers : int
        See :class:`MyConfig`.

    Example
    -------
    >>> states = list(Network(n_mels=80, hidden_size=8)(torch.randn(2, 101, 80)))
    >>> len(states), states[0].shape
    (3, torch.Size([2, 51, 8]))
    """

    STRIDE = 2  # mel frames from one hidden frame to the next

    def __init__(self, n_mels=80, hidden_size=64, num_layers=2):
        super().__init__()
        # Over the bands of each frame, which removes the loudness.
        self.norm = torch.nn.LayerNorm(n_mels)
        self.convolution = torch.nn.Conv1d(
            n_mels, hidden_size, kernel_size=3, stride=self.STRIDE, padding=1
        )
        # A module for each layer, because their outputs are hidden states.
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


class MyUpstream(PretrainedUpstream):
    """My upstream.

    Its hidden states are the output of the convolution and of each GRU layer.

    Arguments
    ---------
    source : str, optional
        Checkpoint: a file or an address. It brings its own architecture. None: a
        random network of ``config``.
    config : dict, optional
        Entries of :class:`MyConfig`; only without ``source``.
    **options
        ``freeze``, ``precision``, ``adapter`` and ``seed``, see
        :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Example
    -------
    >>> upstream = MyUpstream(config={"hidden_size": 8})
    >>> hidden_states, lens = upstream(torch.randn(2, 16000), torch.tensor([1, 0.5]))
    >>> len(hidden_states), hidden_states[0].shape, upstream.frames(16000)
    (3, torch.Size([2, 51, 8]), 51)
    """

    Config = MyConfig

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        # Recipes take their sizes from these.
        self.stride = self.features.stride * Network.STRIDE
        self.num_layers = 1 + self.config.num_layers
        self.output_size = self.config.hidden_size

    def read(self, path):
        """Returns configuration and weights of a checkpoint; no code in it runs."""
        return convert(reading.read(path))

    def make_features(self):
        """Returns the log mel features."""
        n_mels, precision = self.config.n_mels, self.precision
        return StftFeatures(
            "mel", n_mels=n_mels, cmvn=False, freeze=self.freeze, precision=precision
        )

    def make_network(self):
        """Returns the network; its weights come from the checkpoint or the seed."""
        return Network(**vars(self.config))

    def frames(self, samples):
        """Returns the number of frames of an utterance of ``samples`` samples."""
        return self.network.frames(super().frames(samples))

    def encode(self, wavs):
        """[batch, samples] -> hidden states [batch, frames, output_size].

        ``wavs`` are of equal length, without padding, at least ``min_samples`` long.
        """
        # One state after the other: they need not all be in memory at once.
        yield from self.network(self.features.encode(wavs)[0])


def convert(checkpoint):
    """Returns configuration and weights of a checkpoint, with the network's names.

    It handles every difference between the file of your training script and this
    module: other names, a head that is not needed, weights saved by DataParallel.

    Arguments
    ---------
    checkpoint : dict
        ``{"config": {…}, "model": {name: tensor}}``. A ``.safetensors`` file has
        the weights only: keep its config as JSON next to it.

    Returns
    -------
    config : dict
        Entries of :class:`MyConfig`.
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
    # An argparse.Namespace was read as an inert stub: plain() converts it to a dict.
    return reading.plain(checkpoint["config"]), weights
