"""Which utterances may run through an upstream together, to the bit.

What an utterance gets must not depend on its neighbours, or features would depend on
what was in the cache before. On a CPU it mostly does not: a row of a matrix product is
summed up in the same order whatever rows stand beside it, if there are not too few of
them. As that is up to the libraries and the processor, it is tried out first; where it
does not hold, utterances run one at a time.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.precision import full_precision

#: Frames for each thread, from which on an utterance may run with others.
LEAST = 16
VECTOR = 32  # numbers
WORTH_TRYING = 120  # seconds of audio to extract, for less it costs more than it saves


def least_frames():
    """Returns the frames that an utterance needs to run with others.

    Returns
    -------
    int
        Products of fewer rows are summed up in another way.
    """
    return LEAST * max(1, torch.get_num_threads())


def is_exact(upstream, device="cpu"):
    """Tells whether utterances get, together, the bits that each gets alone.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen, on its device. Runs over some seconds of noise.
    device : str
        Elsewhere than on a CPU nothing is promised, and the answer is yes.

    Returns
    -------
    bool

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> is_exact(load("fbank", num_mel_bins=32, deltas=0))
    True
    """
    if device != "cpu":
        return True
    # Of functions such as GELU, what does not fill a vector of the processor is
    # computed in another way: where that is depends on the neighbours.
    if any(size % VECTOR for size in upstream.output_sizes):
        return False
    least = least_frames()
    samples = next(
        (n for n in range(1, 1 << 22, 80) if upstream.frames(n) >= least), None
    )
    if samples is None:
        return False
    random, stride = torch.Generator().manual_seed(0), upstream.stride
    # Two of one length, as some networks stack them; others in odd places.
    lengths = [samples, samples + 3 * stride, 4 * samples + 77, samples, 2 * samples]
    lengths += [samples + n * stride for n in (1, 2, 6)]
    wavs = [0.1 * torch.randn(n, generator=random) for n in lengths]
    with full_precision(), torch.no_grad():
        alone = [upstream(wav[None])[0] for wav in wavs]
        for order in (range(len(wavs)), (2, 7, 5, 1)):
            states, _ = upstream(*padded([wavs[i] for i in order]))
            for row, i in enumerate(order):
                frames = upstream.frames(len(wavs[i]))
                for state, own in zip(states, alone[i]):
                    if not torch.equal(state[row, :frames], own[0]):
                        return False
    return True


def groups(upstream, samples, together):
    """Returns which utterances of a batch run together.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The upstream.
    samples : list of int
        Their lengths.
    together : bool
        What :func:`is_exact` says.

    Returns
    -------
    list of list of int
        Their places; each in one group.
    """
    company, alone, least = [], [], least_frames()
    for i, n in enumerate(samples):
        fits = together and upstream.frames(n) >= least
        company.append(i) if fits else alone.append([i])
    return ([company] if company else []) + alone


def padded(wavs):
    """Returns a padded batch, and the relative lengths of what is in it.

    Arguments
    ---------
    wavs : list of torch.Tensor
        [samples_i].

    Returns
    -------
    wavs : torch.Tensor
        [batch, samples].
    wav_lens : torch.Tensor
        [batch], exact for hours of audio.
    """
    batch = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    samples = torch.tensor([len(wav) for wav in wavs], dtype=torch.float64)
    return batch, samples / batch.shape[1]
