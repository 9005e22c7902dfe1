"""Downloads that ``s3prl-sb download CORPUS DIR`` offers.

A corpus declares its own: ``download_<corpus>`` in ``<corpus>.py`` of this folder,
either a function of the destination or :func:`~.downloading.behind_a_form`.

Authors
 * The s3prl_sb developers, 2026
"""

import importlib
import re
from pathlib import Path
from typing import Callable


def names() -> list[str]:
    """Returns the names of the corpora that have a download, without importing them.

    Returns
    -------
    list of str

    Example
    -------
    >>> names()[:2]
    ['ami', 'atis']
    """
    declared = (
        (file.stem, rf"^(def )?download_{file.stem}\b")
        for file in sorted(Path(__file__).parent.glob("*.py"))
    )
    return [name for name, pattern in declared if re.search(pattern, _text(name), re.M)]


def downloader(name: str) -> Callable[[str], Path]:
    """Returns the function that downloads a corpus.

    Arguments
    ---------
    name : str
        One of :func:`names`.

    Returns
    -------
    callable
        Takes the destination, which it returns. It raises DownloadError.

    Raises
    ------
    ValueError
        If the corpus has no download.

    Example
    -------
    >>> downloader("switchboard")
    Traceback (most recent call last):
    ...
    ValueError: no download of 'switchboard'. There are: ami, atis, ...
    """
    if name not in names():
        raise ValueError(f"no download of '{name}'. There are: {', '.join(names())}")
    module = importlib.import_module(f"s3prl_sb.corpora.{name}")
    return getattr(module, f"download_{name}")


def _text(name):
    return Path(__file__).with_name(f"{name}.py").read_text("utf-8")
