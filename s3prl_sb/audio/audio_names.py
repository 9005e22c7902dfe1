"""Which files are sound, by their names, and where a listed one is under another.

What can be read is asked of libsndfile, as it is installed. Endings count in any case:
``.WAV`` is ``.wav``. What is sound and cannot be read here, such as ``.m4a``, is left
out of a folder only with a word about it.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from collections import Counter

import soundfile

logger = logging.getLogger(__name__)

USUAL = {  # endings that libsndfile's formats have, where it is not the format's name
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
#: Without a header, or more often something else than sound.
DOUBTFUL = ("RAW", "MAT4", "MAT5", "HTK", "XI", "MPC2K", "SD2")
OTHERS = (  # of sound that libsndfile does not read
    ".m4a .m4b .mp4 .aac .adts .wma .amr .3gp .webm .mka .mkv .mov .ac3 .dts .ape .wv "
    ".tta .shn .ra .spx .mp2 .mpc"
).split()


def readable():
    """The endings of the files that can be read here.

    Returns
    -------
    tuple of str
        In small letters, with the dot.

    Example
    -------
    >>> {".wav", ".flac", ".aiff", ".au", ".w64"} <= set(readable())
    True
    """
    formats = [name for name in soundfile.available_formats() if name not in DOUBTFUL]
    endings = [USUAL.get(name, f".{name.lower()}").split() for name in formats]
    found = dict.fromkeys(ending for few in endings for ending in few)
    if "OPUS" not in soundfile.available_subtypes("OGG"):
        found.pop(".opus", None)
    return tuple(found)


READABLE = readable()
UNREADABLE = {*OTHERS, *(e for few in USUAL.values() for e in few.split())}
UNREADABLE -= set(READABLE)


def ending(path):
    """The ending of a file's name, in small letters: ``.wav`` of ``A.WAV``."""
    return os.path.splitext(path)[1].lower()


def is_audio(path):
    """Whether a file is sound that can be read here, by its name.

    Example
    -------
    >>> [is_audio(name) for name in ("a.WAV", "b.opus", "._a.wav", "a.txt", "a.m4a")]
    [True, True, False, False, False]
    """
    return ending(path) in READABLE and not os.path.basename(path).startswith(".")


def only_audio(paths, source):
    """Those of some files that are sound; how many others there are is logged.

    Arguments
    ---------
    paths : iterable of str or pathlib.Path
        Names or paths.
    source : str
        The folder that they are in, for the message.

    Returns
    -------
    list
        Of ``paths``, in their order.

    Example
    -------
    >>> only_audio(["a.flac", "._a.flac", "c.AIFF"], "corpus")
    ['a.flac', 'c.AIFF']
    """
    found, skipped, others = [], [], Counter()
    for path in paths:
        if is_audio(path):
            found.append(path)
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
    return found


def hint(path):
    """A remark for an error on a missing file: what is there in its place.

    Arguments
    ---------
    path : str
        The file that is not there.

    Returns
    -------
    str
        Empty, or in parentheses after a space.
    """
    stem = os.path.splitext(path)[0]
    for kind in sorted(UNREADABLE):
        for other in (stem + kind, stem + kind.upper()):
            if os.path.isfile(other):
                name = os.path.basename(other)
                return f" ({name} is there: convert it to wav or flac)"
    return ""


class Listed:
    """Finds the files of a corpus' lists, which may since have been converted.

    Each folder is looked into once, and only if a listed file is not there.

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
        """The path of a file, or of one of the same name with another ending.

        Arguments
        ---------
        path : str
            As listed.

        Returns
        -------
        str or None
            None if there is none that can be read.
        """
        if os.path.isfile(path):
            return path
        return next(filter(is_audio, self._beside(path)), None)

    def _beside(self, path):
        """The files of the same folder whose names differ in the ending alone."""
        folder, name = os.path.split(path)
        if folder not in self.folders:
            self.folders[folder] = names = {}
            there = sorted(os.listdir(folder)) if os.path.isdir(folder) else ()
            for other in there:
                names.setdefault(os.path.splitext(other)[0], []).append(other)
        found = self.folders[folder].get(os.path.splitext(name)[0], ())
        return [os.path.join(folder, other) for other in found]


def as_id(text):
    r"""A text that any file can hold, for an id: bytes that are not Unicode spelt out.

    Example
    -------
    >>> as_id("andr\udce9")
    'andr\\xe9'
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
