"""DeCoAR: LSTMs in both directions that reconstruct slices of features.

Paper: Ling et al., "Deep Contextualized Acoustic Representations for
Semi-Supervised Speech Recognition", ICASSP 2020,
https://arxiv.org/abs/1912.01679. Reproduces S3PRL's ``upstream/decoar`` and
``decoar_layers``.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch
from torch import nn

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints.building import build, read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.apc import (
    AUDIO,
    OverKaldi,
    TimeMajor,
    complete,
    defaults,
    held,
)

#: S3PRL's names of the weights, and ours.
NAMES = {
    r"^post_extract_proj\.": "projection.",
    r"^(forward|backward)_lstm\.(\w+_l)(\d+)$": r"\1_layers.\3.\g<2>0",
}


class TwoWayNetwork(nn.Module):
    """The whole network.

    Arguments
    ---------
    input_size : int
        Of the features.
    num_layers, hidden_size : int
        Of the LSTMs in each direction.

    Example
    -------
    >>> network = TwoWayNetwork(80, num_layers=2, hidden_size=16)
    >>> [list(state.shape) for state in network(torch.randn(9, 80), [5, 4])]
    [[9, 32], [9, 32]]
    """

    def __init__(self, input_size, num_layers=4, hidden_size=1024):
        super().__init__()
        self.projection = nn.Linear(input_size, hidden_size)
        layers = [nn.LSTM(hidden_size, hidden_size) for _ in range(2 * num_layers)]
        self.forward_layers = nn.ModuleList(layers[:num_layers])
        self.backward_layers = nn.ModuleList(layers[num_layers:])

    def forward(self, x, frames):
        """Hidden states, one at a time.

        Arguments
        ---------
        x : torch.Tensor
            Features [total_frames, input_size].
        frames : list of int
            Frames of each utterance.

        Yields
        ------
        torch.Tensor
            [total_frames, 2 * hidden_size]: of each layer the output of the
            forward LSTM and of the backward one, which do not see each other.
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


class Decoar(OverKaldi):
    """DeCoAR.

    Its hidden state is the output of the last layer in both directions.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address. It brings its own sizes. None: a
        random network of ``config``.
    config : dict, optional
        Arguments of :class:`TwoWayNetwork` that differ from DeCoAR's, and
        under ``audio`` those of
        :class:`~s3prl_sb.lobes.upstreams.features.KaldiFeatures`; only without
        ``source``.
    every_layer : bool
        One hidden state for each layer (S3PRL's ``decoar_layers``).
    freeze, precision
        As for every upstream.
    seed : int
        Of the random network's weights.

    Note
    ----
    S3PRL loads checkpoints of one size, and what they lack stays random. Here
    sizes are those of the checkpoint, which must be whole.

    Example
    -------
    >>> upstream = Decoar(config={"hidden_size": 16}, every_layer=True)
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (4, torch.Size([2, 98, 32]))
    """

    #: What ``config`` changes.
    base = {**defaults(TwoWayNetwork), "audio": AUDIO}

    def __init__(
        self,
        source=None,
        config=None,
        every_layer=False,
        freeze=True,
        precision="fp32",
        seed=0,
    ):
        weights = None
        if source is None:
            config = complete(self.base, config or {})
        else:
            config, weights = read_source(source, read_decoar)
        super().__init__(config["audio"], freeze, precision)
        self.config = config
        self.network = build(
            lambda: TwoWayNetwork(
                self.features.output_size, config["num_layers"], config["hidden_size"]
            ),
            weights,
            source,
            seed,
        )
        self.every_layer = every_layer
        self.num_layers = config["num_layers"] if every_layer else 1
        self.output_size = 2 * config["hidden_size"]

    def encode_packed(self, wavs):
        """List of [samples_i] -> hidden states [total_frames, output_size]."""
        for layer, state in enumerate(super().encode_packed(wavs), start=1):
            if self.every_layer or layer == self.config["num_layers"]:
                yield state


def read_decoar(path):
    """Reads a checkpoint of S3PRL.

    Arguments
    ---------
    path : str

    Returns
    -------
    config : dict
        As of :class:`Decoar`, complete; sizes are those of the weights.
    weights : dict
        Of :class:`TwoWayNetwork`.

    Raises
    ------
    CheckpointError
        If the file is of another family.
    """
    states = checkpoints.read(path)
    states = states if isinstance(states, dict) else {}
    model = states.get("model")
    model = model if isinstance(model, dict) else {}
    needed = {"post_extract_proj.weight", "forward_lstm.weight_hh_l0"}
    if not needed <= set(model):
        raise CheckpointError(
            f"'{path}' is not a checkpoint of DeCoAR: these have 'model' with "
            f"{' and '.join(sorted(needed))}. It holds {held(states)}."
        )
    weights = {}
    for name, tensor in model.items():
        for pattern, ours in NAMES.items():
            name = re.sub(pattern, ours, name)
        weights[name] = tensor
    hidden_size, num_mel_bins = model["post_extract_proj.weight"].shape
    layers = [name for name in weights if name.startswith("forward_layers.")]
    config = {
        "num_layers": len({name.split(".")[1] for name in layers}),
        "hidden_size": hidden_size,
        "audio": {"num_mel_bins": num_mel_bins},
    }
    return complete(Decoar.base, config), weights
