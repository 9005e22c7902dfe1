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
        Names such as "SUPERB/KS" to ``hparams/train.yaml``, and "TIMIT/phones/concat"
        or "pretraining/tera" to the other YAML files of a folder.

    Example
    -------
    >>> recipe_files()["SUPERB/KS"].name
    'train.yaml'
    """
    files = {}
    for name, place in _scripts():
        yamls = sorted(place.glob("hparams/*.yaml"))
        for file in sorted(yamls, key=lambda file: file.stem != "train"):
            files[(name if file.stem == "train" else name / file.stem).as_posix()] = (
                file
            )
    return files


def task_of(recipe: str) -> str | None:
    """Returns the task of a recipe, by whose name its ``train.py`` goes.

    Arguments
    ---------
    recipe : str
        Name in :func:`recipe_files`, or any other.

    Returns
    -------
    str or None
        Name in :func:`recipes`; None for pre-training, and for no recipe.

    Example
    -------
    >>> task_of("SUPERB/KS"), task_of("pretraining/tera"), task_of("mine")
    ('SUPERB/KS', None, None)
    """
    file = recipe_files().get(recipe)
    places = {place: name for name, place in recipes().items()}
    return places.get(file.parents[1]) if file else None


def recipe_of(task: str, file: str | Path) -> str:
    """Returns the name of the recipe that a YAML file is.

    Arguments
    ---------
    task : str
        Name of the task.
    file : str or pathlib.Path
        YAML file of a run.

    Returns
    -------
    str
        Name such as "TIMIT/phones/concat"; the task for any other file.

    Example
    -------
    >>> recipe_of("SUPERB/KS", "mine.yaml")
    'SUPERB/KS'
    """
    name = f"{task}/{Path(file).stem}"
    installed = recipe_files().get(name)
    is_this = installed and os.path.realpath(installed) == os.path.realpath(file)
    return name if is_this else task


def _scripts():
    """Returns names and folders of all ``train.py``."""
    root = folder("recipes")
    scripts = sorted([*root.glob("*/train.py"), *root.glob("*/*/train.py")])
    return [(script.parent.relative_to(root), script.parent) for script in scripts]
