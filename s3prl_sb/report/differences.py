"""Setups of one task, compared pair by pair: the same numbers as ``s3prl-sb compare``.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from s3prl_sb.benchmark.row_names import PART
from s3prl_sb.errors import UserError
from s3prl_sb.metrics.measure_intervals import Difference
from s3prl_sb.report.alignment import Compared, Legend
from s3prl_sb.report.axes import axis_of, named
from s3prl_sb.report.blocks import (
    Block,
    Cell,
    Grid,
    Group,
    Options,
    Prose,
    Row,
    Section,
)
from s3prl_sb.report.details import Titled
from s3prl_sb.report.escaping import brief, slug
from s3prl_sb.report.overview import Link
from s3prl_sb.report.ranking import unit_of
from s3prl_sb.report.setups import Score, Setup, scale_of
from s3prl_sb.report.worst import Example
from s3prl_sb.runs.comparing import Comparison, compare
from s3prl_sb.runs.sides import Side
from s3prl_sb.runs.suite_tasks import metrics_of

PAIRS = 45  # pairs of a task: those of ten setups
FEW = 6  # pairs that are shown at first; of more, those with the best setup
ROOM = 400_000  # bytes of utterances where setups differ
WHAT = (
    "Second minus first, on the same utterances, with the 95 % interval of the paired "
    "bootstrap. Where it holds zero, this test set does not tell both apart. It says "
    "nothing about other seeds."
)


class Pair(NamedTuple):
    """Two setups of a task, compared.

    Arguments
    ---------
    first, second : Setup
        The setups; the first has the better score.
    names : tuple of str
        Short names that tell them apart.
    found : Comparison
        Their differences.
    """

    first: Setup
    second: Setup
    names: tuple[str, str]
    found: Comparison

    def differences(self) -> Iterator[tuple[Score, Score, Difference]]:
        """Yields the scores of both, and their difference, of each main metric."""
        others = {score.name: score for score in self.second.scores}
        for score in self.first.scores:
            if score.name in others and score.name in self.found.differences:
                difference = self.found.differences[score.name]
                yield score, others[score.name], difference


class Picks(NamedTuple):
    """Two choices that leave the pairs of a task with both, once the page has scripts.

    Arguments
    ---------
    names : list of str
        Names of the choices.
    key : str
        Beginning of the ids of the choices.
    has_first : bool
        Whether the first name is chosen at first.

    Example
    -------
    >>> "<option value=\\"0\\" selected>a</option>" in Picks("ab", "x", True).html()
    True
    """

    names: Sequence[str]
    key: str
    has_first: bool = False

    def html(self) -> Markup:
        """Returns the choices as HTML; they are for what follows them."""
        pick = Markup(
            '<label>{} <select id="{}"><option value="">any</option>{}</select></label>'
        )
        return Markup('<div class="picks" hidden>{}{}</div>').format(
            pick.format("One", f"{self.key}-one", self._options(self.has_first)),
            pick.format("another", f"{self.key}-other", self._options(False)),
        )

    def _options(self, has_first):
        option = Markup('<option value="{}"{}>{}</option>')
        chosen = Markup(" selected")
        return Markup().join(
            option.format(i, chosen if has_first and i == 0 else "", brief(name, 100))
            for i, name in enumerate(self.names)
        )


def section(every: Sequence[Setup], options: Options) -> Section | None:
    """Returns the comparisons of pairs of setups of the same task.

    Arguments
    ---------
    every : list of Setup
        All setups of the page.
    options : Options
        Options of the reader.

    Returns
    -------
    Section or None
        None if no two runs of a task say what each utterance contributed.
    """
    compared = _tasks(every)
    if not compared:
        return None
    blocks: list[Block] = [Prose(WHAT)]
    is_one = len(compared) > 1 and all(len(each.pairs) == 1 for each in compared)
    if is_one:
        blocks.append(_table("All tasks", compared))
    room = ROOM
    for each in compared:
        parts: list[Block] = [] if is_one else _pairs(each)
        for pair in each.pairs:
            changed = _changed_or_note(pair, options)
            size = len(changed.html().encode()) if changed else 0
            if changed and size <= room:
                room -= size
                title = f"{each.task}: {changed.title}" if is_one else changed.title
                parts.append(changed._replace(title=title, pair=each.places(pair)))
        blocks += parts if is_one else [Titled(each.name, parts, 3)]
    return Section("Two upstreams compared", "differences", blocks)


class Task(NamedTuple):
    """A task with its pairs.

    Arguments
    ---------
    task : str
        Name of the task.
    setups : list of Setup
        Its setups, the best first.
    names : dict
        ``id`` of each setup to a short name.
    pairs : list of Pair
        Pairs of them.
    left_out : int
        Number of further pairs.
    """

    task: str
    setups: Sequence[Setup]
    names: dict[int, str]
    pairs: Sequence[Pair]
    left_out: int

    @property
    def name(self) -> str:
        """Name of the task for people."""
        return self.task or "without a task"

    def places(self, pair: Pair) -> tuple[int, int]:
        """Returns the numbers of the setups of a pair."""
        numbers = {id(setup): i for i, setup in enumerate(self.setups)}
        return numbers[id(pair.first)], numbers[id(pair.second)]


def _tasks(every: Sequence[Setup]) -> list[Task]:
    """Returns the tasks of which at least two setups can be compared."""
    compared = []
    for task in dict.fromkeys(setup.task for setup in every):
        setups = [s for s in every if s.task == task and _has_measures(s)]
        if len(setups) < 2:
            continue
        setups = _in_order(setups)
        names = _told_apart(setups)
        pairs, left_out = _compared(setups, names)
        if pairs:
            compared.append(Task(task, setups, names, pairs, left_out))
    return compared


def _pairs(task: Task) -> list[Block]:
    """Returns the table of the pairs of a task, and what belongs to it."""
    parts: list[Block] = [_table(task.name, [task])]
    if len(task.setups) > 2:
        key, is_long = f"picks-{slug(task.task)}", len(task.pairs) > FEW
        parts.insert(0, Picks(list(task.names.values()), key, is_long))
    if task.left_out:
        parts.append(
            Prose(
                f"{task.left_out} more pairs are not here, because the page would grow "
                "too large; s3prl-sb compare FIRST SECOND compares any two folders."
            )
        )
    return parts


def _has_measures(setup):
    return all(run.measures is not None for run in setup.runs)


def _in_order(setups):
    """Returns setups of a task, the best first."""
    sign = -1 if _is_higher(setups[0], setups[0].scores[0].name) else 1
    return sorted(setups, key=lambda s: sign * s.scores[0].mean)


def _compared(setups, names):
    """Returns pairs, those with the best setup first, and how many are left out."""
    pairs, left_out = [], 0
    for first, second in itertools.combinations(setups, 2):
        if len(pairs) >= PAIRS:
            left_out += 1
            continue
        sides = [[run.measures for run in s.runs] for s in (first, second)]
        metrics = [score.name for score in first.scores]
        known = [
            n for n in metrics if all(n in m.names for side in sides for m in side)
        ]
        if not known:
            continue
        try:
            words = names[id(first)], names[id(second)]
            pairs.append(Pair(first, second, words, compare(*sides, known)))
        except UserError as error:
            fault = f"{first.task}, {first.name} and {second.name}: {error}"
            first.runs[0].note(fault)
    return pairs, left_out


def _table(title: str, tasks: Sequence[Task]) -> Grid:
    """Returns the differences of all pairs of a task, or of several, as a table."""
    rows = []
    for task in tasks:
        for pair in task.pairs:
            for one, other, difference in pair.differences():
                cells = [task.name, *_cells(pair, one, other, difference)]
                place = task.places(pair)
                rows.append((cells, place, task.task))
    header = ["task", "first", "second", "metric", "of the first", "of the second"]
    header += ["difference", "what it says"]
    is_one = len({cells[3] for cells, *_ in rows}) == 1 and len(tasks) == 1
    dropped = {0} if len(tasks) == 1 else set()
    dropped |= {3} if is_one else set()
    kept = [i for i in range(len(header)) if i not in dropped]
    grid = [
        Row([cells[i] for i in kept], task=task, pair=place)
        for cells, place, task in rows
    ]
    number = sum(len(task.pairs) for task in tasks)
    caption = f"{title}: {number} pair{'s' * (number != 1)}"
    if len(tasks) == 1:
        first = tasks[0].pairs[0].found
        caption += f", on {first.items} items"
        caption += "" if first.unit == "utterance" else f", drawn by {first.unit}"
    last = len(kept) - 1
    header = [header[i] for i in kept]
    return Grid(header, grid, caption, range(last - 3, last))


def _cells(pair, one, other, difference) -> list[Any]:
    scale = scale_of(pair.first.runs[0].task, one.name)
    value, low, high = (scale * each for each in difference.interval)
    digits = one.digits
    ends = [] if low != low else [f"[{low:+.{digits}f}, {high:+.{digits}f}]"]
    values = [f"{s.mean:.{digits}f} {s.unit}".rstrip() for s in (one, other)]
    if not (low > 0 or high < 0):
        verdict = "not told apart"
    else:
        better = (value > 0) == _is_higher(pair.first, one.name)
        verdict = f"{pair.names[better]} is better"
    return [
        *pair.names,
        named(one.name),
        Cell(values[0], one.mean),
        Cell(values[1], other.mean),
        Cell(Link(f"{value:+.{digits}f}", small=ends), value),
        verdict,
    ]


def _is_higher(setup, name):
    """Returns whether higher values of a metric are better."""
    results = setup.runs[0].results
    known = {metric.key: metric.higher for metric in metrics_of(results["task"])}
    return known.get(name, results["chosen_by"]["highest"])


def _changed_or_note(pair, options):
    """Returns the utterances where two setups differ most; notes what hinders it."""
    try:
        return _changed(pair, options)
    except UserError as error:
        pair.first.runs[0].note(error)
        return None


def _changed(pair: Pair, options: Options) -> Group | None:
    """Returns the utterances where two setups differ most, or None."""
    name, changes = next(iter(pair.found.changes.items()), ("", []))
    changes = [change for change in changes if change.change][: options.worst]
    if not changes:
        return None
    names = pair.names
    sides = [
        Side(str(s.runs[0].folder), [run.results for run in s.runs[:1]])
        for s in (pair.first, pair.second)
    ]
    run = pair.first.runs[0]
    is_text = any("reference" in row for row in _rows(sides[0], changes))
    title = f"Where {names[0]} and {names[1]} differ most in {named(name)}"
    if not is_text:
        return Group(title, [_labels(changes, names, sides)])
    blocks: list[Block] = [Legend()]
    axis = axis_of(run, name)
    for change in changes:
        facts = [
            f"{axis.title} {axis.words(value)} with {of}"
            for of, value in zip(names, change[1:3])
        ]
        true, texts = _texts(change.item, names, sides)
        inner: list[Block] = [Compared(true, texts, unit_of(run))] if true else []
        blocks.append(Example(change.item, facts, inner))
    return Group(title, blocks)


def _rows(side, changes):
    """Returns rows of predictions.csv of the items that have changed."""
    found = side.predictions[0]
    return [found[change.item] for change in changes if change.item in found]


def _texts(item, names, sides):
    true, texts = None, {}
    for name, side in zip(names, sides, strict=True):
        reference, predicted = side.texts(item)
        true = reference if reference is not None else true
        texts[name] = next(iter(predicted), "")  # of the first seed
    return true, texts


def _labels(changes, names, sides):
    """Returns items whose labels or values differ, as a table."""
    rows = []
    for change in changes:
        true, texts = _texts(change.item, names, sides)
        values = [Cell(f"{value:.3g}", value) for value in change[1:3]]
        rows.append([change.item, true or "", *texts.values(), *values])
    columns = ["item", "true", *names, *(f"score of {name}" for name in names)]
    kept = [i for i in range(len(columns)) if i in (0, 4, 5) or any(r[i] for r in rows)]
    rows = [[row[i] for i in kept] for row in rows]
    numeric = range(len(kept) - 2, len(kept))
    return Grid([columns[i] for i in kept], rows, "", numeric)


def _told_apart(setups):
    """Returns the names of setups without what all of them share at their ends."""
    names = [setup.name.split(PART) for setup in setups]
    while all(len(n) > 1 and n[-1] == names[0][-1] for n in names):
        names = [name[:-1] for name in names]
    pairs = zip(setups, names, strict=True)
    return {id(setup): brief(PART.join(name)) for setup, name in pairs}
