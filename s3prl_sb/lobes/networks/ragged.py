"""Ragged batches: true lengths, and the utterances that run together.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.audio.waveforms import AudioError


def true_lengths(
    wavs: torch.Tensor, wav_lens: torch.Tensor | None, input_size: int = 0
) -> list[int]:
    """Returns the lengths of the utterances of a padded batch.

    Arguments
    ---------
    wavs : torch.Tensor
        [batch, samples].
    wav_lens : torch.Tensor, optional
        [batch], relative lengths. None: there is no padding.
    input_size : int
        Values of a sample: of the frames [batch, frames, input_size] that an upstream
        over features takes. 0: waveforms.

    Returns
    -------
    list of int
        Number of samples of each utterance.

    Raises
    ------
    ValueError
        If the shapes or types are wrong.
    AudioError
        For an empty or non-finite waveform.

    Example
    -------
    >>> true_lengths(torch.zeros(2, 160), torch.tensor([1, 0.5]))
    [160, 80]
    """
    _check_shape(wavs, input_size)
    lens = torch.as_tensor(torch.ones(len(wavs)) if wav_lens is None else wav_lens)
    if lens.shape != wavs.shape[:1]:
        raise ValueError(
            f"wav_lens must be [{len(wavs)}], one for each of wavs, got "
            f"{list(lens.shape)}"
        )
    samples = (lens.double() * wavs.shape[1]).round().int().tolist()
    for i, n in enumerate(samples):
        if not 0 < n <= wavs.shape[1]:
            reason = "is empty" if n == 0 else f"has length {n}"
            raise AudioError(i, f"{reason}, of {wavs.shape[1]} samples")
    finite = torch.isfinite(wavs).flatten(1).all(1)
    if not finite.all():
        index = finite.tolist().index(False)
        raise AudioError(index, "holds samples that are NaN or infinite")
    return samples


def _check_shape(wavs, input_size):
    shape = list(wavs.shape)
    # A waveform is a sequence of frames with one value each.
    fits = wavs.dim() == 2 and input_size <= 1
    fits = fits or (input_size > 0 and shape[2:] == [input_size])
    if fits and wavs.is_floating_point():
        return
    if input_size:
        raise ValueError(
            f"wavs must be features, a float tensor [batch, frames, {input_size}], got "
            f"{wavs.dtype} {shape}. Give entries of an ark in place of audio "
            "files, and the upstream the size of their frames."
        )
    message = f"wavs must be a float tensor [batch, samples], got {wavs.dtype} {shape}"
    if wavs.dim() == 3:
        message += (
            ". For features of an ark take an upstream such as features_from_ark."
        )
    raise ValueError(message)


def groups(samples: list[int], most: int, packed: bool) -> list[list[int]]:
    """Returns the utterances that run together.

    Arguments
    ---------
    samples : list of int
        Number of samples of each utterance.
    most : int
        Maximum number of samples of a group of several utterances.
    packed : bool
        Whether the lengths in a group may differ.

    Returns
    -------
    list of list of int
        Indices of the utterances of each group.

    Example
    -------
    >>> groups([3, 5, 3], most=100, packed=False)
    [[1], [0, 2]]
    >>> groups([3, 5, 3], most=8, packed=True)
    [[0, 1], [2]]
    """
    order = list(range(len(samples)))
    if not packed:  # equal lengths side by side
        order.sort(key=samples.__getitem__, reverse=True)
    result: list[list[int]] = []
    total = 0
    for i in order:
        fits = bool(result) and total + samples[i] <= most
        if fits and (packed or samples[i] == samples[result[-1][0]]):
            result[-1].append(i)
            total += samples[i]
        else:
            result.append([i])
            total = samples[i]
    return result
