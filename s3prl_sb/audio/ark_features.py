"""Features of Kaldi's arks in place of waveforms.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy

from s3prl_sb.errors import ManifestError
from s3prl_sb.identity import ark_names
from s3prl_sb.identity.locations import is_url
from s3prl_sb.storage import arks


def ark_info(name):
    """Returns the frame rate in Hz, the frames, and 1 as the number of channels.

    Arguments
    ---------
    name : str
        Entry of an ark, ``feats.ark:1234``.

    Returns
    -------
    tuple of int

    Raises
    ------
    ManifestError
        If the entry cannot be read.
    """
    if is_url(name):
        raise ManifestError(
            f"{name}: arks are read from local files, not from URLs. Copy it here."
        )
    try:
        frames, _ = arks.shape(name)
    except (arks.ArkError, OSError) as error:
        raise ManifestError(str(error)) from error
    return frame_rate(name), frames, 1


def frame_rate(name):
    """Returns the frames a second of an entry, a whole number.

    Arguments
    ---------
    name : str
        Entry of an ark. See :func:`~s3prl_sb.storage.arks.frame_seconds`.

    Returns
    -------
    int

    Raises
    ------
    ManifestError
        If the number of frames in a second is not whole.
    """
    seconds = arks.frame_seconds(ark_names.split(name)[0])
    rate = round(1 / seconds)
    if abs(rate * seconds - 1) > 1e-3:
        raise ManifestError(
            f"{name}: a frame every {seconds} s. A second must have a whole number "
            "of frames: 0.01 or 0.02, for example."
        )
    return rate


def load_features(name, start, stop, rate):
    """Loads the frames of a segment.

    Arguments
    ---------
    name : str
        Entry of an ark.
    start, stop : float or None
        Limits in seconds; None: those of the entry.
    rate : int
        Frames a second that the upstream takes.

    Returns
    -------
    torch.Tensor
        [frames, size], float32.

    Raises
    ------
    ManifestError
        If the frames are of another rate, or there are none.

    Example
    -------
    >>> import tempfile, numpy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     matrix = numpy.ones((50, 13), numpy.float32)
    ...     names = arks.write(folder + "/a.ark", [("a", matrix)])
    ...     load_features(names["a"], 0.1, 0.3, 100).shape
    torch.Size([20, 13])
    """
    actual = frame_rate(name)
    if actual != rate:
        raise ManifestError(
            f"features at {actual} frames a second, where the upstream takes {rate} "
            f"{'samples' if rate > 500 else 'frames'}. Features need an upstream "
            f'such as features_from_ark with "{{frame_shift: {1 / actual:g}}}".'
        )
    matrix = arks.read(name)
    first = round((start or 0.0) * rate)
    last = len(matrix) if stop is None else round(stop * rate)
    frames = matrix[first:last].astype("float32")
    if frames.ndim != 2 or not len(frames):
        raise ManifestError(f"no frames from {start} to {stop} s in {matrix.shape}.")
    if not numpy.isfinite(frames).all():
        raise ManifestError("features that are NaN or infinite.")
    import torch  # headers of audio are read without it

    return torch.from_numpy(frames)
