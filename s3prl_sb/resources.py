"""Where the cards and the recipes lie, and what is kept of the user's.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from pathlib import Path


def cache_folder():
    """The user's folder of what can be had again: downloads, hashes of files.

    Returns
    -------
    pathlib.Path
        ``$S3PRL_SB_CACHE``, by default ``~/.cache/s3prl_sb``.
    """
    default = Path.home() / ".cache" / "s3prl_sb"
    return Path(os.environ.get("S3PRL_SB_CACHE", default)).expanduser()


def folder(name):
    """The folder of the cards or of the recipes.

    Arguments
    ---------
    name : str
        "hparams", "recipes" or "templates".

    Returns
    -------
    pathlib.Path

    Example
    -------
    >>> (folder("hparams") / "upstreams" / "hubert.yaml").is_file()
    True
    """
    package = Path(__file__).parent
    installed = package / name
    return installed if installed.is_dir() else package.parent / name


def recipes():
    """All recipes by name.

    Returns
    -------
    dict
        Names such as "SUPERB/KS" to folders.

    Example
    -------
    >>> "SUPERB/KS" in recipes()
    True
    """
    root = folder("recipes")
    return {
        script.parent.relative_to(root).as_posix(): script.parent
        for script in sorted([*root.glob("*/train.py"), *root.glob("*/*/train.py")])
    }
