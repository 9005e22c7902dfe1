"""Phonetic posteriorgrams: probabilities of phones, from a head on an upstream.

As features: Hazen et al., "Query-by-example spoken term detection using
phonetic posteriorgram templates", ASRU 2009,
https://doi.org/10.1109/ASRU.2009.5372889. Reproduces S3PRL's
``timit_posteriorgram`` (``downstream/timit_phone``).

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints.building import read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, plain, read
from s3prl_sb.lobes.upstreams.headed import Headed, complete


class ConvBank(nn.Module):
    """A classifier of frames: convolutions of several widths, side by side.

    Arguments
    ---------
    input_size : int
        Of the frames.
    classes : int
    kernels : list of int
        Frames that the convolutions see.
    cnn_size : int
        Channels of each.
    hidden_size : int
        Before them.
    dropout : float
        In training mode.

    Example
    -------
    >>> ConvBank(80)(torch.randn(2, 50, 80)).shape
    torch.Size([2, 50, 39])
    """

    def __init__(
        self,
        input_size,
        classes=39,
        kernels=(3, 5, 7),
        cnn_size=32,
        hidden_size=64,
        dropout=0.5,
    ):
        super().__init__()
        self.dropout = dropout
        self.enter = nn.Linear(input_size, hidden_size)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(hidden_size, cnn_size, kernel, padding=kernel // 2)
            for kernel in kernels
        )
        self.leave = nn.Linear(cnn_size * len(kernels), classes)

    def forward(self, x):
        """[batch, frames, input_size] -> logits [batch, frames, classes]."""
        frames = x.shape[1]
        x = F.dropout(self.enter(x).relu(), self.dropout, self.training)
        # An even kernel gives one frame too many.
        parts = [c(x.transpose(1, 2))[..., :frames] for c in self.convolutions]
        x = torch.cat(parts, 1).transpose(1, 2)
        return self.leave(F.dropout(x.relu(), self.dropout, self.training))


#: S3PRL's names of the weights, and ours.
NAMES = {"in_linear": "enter", "cnns": "convolutions", "out_linear": "leave"}


def read_posteriorgram(path):
    """Reads a checkpoint of S3PRL.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    config : dict
        Complete, see :class:`Posteriorgram`.
    weights : dict
        Of the head. S3PRL's file names the inner upstream and does not hold it.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint.
    """
    states = read(path)
    states = states if isinstance(states, dict) else {}
    try:
        modelrc = plain(states["Config"])["downstream_expert"]["modelrc"]
        config = {"upstream": str(plain(states["Args"])["upstream"])}
        kind, weights = modelrc["select"], dict(states["Downstream"])
        options = dict(modelrc[kind])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"'{path}' is no checkpoint of a phone classifier of S3PRL: these have "
            "'Args' with the name of the upstream, 'Config' with "
            "downstream_expert.modelrc, and 'Downstream'. Its keys: "
            + (", ".join(sorted(map(str, states))[:12]) or "none")
        ) from error
    if kind != "ConvBank":
        raise CheckpointError(
            f"'{path}' has a classifier '{kind}'; a posteriorgram's is a ConvBank."
        )
    renamed = {}
    for name, tensor in weights.items():
        first, _, rest = name.partition(".")[2].partition(".")  # after "model."
        renamed[f"head.{NAMES.get(first, first)}.{rest}"] = tensor
    try:
        return complete(Posteriorgram.base, {**config, **options}), renamed
    except ValueError as error:
        raise CheckpointError(f"'{path}': {error}") from error


class Posteriorgram(Headed):
    """Probabilities of phones, the one hidden state.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address: it names the inner upstream, which
        fetches its own weights. None: a random network of ``config``.
    config : dict, optional
        Arguments of :class:`ConvBank` that differ from its defaults, and
        ``upstream``, the name of the inner upstream's card, with
        ``upstream_config``, what differs from its architecture; only without
        ``source``.
    upstream : dict, optional
        Arguments of the inner upstream's card, such as another ``source``.
    freeze, precision
        As for every upstream, and of the inner one as well.
    seed : int
        Seed of the random weights.

    Note
    ----
    In S3PRL the dropout of the classifier is active also in evaluation, so that
    its posteriors are random. Here it is not.

    As in S3PRL an inner upstream with one frame more than there are strides in
    the audio loses its last one.

    Example
    -------
    >>> posteriorgram = Posteriorgram()
    >>> hidden_states, lens = posteriorgram(torch.randn(2, 16000))
    >>> hidden_states[0].shape, hidden_states[0].sum(-1).allclose(torch.ones(2, 98))
    (torch.Size([2, 98, 39]), True)
    """

    num_layers = 1
    #: What ``config`` changes. The inner upstream of S3PRL's published file is
    #: the one that it names.
    base = {
        "upstream": "fbank",
        "upstream_config": None,
        "classes": 39,
        "kernels": [3, 5, 7],
        "cnn_size": 32,
        "hidden_size": 64,
        "dropout": 0.5,
    }

    def __init__(
        self,
        source=None,
        config=None,
        upstream=None,
        freeze=True,
        precision="fp32",
        seed=0,
    ):
        super().__init__(freeze, precision)
        if source is None:
            self.config, weights = complete(self.base, config or {}), None
        else:
            self.config, weights = read_source(source, read_posteriorgram)
        self.assemble(weights, source, seed, ConvBank, upstream)
        self.stride = self.network["upstream"].stride
        self.output_size = self.config["classes"]

    @property
    def min_samples(self):
        """Length of the shortest audio that needs no padding, in samples."""
        return self.network["upstream"].min_samples

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        return self.trimmed(samples)

    def encode(self, wavs):
        """[batch, samples] -> the posteriors [batch, frames, classes]."""
        for x in self.network["upstream"].encode(wavs):
            pass  # the last one
        head = self.network["head"]
        x = x[:, : self.frames(wavs.shape[1])].to(head.enter.weight.dtype)
        yield head(x).softmax(-1)
