"""Parts of a run that are trained and scored separately: folds, corpora.

ER has folds, OOD-ASR has corpora.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.runs.suite_tasks import task_of

ALL = "all"
FOLD = "fold"  # whose folders are called fold1, fold2, …


def listed(task, values):
    """Returns keys of a recipe with a list of parts, where they name a single one.

    A single part has no results of its own in the run's folder, a list of one has.

    Arguments
    ---------
    task : str
        Name such as "KS".
    values : dict
        Keys and values.

    Returns
    -------
    dict

    Example
    -------
    >>> listed("OOD-ASR", {"language": "es", "lr": 0.1})
    {'language': ['es'], 'lr': 0.1}
    >>> listed("OOD-ASR", {"language": "all"}), listed("KS", {"lr": 0.1})
    ({'language': 'all'}, {'lr': 0.1})
    """
    key = next(iter(task_of(task).parts), None)
    value = values.get(key)
    if not isinstance(value, str) or value == ALL or values.get("train_csv"):
        return values
    return {**values, key: [value]}


def names(task, values):
    """Returns the folders of the parts of a run, in its own folder.

    Arguments
    ---------
    task : str
        Name such as "KS".
    values : dict
        Keys of its recipe that the run sets.

    Returns
    -------
    list of str
        Empty if it is one run, as all are on custom tables.

    Example
    -------
    >>> names("ER", {}), names("OOD-ASR", {"language": "es"}), names("KS", {})
    (['fold1', 'fold2', 'fold3', 'fold4', 'fold5'], ['es'], [])
    """
    parts = task_of(task).parts
    if not parts or values.get("train_csv"):
        return []
    [(key, every)] = parts.items()
    wanted = listed(task, values).get(key, ALL)
    chosen = every if wanted == ALL else wanted
    prefix = FOLD if key == FOLD else ""
    return [f"{prefix}{part}".replace("/", "-") for part in chosen]
