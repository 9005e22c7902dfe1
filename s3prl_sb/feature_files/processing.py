"""Post-processing of hidden states: deltas, normalization, statistics over time.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.statistics_pooling import statistics
from s3prl_sb.lobes.networks.dynamics import add_deltas, normalize
from s3prl_sb.lobes.upstreams.base import Upstream


def _mean(x):
    return x.mean(0)


def _mean_std(x):
    return statistics(x.T[None], torch.tensor([len(x)], device=x.device))[0]


def _std(x):
    return _mean_std(x).chunk(2)[1]


def _minimum(x):
    return x.amin(0)


def _maximum(x):
    return x.amax(0)


#: Statistics of frames [frames, size], and their sizes in multiples of that.
POOLINGS = {
    "mean": (_mean, 1),
    "std": (_std, 1),
    "mean_std": (_mean_std, 2),
    "min": (_minimum, 1),
    "max": (_maximum, 1),
}


def pooled(x: torch.Tensor, pooling: str) -> torch.Tensor:
    """Returns a statistic over time.

    Arguments
    ---------
    x : torch.Tensor
        True frames, [frames, size].
    pooling : str
        A key of :data:`POOLINGS`; the standard deviation is the unbiased one, of a
        single frame 0.

    Returns
    -------
    torch.Tensor
        [size], or [2 * size] for "mean_std"; float32 or float64.

    Example
    -------
    >>> pooled(torch.tensor([[1.0], [3.0]]), "mean_std")
    tensor([2.0000, 1.4142])
    """
    return POOLINGS[pooling][0](x.to(torch.promote_types(x.dtype, torch.float32)))


class Processed(Upstream):
    """Upstream with post-processed hidden states.

    The order is that of S3PRL's acoustic features: deltas, then normalization; at the
    end the statistic over time. Since it is an upstream, everything that takes one
    takes it, the feature cache too, which then holds what is asked for and no more.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream.
    deltas : int
        Number of orders of differences to append, over 5 frames.
    cmvn : bool
        Normalize mean and variance in each utterance.
    pooling : str, optional
        Statistic over time, a key of :data:`POOLINGS`; one frame is left.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> upstream = Processed(load("mel"), deltas=2, pooling="mean_std")
    >>> states, lens = upstream(torch.randn(2, 16000))
    >>> states[0].shape, load("mel").output_size
    (torch.Size([2, 1, 480]), 80)
    """

    def __init__(self, upstream, deltas=0, cmvn=False, pooling=None):
        super().__init__(freeze=True)
        if pooling is not None and pooling not in POOLINGS:
            names = ", ".join(POOLINGS)
            raise ValueError(f"pooling is one of {names}, not {pooling!r}")
        self.upstream, self.deltas, self.cmvn = upstream, deltas, cmvn
        self.pooling = pooling
        self.sample_rate, self.stride = upstream.sample_rate, upstream.stride
        self.num_layers, self.input_size = upstream.num_layers, upstream.input_size
        self.output_size = self.output_sizes[-1]

    @property
    def output_sizes(self):
        """See :attr:`Upstream.output_sizes`."""
        times = (self.deltas + 1) * (POOLINGS[self.pooling][1] if self.pooling else 1)
        return [size * times for size in self.upstream.output_sizes]

    @property
    def min_samples(self):
        """See :attr:`Upstream.min_samples`."""
        return self.upstream.min_samples

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return 1 if self.pooling else self.upstream.frames(samples)

    def forward(self, wavs, wav_lens=None):
        """See :meth:`Upstream.forward`."""
        states, lens = self.upstream(wavs, wav_lens)
        frames = (lens * states[0].shape[1]).round().int().tolist()
        with torch.no_grad():
            processed = [
                torch.nn.utils.rnn.pad_sequence(
                    [self._process(x[:count]) for x, count in zip(state, frames)],
                    batch_first=True,
                )
                for state in states
            ]
        return processed, torch.ones_like(lens) if self.pooling else lens

    def _process(self, x):
        """Processes the true frames of an utterance, [frames, size]."""
        x = add_deltas(x[None], self.deltas)
        x = normalize(x)[0] if self.cmvn else x[0]
        return pooled(x, self.pooling)[None] if self.pooling else x
