"""What a row of the table is: an upstream under one configuration.

A configuration is what a command asks for: keys of each task's recipe, from ``--data``
and ``--budget``, and whether the learning rate is searched. It holds for all tasks,
those too that the command did not run. A run belongs to it if it was started with just
these keys of its task; so a row never has a run of another budget in it, and a run that
several configurations ask for stands in the row of each.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import functools
from pathlib import Path

from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.runs.tasks import recipe
from s3prl_sb.schema.keys import Schema
from s3prl_sb.startup.protocol import flat
from s3prl_sb.storage.files import FileError, read_json, write_json
from s3prl_sb.superb import contents
from s3prl_sb.superb.data import read_budget
from s3prl_sb.superb.keys import settings

RECORD = "configurations.json"
WHAT = "the configurations of a benchmark"
TOY, FULL = "toy", "full"


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What is asked of every task.

    Arguments
    ---------
    data, budget : dict
        Task to keys of its recipe.
    rates : list of float, optional
        Learning rates that are searched.
    first : int, optional
        The seed whose run searches them for the others.
    data_name, budget_name : str
        What the user calls them: "toy", "full", "mini", or the stem of a file.
    output : pathlib.Path, optional
        Folder of the benchmark. None: ``data`` are known by content already.
    """

    data: dict
    budget: dict
    rates: list | None = None
    first: int | None = None
    data_name: str = ""
    budget_name: str = FULL
    output: Path | None = None  # what lies in it is known by its place

    def keys(self, task):
        """The keys of a task's recipe.

        Arguments
        ---------
        task : str
            Such as "KS".

        Returns
        -------
        dict
            As :func:`keys_of` tells them of a run. None: there are no data for it.
        """
        if task not in self.data:
            return None
        asked = {**self.budget.get(task, {}), **self.data[task]}
        if self.output is None:  # told by the runs themselves
            return plain(asked)
        kept, data = contents.split(task, asked, self.output)
        return {**plain(kept), **data}

    def asks_for(self, task, keys, search):
        """Whether a run is one of this configuration.

        Arguments
        ---------
        task : str
            Such as "KS".
        keys : dict
            From :func:`keys_of`.
        search : tuple
            Learning rates and the seed that searched them; None.

        Returns
        -------
        bool
        """
        if self.keys(task) != keys:
            return False
        return search == self.search or not trains(task)

    @property
    def search(self):
        """Learning rates and the seed that searches them; None."""
        return (tuple(self.rates), self.first) if self.rates else None

    def name(self):
        """What is particular about it, in a few words each.

        Returns
        -------
        list of str

        Example
        -------
        >>> Configuration({}, {"KS": {"lr": 1}}, [0.1], 1, "toy", "mini").name()
        ['toy', 'mini', 'lr searched']
        >>> Configuration({}, {"KS": {"total_steps": 20}}, budget_name="b").name()
        ['total_steps=20']
        """
        words = [TOY] if self.data_name == TOY else []
        if any(self.budget.values()):
            words.append(self._budget())
        return words + (["lr searched"] if self.rates else [])

    def _budget(self):
        """A budget by its keys, where these are few; those of some tasks name them."""
        found = [
            (task, key, value)
            for task, values in self.budget.items()
            for key, value in flat(plain(values)).items()
        ]
        words = [f"{key}={value}" for _, key, value in found]
        clash = len(set(words)) > len({key for _, key, _ in found})
        if clash or any(map(self._leaves_out, self.data)):
            words = [f"{task}.{key}={value}" for task, key, value in found]
        words = list(dict.fromkeys(words))
        few = len(words) <= (3 if self.budget_name else 6)
        if few and self.budget_name != "mini":
            return ", ".join(words)
        return self.budget_name or "other keys"

    def _leaves_out(self, task):
        """Whether a task has a key that the budget gives others alone."""
        given = {key for values in self.budget.values() for key in values}
        return any(
            key in settings(task) for key in given - {*self.budget.get(task, ())}
        )

    def facets(self):
        """All that may tell it from others of the same name.

        Returns
        -------
        dict
            In the order in which to look.
        """
        found = {"budget": self.budget_name}
        for task, values in self.budget.items():
            for key, value in flat(plain(values)).items():
                found[f"{task}.{key}"] = f"{task}.{key}={value}"
        if self.rates:
            found["rates"] = "from " + " ".join(f"{rate:g}" for rate in self.rates)
            found["first"] = f"by seed {self.first}"
        found["data"] = self.data_name
        for task, values in self.data.items():
            for key, value in flat(plain(values)).items():
                found[f"data.{task}.{key}"] = f"{task}.{key}={value}"
        return found


