"""Audio files of a corpus that was moved after its lists were written.

LibriMix and Kaldi's recipes write absolute paths. The tail of such a path is still
right, ``wav16k/max/test/mix_both/x.wav``: it is looked up in the corpus' new place.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os

from s3prl_sb.audio.audio_names import Listed

logger = logging.getLogger(__name__)

SHORTEST = 2  # parts of a tail: a file and its folder


class Moved:
    """Finds files by the paths of a list.

    Arguments
    ---------
    roots : list of str
        Folders where relative paths, and the tails of old ones, may start.

    Example
    -------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "s1").mkdir()
    ...     Path(folder, "s1", "a.wav").touch()
    ...     path = Moved([folder]).find("/old/place/s1/a.wav")
    >>> path.endswith("s1/a.wav"), path.startswith("/old")
    (True, False)
    """

    def __init__(self, roots):
        self.roots = list(roots)
        self.listed = Listed()
        self.new_paths = {}  # by old path
        self.last = None  # root and number of cut parts of the last match

    def find(self, path):
        """Returns the path of a file; if there is none, the first candidate."""
        places = [os.path.normpath(os.path.join(root, path)) for root in self.roots]
        for place in places:
            if new_path := self.listed.find(place):
                return new_path
        if os.path.isabs(path):
            parts = os.path.normpath(path).split(os.sep)[1:]
            for root, cut in self._guesses(len(parts)):
                new_path = self.listed.find(os.path.join(root, *parts[cut:]))
                if new_path:
                    self.last, self.new_paths[path] = (root, cut), new_path
                    return new_path
        return places[0]

    def _guesses(self, count):
        """Yields (root, parts to cut), the longest tails first."""
        if self.last is not None and count - self.last[1] >= SHORTEST:
            yield self.last
        for cut in range(1, count - SHORTEST + 1):
            yield from ((root, cut) for root in self.roots)

    def report(self, source):
        """Logs how many files are not where ``source`` says."""
        if self.new_paths:
            old, new = next(iter(self.new_paths.items()))
            logger.warning(
                "%s names the place where the corpus was: %d of its files are found "
                "by the ends of their paths, such as %s at %s",
                source,
                len(self.new_paths),
                old,
                new,
            )
