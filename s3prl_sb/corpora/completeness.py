"""Whether a corpus is there whole, by the numbers that it is published with.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from pathlib import Path

logger = logging.getLogger(__name__)

TOY = "toy.json"  # in the folder of a toy, which is small on purpose


def warn_if_short(folder, found, published, what):
    """Logs that a corpus has fewer parts than it is published with.

    Training would go well with half a corpus, and its numbers would not compare.

    Arguments
    ---------
    folder : str
        Of the corpus. A toy's folder, or one in it, is left in peace.
    found, published : int
        How many there are, and how many there should be.
    what : str
        Of what, such as "utterances of dev-clean".

    Example
    -------
    >>> warn_if_short("LibriSpeech", 2703, 2703, "utterances of dev-clean")
    """
    folder = Path(folder)
    toy = any((place / TOY).is_file() for place in (folder, folder.parent))
    if found < published and not toy:
        message = "%s: %d %s, and %d are published. Is the corpus unpacked whole?"
        logger.warning(message, folder, found, what, published)
