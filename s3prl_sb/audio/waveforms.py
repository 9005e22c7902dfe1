"""Conversion of files, arrays and tensors to waveforms.

Every function that takes audio from Python uses this module: ``extract`` and the call
of an upstream with a list, ``torch.hub``, the models of :mod:`s3prl_sb.inference`.
Ambiguous input is an error.

Authors
 * The s3prl_sb developers, 2026
"""

import numbers
import os

import torch

from s3prl_sb.audio.ark_features import load_features
from s3prl_sb.audio.loading import LOUD, load_waveform
from s3prl_sb.audio.resampling import resample
from s3prl_sb.errors import UserError
from s3prl_sb.identity import ark_names
from s3prl_sb.identity.locations import is_file

# Audio that is cached or trained on is read by LoadAudio, not here.
COMPUTES = False

#: Largest number of channels, and minimum ratio of samples to channels.
MOST_CHANNELS = 64
SAMPLES_A_CHANNEL = 16
#: Zero level and full scale of integer samples.
FULL_SCALE = {
    torch.uint8: (128, 2**7),
    torch.int8: (0, 2**7),
    torch.int16: (0, 2**15),
    torch.int32: (0, 2**31),
}
TAKES = "a file name, a numpy array or a tensor of one waveform, or a list of them"


class AudioError(UserError, ValueError):
    """Invalid or ambiguous audio.

    Arguments
    ---------
    index : int or None
        Position of the utterance in the batch; None for a single waveform.
    reason : str
        Description of the fault, as a predicate.
    """

    def __init__(self, index, reason):
        place = "the audio" if index is None else f"utterance {index} of the batch"
        super().__init__(f"{place} {reason}")
        self.index, self.reason = index, reason


def waveforms(audio, wanted, sample_rate=None):
    """Converts audio to mono waveforms of one sample rate.

    Arguments
    ---------
    audio : str, os.PathLike, numpy.ndarray, torch.Tensor, or a list of them
        Names of files with any sample rate; waveforms [samples]; or several channels
        [channels, samples] or [samples, channels], which are averaged. Integers of 8,
        16 and 32 bits are divided by their full scale; floats are in [-1, 1].
    wanted : int
        Sample rate of the result, Hz.
    sample_rate : int, optional
        Sample rate of arrays and tensors, Hz. Default: ``wanted``.

    Returns
    -------
    list of torch.Tensor
        [samples_i], float32; a list of one for a single waveform.

    Raises
    ------
    AudioError
        For invalid or ambiguous input: a two-dimensional tensor outside a list may be
        a batch or a waveform with several channels.
    s3prl_sb.audio.loading.AudioFileError
        For a file that cannot be read.

    Example
    -------
    >>> stereo = torch.randint(-999, 999, (8000, 2), dtype=torch.int16)
    >>> [list(wav.shape) for wav in waveforms([stereo], 16000, sample_rate=8000)]
    [[16000]]
    >>> waveforms(torch.zeros(4, 8000), 16000)
    Traceback (most recent call last):
    ...
    s3prl_sb.audio.waveforms.AudioError: the audio is a tensor [4, 8000]: 4 …
    """
    rate = _rate(sample_rate, wanted)
    if isinstance(audio, (list, tuple)):
        if not audio:
            raise AudioError(None, "is an empty list: give one waveform or more.")
        wavs = []
        for index, item in enumerate(audio):
            try:
                wavs.append(_waveform(item, wanted, rate))
            except AudioError as error:
                raise AudioError(index, error.reason) from error.__cause__
        return wavs
    if _is_array(audio) and len(audio.shape) == 2 and 1 not in audio.shape:
        first, shape = audio.shape[0], list(audio.shape)
        raise AudioError(
            None,
            f"is a tensor {shape}: {first} utterances, or channels of one? Give "
            "list(wavs) for utterances, [wav] for one of several channels; a padded "
            "batch goes into upstream(wavs, wav_lens).",
        )
    return [_waveform(audio, wanted, rate)]


def features(items, rate):
    """Converts entries of arks and matrices to tensors.

    Arguments
    ---------
    items : str, array or tensor, or a list of them
        Entries of arks, or matrices [frames, size].
    rate : int
        Frames a second, of entries.

    Returns
    -------
    list of torch.Tensor
        [frames_i, size], float32.

    Raises
    ------
    AudioError
        For an object of another kind.
    """
    items = items if isinstance(items, (list, tuple)) else [items]
    matrices = []
    for index, item in enumerate(items):
        if isinstance(item, (str, os.PathLike)):
            if not ark_names.is_entry(os.fspath(item)):
                raise AudioError(
                    index, f"is '{item}', which is no entry PATH.ark:OFFSET of an ark."
                )
            matrices.append(load_features(os.fspath(item), None, None, rate))
        elif hasattr(item, "shape") and len(item.shape) in (1, 2):
            matrices.append(torch.as_tensor(item).float())
        else:
            raise AudioError(index, "is no matrix of features [frames, size].")
    return matrices


def padded(wavs):
    """Pads waveforms to a batch.

    Arguments
    ---------
    wavs : list of torch.Tensor
        [samples_i].

    Returns
    -------
    wavs : torch.Tensor
        [batch, samples], padded with zeros.
    lens : torch.Tensor
        [batch], relative lengths in float64, which is exact for hours of audio.

    Example
    -------
    >>> wavs, lens = padded([torch.ones(4), torch.ones(3)])
    >>> wavs[1].tolist(), lens.tolist()
    ([1.0, 1.0, 1.0, 0.0], [1.0, 0.75])
    """
    samples = torch.tensor([len(wav) for wav in wavs], dtype=torch.float64)
    batch = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    return batch, samples / max(batch.shape[1], 1)


