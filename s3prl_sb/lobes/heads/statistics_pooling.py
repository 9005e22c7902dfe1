"""Mean and standard deviation over the true frames of utterances.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.pooling import frame_mask, precise


class StatisticsPooling(torch.nn.Module):
    """Mean and standard deviation over the true frames of each utterance.

    Paper: Snyder et al., "X-vectors", ICASSP 2018,
    https://www.danielpovey.com/files/2018_icassp_xvectors.pdf.

    Arguments
    ---------
    input_size : int
        Size of the frames; ``output_size`` is twice that.

    Note
    ----
    The denominator of the variance is n - 1, as in S3PRL, whose deviation of a single
    frame is not a number; here it is 0. SpeechBrain's ``StatisticsPooling`` adds random
    noise, also in evaluation.

    Example
    -------
    >>> x = torch.tensor([[[1.0], [3.0], [99.0]]])
    >>> StatisticsPooling(1)(x, torch.tensor([2 / 3]))
    tensor([[2.0000, 1.4142]])
    """

    def __init__(self, input_size: int):
        super().__init__()
        self.output_size = 2 * input_size

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, size] and relative lengths [batch] to
        [batch, 2 * size]."""
        return statistics(x.transpose(1, 2), frame_mask(x, lens).sum(1))


def statistics(x, frames):
    """Returns mean and standard deviation over the true frames.

    Arguments
    ---------
    x : torch.Tensor
        [batch, size, frames].
    frames : torch.Tensor
        [batch], the number of true frames, at least 1. A single frame has a standard
        deviation of 0, whose gradient is 0 too.

    Returns
    -------
    torch.Tensor
        [batch, 2 * size].

    Example
    -------
    >>> x = torch.tensor([[[1.0, 3.0, 99.0]]])
    >>> [round(value, 3) for value in statistics(x, torch.tensor([2]))[0].tolist()]
    [2.0, 1.414]
    """
    x = precise(x)
    mask = torch.arange(x.shape[-1], device=x.device) < frames[:, None]
    mask, frames = mask[:, None], frames[:, None].to(x.dtype)
    mean = (x * mask).sum(-1) / frames
    centred = (x - mean[..., None]) * mask
    # The sum of `centred` is the rounding error of the mean.
    squares = centred.square().sum(-1) - centred.sum(-1).square() / frames
    variance = squares / (frames - 1).clamp_min(1)
    # The square root has no gradient at zero. Everything above zero is kept: almost
    # silent channels have deviations down to 1e-8 and learn from them.
    varies = variance > 0
    deviation = variance.where(varies, 1.0).sqrt().where(varies, 0.0)
    return torch.cat([mean, deviation], dim=-1)
