"""Poolings that weight the frames of an utterance.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from speechbrain.lobes.models import ECAPA_TDNN

from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.pooling import frame_mask, precise

ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}


class AttentivePooling(torch.nn.Module):
    """Weighted mean over the true frames; a network scores each frame.

    The weights are the softmax over time of ``score(activation(project(x)))``.

    Arguments
    ---------
    input_size : int
        Size of the frames, and ``output_size``.
    hidden_size : int, optional
        Size of the layer that scores; default: ``input_size``.
    activation : str
        "relu" or "tanh".

    Raises
    ------
    HeadError
        If there is no such activation.

    Note
    ----
    The formula is that of S3PRL's ``AttentivePooling``, whose mask adds 1 to the scores
    of true frames instead of removing the padding. A bias of ``score`` would cancel in
    the softmax, so there is none.

    Example
    -------
    >>> pooling = AttentivePooling(8)
    >>> pooling(torch.randn(2, 10, 8), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 8])
    """

    def __init__(
        self, input_size: int, hidden_size: int | None = None, activation: str = "relu"
    ):
        super().__init__()
        hidden_size = hidden_size or input_size
        self.project = torch.nn.Linear(input_size, hidden_size)
        self.activation = _activation(activation)
        self.score = torch.nn.Linear(hidden_size, 1, bias=False)
        self.output_size = input_size

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, size] and relative lengths [batch] to [batch, size]."""
        return _weighted(x, self.score(self.activation(self.project(x))), lens)


class LinearAttentivePooling(torch.nn.Module):
    """Weighted mean over the true frames, scored by a linear layer.

    Paper: Safari et al., "Self-Attention Encoding and Pooling for Speaker Recognition",
    Interspeech 2020, https://arxiv.org/abs/2008.01077.

    Arguments
    ---------
    input_size : int
        Size of the frames, and ``output_size``.
    activation : str, optional
        "relu" or "tanh", of the frames before they are scored and averaged; default:
        none.

    Raises
    ------
    HeadError
        If there is no such activation.

    Note
    ----
    With ``activation="tanh"`` it is the ``SAP`` of S3PRL's ``atis`` and
    ``audio_snips``. A bias of ``score`` would cancel in the softmax, so there is none.

    Example
    -------
    >>> pooling = LinearAttentivePooling(8, activation="tanh")
    >>> pooling(torch.randn(2, 10, 8), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 8])
    """

    def __init__(self, input_size: int, activation: str | None = None):
        super().__init__()
        self.activation: torch.nn.Module = torch.nn.Identity()
        if activation is not None:
            self.activation = _activation(activation)
        self.score = torch.nn.Linear(input_size, 1, bias=False)
        self.output_size = input_size

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, size] and relative lengths [batch] to [batch, size]."""
        x = self.activation(x)
        return _weighted(x, self.score(x), lens)


class SelfAttentivePooling(AttentivePooling):
    """Weighted mean over the true frames, scored by a layer with a tanh.

    Paper: Zhu et al., "Self-Attentive Speaker Embeddings for Text-Independent Speaker
    Verification", Interspeech 2018,
    https://danielpovey.com/files/2018_interspeech_xvector_attention.pdf.

    Arguments
    ---------
    input_size : int
        Size of the frames, and ``output_size``.
    hidden_size : int, optional
        Size of the layer that scores; default: ``input_size``, as in S3PRL.

    Example
    -------
    >>> pooling = SelfAttentivePooling(8)
    >>> pooling(torch.randn(2, 10, 8), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 8])
    """

    def __init__(self, input_size: int, hidden_size: int | None = None):
        super().__init__(input_size, hidden_size, activation="tanh")


class AttentiveStatisticsPooling(ECAPA_TDNN.AttentiveStatisticsPooling):
    """Weighted mean and standard deviation; each channel weights the frames itself.

    It is the pooling of ECAPA-TDNN, with SpeechBrain's layers and their names.

    Paper: Desplanques et al., "ECAPA-TDNN", https://arxiv.org/abs/2005.07143.

    Arguments
    ---------
    input_size : int
        Size of the frames; ``output_size`` is twice that.
    attention_channels : int
        Size of the layer that scores.
    global_context : bool
        Whether the scores also depend on mean and deviation of the utterance.

    Note
    ----
    In training, SpeechBrain's batch norm also counts the padding. Here the layers run
    over the true frames alone; without padding the result is the same.

    Example
    -------
    >>> pooling = AttentiveStatisticsPooling(8)
    >>> pooling(torch.randn(2, 10, 8), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        input_size: int,
        attention_channels: int = 128,
        global_context: bool = True,
    ):
        super().__init__(input_size, attention_channels, global_context)
        self.output_size = 2 * input_size

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, size] and relative lengths [batch] to
        [batch, 2 * size]."""
        mask = frame_mask(x, lens)
        x = precise(x).masked_fill(~mask[..., None], 0.0)
        frames = x[mask]  # [true frames of the batch, size]
        if self.global_context:
            uniform = mask[..., None].to(x) / mask.sum(1)[:, None, None]
            mean, deviation = self._moments(x, uniform)
            row = mask.nonzero()[:, 0]
            frames = torch.cat([frames, mean[row], deviation[row]], dim=-1)
        scores = self.conv(self.tanh(self.tdnn(frames.T[None])))[0].T
        weights = torch.full_like(x, -torch.inf)
        weights = weights.masked_scatter(mask[..., None], scores.to(x)).softmax(1)
        return torch.cat(self._moments(x, weights), dim=-1)

    def _moments(self, x, weights):
        """Returns weighted mean and standard deviation, [batch, size] each."""
        mean = (weights * x).sum(1)
        squares = (x - mean[:, None]).square()
        return mean, (weights * squares).sum(1).clamp_min(self.eps).sqrt()


def _activation(name):
    """Returns a new activation of a name."""
    if name not in ACTIVATIONS:
        choices = " or ".join(ACTIVATIONS)
        raise HeadError(f"activation: {choices}, not '{name}'.")
    return ACTIVATIONS[name]()


def _weighted(x, scores, lens):
    """Returns the mean of frames [batch, frames, size] by scores [batch, frames, 1]."""
    padding = ~frame_mask(x, lens)[..., None]
    weights = precise(scores).masked_fill(padding, -torch.inf).softmax(1)
    return (x.masked_fill(padding, 0.0) * weights).sum(1)