def batched(audio, lens, rate, input_size=0):
    """Returns a batch unchanged, and pads other input of :func:`waveforms` to a batch.

    Arguments
    ---------
    audio : torch.Tensor or list
        [batch, samples] on any device, or other input. For an upstream over features
        [batch, frames, input_size], or other input of :func:`features`.
    lens : torch.Tensor or None
        [batch], relative lengths of a batch.
    rate : int
        Sample rate of the batch, Hz; other input is converted to it.
    input_size : int
        Size of the features that an upstream takes; 0 for waveforms.

    Returns
    -------
    wavs : torch.Tensor
        [batch, samples], or [batch, frames, input_size].
    lens : torch.Tensor or None
        [batch], relative lengths.

    Raises
    ------
    AudioError
        See :func:`waveforms`; also for ``lens`` without a batch.

    Example
    -------
    >>> batched([torch.ones(4), torch.ones(2)], None, 16000)[1].tolist()
    [1.0, 0.5]
    """
    dimensions = 3 if input_size else 2
    if isinstance(audio, torch.Tensor) and audio.dim() == dimensions:
        return audio, lens
    if lens is not None:
        batch = f"[batch, frames, {input_size}]" if input_size else "[batch, samples]"
        raise AudioError(None, f"has wav_lens, and is no padded batch {batch}.")
    return padded(features(audio, rate) if input_size else waveforms(audio, rate))


def _rate(sample_rate, wanted):
    if sample_rate is None:
        return wanted
    number = isinstance(sample_rate, numbers.Real) and sample_rate is not True
    if not number or sample_rate != sample_rate // 1:
        raise AudioError(None, f"has the sample_rate {sample_rate!r}: give whole Hz.")
    return int(sample_rate)


def _is_array(audio):
    return isinstance(audio, torch.Tensor) or (
        hasattr(audio, "__array__") and hasattr(audio, "shape")
    )


def _waveform(audio, wanted, rate):
    """Converts one waveform or file to [samples]."""
    if isinstance(audio, (str, os.PathLike)):
        return _file(os.fspath(audio), wanted)
    if not _is_array(audio) or not len(audio.shape):
        raise AudioError(None, f"is {_kind(audio)}. Give {TAKES}.")
    if 0 in audio.shape:
        raise AudioError(None, "is empty")
    wav = _mono(_scaled(_tensor(audio)))
    if not torch.isfinite(wav).all():
        raise AudioError(None, "holds samples that are NaN or infinite")
    loudest = float(wav.detach().abs().max())
    if loudest > LOUD:
        raise AudioError(
            None,
            f"holds samples of up to {loudest:.5g}: audio is within -1 and 1. Divide "
            "it by its full scale (32768 of 16 bits), or give integers.",
        )
    if rate == wanted:
        return wav
    try:
        return resample(wav.cpu(), rate, wanted)
    except ValueError as error:
        raise AudioError(None, f"has {error}.") from error


def _file(path, wanted):
    if not isinstance(path, str) or (is_file(path) and not os.path.isfile(path)):
        raise AudioError(None, f"is {path!r}, which is no file. Give {TAKES}.")
    return load_waveform(os.path.basename(path), path, sample_rate=wanted)


def _tensor(audio):
    """Converts an array to a tensor of real numbers."""
    if not isinstance(audio, torch.Tensor):
        import numpy as np

        array = np.asarray(audio)
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype("float64")  # the longest type of torch
        if array.dtype.kind not in "iufb":
            kind = f"an array of {array.dtype}"
            raise AudioError(None, f"is {kind}: audio is of real numbers.")
        # A copy in native byte order, which nobody else changes.
        audio = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), "C"))
    if audio.is_complex() or audio.is_sparse:
        raise AudioError(None, f"is of {audio.dtype}: audio is of real numbers.")
    return audio


def _scaled(wav):
    """Converts integers to floats by their full scale."""
    if wav.is_floating_point():
        return wav.float()
    if wav.dtype not in FULL_SCALE:
        kinds = ", ".join(str(kind).split(".")[1] for kind in FULL_SCALE)
        raise AudioError(
            None,
            f"is of {wav.dtype}, whose full scale nobody knows. Give {kinds}, or "
            "floats within -1 and 1.",
        )
    zero, scale = FULL_SCALE[wav.dtype]
    return (wav.float() - zero) / scale


def _mono(wav):
    """Averages the channels, which are the shorter dimension."""
    if wav.dim() == 1:
        return wav
    few, many = min(wav.shape), max(wav.shape)
    unclear = few > 1 and (few > MOST_CHANNELS or many < few * SAMPLES_A_CHANNEL)
    if wav.dim() != 2 or unclear:
        raise AudioError(
            None,
            f"has the shape {list(wav.shape)}: give [samples], [channels, samples] or "
            f"[samples, channels], with {SAMPLES_A_CHANNEL} times as many samples as "
            f"channels at least, of which there are {MOST_CHANNELS} at most.",
        )
    return wav.mean(0 if wav.shape[0] == few else 1)


def _kind(audio):
    """Describes invalid input for an error."""
    if audio is None:
        return "None"
    if isinstance(audio, dict):
        return "a dict: of a data set's audio give its array, and its sample_rate="
    if isinstance(audio, (list, tuple)):
        return f"a {type(audio).__name__} inside of a list"
    if isinstance(audio, (bool, int, float, complex)) or _is_array(audio):
        return "a single number: of a list of numbers make an array or a tensor first"
    return f"of the type {type(audio).__name__}"
