"""SpecAugment on the features of any upstream.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F

from s3prl_sb.lobes.heads.pooling import frame_mask


class SpecAugment(torch.nn.Module):
    """Warps time slightly, then zeroes random bands of channels and spans of frames.

    Each utterance gets its own warp and masks, within its true frames. Call it in
    training only. Random numbers come from torch's global generator.

    Paper: Park et al., https://arxiv.org/abs/1904.08779. The defaults are S3PRL's.

    Arguments
    ---------
    warp_window : int
        Largest shift, in frames, of a random frame; the frames before and after it
        are stretched or compressed. 0 disables warping. Utterances of at most twice
        this number of frames are not warped.
    channel_masks : int
        Number of zeroed bands of channels.
    channel_width : list of int
        Range of the width of a band; the upper end is excluded.
    time_masks : int
        Number of zeroed spans of frames.
    time_width : list of int
        Range of the length of a span in frames; the upper end is excluded.
    time_share : float, optional
        Share of the frames of an utterance that a span is shorter than, instead of
        ``time_width``.

    Note
    ----
    SpeechBrain's ``SpectrogramDrop`` and ``Warping`` ignore lengths: they warp a
    whole batch at the same frame, padding included, and place masks in the padding
    or across the last channel. S3PRL's masks also fall into padding, and the widest
    mask of a batch limits the positions of the others.

    Example
    -------
    >>> augment = SpecAugment(time_width=[5, 6], channel_masks=0, warp_window=0)
    >>> features = augment(torch.ones(1, 100, 4), torch.ones(1))
    >>> 5 <= int((features == 0).all(-1).sum()) <= 10
    True
    """

    def __init__(
        self,
        warp_window=5,
        channel_masks=4,
        channel_width=(0, 50),
        time_masks=2,
        time_width=(0, 40),
        time_share=None,
    ):
        super().__init__()
        if time_share is not None and not 0 < time_share <= 1:
            raise ValueError(f"time_share is above 0 and at most 1, not {time_share}")
        for name, width in (("channel", channel_width), ("time", time_width)):
            if not 0 <= width[0] < width[1]:
                raise ValueError(f"{name}_width is 0 <= lowest < end, not {width}")
        self.warp_window = warp_window
        self.channel_masks, self.channel_width = channel_masks, channel_width
        self.time_masks, self.time_width = time_masks, time_width
        self.time_share = time_share

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns randomly augmented features.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, size].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, frames, size]; padding is zero.
        """
        _, frames, size = features.shape
        true = (lens.cpu() * frames).round().long()
        if self.warp_window:
            pairs = zip(features, true.tolist())
            features = torch.stack([self._warp(x, n) for x, n in pairs])
        time_width = self.time_width
        if self.time_share is not None:
            time_width = (0, (self.time_share * true).long()[:, None, None])
        spans = self._masks(true, frames, self.time_masks, time_width)
        masked = spans.to(features.device) | ~frame_mask(features, lens)
        sizes = torch.full_like(true, size)
        bands = self._masks(sizes, size, self.channel_masks, self.channel_width)
        features = features.masked_fill(masked[:, :, None], 0.0)
        return features.masked_fill(bands.to(features.device)[:, None, :], 0.0)

    def _warp(self, x, true):
        """Warps [frames, size], of which the first ``true`` frames are no padding."""
        window = self.warp_window
        if true <= 2 * window:
            return x
        center = int(torch.randint(window, true - window, ()))
        moved = int(torch.randint(center - window, center + window, ())) + 1
        return torch.cat([warp(x[:true], center, moved), x[true:]])

    def _masks(self, limits, length, count, width):
        """Returns [batch, length], bool: ``count`` masks within each limit.

        The upper end of ``width`` may be a tensor, [batch, 1, 1]."""
        random = torch.rand(2, len(limits), count, 1)
        widths = width[0] + (random[0] * (width[1] - width[0])).long()
        widths = widths.minimum(limits[:, None, None])
        starts = (random[1] * (limits[:, None, None] - widths + 1)).long()
        at = torch.arange(length)
        return ((starts <= at) & (at < starts + widths)).any(1)


def warp(x, center, moved):
    """Moves a frame by cubic interpolation on both sides of it.

    Arguments
    ---------
    x : torch.Tensor
        [frames, size].
    center, moved : int
        The first ``center`` frames become ``moved`` frames.

    Returns
    -------
    torch.Tensor
        [frames, size].

    Example
    -------
    >>> warp(torch.arange(6.0).view(6, 1), center=2, moved=4)[:, 0].round(decimals=1)
    tensor([-0.1000,  0.2000,  0.8000,  1.1000,  2.4000,  4.6000])
    """
    frames, size = x.shape
    sizes = ((moved, size), (frames - moved, size))
    parts = [
        F.interpolate(part[None, None], size, mode="bicubic", align_corners=False)
        for part, size in zip((x[:center], x[center:]), sizes)
    ]
    return torch.cat(parts, 2)[0, 0]
