"""Recognition of audio files by their names, and search for converted ones.

The installed libsndfile says which formats it reads. File extensions are
case-insensitive: ``.WAV`` is ``.wav``. Audio files in other formats, such as ``.m4a``,
are skipped with a warning.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from collections import Counter

import soundfile

logger = logging.getLogger(__name__)

USUAL = {  # extensions of formats whose extension is not their name in libsndfile
    "WAV": ".wav .wave",
    "WAVEX": ".wav",
    "NIST": ".sph .nist",
    "OGG": ".ogg .oga .opus",
    "MP3": ".mp3",
    "AIFF": ".aiff .aif .aifc",
    "AU": ".au .snd",
    "SVX": ".iff .8svx",
    "IRCAM": ".sf",
}
#: Formats without a header, or whose extension usually means something else.
DOUBTFUL = ("RAW", "MAT4", "MAT5", "HTK", "XI", "MPC2K", "SD2")
OTHERS = (  # extensions of audio that libsndfile does not read
    ".m4a .m4b .mp4 .aac .adts .wma .amr .3gp .webm .mka .mkv .mov .ac3 .dts .ape .wv "
    ".tta .shn .ra .spx .mp2 .mpc"
).split()


def readable():
    """Returns the extensions of readable audio files.

    Returns
    -------
    tuple of str
        In lower case, with the dot.

    Example
    -------
    >>> {".wav", ".flac", ".aiff", ".au", ".w64"} <= set(readable())
    True
    """
    formats = [name for name in soundfile.available_formats() if name not in DOUBTFUL]
    endings = [USUAL.get(name, f".{name.lower()}").split() for name in formats]
    unique = dict.fromkeys(ending for few in endings for ending in few)
    if "OPUS" not in soundfile.available_subtypes("OGG"):
        unique.pop(".opus", None)
    return tuple(unique)


READABLE = readable()
UNREADABLE = {*OTHERS, *(e for few in USUAL.values() for e in few.split())}
UNREADABLE -= set(READABLE)


def ending(path):
    """Returns the extension of a file name in lower case: ``.wav`` for ``A.WAV``."""
    return os.path.splitext(path)[1].lower()


def is_audio(path):
    """Returns whether a file is readable audio, judged by its name.

    Example
    -------
    >>> [is_audio(name) for name in ("a.WAV", "b.opus", "._a.wav", "a.txt", "a.m4a")]
    [True, True, False, False, False]
    """
    return ending(path) in READABLE and not os.path.basename(path).startswith(".")


def only_audio(paths, source):
    """Selects the readable audio files, and logs the number of other files.

    Arguments
    ---------
    paths : iterable of str or pathlib.Path
        File names or paths.
    source : str
        Folder of the files, for the message.

    Returns
    -------
    list
        Elements of ``paths``, in the same order.

    Example
    -------
    >>> only_audio(["a.flac", "._a.flac", "c.AIFF"], "corpus")
    ['a.flac', 'c.AIFF']
    """
    readable_paths, skipped, others = [], [], Counter()
    for path in paths:
        if is_audio(path):
            readable_paths.append(path)
        elif os.path.basename(path).startswith("."):
            continue
        elif ending(path) in UNREADABLE:
            skipped.append(path)
        else:
            others[ending(path) or "without an ending"] += 1
    if others:
        logger.info(
            "%s: %d other files are left out (%s)",
            source,
            others.total(),
            ", ".join(f"{count} {kind}" for kind, count in others.most_common(10)),
        )
    if skipped:
        counts = Counter(map(ending, skipped)).most_common()
        logger.warning(
            "%s: %d files of sound cannot be read here and are left out (%s), such as "
            "%s. Convert them: ffmpeg -i in%s out.wav",
            source,
            len(skipped),
            ", ".join(f"{count} {kind}" for kind, count in counts),
            skipped[0],
            counts[0][0],
        )
    return readable_paths


def hint(path):
    """Returns a hint for the error about a missing file that exists in another format.

    Arguments
    ---------
    path : str
        Path of the missing file.

    Returns
    -------
    str
        Empty, or a space and a remark in parentheses.
    """
    stem = os.path.splitext(path)[0]
    for kind in sorted(UNREADABLE):
        for other in (stem + kind, stem + kind.upper()):
            if os.path.isfile(other):
                name = os.path.basename(other)
                return f" ({name} is there: convert it to wav or flac)"
    return ""


class Listed:
    """Finds the files in the lists of a corpus, also if they have been converted.

    Each folder is listed at most once, when a file in it is missing.

    Example
    -------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "a.FLAC").touch()
    ...     os.path.basename(Listed().find(folder + "/a.wav"))
    'a.FLAC'
    """

    def __init__(self):
        self.folders = {}

    def find(self, path):
        """Returns the path of a file, or of its copy with another extension.

        Arguments
        ---------
        path : str
            Path in the list.

        Returns
        -------
        str or None
            None if there is no readable file.
        """
        if os.path.isfile(path):
            return path
        return next(filter(is_audio, self._beside(path)), None)

    def _beside(self, path):
        """Returns the files in the same folder that differ only in the extension."""
        folder, name = os.path.split(path)
        if folder not in self.folders:
            self.folders[folder] = names = {}
            listing = sorted(os.listdir(folder)) if os.path.isdir(folder) else ()
            for other in listing:
                names.setdefault(os.path.splitext(other)[0], []).append(other)
        others = self.folders[folder].get(os.path.splitext(name)[0], ())
        return [os.path.join(folder, other) for other in others]


def as_id(text):
    r"""Returns a valid Unicode text for an id; other bytes are escaped.

    Example
    -------
    >>> as_id("andr\udce9")
    'andr\\xe9'
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
