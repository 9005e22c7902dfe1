"""Names of the rows of the table, by what distinguishes their configurations.

Authors
 * The s3prl_sb developers, 2026
"""

from collections import Counter

from s3prl_sb.benchmark.keys import schema, variant_of
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.runs.results import NULL
from s3prl_sb.startup.protocol import flat

#: Keys that choose an amount of training data, which exclude each other, with its name.
AMOUNTS = {
    "train_hours": lambda hours: f"{hours:g} h",
    "train_fraction": lambda share: f"{100 * share:g} %",
    "train_per_class": lambda number: f"{number} per class",
}
PART = " · "  # between the parts of a name
LAST = ("head", *AMOUNTS)  # words at the end of a name, each by itself


def words_of_changes(changes, tasks):
    """Describes changed keys of tasks: the settings, then the head, then the amount.

    Arguments
    ---------
    changes : dict
        Task to changed keys of its recipe.
    tasks : iterable of str
        All tasks; a key that only some of them have gets the name of the task.

    Returns
    -------
    list of str

    Example
    -------
    >>> keys = {"train_hours": 1, "noise": {"snr": [0, 15]}}
    >>> words_of_changes({"KS": keys, "PR": keys}, ["KS", "PR"])
    ['noise.snr=[0, 15]', '1 h']
    >>> words_of_changes({"KS": {"lr": 0.1}, "PR": {"head": "mlp"}}, ["KS", "PR"])
    ['KS.lr=0.1', 'PR.head=mlp']
    >>> rates = {"KS": {"lr": 0.1}, "PR": {"lr": 1}, "SD": {"lr": 1}}
    >>> words_of_changes(rates, rates)
    ['KS.lr=0.1, lr=1']
    """
    groups = {}
    for key in dict.fromkeys(key for keys in changes.values() for key in keys):
        among = [t for t in dict.fromkeys(tasks) if _has(t, key, changes)]
        values = {t: plain(changes[t][key]) for t in among if key in changes[t]}
        words = groups.setdefault(key if key in LAST else "", {})
        # The value that most tasks share has no task, if all of them have one.
        [(most, count)] = Counter(map(str, values.values())).most_common(1)
        is_shared = len(values) == len(among) and count > len(values) / 2
        for task, value in values.items():
            is_most = is_shared and str(value) == most
            words.update(_words("" if is_most else f"{task}.", key, value))
    ordered = ["", *LAST]
    return [", ".join(groups[name]) for name in ordered if name in groups]


def _has(task, key, changes):
    """Returns whether a changed task has a key, be it changed or not."""
    keys = changes.get(task)
    if keys is None:
        return False
    return key in keys or key in schema(task, variant_of(keys))


def _words(prefix, key, value):
    """Describes the value of a key, as keys of a dictionary."""
    if key in AMOUNTS and value is not None:
        return {prefix + AMOUNTS[key](value): None}
    names = ((name.removesuffix(".name"), v) for name, v in flat({key: value}).items())
    return {f"{prefix}{name}={_short(v)}": None for name, v in names}


def _short(value):
    """Returns a value as it is written, a class of a file without its folder."""
    text = NULL if value is None else str(value)
    return text.rpartition("/")[2] if ".py:" in text else text


def titles(configurations):
    """Returns names of configurations, distinct if they have a suite in common.

    Arguments
    ---------
    configurations : list of RowConfiguration
        Configurations of one upstream.

    Returns
    -------
    list of str

    Example
    -------
    >>> import dataclasses
    >>> from s3prl_sb.benchmark.configurations import RowConfiguration
    >>> one = RowConfiguration({}, {}, [0.1], 1)
    >>> titles([one, dataclasses.replace(one, first=2), RowConfiguration({}, {})])
    ['lr searched, by seed 1', 'lr searched, by seed 2', '']
    """
    names = [each.name() for each in configurations]
    groups, blocks = {}, _blocks([each.suites for each in configurations])
    for i, name in enumerate(names):
        groups.setdefault((blocks[i], *name), []).append(i)
    for group in groups.values():
        facets = [configurations[i].facets() for i in group]
        for key in dict.fromkeys(key for each in facets for key in each):
            values = [each.get(key) for each in facets]
            distinct = {tuple(names[i]) for i in group}
            if len(distinct) == len(group):
                break
            if any(value != values[0] for value in values):
                for i, value in zip(group, values):
                    names[i] = [*names[i], value or f"no {key}"]
    return [PART.join(_joined(name)) for name in names]


def _blocks(several):
    """Returns numbers of sets, equal where sets are connected by common elements."""
    numbers = list(range(len(several)))
    for i, one in enumerate(several):
        for j, other in enumerate(several[:i]):
            if not (one and other) or one & other:
                old, new = numbers[i], numbers[j]
                numbers = [new if number == old else number for number in numbers]
    return numbers


def titles_of(configurations):
    """Returns names of configurations, the same for equal ones.

    Arguments
    ---------
    configurations : list of s3prl_sb.benchmark.configurations.RowConfiguration
        Configurations, some of them equal.

    Returns
    -------
    list of str
    """
    unique = []
    for each in configurations:
        if not any(each.equals(other) for other in unique):
            unique.append(each)
    names = titles(unique)
    return [
        next(name for other, name in zip(unique, names) if each.equals(other))
        for each in configurations
    ]


def _joined(words):
    """Joins the words about the search in a name."""
    joined = []
    for word in words:
        if joined and word.startswith(("from ", "by seed ")):
            joined[-1] += f", {word}"
        else:
            joined.append(word)
    return joined
