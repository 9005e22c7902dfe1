"""Libri-light's sets for limited supervision: 10 hours, 1 hour, 10 minutes.

Parts of LibriSpeech's training sets (Kahn et al. 2020,
https://arxiv.org/abs/1912.07875), half of each "clean" and half "other". As unpacked,
``librispeech_finetuning`` holds

* ``1h/0/{clean,other}/<speaker>/<chapter>/`` to ``1h/5/…``: six times 10 minutes;
* ``9h/{clean,other}/<speaker>/<chapter>/``: 9 hours, which with the 1 make 10.

A chapter's folder has LibriSpeech's layout. These sets are for training; validation and
test sets are LibriSpeech's. See
:func:`s3prl_sb.corpora.librispeech.prepare_librispeech`.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from pathlib import Path

from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.dataio.manifest import ManifestError

ARCHIVE = Published(
    "https://dl.fbaipublicfiles.com/librilight/data/librispeech_finetuning.tgz",
    0.6,
    sha256="5d1efdc777b548194d7e09ba89126e2188026df9fd57aa57eb14408d2b2342af",
)

FOLDER = "librispeech_finetuning"
KINDS = ("clean", "other")
TENTHS = [f"1h/{number}" for number in range(6)]
#: The sets, and the folders of each.
SETS = {
    "10h": [*TENTHS, "9h"],
    "1h": TENTHS,
    **{f"10m-{number}": [folder] for number, folder in enumerate(TENTHS)},
}


def librilight_folders(folder: str, split: str = "10h") -> list[str]:
    """Returns the folders of a set, which have ``<speaker>/<chapter>/``.

    Arguments
    ---------
    folder : str
        ``librispeech_finetuning``, or its parent.
    split : str
        Name in ``SETS``.

    Returns
    -------
    list of str

    Raises
    ------
    ManifestError
        If the set or a folder of it does not exist.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for kind in KINDS:
    ...         os.makedirs(os.path.join(folder, FOLDER, "1h", "3", kind))
    ...     found = librilight_folders(folder, "10m-3")
    >>> [path[-10:] for path in found]
    ['1h/3/clean', '1h/3/other']
    """
    if split not in SETS:
        raise ManifestError(f"librilight_split: {split!r}. There are {', '.join(SETS)}")
    folder = os.path.abspath(folder)
    inside = os.path.join(folder, FOLDER)
    folder = inside if os.path.isdir(inside) else folder
    folders = [
        os.path.join(folder, *part.split("/"), kind)
        for part in SETS[split]
        for kind in KINDS
    ]
    for path in folders:
        if not os.path.isdir(path):
            raise ManifestError(
                f"{path}: no such folder. Set librilight_folder to "
                f"{FOLDER} as it is unpacked (s3prl-sb download librilight)."
            )
    return folders


def download_librilight(destination: str) -> Path:
    """Downloads the sets for limited supervision (not the 60,000 hours).

    Arguments
    ---------
    destination : str
        Folder that gets ``librispeech_finetuning``.

    Returns
    -------
    pathlib.Path
        The destination.
    """
    return download([ARCHIVE], destination)
