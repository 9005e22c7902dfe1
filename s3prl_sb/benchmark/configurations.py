"""Configurations of the rows of the table; a row is an upstream under one of them.

A configuration is what a command requests: keys of each task's recipe, from ``--data``
and ``--budget``, and whether the learning rate is searched. It applies to all tasks,
including those that the command did not run. A run belongs to it if it was started with
exactly these keys of its task. So a row never has runs of another budget, and a run
that several configurations request is in the row of each.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import functools
from pathlib import Path

from s3prl_sb.benchmark import contents
from s3prl_sb.benchmark.budgets import FULL, keys_of_suite, names_of, read_budget
from s3prl_sb.benchmark.data import TOY
from s3prl_sb.benchmark.keys import (
    is_trained,
    own_variant,
    schema,
    settings,
    variant_of,
    without_lacking,
)
from s3prl_sb.benchmark.row_names import words_of_changes
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.runs.suite_tasks import is_known, suite_of, tasks_of
from s3prl_sb.startup.protocol import flat


@dataclasses.dataclass(frozen=True)
class RowConfiguration:
    """The request of a command for all tasks, which defines a row of the table.

    Arguments
    ---------
    data, budget : dict
        Task to keys of its recipe.
    rates : list of float, optional
        Learning rates to search.
    first : int, optional
        Seed of the run that searches them for the others.
    data_name, budget_name : str
        Names on the command line: "toy", "full", "mini", or the stem of a file.
    changes, refused, without : dict
        See :class:`s3prl_sb.benchmark.variations.Variation`.
    output : pathlib.Path, optional
        Folder of the benchmark. None if ``data`` has digests instead of paths.
    """

    data: dict
    budget: dict
    rates: list | None = None
    first: int | None = None
    data_name: str = ""
    budget_name: str = FULL
    changes: dict = dataclasses.field(default_factory=dict)
    refused: dict = dataclasses.field(default_factory=dict)
    without: dict = dataclasses.field(default_factory=dict)
    output: Path | None = None  # data inside it are identified by their path

    def keys(self, task):
        """Returns the keys of a task's recipe.

        Arguments
        ---------
        task : str
            Name such as "KS".

        Returns
        -------
        dict or None
            In the form of :func:`keys_of`; None if there are no data for the task, or
            the configuration does not fit it.
        """
        requested = self.requested(task)
        if task not in self.data or requested is None:
            return None
        keys = own_variant({**requested, **self.data[task]})
        if self.output is None:  # derived from runs
            return plain(keys)
        kept, data = contents.split(task, keys, self.output)
        return {**plain(kept), **data}

    def requested(self, task):
        """Returns the keys of a task's recipe that it sets, without those of the data.

        Arguments
        ---------
        task : str
            Name such as "KS".

        Returns
        -------
        dict or None
            None if it does not fit the task.
        """
        if task in self.refused:
            return None
        keys = {**self.budget.get(task, {}), **self.changes.get(task, {})}
        return without_lacking(task, keys)

    def value(self, key):
        """Returns the value of a key, if all tasks with data that have it share it.

        Arguments
        ---------
        key : str
            Key of recipes.

        Returns
        -------
        object
            None if they do not, or the key is not set.
        """
        chosen = [(task, self.requested(task)) for task in self.data]
        values = [
            keys.get(key)
            for task, keys in chosen
            if keys is not None and key in schema(task, variant_of(keys))
        ]
        return values[0] if values and all(v == values[0] for v in values) else None

    def leaving_out(self, *keys):
        """Returns the configuration without some keys of its tasks.

        Arguments
        ---------
        *keys : str
            Keys of recipes.

        Returns
        -------
        RowConfiguration
        """

        def left(by_task):
            return {
                task: {k: v for k, v in values.items() if k not in keys}
                for task, values in by_task.items()
            }

        budget, changes = left(self.budget), left(self.changes)
        return dataclasses.replace(self, budget=budget, changes=changes, refused={})

    def asks_for(self, task, keys, search):
        """Returns whether a run belongs to this configuration.

        Arguments
        ---------
        task : str
            Name such as "KS".
        keys : dict
            Output of :func:`keys_of`.
        search : tuple or None
            Learning rates and the seed that searched them.

        Returns
        -------
        bool
        """
        if self.keys(task) != keys:
            return False
        return search == self.search or not is_trained(task, variant_of(keys))

    def equals(self, other):
        """Returns whether another configuration requests the same runs.

        Arguments
        ---------
        other : RowConfiguration
            Another configuration.

        Returns
        -------
        bool
        """
        one, two = (
            [each.data, plain(each.budget), plain(each.changes), each.search]
            for each in (self, other)
        )
        return one == two

    @property
    def search(self):
        """Learning rates and the seed that searches them, or None."""
        return (tuple(self.rates), self.first) if self.rates else None

    def name(self):
        """Returns short descriptions of what is particular about it.

        Returns
        -------
        list of str

        Example
        -------
        >>> RowConfiguration({}, {"KS": {"lr": 1}}, [0.1], 1, "toy", "mini").name()
        ['toy', 'mini', 'lr searched']
        >>> RowConfiguration({}, {"KS": {"total_steps": 20}}, budget_name="b").name()
        ['total_steps=20']
        """
        words = [TOY] if self.data_name == TOY else []
        if any(self._chosen.values()):
            words.append(self._budget())
        words += words_of_changes(self.changes, [*self.data, *self.changes])
        return words + (["lr searched"] if self.rates else [])

    @functools.cached_property
    def _chosen(self):
        """The budget without the keys that the suites set for all commands."""
        chosen = {}
        for task, keys in self.budget.items():
            own = keys_of_suite(task) if is_known(task) else {}
            chosen[task] = {
                key: value
                for key, value in keys.items()
                if key not in own or own[key] != plain(value)
            }
        return chosen

    @property
    def suites(self):
        """Names of the suites of its tasks."""
        return {suite_of(task) for task in (*self.data, *self.budget)}

    def _budget(self):
        """Describes a budget by its keys if these are few, with tasks if needed."""
        keys = [
            (task, key, value)
            for task, values in self._chosen.items()
            for key, value in flat(plain(values)).items()
        ]
        words = [f"{key}={value}" for _, key, value in keys]
        clash = len(set(words)) > len({key for _, key, _ in keys})
        if clash or any(map(self._leaves_out, self.data)):
            words = [f"{task}.{key}={value}" for task, key, value in keys]
        words = list(dict.fromkeys(words))
        few = len(words) <= (3 if self.budget_name else 6)
        if few and not self.has_named_budget:
            return ", ".join(words)
        return self.budget_name or "other keys"

    def _leaves_out(self, task):
        """Returns whether a task has a key that the budget only sets for others."""
        keys = {key for values in self._chosen.values() for key in values}
        keys -= {*self.budget.get(task, ())}
        return any(key in settings(task) for key in keys)

    @property
    def has_named_budget(self):
        """True if its budget is one of its suites."""
        return self.budget_name in names_of(self.suites)

    def facets(self):
        """Returns descriptions that may distinguish it from others of the same name.

        Returns
        -------
        dict
            Names to descriptions, the most important first.
        """
        facets = {"budget": self.budget_name}
        for task, values in self._chosen.items():
            for key, value in flat(plain(values)).items():
                facets[f"{task}.{key}"] = f"{task}.{key}={value}"
        if self.rates:
            facets["rates"] = "from " + " ".join(f"{rate:g}" for rate in self.rates)
            facets["first"] = f"by seed {self.first}"
        facets["data"] = self.data_name
        for task, values in self.data.items():
            for key, value in flat(plain(values)).items():
                facets[f"data.{task}.{key}"] = f"{task}.{key}={value}"
        return facets


def keys_of(configuration):
    """Returns the keys of its recipe that a run was started with.

    Arguments
    ---------
    configuration : dict
        See :attr:`s3prl_sb.benchmark.plan.Run.configuration`.

    Returns
    -------
    dict
        Keys to values, for data to digests, if the configuration has them.
    """
    return {**configuration.get("overrides", {}), **configuration.get("data", {})}


def of_entries(entries):
    """Derives configurations from runs whose commands are unknown.

    Runs of different tasks share a configuration if they have the same keys, except for
    the paths of their data.

    Arguments
    ---------
    entries : list of tuple
        Task, its keys (:func:`keys_of`), the search (see
        :attr:`RowConfiguration.search`).

    Returns
    -------
    list of RowConfiguration
    """
    derived = []
    for task, keys, search in entries:
        declared, named = _schema_and_budgets(task, variant_of(keys))
        data = {k: v for k, v in keys.items() if declared.is_path(k)}
        budget = {k: v for k, v in keys.items() if k not in data}
        name = next((n for n, b in named.items() if budget and budget == b), "")
        for each in derived:
            if each.keys(task) not in (None, keys):
                continue
            if each.search != search and is_trained(task, variant_of(keys)):
                continue
            others = list(each.budget.values())
            if name == each.budget_name and (name or all(b == budget for b in others)):
                each.data[task], each.budget[task] = data, budget
                break
        else:
            rates, first = search or (None, None)
            rates = rates and list(rates)
            each = RowConfiguration(
                {task: data}, {task: budget}, rates, first, budget_name=name
            )
            derived.append(each)
    return derived


def _schema_and_budgets(task, variant):
    """Returns the schema of a task's recipe, and its keys in the budgets by name."""
    declared = schema(task, variant)
    found = {}
    for name in names_of([suite_of(task)]):
        keys = read_budget(name, {}, tasks_of([suite_of(task)]))[task]
        found[name] = contents.counting(task, own_variant(plain(keys)))
    return declared, found
