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
    """Returns the folders of the tasks by name.

    Returns
    -------
    dict
        Names such as "SUPERB/KS" to folders with ``train.py`` and
        ``hparams/train.yaml``.

    Example
    -------
    >>> "SUPERB/KS" in recipes(), "pretraining" in recipes()
    (True, False)
    """
    return {
        name.as_posix(): folder
        for name, folder in _scripts()
        if (folder / "hparams" / "train.yaml").is_file()
    }


def recipe_files() -> dict[str, Path]:
    """Returns the YAML files of all recipes by name: tasks, then pre-training.

    Returns
    -------
    dict
        Names such as "SUPERB/KS" to ``hparams/train.yaml``, and "pretraining/tera" to
        ``hparams/tera.yaml`` of a folder whose YAML files are recipes of their own.

    Example
    -------
    >>> recipe_files()["SUPERB/KS"].name
    'train.yaml'
    """
    files = {
        name: place / "hparams" / "train.yaml" for name, place in recipes().items()
    }
    for name, place in _scripts():
        if name.as_posix() not in files:
            for file in sorted(place.glob("hparams/*.yaml")):
                files[f"{name.as_posix()}/{file.stem}"] = file
    return files


def _scripts():
    """Returns names and folders of all ``train.py``."""
    root = folder("recipes")
    scripts = sorted([*root.glob("*/train.py"), *root.glob("*/*/train.py")])
    return [(script.parent.relative_to(root), script.parent) for script in scripts]
