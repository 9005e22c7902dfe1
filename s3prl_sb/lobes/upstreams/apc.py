"""APC and VQ-APC: recurrent networks that predict the frames to come.

Papers: Chung et al., "An Unsupervised Autoregressive Model for Speech
Representation Learning", Interspeech 2019, https://arxiv.org/abs/1904.03240;
Chung et al., "Vector-Quantized Autoregressive Predictive Coding", Interspeech
2020, https://arxiv.org/abs/2005.08392. Reproduces S3PRL's ``upstream/apc``. What
other networks over the same features need is here as well.

Authors
 * The s3prl_sb developers, 2026
"""

import inspect
import re

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints.building import build, read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.lobes.upstreams.features import KaldiFeatures

#: Arguments of KaldiFeatures that differ from its own defaults.
AUDIO = {"num_mel_bins": 80, "window_type": "hamming", "deltas": 0, "cmvn": True}
#: S3PRL's names of the weights, and ours.
NAMES = {
    r"^rnn_layers\.": "layers.",
    r"^vq_layers\.(\d+)\.vq_logits\.": r"quantizer.logits.\1.",
    r"^vq_layers\.(\d+)\.codebook_CxE\.": r"quantizer.codebooks.\1.",
}


def defaults(network):
    """The arguments of a class that have defaults, and these."""
    parameters = inspect.signature(network).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def complete(base, changes):
    """A configuration: ``changes`` over ``base``, which has all known entries.

    What is under ``audio`` is another such dict, checked by who uses it.

    Example
    -------
    >>> complete({"size": 1, "audio": {"deltas": 0}}, {"size": 2})
    {'size': 2, 'audio': {'deltas': 0}}
    """
    unknown = [str(key) for key in changes if key not in base]
    if unknown:
        raise ValueError(
            f"Unknown entry of config: {', '.join(unknown)}. Known: {', '.join(base)}"
        )
    audio = {**base["audio"], **changes.get("audio", {})}
    return {**base, **changes, "audio": audio}


class OverKaldi(Upstream):
    """What upstreams over Kaldi's features share.

    A subclass sets ``network``, which takes the features of all utterances
    [total_frames, size] and a list of their frames.

    Arguments
    ---------
    audio : dict
        Arguments of :class:`KaldiFeatures`.
    freeze, precision
        As for every upstream.
    """

    packed = True

    def __init__(self, audio, freeze, precision):
        super().__init__(freeze, precision)
        self.features = KaldiFeatures(**audio)
        self.stride = self.features.stride

    @property
    def min_samples(self):
        """Length of the shortest audio that needs no padding, in samples."""
        return self.features.min_samples

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        return self.features.frames(samples)

    def encode(self, wavs):
        """[batch, samples] -> hidden states [batch, frames, output_size]."""
        for state in self.encode_packed(list(wavs)):
            yield state.unflatten(0, (len(wavs), -1))

    def encode_packed(self, wavs):
        """List of [samples_i] -> hidden states [total_frames, output_size]."""
        pieces = [self.features.encode(wav[None])[0][0] for wav in wavs]
        x = torch.cat(pieces).to(next(self.network.parameters()).dtype)
        return self.network(x, [len(piece) for piece in pieces])


class TimeMajor:
    """The order in which recurrent layers read packed utterances.

    First the first frames of all utterances, then the second ones, … Layers
    then take as many steps as the longest utterance has frames, whatever the
    number of utterances, and compute no padding.

    Arguments
    ---------
    frames : list of int
        Frames of each utterance.
    device : torch.device
        Of the features.
    backward : bool
        From the last frame of each utterance to its first.

    Example
    -------
    >>> order = TimeMajor([2, 3], "cpu")
    >>> order.rows.tolist(), order.back.tolist()
    ([2, 0, 3, 1, 4], [1, 3, 0, 2, 4])
    >>> order.run(nn.GRU(8, 4), torch.randn(5, 8)).shape
    torch.Size([5, 4])
    """

    def __init__(self, frames, device, backward=False):
        rows = torch.arange(sum(frames)).split(frames)
        rows = [row.flip(0) for row in rows] if backward else list(rows)
        rows = pack_sequence(rows, enforce_sorted=False)
        self.rows = rows.data.to(device)  #: where each comes from
        self.back = self.rows.argsort()  #: and where it went
        self.sizes = rows.batch_sizes  #: how many there are of each step

    def run(self, layer, x):
        """A recurrent layer over [total_frames, size], in this order."""
        return layer(PackedSequence(x, self.sizes))[0].data


