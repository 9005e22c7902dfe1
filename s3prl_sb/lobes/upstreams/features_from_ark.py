"""Features that another program computed, as an upstream: Kaldi's arks.

Some models were trained on features that no code here computes: Mockingjay and TERA
have checkpoints over fMLLR (Liu et al., https://arxiv.org/abs/2007.06028), which Kaldi
adapts to each speaker. Their input comes from arks.

*How features reach an upstream.* In a manifest, ``wav`` names an entry of an ark,
``feats.ark:1234``, and its frames [frames, size] take the place of samples everywhere:
``sig`` is [frames, size], a batch [batch, frames, size], the sample rate is the number
of frames a second, 100 for Kaldi's, and the stride is 1. No utterance id has to travel
beside the waveform, so crops, segments, chunks, the feature cache (whose keys hold the
hash of the ark and the offset), batches and exports work as they are. An upstream says
by ``input_size`` that it takes frames. Waveforms in it, and features in any other
upstream, are errors; pipes that mix or resample waveforms refuse features.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.upstreams.features import AcousticFeatures


class FeaturesFromArk(AcousticFeatures):
    """Features from an ark: one hidden state, the features themselves.

    Arguments
    ---------
    size : int
        Size of the frames in the ark: 40 for fMLLR, 13 for MFCC.
    frame_shift : float
        Seconds from one frame to the next. A file ``frame_shift`` beside an ark must
        say the same; without it an ark has 0.01.
    deltas : int
        Number of orders of differences to append.
    delta_window : int
        Number of frames that a difference spans, odd.
    cmvn : bool
        Normalize mean and variance in each utterance.
    freeze, precision
        See :class:`~s3prl_sb.lobes.upstreams.base.Upstream`; nothing is trained.

    Example
    -------
    >>> import torch
    >>> upstream = FeaturesFromArk(size=40, deltas=1)
    >>> hidden_states, lens = upstream(torch.randn(2, 300, 40))
    >>> hidden_states[0].shape, upstream.sample_rate, upstream.stride
    (torch.Size([2, 300, 80]), 100, 1)
    """

    stride = min_samples = 1

    def __init__(
        self,
        size,
        frame_shift=0.01,
        deltas=0,
        delta_window=5,
        cmvn=False,
        freeze=True,
        precision="fp32",
    ):
        super().__init__(deltas, delta_window, cmvn, freeze, precision)
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"size is the number of values of a frame, not {size!r}")
        rate = round(1 / frame_shift) if frame_shift > 0 else 0
        if rate < 1 or abs(rate * frame_shift - 1) > 1e-3:
            raise ValueError(
                "frame_shift is a number of seconds of which a whole number makes up a "
                f"second, such as 0.01, not {frame_shift!r}"
            )
        self.input_size, self.sample_rate = size, rate
        self.output_size = size * (deltas + 1)

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return max(1, samples)

    def spectral(self, wavs):
        """Returns the frames."""
        return wavs if wavs.dim() == 3 else wavs[..., None]
