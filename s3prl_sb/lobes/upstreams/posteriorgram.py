"""Phonetic posteriorgrams: probabilities of phones, from a head on an upstream.

As features: Hazen et al., "Query-by-example spoken term detection using
phonetic posteriorgram templates", ASRU 2009,
https://doi.org/10.1109/ASRU.2009.5372889. Reproduces S3PRL's
``timit_posteriorgram`` (``downstream/timit_phone``).

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import dataclasses

from torch import nn

from s3prl_sb.lobes.checkpoints.building import build, sizes_only
from s3prl_sb.lobes.checkpoints.reading import (
    CheckpointError,
    as_dict,
    load_weights,
    plain,
    read,
)
from s3prl_sb.lobes.networks.conv_bank import ConvBank
from s3prl_sb.lobes.upstreams import card, load
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

#: Prefix of the names of the inner upstream's weights.
INNER = "upstream.network."
#: Entries of a configuration that are not arguments of the head.
INNER_ENTRIES = ("upstream", "upstream_config", "inner")


class HeadedUpstream(PretrainedUpstream):
    """Base class of upstreams that are a head on another upstream.

    ``network.upstream`` is the inner upstream, ``network.head`` the head. The
    configuration has the entries ``upstream``, the name of the inner upstream's card;
    ``upstream_config``, the entries that differ from its architecture; ``inner``,
    its complete configuration, which is set here; and the arguments of the head. A
    subclass sets ``Config`` and ``Head`` and implements ``frames`` and ``encode``.
    """

    Head = None  #: class of the head: takes the input size and its own arguments
    #: arguments of the inner upstream's card, if it brings its own weights
    card_options = {}

    def build_network(self, weights, source, seed):
        """Returns both parts."""
        upstream = self._inner_upstream(_below(weights, INNER), source, seed)
        options = vars(self.config).items()
        options = {name: v for name, v in options if name not in INNER_ENTRIES}
        head = build(
            lambda: self.Head(upstream.output_size, **options),
            _below(weights, "head."),
            source,
            seed,
            options,
        )
        inner = getattr(upstream, "config", {})
        is_class = dataclasses.is_dataclass(inner)
        self.config.inner = dataclasses.asdict(inner) if is_class else inner
        self.sample_rate = upstream.sample_rate
        return nn.ModuleDict({"upstream": upstream, "head": head})

    def _inner_upstream(self, weights, source, seed):
        """Builds the inner upstream: its weights, random ones (None), or those of its
        card (empty)."""
        name, freeze = self.config.upstream, self.freeze
        if "source" not in card(name) or weights == {}:
            return load(name, **{**self.card_options, "freeze": freeze})
        entries = self.config.inner or self.config.upstream_config or {}
        with sizes_only() if weights else contextlib.nullcontext():
            upstream = load(name, source=None, config=entries, freeze=freeze, seed=seed)
        if weights:
            load_weights(upstream.network, weights, source)
        return upstream

    def trimmed(self, samples):
        """Returns the number of the inner upstream's frames that S3PRL's featurizer
        keeps: as many as strides, rounded."""
        upstream = self.network["upstream"]
        strides = round(max(samples, upstream.min_samples) / upstream.stride)
        return max(1, min(upstream.frames(samples), strides))


def _below(weights, prefix):
    """Returns the weights under a prefix, without it."""
    if weights is None:
        return None
    return {n[len(prefix) :]: t for n, t in weights.items() if n.startswith(prefix)}


@dataclasses.dataclass
class PosteriorgramConfig:
    """Configuration of a posteriorgram.

    Arguments
    ---------
    upstream : str
        Name of the inner upstream's card.
    upstream_config : dict, optional
        Entries that differ from its architecture.
    classes, kernels, cnn_size, hidden_size, dropout
        Arguments of :class:`ConvBankClassifier`.
    inner : dict, optional
        Complete configuration of the inner upstream, set when it is built.
    """

    upstream: str = "fbank"
    upstream_config: dict | None = None
    classes: int = 39
    kernels: list = dataclasses.field(default_factory=lambda: [3, 5, 7])
    cnn_size: int = 32
    hidden_size: int = 64
    dropout: float = 0.5
    inner: dict | None = None


class ConvBankClassifier(ConvBank):
    """Classifier of frames, with parallel convolutions of several widths.

    Arguments
    ---------
    input_size : int
        Size of the frames.
    classes : int
        Number of classes.
    **options
        See :class:`~s3prl_sb.lobes.networks.conv_bank.ConvBank`.

    Example
    -------
    >>> import torch
    >>> ConvBankClassifier(80)(torch.randn(2, 50, 80)).shape
    torch.Size([2, 50, 39])
    """

    def __init__(self, input_size, classes=39, **options):
        super().__init__(input_size, **options)
        self.leave = nn.Linear(self.output_size, classes)

    def forward(self, x):
        """[batch, frames, input_size] -> logits [batch, frames, classes]."""
        return self.leave(super().forward(x))


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
        Entries of :class:`PosteriorgramConfig`.
    weights : dict
        Weights of the head. S3PRL's file names the inner upstream and does not
        contain it.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint.
    """
    states = as_dict(read(path))
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
    return {**config, **options}, renamed


class Posteriorgram(HeadedUpstream):
    """Posteriorgram: the hidden state has the probabilities of phones.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address: it names the inner upstream, which
        fetches its own weights. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`PosteriorgramConfig`; only without ``source``.
    upstream : dict, optional
        Arguments of the inner upstream's card, such as another ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    In S3PRL the dropout of the classifier is also active in evaluation, so that its
    posteriors are random. Here it is not.

    As in S3PRL, the last frame is dropped if the inner upstream has one frame more
    than the audio has strides.

    Example
    -------
    >>> import torch
    >>> posteriorgram = Posteriorgram()
    >>> hidden_states, lens = posteriorgram(torch.randn(2, 16000))
    >>> hidden_states[0].shape, hidden_states[0].sum(-1).allclose(torch.ones(2, 98))
    (torch.Size([2, 98, 39]), True)
    """

    Config, Head = PosteriorgramConfig, ConvBankClassifier
    num_layers = 1
    read = staticmethod(read_posteriorgram)

    def __init__(self, source=None, config=None, upstream=None, **options):
        self.card_options = upstream or {}
        super().__init__(source, config, **options)
        self.stride = self.network["upstream"].stride
        self.output_size = self.config.classes

    @property
    def min_samples(self):
        """See :attr:`Upstream.min_samples`."""
        return self.network["upstream"].min_samples

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return self.trimmed(samples)

    def encode(self, wavs):
        """Returns the posteriors, see :meth:`Upstream.encode`."""
        for x in self.network["upstream"].encode(wavs):
            pass  # only the last one is needed
        head = self.network["head"]
        x = x[:, : self.frames(wavs.shape[1])].to(head.enter.weight.dtype)
        yield head(x).softmax(-1)