def trains(task):
    """Whether a task trains anything, so that a learning rate matters.

    Example
    -------
    >>> trains("KS"), trains("QbE")
    (True, False)
    """
    return "total_steps" in settings(task)


def keys_of(configuration):
    """The keys of its recipe that a run was started with.

    Arguments
    ---------
    configuration : dict
        As :attr:`s3prl_sb.superb.plan.Run.configuration`.

    Returns
    -------
    dict
        What holds data by its content, if the configuration has that.
    """
    return {**configuration.get("overrides", {}), **configuration.get("data", {})}


def of_entries(entries):
    """Configurations of runs that no command is known for.

    Runs of different tasks are of one if they were given the same keys, besides where
    their data are.

    Arguments
    ---------
    entries : list of tuple
        Task, its keys (:func:`keys_of`), the search (as :attr:`Configuration.search`).

    Returns
    -------
    list of Configuration
    """
    found = []
    for task, keys, search in entries:
        schema, mini = _known(task)
        data = {k: v for k, v in keys.items() if schema.is_path(k)}
        budget = {k: v for k, v in keys.items() if k not in data}
        name = "mini" if budget and budget == mini else ""
        for each in found:
            known = each.keys(task)
            if known is not None and known != keys:
                continue
            if each.search != search and trains(task):
                continue
            others = list(each.budget.values())
            if name == each.budget_name and (name or all(b == budget for b in others)):
                each.data[task], each.budget[task] = data, budget
                break
        else:
            rates, first = search or (None, None)
            rates = rates and list(rates)
            each = Configuration(
                {task: data}, {task: budget}, rates, first, budget_name=name
            )
            found.append(each)
    return found


@functools.lru_cache(maxsize=None)
def _known(task):
    """The schema of a task's recipe, and its keys in the laptop's budget."""
    found = Schema.of_recipe(recipe(task))
    return found, found.counting(plain(read_budget("mini")[task]))


def remember(output, configuration):
    """Keeps a configuration beside the runs, the last one first.

    Arguments
    ---------
    output : pathlib.Path
        Folder of the benchmark.
    configuration : Configuration
        Of the command.
    """
    known = [other for other in recall(output) if not _same(other, configuration)]
    values = [
        {k: v for k, v in dataclasses.asdict(each).items() if k != "output"}
        for each in [configuration, *known]
    ]
    write_json(Path(output) / RECORD, plain(values))


def recall(output):
    """The configurations that earlier commands have asked for.

    Arguments
    ---------
    output : pathlib.Path
        Folder of the benchmark.

    Returns
    -------
    list of Configuration
        None where they are not known: rows are then named by the keys of the runs.
    """
    path = Path(output) / RECORD
    if not path.is_file():
        return []
    try:
        found = read_json(path, WHAT, kind=list)
        return [Configuration(**each, output=Path(output)) for each in found]
    except (FileError, TypeError):  # only the names of rows are lost
        return []


def _same(one, other):
    return (one.data, plain(one.budget), one.search) == (
        other.data,
        plain(other.budget),
        other.search,
    )


def titles(configurations):
    """Names that tell configurations from each other.

    Arguments
    ---------
    configurations : list of Configuration
        Of one upstream.

    Returns
    -------
    list of str

    Example
    -------
    >>> one = Configuration({}, {}, [0.1], 1)
    >>> titles([one, dataclasses.replace(one, first=2), Configuration({}, {})])
    ['lr searched, by seed 1', 'lr searched, by seed 2', '']
    """
    names = [each.name() for each in configurations]
    groups = {}
    for i, name in enumerate(names):
        groups.setdefault(tuple(name), []).append(i)
    for group in groups.values():
        facets = [configurations[i].facets() for i in group]
        for key in dict.fromkeys(key for each in facets for key in each):
            values = [each.get(key) for each in facets]
            told = {tuple(names[i]) for i in group}
            if len(told) == len(group):
                break
            if any(value != values[0] for value in values):
                for i, value in zip(group, values):
                    names[i] = [*names[i], value or f"no {key}"]
    return [" · ".join(_joined(name)) for name in names]


def _joined(words):
    """The words of a name, what the search is particular about beside it."""
    joined = []
    for word in words:
        if joined and word.startswith(("from ", "by seed ")):
            joined[-1] += f", {word}"
        else:
            joined.append(word)
    return joined
