"""Variations of a benchmark: changed keys, heads, and amounts of training data.

A command has one variation for each head and each amount. All of its tasks have the
changed keys if their recipes do. A task that a variation does not fit has no run of it.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import itertools
from pathlib import Path

from s3prl_sb.benchmark.data import absolute
from s3prl_sb.benchmark.keys import (
    VARIANT,
    PlanError,
    check_combination,
    check_keys,
    schema,
    settings,
    variant_of,
    without_lacking,
)
from s3prl_sb.benchmark.row_names import AMOUNTS
from s3prl_sb.benchmark.shared_keys import check_names, choosing, fitting, merged
from s3prl_sb.foreign import trust
from s3prl_sb.runs.suite_tasks import matching
from s3prl_sb.runs.tasks import unknown
from s3prl_sb.schema.named_heads import named_heads
from s3prl_sb.startup.arguments import assignments
from s3prl_sb.startup.named import DEFAULT, HEAD, is_code


@dataclasses.dataclass(frozen=True)
class Variation:
    """Change of all tasks.

    Arguments
    ---------
    changes : dict
        Task to changed keys of its recipe.
    refused : dict
        Task that gets no run to the reason.
    without : dict
        Changed key, to the tasks whose recipes lack it, which run without it.
    """

    changes: dict = dataclasses.field(default_factory=dict)
    refused: dict = dataclasses.field(default_factory=dict)
    without: dict = dataclasses.field(default_factory=dict)


def read(arguments, budget, data, tasks):
    """Returns the variations that a command requests.

    Arguments
    ---------
    arguments : argparse.Namespace
        Values of the arguments of :mod:`s3prl_sb.benchmark.arguments`.
    budget, data : dict
        Task to keys of its recipe, which the variations change.
    tasks : list of str
        Ids of all tasks of the suites.

    Returns
    -------
    list of Variation
        One for each head and amount; a single empty one if nothing is varied.

    Raises
    ------
    s3prl_sb.errors.UserError
        For an unknown key or an invalid value, and for keys that fit no task.
    """
    common, specific = _assigned(arguments.set or [], tasks)
    names = arguments.heads or [DEFAULT]
    heads = list(map(_head, names))
    if any(head in heads[:i] for i, head in enumerate(heads)):
        raise _alike("heads", names)
    amounts = [
        {name: int(value) if float(value).is_integer() else value}
        for name in AMOUNTS
        for value in _unique(getattr(arguments, name) or [], name)
    ]
    varied = ([HEAD] if arguments.heads else []) + [k for each in amounts for k in each]
    for name in varied:
        if any(name in keys for keys in (common, *specific.values())):
            raise PlanError(f"{name} is set twice: by --set, and by its own option")
    heads_of_budget = [keys[HEAD] for keys in budget.values() if HEAD in keys]
    if arguments.heads and any(_is_named(head) for head in heads_of_budget):
        raise PlanError("the head is set twice: by --budget, and by --heads")
    before = {task: {**budget.get(task, {}), **data.get(task, {})} for task in tasks}
    with trust.trusting(True):  # the user has typed them
        for task, keys in specific.items():
            variant = variant_of(before[task])
            checked = check_keys(task, keys, "--set", variant=variant)
            alone = merged(before[task], checked)
            check_combination(task, {**settings(task, variant_of(alone)), **alone})
        _check_common(common, before)
        return [
            _variation(common, {**head, **amount}, specific, before)
            for head, amount in itertools.product(heads, amounts or [{}])
        ]


def _assigned(texts, tasks):
    """Splits assignments into keys of all tasks, and tasks to their keys."""
    by_task = {}
    for text in texts:
        name, dot, rest = text.partition(".")
        meant = matching(name, tasks) if dot else []
        if len(meant) > 1:
            raise PlanError(f"--set {text}: '{name}' may be {' or '.join(meant)}")
        task = meant[0] if meant else None
        by_task.setdefault(task, []).append(rest if task else text)
    specific = {task: assignments(texts) for task, texts in by_task.items()}
    return specific.pop(None, {}), specific


def _check_common(common, before):
    """Checks that keys for all tasks exist, also in the variant that they choose."""
    variants = choosing(common.get(VARIANT), before, "--set")[0]
    chosen = {task: {**keys, **variants[task]} for task, keys in before.items()}
    check_names([key for key in common if key != VARIANT], chosen, "--set")


def _head(text):
    """Returns the keys for a head, none for that of each recipe."""
    if text == DEFAULT:
        return {}
    keys = assignments([f"{HEAD}={text}"])
    head = keys[HEAD]
    name = head.get("name") if isinstance(head, dict) else head
    if not isinstance(name, str):
        raise PlanError(f"--heads {text} names none: give such as '{{name: mlp}}'")
    if not is_code(name) and name not in named_heads():
        raise PlanError(f"--heads: {unknown('head', name, [*named_heads(), DEFAULT])}")
    return {HEAD: name} if head == {"name": name} else keys


def _is_named(head):
    return isinstance(head, str) or "name" in head


def _unique(values, name):
    if len(set(values)) < len(values):
        raise _alike(name, values)
    return values


def _alike(name, values):
    return PlanError(f"--{name} {' '.join(map(str, values))}: give different values")


def _variation(common, varied, specific, before):
    """Returns one variation; a task without a varied key gets no run."""
    shared, where = {**common, **varied}, "--set"
    if varied:
        options = {HEAD: "--heads"}
        names = ["--set"] * bool(common) + [options.get(k, f"--{k}") for k in varied]
        where = " ".join(names)
    variants, misfits = choosing(shared.pop(VARIANT, None), before, where)
    chosen, recipes = {}, {}
    for task, keys in before.items():
        own = specific.get(task, {})
        recipes[task] = schema(task, variant_of(keys, variants[task], own))
        mine = {key: shared[key] for key in shared if key in recipes[task]}
        mine = {**variants[task], **mine}
        wanted = merged(merged(keys, mine), own)
        chosen[task] = {key: wanted[key] for key in (*mine, *own)}
    applied, refused = fitting(chosen, before, where)
    refused |= misfits
    for task, keys in before.items():
        for key in without_lacking(task, {**keys, **variants[task]}):
            if key != VARIANT and key not in recipes[task]:
                refused.setdefault(task, f"its variant has no {key}")
    for task, key in itertools.product(before, varied):
        if key not in recipes[task]:
            refused.setdefault(task, f"its recipe has no {key}")
    changes = {
        task: absolute(task, keys, Path.cwd(), variant_of(before[task], keys))
        for task, keys in applied.items()
        if task not in refused
    }
    common = [key for key in common if key != VARIANT]
    lacking = {key: [t for t in before if key not in recipes[t]] for key in common}
    without = {key: tasks for key, tasks in lacking.items() if tasks}
    return Variation(changes, refused, without)
