"""Predictors of mean opinion scores: a head on an upstream.

Paper: Tseng et al., "Utilizing Self-supervised Representations for MOS
Prediction", Interspeech 2021, https://arxiv.org/abs/2104.03017. Reproduces the
scores of S3PRL's ``upstream/mos_prediction``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import math
import re

import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints import s3prl_layout, transformer_checkpoints
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.upstreams import mockingjay
from s3prl_sb.lobes.upstreams.posteriorgram import INNER, HeadedUpstream

#: S3PRL's names of the head's weights, and ours.
NAMES = {
    r"^connector\.": "projection.",
    r"^model\.mean_net_linear\.": "score.",
    r"^model\.mean_net_pooling\.W\.": "attention.",
}
#: Weights that predict the biases of judges in training.
TRAINING = re.compile(r"model\.(bias_net_linear|bias_net_pooling|judge_embbeding)\.")
#: Prefixes of the networks of S3PRL's upstreams, which identify them.
PLACES = {"tera": "transformer.model.", "apc": "model.", "wav2vec2": "model."}
FIRST = {"tera": "input_repr", "apc": "rnn_layers", "wav2vec2": "feature_extr"}


@dataclasses.dataclass
class MosConfig:
    """Configuration of a predictor of mean opinion scores.

    Arguments
    ---------
    upstream : str
        Name of the inner upstream's card.
    upstream_config : dict, optional
        Entries that differ from its architecture.
    projector_dim, clipping, attention_pooling
        Arguments of :class:`ScoreHead`.
    inner : dict, optional
        Complete configuration of the inner upstream, set when it is built.
    """

    upstream: str = "tera"
    upstream_config: dict | None = None
    projector_dim: int = 256
    clipping: bool = True
    attention_pooling: bool = True
    inner: dict | None = None


class ScoreHead(nn.Module):
    """Head that scores segments.

    Arguments
    ---------
    input_size : int
        Size of the frames.
    projector_dim : int
        Size of the projected frames.
    clipping : bool
        Limit scores to the range from 1 to 5.
    attention_pooling : bool
        Pool frames by self-attention (https://arxiv.org/abs/2008.01077) before they
        are scored; else average the scores of frames.

    Example
    -------
    >>> import torch
    >>> ScoreHead(80)(torch.randn(3, 50, 80)).shape
    torch.Size([3])
    """

    def __init__(
        self, input_size, projector_dim=256, clipping=True, attention_pooling=True
    ):
        super().__init__()
        self.clipping = clipping
        self.projection = nn.Linear(input_size, projector_dim)
        self.attention = nn.Linear(projector_dim, 1) if attention_pooling else None
        self.score = nn.Linear(projector_dim, 1)

    def forward(self, x):
        """[segments, frames, input_size] -> [segments]."""
        return self.scores(self.projection(x))

    def scores(self, x, mask=None):
        """Scores projected frames, [segments, frames, projector_dim] -> [segments].

        ``mask``, [segments, frames], is true for frames that count; default: all.
        """
        score = self.score(pooled(x, self.attention, mask))[:, 0]
        return 2 * score.tanh() + 3 if self.clipping else score


def pooled(x, attention=None, mask=None):
    """Pools the frames of segments.

    Arguments
    ---------
    x : torch.Tensor
        [segments, frames, size].
    attention : torch.nn.Module, optional
        Layer that scores each frame; default: the mean.
    mask : torch.Tensor, optional
        [segments, frames], true for frames that count, one or more in each segment.

    Returns
    -------
    torch.Tensor
        [segments, size].

    Example
    -------
    >>> import torch
    >>> pooled(torch.ones(2, 5, 3), torch.nn.Linear(3, 1)).shape
    torch.Size([2, 3])
    """
    scores = x.new_zeros(*x.shape[:2], 1) if attention is None else attention(x)
    if mask is not None:
        scores = scores.masked_fill(~mask[..., None], -math.inf)
        x = x.masked_fill(~mask[..., None], 0.0)
    return (x * scores.softmax(1)).sum(1)


def read_mos(path):
    """Reads a checkpoint of S3PRL.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    config : dict
        Entries of :class:`MosConfig`. S3PRL's file does not state
        ``upstream_config``.
    weights : dict
        Weights of the head and of the inner upstream. Those that predict the biases
        of single judges are dropped.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint, or its upstream is not known.
    """
    states = as_dict(read(path))
    try:
        modelrc = plain(states["Config"])["downstream_expert"]["modelrc"]
        config = {"projector_dim": modelrc["projector_dim"]}
        config["clipping"] = bool(modelrc.get("clipping", False))
        config["attention_pooling"] = bool(modelrc.get("attention_pooling", False))
        inner, head = dict(states["Upstream"]), dict(states["Downstream"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"'{path}' is no checkpoint of S3PRL's MOS prediction: these have "
            "'Config' with downstream_expert.modelrc, 'Upstream' and 'Downstream'. "
            "Its keys: " + (", ".join(sorted(map(str, states))[:12]) or "none")
        ) from error
    weights = {
        f"head.{our_name(name, NAMES)}": tensor
        for name, tensor in head.items()
        if not TRAINING.match(name)
    }
    for name, place in PLACES.items():
        if any(key.startswith(place + FIRST[name]) for key in inner):
            config["upstream"] = name
            for key, tensor in _inner(name, inner).items():
                weights[INNER + key] = tensor
            return config, weights
    raise CheckpointError(
        f"'{path}' has an upstream that is none of {', '.join(PLACES)}: "
        + ", ".join(sorted(map(str, inner))[:4])
    )


def _inner(name, weights):
    """Converts the weights of the inner upstream's network to our names."""
    place = PLACES[name]
    weights = {
        key.removeprefix(place): tensor
        for key, tensor in weights.items()
        # These are constants of the features, which are computed here.
        if not key.startswith(("transformer.extracter.", "preprocessor."))
    }
    if name == "wav2vec2":
        layout = {"layer": "transformer"}
        return transformer_checkpoints.fairseq_weights(weights, layout)
    names = {"apc": s3prl_layout, "tera": mockingjay}[name].NAMES
    return {
        our_name(key, names): tensor
        for key, tensor in weights.items()
        if not key.startswith("postnet.")  # it predicts features in APC
    }


class MosPrediction(HeadedUpstream):
    """Predictor of mean opinion scores: the hidden state has the scores of segments of
    1 s, one every 0.5 s.

    :meth:`score` returns the score of an utterance.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address, with the inner upstream. None: a random
        network of ``config``.
    config : dict, optional
        Entries of :class:`MosConfig`; only without ``source``.
    upstream_config : dict, optional
        Entries that differ from the architecture of the inner upstream's card, as
        S3PRL's checkpoint does not state them.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    As in S3PRL, the last segment is padded with zeros, and the number of segments is
    one up to 1 s, then that of complete steps of 0.5 s.

    Example
    -------
    >>> import torch
    >>> tiny = {"transformer": {"hidden_size": 32, "num_attention_heads": 4}}
    >>> mos = MosPrediction(upstream_config=tiny)
    >>> hidden_states, lens = mos(torch.randn(2, 40000))
    >>> hidden_states[0].shape, mos.score(torch.randn(2, 40000)).shape
    (torch.Size([2, 5, 1]), torch.Size([2]))
    """

    Config, Head = MosConfig, ScoreHead
    num_layers = output_size = 1
    read = staticmethod(read_mos)

    def __init__(self, source=None, config=None, upstream_config=None, **options):
        self.upstream_config = upstream_config
        super().__init__(source, config, **options)
        self.segment = self.sample_rate
        self.stride = self.segment // 2

    def make_config(self, entries):
        """Returns the configuration, with the inner upstream's entries."""
        config = super().make_config(entries)
        if self.upstream_config is not None:
            config.upstream_config = self.upstream_config
        return config

    def frames(self, samples):
        """Returns the number of segments, see :meth:`Upstream.frames`."""
        return 1 if samples <= self.segment else samples // self.stride

    def encode(self, wavs):
        """Returns the scores of segments, see :meth:`Upstream.encode`."""
        upstream, head = self.network["upstream"], self.network["head"]
        frames = self.frames(wavs.shape[1])
        missing = (frames - 1) * self.stride + self.segment - wavs.shape[1]
        wavs = F.pad(wavs, (0, missing)).unfold(1, self.segment, self.stride)
        total = 0
        for state in upstream.encode(wavs.flatten(0, 1)):
            total = total + state.float()
        x = (total / upstream.num_layers)[:, : self.trimmed(self.segment)]
        yield head(x.to(head.score.weight.dtype)).view(-1, frames, 1)

    def score(self, wavs, wav_lens=None):
        """Returns the mean opinion scores of utterances.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples], as for :meth:`forward`.
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            Scores from 1, bad, to 5, excellent, [batch].
        """
        (scores,), lens = self(wavs, wav_lens)
        return scores[..., 0].sum(1) / (lens * scores.shape[1]).round()
