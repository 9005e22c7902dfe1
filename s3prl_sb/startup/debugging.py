"""``--debug``: a run whose files go into a folder of their own.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.startup.configuration import Configuration, read_overrides, text

DEBUG = "debug"  #: name of that folder, which is in output_folder


def debug_overrides(hparams_file: str, overrides: str) -> str:
    """Adds the folders of a run with ``--debug`` to the overrides of a recipe.

    Arguments
    ---------
    hparams_file : str
        YAML file of the recipe.
    overrides : str
        YAML, as :func:`~s3prl_sb.startup.configuration.load_recipe` takes it.

    Returns
    -------
    str
        Overrides in which ``output_folder`` and ``save_folder`` are in a folder
        ``debug``.
    """
    changes = read_overrides(overrides)
    before = Configuration(hparams_file, overrides).resolved
    for key in ("output_folder", "save_folder"):
        now = Configuration(hparams_file, text(changes)).resolved
        if key in now and now[key] == before[key]:  # it does not follow output_folder
            changes[key] = str(Path(before[key]) / DEBUG)
    return text(changes)
