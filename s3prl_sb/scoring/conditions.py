"""Conditions of a score: a finished run, tested on its own list in another way.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.schema.keys import Schema
from s3prl_sb.startup.arguments import parse
from s3prl_sb.startup.configuration import RecipeError, read_overrides
from s3prl_sb.startup.protocol import flat

NAME_LENGTH = 60  # characters of a folder's name
_WAY_OUT = "Give --test_csv FILE, a list of your own, or --data_folder DIR, the corpus."


def asked(task, rest):
    """Returns the keys that a command line gives.

    Arguments
    ---------
    task : str
        Name of the recipe.
    rest : list of str
        ``--key value``.

    Returns
    -------
    dict

    Raises
    ------
    s3prl_sb.errors.UserError
        For an unknown key.

    Example
    -------
    >>> asked("SUPERB/KS", ["--test_noise", "{snr: 10}"])
    {'test_noise': {'snr': 10}}
    """
    if not rest:
        return {}
    changes = read_overrides(parse([str(_file(task)), *rest])[2])
    return {key: plain(value) for key, value in changes.items()}


def of_the_test(task, values):
    """Selects the keys that only the test uses.

    Arguments
    ---------
    task : str
        Name of the recipe.
    values : dict
        Keys of the recipe and their values.

    Returns
    -------
    dict
        Keys that are declared with ``test: True``, and are not null.

    Example
    -------
    >>> of_the_test("SUPERB/KS", {"test_noise": {"snr": 5}, "lr": 1, "test_csv": None})
    {'test_noise': {'snr': 5}}
    """
    schema = Schema.of(_file(task))
    return {
        key: value
        for key, value in values.items()
        if value is not None and key in schema and schema[key].test
    }


def own_list(results, sources=()):
    """Returns the list that a run was tested on.

    Arguments
    ---------
    results : dict
        Results of the run.
    sources : dict, optional
        Parts of the list that the command names, which the run's are not needed for.

    Returns
    -------
    dict
        ``test_csv`` or ``data_folder``, and for some tasks ``documents_csv`` or the
        ``lexicon`` that it is read with.

    Raises
    ------
    RecipeError
        If the results do not say which, or it is gone.
    """
    source = (results.get("test") or {}).get("source")
    if not source:
        raise RecipeError(f"The results do not say what was tested. {_WAY_OUT}")
    settings = results.get("settings") or {}
    key = "test_csv" if settings.get("test_csv") else "data_folder"
    parts = {key: source}
    parts.update({name: settings.get(name) for name in _parts(results["task"])})
    parts = {name: path for name, path in parts.items() if path and name not in sources}
    for name, paths in parts.items():
        for path in paths if isinstance(paths, list) else [paths]:
            if not Path(path).expanduser().exists():
                raise RecipeError(
                    f"The run was tested on {name} '{path}', which is not there. "
                    f"{_WAY_OUT}"
                )
    return parts


def _parts(task):
    """Returns the keys of a recipe, beside its list, that a test is read with."""
    schema = Schema.of(_file(task))
    # The lexicon of a language model is of the decoding, not of the list.
    names = ("documents_csv", *(() if "lm" in schema else ("lexicon",)))
    return [name for name in names if name in schema]


def departures(task, under):
    """Returns the conditions of a score that are not those of published numbers.

    Arguments
    ---------
    task : str
        Name of the recipe.
    under : dict
        Keys of the test, such as ``test_noise``.

    Returns
    -------
    dict
        Names with dots to values, as in the results of a run.

    Example
    -------
    >>> departures("SUPERB/KS", {"test_noise": {"snr": 10}, "test_csv": "my.csv"})
    {'test_noise.snr': 10, 'test_csv': 'my.csv'}
    """
    return flat(Schema.of(_file(task)).protocol({}, under)) if under else {}


def in_words(values):
    """Describes settings in a few words each.

    Arguments
    ---------
    values : dict
        Names to values, which may be mappings.

    Returns
    -------
    list of str

    Example
    -------
    >>> in_words({"test_noise": {"snr": 10}, "test_speed": 0.9})
    ['test_noise.snr 10', 'test_speed 0.9']
    """
    return [f"{key} {value}" for key, value in flat(values).items()]


def folder_name(values):
    """Returns the part of a folder's name that stands for the conditions of a test.

    Arguments
    ---------
    values : dict
        Keys of the recipe and their values.

    Returns
    -------
    str

    Example
    -------
    >>> folder_name({"test_noise": {"snr": 10, "folder": "/noises/street"}})
    'noise_snr_10_noise_folder_street'
    """
    words = []
    for key, value in flat(values).items():
        words.append(key.removeprefix("test_").replace(".", "_"))
        numbers = value if isinstance(value, list) else [value]
        words += [Path(str(number)).name for number in numbers]
    return re.sub(r"[^\w.+-]+", "-", "_".join(words))[:NAME_LENGTH].strip("-.")


def _file(task):
    return resources.recipe_files()[task]
