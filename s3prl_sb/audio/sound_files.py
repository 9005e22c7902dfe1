"""Opening and reading audio files, also with incomplete headers and odd names.

Authors
 * The s3prl_sb developers, 2026
"""

import io
import os

import soundfile

from s3prl_sb.audio.containers import look, second_flac
from s3prl_sb.terminal.messages import Counted

#: Tolerated difference between the length of a lossy file and its header, in samples:
#: encoders pad and decoders drop up to two MP3 frames.
LOSSY_FRAMES = 2 * 1152
LOSSY = ("MP3", "OGG")
#: Warning about a file, with the reason and the number of such files.
DOUBT = "%s: cut off, or more than one file? %s. Such files: %d"
doubted = set()  # files that the preparation has warned of already
_doubtful = Counted(__name__, DOUBT)


class DamagedError(RuntimeError):
    """An incomplete file; the message says why."""


def opened(path, container=None):
    """Opens an audio file.

    Arguments
    ---------
    path : str or binary file
        A file that libsndfile reads, by its path, which may have any bytes, or open
        and seekable. An open file stays open.
    container : s3prl_sb.audio.containers.Container, optional
        Result of :func:`~s3prl_sb.audio.containers.look`, if it is available.

    Returns
    -------
    soundfile.SoundFile
        Its ``frames`` are correct also for streamed files.

    Raises
    ------
    DamagedError
        If the file is incomplete.
    RuntimeError, TypeError, OSError
        Errors of libsndfile, for files that are not audio.

    Example
    -------
    >>> import tempfile, numpy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.flac", numpy.zeros(16000), 16000)
    ...     with opened(folder + "/a.flac") as file:
    ...         file.samplerate, file.frames
    (16000, 16000)
    """
    container = container or look(path)
    if container.fault:
        raise DamagedError(container.fault)
    if container.patches:
        return soundfile.SoundFile(_Patched(path, container.patches))
    if hasattr(path, "read"):
        path.seek(0)
        file = soundfile.SoundFile(path)
    else:
        file = soundfile.SoundFile(os.fsencode(path))
    guess, samples = file.frames, container.samples
    if samples is not None and abs(guess - samples) > LOSSY_FRAMES:
        file.close()
        raise DamagedError(
            f"has {samples} samples and a changing bit rate, and no header that says "
            f"so: {guess} would be read. Write it anew: ffmpeg -i in.mp3 out.wav"
        )
    return file


def read(path, start=None, stop=None, name=None):
    """Reads an audio file, or a segment of it.

    Arguments
    ---------
    path : str or binary file
        The file, see :func:`opened`.
    start, stop : float, optional
        Limits in seconds; ``stop`` may be after the end.
    name : str, optional
        Name of an open file, for warnings.

    Returns
    -------
    samples : numpy.ndarray
        [samples, channels], float32.
    rate : int
        Sample rate, Hz.

    Raises
    ------
    DamagedError
        If the file is shorter than its header says, with both lengths.
    RuntimeError, TypeError, OSError
        See :func:`opened`.
    """
    container = look(path)
    in_reach = isinstance(path, io.BytesIO) or not hasattr(path, "read")
    if start is stop is None and container.fault is None and in_reach:
        container.fault = second_flac(path)
    name = name or path
    if container.doubt and name not in doubted:
        _doubtful.warn(name, container.doubt)
    with opened(path, container) as file:
        rate = file.samplerate
        first = min(round((start or 0) * rate), file.frames)
        last = file.frames if stop is None else min(round(stop * rate), file.frames)
        try:
            kind = {"dtype": "float32", "always_2d": True}
            if first and file.seekable():
                file.seek(first)
            elif first:  # GSM, for example
                file.read(first, **kind)
            samples = file.read(max(last - first, 0), **kind)
        except (RuntimeError, ValueError, MemoryError) as error:
            raise DamagedError(
                f"is cut off or damaged: it has {file.frames / rate:.3f} s by its "
                f"header, which cannot be read from {first / rate:.3f} s on "
                f"({reason(error)})"
            ) from error
        missing = last - first - len(samples)
        if missing > (LOSSY_FRAMES if file.format in LOSSY else 0):
            has = (first + len(samples)) / rate
            raise DamagedError(
                f"is cut off or damaged: {last / rate:.3f} s by its header, and "
                f"{has:.3f} s can be read"
            )
    return samples, rate


def reason(error):
    """Returns the message of libsndfile without the file name.

    Arguments
    ---------
    error : Exception
        Error of libsndfile.

    Returns
    -------
    str

    Example
    -------
    >>> reason(RuntimeError("Error opening 'a.wav': Error : unknown format."))
    'Error : unknown format'
    """
    return str(error).split("': ", 1)[-1].split(">: ", 1)[-1].rstrip(".")


class _Patched(io.RawIOBase):
    """A file with a completed header."""

    def __init__(self, path, patches):
        self.is_open = hasattr(path, "read")
        self.file = path if self.is_open else open(os.fsencode(path), "rb")
        self.patches = patches
        self.file.seek(0)

    def seekable(self):
        return True

    def readable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        return self.file.seek(offset, whence)

    def tell(self):
        return self.file.tell()

    def readinto(self, buffer):
        place = self.file.tell()
        count = self.file.readinto(buffer)
        for at, data in self.patches.items():
            for offset, byte in enumerate(data):
                if place <= at + offset < place + count:
                    here = at + offset - place
                    memoryview(buffer).cast("B")[here] = byte
        return count

    def close(self):
        if not self.is_open:  # its owner closes it
            self.file.close()
        super().close()
