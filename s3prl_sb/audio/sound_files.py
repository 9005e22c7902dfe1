"""Opening sound files: with what their header lacks, whatever their names are.

Authors
 * The s3prl_sb developers, 2026
"""

import io
import os

import soundfile

from s3prl_sb.audio.containers import look, second_flac
from s3prl_sb.terminal.messages import Counted

#: Samples that the end of a lossy file may be away from where its header says:
#: encoders pad, and decoders leave out, two frames of MP3 at most.
LOSSY_FRAMES = 2 * 1152
LOSSY = ("MP3", "OGG")
#: The warning of a file, with what speaks against it and the number of such files.
DOUBT = "%s: cut off, or more than one file? %s. Such files: %d"
doubted = set()  # files of which a preparation has said so, in one line
_doubtful = Counted(__name__, DOUBT)


class DamagedError(RuntimeError):
    """A file that is not whole, in words."""


def opened(path, container=None):
    """Opens a sound file.

    Arguments
    ---------
    path : str
        A file that libsndfile reads; its name may be of any bytes.
    container : s3prl_sb.audio.containers.Container, optional
        From :func:`~s3prl_sb.audio.containers.look`, if that was asked already.

    Returns
    -------
    soundfile.SoundFile
        Its ``frames`` are known, also of streams.

    Raises
    ------
    DamagedError
        If the file is not whole.
    RuntimeError, TypeError, OSError
        libsndfile's, of what is no sound.

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
    file = soundfile.SoundFile(os.fsencode(path))
    guess, samples = file.frames, container.samples
    if samples is not None and abs(guess - samples) > LOSSY_FRAMES:
        file.close()
        raise DamagedError(
            f"has {samples} samples and a changing bit rate, and no header that says "
            f"so: {guess} would be read. Write it anew: ffmpeg -i in.mp3 out.wav"
        )
    return file


def read(path, start=None, stop=None):
    """Reads a sound file, or a part of it.

    Arguments
    ---------
    path : str
        The file.
    start, stop : float, optional
        Seconds. What lies behind the end is not missed.

    Returns
    -------
    samples : numpy.ndarray
        [samples, channels], float32.
    rate : int
        Hz.

    Raises
    ------
    DamagedError
        If the file has less than its header says, with both lengths.
    RuntimeError, TypeError, OSError
        As for :func:`opened`.
    """
    container = look(path)
    if start is stop is None and container.fault is None:
        container.fault = second_flac(path)
    if container.doubt and path not in doubted:
        _doubtful.warn(path, container.doubt)
    with opened(path, container) as file:
        rate = file.samplerate
        first = min(round((start or 0) * rate), file.frames)
        last = file.frames if stop is None else min(round(stop * rate), file.frames)
        try:
            kind = {"dtype": "float32", "always_2d": True}
            if first and file.seekable():
                file.seek(first)
            elif first:  # such as of GSM
                file.read(first, **kind)
            samples = file.read(max(last - first, 0), **kind)
        except (RuntimeError, ValueError, MemoryError) as error:
            raise DamagedError(
                f"is cut off or damaged: it has {file.frames / rate:.3f} s by its "
                f"header, which cannot be read from {first / rate:.3f} s on "
                f"({told(error)})"
            ) from error
        missing = last - first - len(samples)
        if missing > (LOSSY_FRAMES if file.format in LOSSY else 0):
            has = (first + len(samples)) / rate
            raise DamagedError(
                f"is cut off or damaged: {last / rate:.3f} s by its header, and "
                f"{has:.3f} s can be read"
            )
    return samples, rate


def told(error):
    """What libsndfile says, without the name of the file.

    Arguments
    ---------
    error : Exception
        Its.

    Returns
    -------
    str

    Example
    -------
    >>> told(RuntimeError("Error opening 'a.wav': Error : unknown format."))
    'Error : unknown format'
    """
    return str(error).split("': ", 1)[-1].split(">: ", 1)[-1].rstrip(".")


class _Patched(io.RawIOBase):
    """A file whose header says what it left out."""

    def __init__(self, path, patches):
        self.file, self.patches = open(os.fsencode(path), "rb"), patches

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
        self.file.close()
        super().close()
