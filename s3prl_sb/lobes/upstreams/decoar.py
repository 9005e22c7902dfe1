"""DeCoAR: bidirectional LSTMs that reconstruct slices of features.

Paper: Ling et al., "Deep Contextualized Acoustic Representations for
Semi-Supervised Speech Recognition", ICASSP 2020,
https://arxiv.org/abs/1912.01679. Reproduces S3PRL's ``upstream/decoar`` and
``decoar_layers``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses

import torch
from torch import nn

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.checkpoints.s3prl_layout import AUDIO, contents
from s3prl_sb.lobes.networks.time_major import TimeMajor
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream
from s3prl_sb.lobes.upstreams.stages import FeatureStages

#: S3PRL's names of the weights, and ours.
NAMES = {
    r"^post_extract_proj\.": "projection.",
    r"^(forward|backward)_lstm\.(\w+_l)(\d+)$": r"\1_layers.\3.\g<2>0",
}


@dataclasses.dataclass
class DecoarConfig:
    """Configuration of DeCoAR.

    Arguments
    ---------
    num_layers, hidden_size : int
        Number and size of the LSTM layers in each direction.
    audio : dict
        Arguments of :class:`~s3prl_sb.lobes.upstreams.features.KaldiFeatures`
        that differ from DeCoAR's.
    """

    num_layers: int = 4
    hidden_size: int = 1024
    audio: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        self.audio = {**AUDIO, **self.audio}


class BidirectionalNetwork(nn.Module):
    """Bidirectional recurrent network of DeCoAR.

    Arguments
    ---------
    input_size : int
        Size of the features.
    config : DecoarConfig
        Sizes.

    Example
    -------
    >>> config = DecoarConfig(num_layers=2, hidden_size=16)
    >>> network = BidirectionalNetwork(80, config)
    >>> [list(state.shape) for state in network(torch.randn(9, 80), [5, 4])]
    [[9, 32], [9, 32]]
    """

    def __init__(self, input_size, config):
        super().__init__()
        size, count = config.hidden_size, config.num_layers
        self.projection = nn.Linear(input_size, size)
        layers = [nn.LSTM(size, size) for _ in range(2 * count)]
        self.forward_layers = nn.ModuleList(layers[:count])
        self.backward_layers = nn.ModuleList(layers[count:])

    def forward(self, x, frames):
        """Yields the hidden states.

        Arguments
        ---------
        x : torch.Tensor
            Features [total_frames, input_size].
        frames : list of int
            Frames of each utterance.

        Yields
        ------
        torch.Tensor
            [total_frames, 2 * hidden_size]: outputs of the forward and the
            backward LSTM of a layer, which do not see each other.
        """
        x = self.projection(x)
        onward = TimeMajor(frames, x.device)
        backward = TimeMajor(frames, x.device, backward=True)
        past, future = x[onward.rows], x[backward.rows]
        for forward_layer, backward_layer in zip(
            self.forward_layers, self.backward_layers
        ):
            past = onward.run(forward_layer, past)
            future = backward.run(backward_layer, future)
            yield torch.cat([past[onward.back], future[backward.back]], dim=-1)


def read_decoar(path):
    """Reads a checkpoint of S3PRL.

    Arguments
    ---------
    path : str

    Returns
    -------
    config : dict
        Entries of :class:`DecoarConfig`, from the shapes of the weights.
    weights : dict
        Weights of :class:`BidirectionalNetwork`.

    Raises
    ------
    CheckpointError
        If the file belongs to another family.
    """
    states = as_dict(read(path))
    model = as_dict(states.get("model"))
    needed = {"post_extract_proj.weight", "forward_lstm.weight_hh_l0"}
    if not needed <= set(model):
        raise CheckpointError(
            f"'{path}' is not a checkpoint of DeCoAR: these have 'model' with "
            f"{' and '.join(sorted(needed))}. It holds {contents(states)}."
        )
    weights = {our_name(name, NAMES): tensor for name, tensor in model.items()}
    hidden_size, num_mel_bins = model["post_extract_proj.weight"].shape
    layers = [name for name in weights if name.startswith("forward_layers.")]
    return {
        "num_layers": len({name.split(".")[1] for name in layers}),
        "hidden_size": hidden_size,
        "audio": {"num_mel_bins": num_mel_bins},
    }, weights


class Decoar(FeatureStages, PretrainedUpstream):
    """DeCoAR.

    Its hidden state is the output of the last layer in both directions.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address. It brings its own sizes. None: a
        random network of ``config``.
    config : dict, optional
        Entries of :class:`DecoarConfig`; only without ``source``.
    every_layer : bool
        Return one hidden state for each layer (S3PRL's ``decoar_layers``).
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    S3PRL loads checkpoints of one size, and missing weights stay random. Here the
    sizes come from the checkpoint, which must be complete.

    Example
    -------
    >>> upstream = Decoar(config={"hidden_size": 16}, every_layer=True)
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (4, torch.Size([2, 98, 32]))
    """

    Config = DecoarConfig
    read = staticmethod(read_decoar)

    def __init__(self, source=None, config=None, every_layer=False, **options):
        super().__init__(source, config, **options)
        self.every_layer = every_layer
        self.num_layers = self.config.num_layers if every_layer else 1
        self.output_size = 2 * self.config.hidden_size

    def make_features(self):
        """Returns the Kaldi features."""
        return KaldiFeatures(**self.config.audio)

    def make_network(self):
        """Returns the bidirectional network."""
        return BidirectionalNetwork(self.features.output_size, self.config)

    def contextualize(self, x, frames):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.contextualize`."""
        for layer, state in enumerate(self.network(x, frames), start=1):
            if self.every_layer or layer == self.config.num_layers:
                yield state
