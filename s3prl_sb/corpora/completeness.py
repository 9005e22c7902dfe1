"""Check that a corpus is complete, by its published numbers.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from pathlib import Path

logger = logging.getLogger(__name__)

TOY = "toy.json"  # in the folder of a toy, which is small on purpose


def warn_if_short(folder, count, published, what):
    """Logs a warning if a corpus has fewer parts than it is published with.

    Training works with half a corpus, but its numbers do not compare.

    Arguments
    ---------
    folder : str
        Folder of the corpus. A toy, or a folder in one, gets no warning.
    count, published : int
        Number of parts in the folder, and the published one.
    what : str
        Kind of part, such as "utterances of dev-clean".

    Example
    -------
    >>> warn_if_short("LibriSpeech", 2703, 2703, "utterances of dev-clean")
    """
    folder = Path(folder)
    toy = any((place / TOY).is_file() for place in (folder, folder.parent))
    if count < published and not toy:
        message = "%s: %d %s, and %d are published. Is the corpus unpacked whole?"
        logger.warning(message, folder, count, what, published)