class Quantizer(nn.Module):
    """Chooses a code for each part of a frame.

    Arguments
    ---------
    codebook_size : list of int
        Codes for each part.
    size : int
        Of the frames.
    code_dim : list of int, optional
        Size of each part. None: equal parts.

    Example
    -------
    >>> quantizer = Quantizer([64, 64], size=32)
    >>> codes = quantizer(torch.randn(10, 32))
    >>> codes.shape, quantizer.codebooks[0](codes[:, 0]).shape
    (torch.Size([10, 2]), torch.Size([10, 16]))
    """

    def __init__(self, codebook_size, size, code_dim=None):
        super().__init__()
        self.code_dim = code_dim or [size // len(codebook_size)] * len(codebook_size)
        if len(self.code_dim) != len(codebook_size) or sum(self.code_dim) != size:
            raise ValueError(
                f"code_dim {self.code_dim} must have one entry for each of "
                f"codebook_size {codebook_size}, and {size} as the sum"
            )
        sizes = list(zip(self.code_dim, codebook_size))
        self.logits = nn.ModuleList(nn.Linear(dim, count) for dim, count in sizes)
        self.codebooks = nn.ModuleList(nn.Embedding(n, dim) for dim, n in sizes)

    def forward(self, x):
        """[…, size] -> codes […, parts]."""
        parts = zip(self.logits, x.split(self.code_dim, -1))
        return torch.stack([logits(part).argmax(-1) for logits, part in parts], -1)


class RecurrentNetwork(nn.Module):
    """The whole network.

    Arguments
    ---------
    input_size : int
        Of the features.
    num_layers, hidden_size : int
        Of the GRUs.
    dropout : float
        After each layer, in training mode.
    residual : bool
        Add their input to the layers' output, but for the first one's.
    codebook_size, code_dim : list of int, optional
        Of the :class:`Quantizer` after the last layer; None or empty: none.

    Example
    -------
    >>> network = RecurrentNetwork(80, num_layers=2, hidden_size=16)
    >>> [list(state.shape) for state in network(torch.randn(9, 80), [5, 4])]
    [[9, 16], [9, 16]]
    """

    def __init__(
        self,
        input_size,
        num_layers=3,
        hidden_size=512,
        dropout=0.1,
        residual=True,
        codebook_size=None,
        code_dim=None,
    ):
        super().__init__()
        self.dropout, self.residual = dropout, residual
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.layers = nn.ModuleList(nn.GRU(size, hidden_size) for size in sizes)
        self.quantizer = None
        if codebook_size:
            self.quantizer = Quantizer(codebook_size, hidden_size, code_dim)

    def forward(self, x, frames):
        """Features [total_frames, input_size], and how many are of each utterance
        -> the output of each layer [total_frames, hidden_size], one at a time."""
        order = TimeMajor(frames, x.device)
        x = x[order.rows]
        for i, layer in enumerate(self.layers):
            y = F.dropout(order.run(layer, x), self.dropout, self.training)
            x = x + y if self.residual and i > 0 else y
            yield x[order.back]


class Apc(OverKaldi):
    """APC, and VQ-APC.

    Its hidden states are the outputs of the layers; VQ-APC's last one is that
    before the quantization.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address. It brings its own architecture
        and features. None: a random network of ``config``.
    config : dict, optional
        Arguments of :class:`RecurrentNetwork` that differ from APC's, and
        under ``audio`` those of :class:`KaldiFeatures`; only without
        ``source``.
    freeze, precision
        As for every upstream.
    seed : int
        Of the random network's weights.

    Note
    ----
    S3PRL returns three hidden states whatever the number of layers, and takes
    no fewer than three. Here there is one for each layer.

    Example
    -------
    >>> upstream = Apc(config={"hidden_size": 32, "codebook_size": [16]})
    >>> wavs = torch.randn(2, 16000)
    >>> hidden_states, lens = upstream(wavs)
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 98, 32]))
    >>> codes, lens = upstream.codes(wavs)
    >>> codes.shape
    torch.Size([2, 98, 1])
    """

    #: What ``config`` changes.
    base = {**defaults(RecurrentNetwork), "audio": AUDIO}

    def __init__(self, source=None, config=None, freeze=True, precision="fp32", seed=0):
        weights = None
        if source is None:
            config = complete(self.base, config or {})
        else:
            config, weights = read_source(source, read_apc)
        super().__init__(config["audio"], freeze, precision)
        self.config = config
        sizes = {key: value for key, value in config.items() if key != "audio"}
        self.network = build(
            lambda: RecurrentNetwork(self.features.output_size, **sizes),
            weights,
            source,
            seed,
        )
        if self.network.quantizer is not None:  # comes after the hidden states
            self.network.quantizer.requires_grad_(False)
        self.num_layers = config["num_layers"]
        self.output_size = config["hidden_size"]

    def codes(self, wavs, wav_lens=None):
        """The codes of a network with vector quantization.

        Their vectors are ``network.quantizer.codebooks[part](codes[…, part])``.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples], as for :meth:`forward`.
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        codes : torch.Tensor
            [batch, frames, parts], whole numbers from 0, and -1 after the end
            of an utterance.
        lens : torch.Tensor
            [batch], relative lengths in frames.

        Raises
        ------
        ValueError
            If the network has no vector quantization.
        """
        if self.network.quantizer is None:
            raise ValueError(f"This {type(self).__name__} has no vector quantization.")
        with torch.no_grad():
            hidden_states, lens = self(wavs, wav_lens)
            codes = self.network.quantizer(hidden_states[-1])
        frames = torch.arange(codes.shape[1], device=codes.device)
        ended = frames >= (lens * codes.shape[1]).round()[:, None]
        return codes.masked_fill(ended[..., None], -1), lens


def read_s3prl(path, family, layers, base):
    """Reads a checkpoint of the layout of S3PRL's APC and NPC.

    Arguments
    ---------
    path : str
        The file.
    family, layers : str
        What it should be of, and how the names of its layers start.
    base : dict
        All entries that the configuration may have.

    Returns
    -------
    config : dict
        As of :class:`Apc`, complete.
    weights : dict
        Under S3PRL's names, but for the quantizer's. The layer that predicts
        features, ``postnet``, has no part in the hidden states and is dropped.

    Raises
    ------
    CheckpointError
        If the file is of another family.
    """
    states = checkpoints.read(path)
    states = states if isinstance(states, dict) else {}
    config, model = checkpoints.plain(states.get("config")), states.get("model")
    try:
        given, audio = dict(config["model"]["paras"]), dict(config["data"]["audio"])
        fits = any(name.startswith(layers) for name in model)
    except (AttributeError, KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise CheckpointError(
            f"'{path}' is not a checkpoint of {family}: these have 'config' with "
            f"'model.paras' and 'data.audio', and 'model' with '{layers}…'. It "
            f"holds {held(states)}."
        )
    if audio.pop("feat_type", None) != "fbank":
        raise CheckpointError(f"'{path}' is of other features than Kaldi's fbank.")
    for key in ("decode_wav", "dither"):  # no options of KaldiFeatures
        audio.pop(key, None)
    quantizer = given.pop("vq", None) or {}
    for key in ("codebook_size", "code_dim"):
        given[key] = quantizer.get(key)
    given["audio"] = {"num_mel_bins": audio.pop("feat_dim", 80), **audio}
    try:
        config = complete(base, given)
    except ValueError as error:
        raise CheckpointError(f"'{path}': {error}") from error
    weights = {}
    for name, tensor in model.items():
        if ".codebook_CxE." in name:  # a linear layer, over one-hot vectors
            tensor = tensor.t().contiguous()
        for pattern, ours in NAMES.items():
            name = re.sub(pattern, ours, name)
        if not name.startswith("postnet."):
            weights[name] = tensor
    return config, weights


def held(states):
    """What a checkpoint of another family holds, for the error."""
    names = ", ".join(sorted(map(str, states))[:12]) or "nothing known"
    model = states.get("model")
    first = ", ".join(list(map(str, model))[:3]) if isinstance(model, dict) else ""
    return f"{names}; in 'model': {first}" if first else names


def read_apc(path):
    """Reads a checkpoint of S3PRL, see :func:`read_s3prl`."""
    return read_s3prl(path, "APC", "rnn_layers.", Apc.base)
