"""Head that predicts mean opinion scores, and the biases of judges in training.

Paper: Tseng et al., "Utilizing Self-supervised Representations for MOS Prediction",
Interspeech 2021, https://arxiv.org/abs/2104.03017.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.pooling import frame_mask
from s3prl_sb.lobes.upstreams.mos_prediction import ScoreHead, pooled


class Windows(NamedTuple):
    """Windows of the utterances of a batch, one after another.

    Arguments
    ---------
    frames : torch.Tensor
        [windows, frames of a window, size], projected.
    mask : torch.Tensor
        [windows, frames of a window], bool: the true frames, one or more in each.
    scores : torch.Tensor
        [windows].
    there : torch.Tensor
        [batch, windows of the longest utterance], bool: which windows an utterance has.
    """

    frames: torch.Tensor
    mask: torch.Tensor
    scores: torch.Tensor
    there: torch.Tensor

    def means(self, values: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Returns the means over the windows of each utterance.

        Arguments
        ---------
        values : torch.Tensor
            One for each true entry of ``there``.
        there : torch.Tensor
            [batch, windows], :attr:`there` or a part of it.

        Returns
        -------
        torch.Tensor
            [batch]; 0 for an utterance without a window in ``there``.
        """
        table = values.new_zeros(there.shape)
        table[there] = values
        return table.sum(1) / there.sum(1).clamp_min(1)


class MosHead(torch.nn.Module):
    """Head that scores windows of 1 s with half an overlap; the mean is the score of
    the utterance.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        1: there is one score.
    stride : int
        Samples from one frame to the next.
    sample_rate : int
        Samples a second.
    window_seconds : float
        Length of a window.
    hidden_size : int
        Size of the projected frames.
    attention_pooling : bool
        Pools the frames of a window by self-attention
        (https://arxiv.org/abs/2008.01077); otherwise takes their mean.
    clipping : bool
        Limits scores to the range from 1 to 5.

    Raises
    ------
    HeadError
        If ``num_classes`` is not 1.

    Note
    ----
    The number of windows follows S3PRL: one up to the length of a window, then that of
    complete half windows. S3PRL cuts the waveform, fills the last window with zeros,
    and sends each through the upstream alone; here the features of the whole utterance
    are cut, and the last window has its true frames only. As an upstream has a little
    less than a frame for each stride, an utterance that is just longer than a number of
    half windows may have one window less here.

    Example
    -------
    >>> head = MosHead(input_size=24)
    >>> head(torch.randn(4, 120, 24), torch.tensor([1, 0.8, 0.2, 0.01])).shape
    torch.Size([4, 1])
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int = 1,
        stride: int = 320,
        sample_rate: int = 16000,
        window_seconds: float = 1.0,
        hidden_size: int = 256,
        attention_pooling: bool = True,
        clipping: bool = True,
    ):
        super().__init__()
        if num_classes != 1:
            raise HeadError(
                f"MosHead predicts one value, and the task has {num_classes}. Take "
                "another head, such as linear."
            )
        self.window = max(1, round(window_seconds * sample_rate / stride))
        self.step = max(1, self.window // 2)
        self.hidden_size, self.attention_pooling = hidden_size, attention_pooling
        self.scorer = ScoreHead(input_size, hidden_size, clipping, attention_pooling)

    def forward(
        self, features: torch.Tensor, lens: torch.Tensor, in_windows: bool = False
    ) -> torch.Tensor | Windows:
        """Returns the scores of utterances.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.
        in_windows : bool
            Whether to return the windows and their scores instead, for the loss.

        Returns
        -------
        torch.Tensor or Windows
            [batch, 1].
        """
        counts = frame_mask(features, lens).sum(1)
        numbers = (counts // self.step).clamp_min(1)
        numbers = torch.where(counts <= self.window, 1, numbers)
        most = int(numbers.max())
        missing = (most - 1) * self.step + self.window - features.shape[1]
        x = F.pad(features, (0, 0, 0, missing))  # cuts what no window needs
        x = x.unfold(1, self.window, self.step).transpose(2, 3)
        first = torch.arange(most, device=x.device) * self.step
        positions = first[:, None] + torch.arange(self.window, device=x.device)
        there = torch.arange(most, device=x.device) < numbers[:, None]
        mask = (positions < counts[:, None, None])[there]
        frames = self.scorer.projection(x[there].masked_fill(~mask[..., None], 0.0))
        windows = Windows(frames, mask, self.scorer.scores(frames, mask), there)
        if in_windows:
            return windows
        return windows.means(windows.scores, there)[:, None]


class JudgeBias(torch.nn.Module):
    """Network that predicts by how much a judge differs from the mean of all judges.

    It is needed in training only.

    Arguments
    ---------
    size : int
        Size of the projected frames.
    num_judges : int
        Number of judges.
    attention_pooling : bool
        See :class:`MosHead`.

    Example
    -------
    >>> bias = JudgeBias(size=8, num_judges=3)
    >>> mask = torch.ones(2, 5, dtype=torch.bool)
    >>> bias(torch.randn(2, 5, 8), mask, torch.tensor([0, 2])).shape
    torch.Size([2])
    """

    def __init__(self, size: int, num_judges: int, attention_pooling: bool = True):
        super().__init__()
        self.judges = torch.nn.Embedding(num_judges, size)
        self.attention = torch.nn.Linear(size, 1) if attention_pooling else None
        self.score = torch.nn.Linear(size, 1)

    def forward(
        self, frames: torch.Tensor, mask: torch.Tensor, judges: torch.Tensor
    ) -> torch.Tensor:
        """Returns the biases of judges for windows.

        Arguments
        ---------
        frames : torch.Tensor
            [windows, frames of a window, size].
        mask : torch.Tensor
            [windows, frames of a window], bool.
        judges : torch.Tensor
            [windows], numbers of judges.

        Returns
        -------
        torch.Tensor
            [windows].
        """
        x = frames + self.judges(judges)[:, None]
        return self.score(pooled(x, self.attention, mask))[:, 0]
