"""Predictors of mean opinion scores: a head on an upstream.

Paper: Tseng et al., "Utilizing Self-supervised Representations for MOS
Prediction", Interspeech 2021, https://arxiv.org/abs/2104.03017. Reproduces the
scores of S3PRL's ``upstream/mos_prediction``.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints import s3prl_layout, transformer_checkpoints
from s3prl_sb.lobes.checkpoints.building import read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams import mockingjay
from s3prl_sb.lobes.upstreams.headed import INNER, Headed, complete

#: S3PRL's names of the head's weights, and ours.
NAMES = {
    r"^connector\.": "projection.",
    r"^model\.mean_net_linear\.": "score.",
    r"^model\.mean_net_pooling\.W\.": "attention.",
}
#: What the judges' biases are trained with.
TRAINING = re.compile(r"model\.(bias_net_linear|bias_net_pooling|judge_embbeding)\.")
#: Where S3PRL's upstreams keep their network: this tells them apart.
PLACES = {"tera": "transformer.model.", "apc": "model.", "wav2vec2": "model."}
FIRST = {"tera": "input_repr", "apc": "rnn_layers", "wav2vec2": "feature_extr"}


class ScoreHead(nn.Module):
    """A score for each segment.

    Arguments
    ---------
    input_size : int
        Of the frames.
    projector_dim : int
        That these are projected to.
    clipping : bool
        Keep scores between 1 and 5.
    attention_pooling : bool
        Weight frames by self-attention (https://arxiv.org/abs/2008.01077)
        before they are scored; else the mean of the scores of frames.

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
        x = self.projection(x)
        if self.attention is not None:
            x = (x * self.attention(x).softmax(1)).sum(1, keepdim=True)
        score = self.score(x).mean((1, 2))
        return 2 * score.tanh() + 3 if self.clipping else score


def read_mos(path):
    """Reads a checkpoint of S3PRL.

    Arguments
    ---------
    path : str

    Returns
    -------
    config : dict
        Complete, but for ``upstream_config``: S3PRL's file does not say it.
    weights : dict
        Of the head and of the inner upstream. What predicts the biases of
        single judges is dropped.

    Raises
    ------
    CheckpointError
        If the file is of another kind, or its upstream is not known.
    """
    states = checkpoints.read(path)
    states = states if isinstance(states, dict) else {}
    try:
        modelrc = checkpoints.plain(states["Config"])["downstream_expert"]["modelrc"]
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
        f"head.{_renamed(name, NAMES)}": tensor
        for name, tensor in head.items()
        if not TRAINING.match(name)
    }
    for name, place in PLACES.items():
        if any(key.startswith(place + FIRST[name]) for key in inner):
            config["upstream"] = name
            for key, tensor in _inner(name, inner).items():
                weights[INNER + key] = tensor
            return complete(MosPrediction.base, config), weights
    raise CheckpointError(
        f"'{path}' has an upstream that is none of {', '.join(PLACES)}: "
        + ", ".join(sorted(map(str, inner))[:4])
    )


def _inner(name, weights):
    """The weights of the inner upstream's network under our names."""
    place = PLACES[name]
    weights = {
        key.removeprefix(place): tensor
        for key, tensor in weights.items()
        # Constants of the features, which are computed.
        if not key.startswith(("transformer.extracter.", "preprocessor."))
    }
    if name == "wav2vec2":
        layout = {"layer": "transformer"}
        return transformer_checkpoints.fairseq_weights(weights, layout)
    names = {"apc": s3prl_layout, "tera": mockingjay}[name].NAMES
    return {
        _renamed(key, names): tensor
        for key, tensor in weights.items()
        if not key.startswith("postnet.")  # APC's prediction
    }


def _renamed(name, table):
    for pattern, ours in table.items():
        name = re.sub(pattern, ours, name)
    return name


class MosPrediction(Headed):
    """Scores of segments of 1 s, one every 0.5 s, the one hidden state.

    For the score of an utterance: :meth:`score`.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address; it holds the inner upstream. None:
        a random network of ``config``.
    config : dict, optional
        Arguments of :class:`ScoreHead` that differ from its defaults, and
        ``upstream``, the name of the inner upstream's card; only without
        ``source``.
    upstream_config : dict, optional
        What differs from the architecture of the inner upstream's card: S3PRL's
        checkpoint does not say it.
    freeze, precision
        As for every upstream, and of the inner one as well.
    seed : int
        Of the random network's weights.

    Note
    ----
    The last segment is padded with zeros, as in S3PRL, which also is where the
    numbers of segments come from: one up to 1 s, then as many as there are
    whole steps of 0.5 s.

    Example
    -------
    >>> import torch
    >>> tiny = {"transformer": {"hidden_size": 32, "num_attention_heads": 4}}
    >>> mos = MosPrediction(upstream_config=tiny)
    >>> hidden_states, lens = mos(torch.randn(2, 40000))
    >>> hidden_states[0].shape, mos.score(torch.randn(2, 40000)).shape
    (torch.Size([2, 5, 1]), torch.Size([2]))
    """

    num_layers = 1
    output_size = 1
    #: What ``config`` changes.
    base = {
        "upstream": "tera",
        "upstream_config": None,
        "projector_dim": 256,
        "clipping": True,
        "attention_pooling": True,
    }

    def __init__(
        self,
        source=None,
        config=None,
        upstream_config=None,
        freeze=True,
        precision="fp32",
        seed=0,
    ):
        super().__init__(freeze, precision)
        if source is None:
            self.config, weights = complete(self.base, config or {}), None
        else:
            self.config, weights = read_source(source, read_mos)
        if upstream_config is not None:
            self.config = {**self.config, "upstream_config": upstream_config}
        self.assemble(weights, source, seed, ScoreHead)
        self.segment = self.sample_rate
        self.stride = self.segment // 2

    def frames(self, samples):
        """The exact number of segments of an utterance of ``samples`` samples."""
        return 1 if samples <= self.segment else samples // self.stride

    def encode(self, wavs):
        """[batch, samples] -> the scores [batch, segments, 1]."""
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
        """Mean opinion scores of utterances.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples], as for :meth:`forward`.
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch], from 1, bad, to 5, excellent.
        """
        (scores,), lens = self(wavs, wav_lens)
        return scores[..., 0].sum(1) / (lens * scores.shape[1]).round()
