"""Folders of the package's data, of installed libraries, and the user's cache folder.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import sysconfig
from pathlib import Path

_LIBRARIES = [
    os.path.realpath(sysconfig.get_path(name))
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
]


def cache_folder() -> Path:
    """Returns the user's folder for data that can be recreated: downloads, hashes.

    Returns
    -------
    pathlib.Path
        ``$S3PRL_SB_CACHE``, by default ``~/.cache/s3prl_sb``.
    """
    default = Path.home() / ".cache" / "s3prl_sb"
    return Path(os.environ.get("S3PRL_SB_CACHE", default)).expanduser()


def is_installed(path: str | Path) -> bool:
    """Returns whether a file belongs to Python or to an installed library.

    Arguments
    ---------
    path : str or pathlib.Path
        Path without symbolic links. Libraries may be in any environment: that of
        Python, the user's, or one below ``venv --system-site-packages``.

    Returns
    -------
    bool

    Example
    -------
    >>> is_installed(os.__file__), is_installed("/elsewhere/site-packages/torch/nn.py")
    (True, True)
    >>> is_installed("/home/me/train.py")
    False
    """
    parts = Path(path).parts
    if "site-packages" in parts or "dist-packages" in parts:
        return True
    return str(path).startswith(tuple(place + os.sep for place in _LIBRARIES))


def folder(name: str) -> Path:
    """Returns the folder of the cards or of the recipes.

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


def recipes() -> dict[str, Path]:
    """Returns the folders of all recipes by name.

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
