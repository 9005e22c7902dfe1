"""Makes a page of folders: gathers runs, and fills the page within its size.

Tables and facts are always there. Charts and examples of single runs are added kind by
kind, for all runs each, until the page is full; a note says what was left out.

Authors
 * The s3prl_sb developers, 2026
"""

import datetime
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

import s3prl_sb
from s3prl_sb.report import contents, details, differences, overview, page, setups
from s3prl_sb.report.blocks import (
    Block,
    Figures,
    Group,
    Options,
    Prose,
    Section,
    joined,
)
from s3prl_sb.report.escaping import brief, shown, slug
from s3prl_sb.report.gathered import Run, gather
from s3prl_sb.runs.results import RESULTS
from s3prl_sb.storage.files import FileError

FULL = 4_900_000  # bytes of a page without sound
BASE = 60_000  # of the frame, the style and the script
MESSAGE = 300  # characters of an error
FAULTS = 200  # errors that the page names
FACTS = "Metrics, settings and costs"  # of a run, by which those left out are named
EMBEDDED = re.compile(r'"data:(?:audio|image)/[^"]*"')


class Made(NamedTuple):
    """A page, and what it is of.

    Arguments
    ---------
    html : str
        The page.
    runs : list of Run
        Its runs.
    faults : list of str
        Files that could not be read, and why.
    """

    html: str
    runs: Sequence[Run]
    faults: Sequence[str]


class Html(NamedTuple):
    """A block that has been made before.

    Arguments
    ---------
    text : Markup
        The block as HTML.
    """

    text: Markup

    def html(self) -> Markup:
        """Returns the block."""
        return self.text


def make(
    folders: Sequence[str],
    options: Options = Options(),
    title: str | None = None,
    published: bool = False,
    live: str = "",
    status: Block | None = None,
    remembered: dict | None = None,
) -> Made:
    """Makes the page of the runs in folders.

    Arguments
    ---------
    folders : list of str
        Folders of runs or of benchmarks.
    options : Options
        Options of the reader.
    title : str, optional
        Title of the page. Default: the names of the folders.
    published : bool
        Whether to show published numbers also for runs that do not compare with them.
    live : str
        Version of the page, of a server.
    status : Block, optional
        Block of a server about running jobs.
    remembered : dict, optional
        Sections of runs that have not changed since the last page, which is updated.

    Returns
    -------
    Made

    Raises
    ------
    FileError
        If there is no run, no benchmark, and no probing of hidden states.
    """
    failed: list[Any] = []
    options = options._replace(folders=tuple(map(str, folders)))
    runs = _without_scores(gather(folders, failed.append))
    tables = setups.read_tables(map(Path, folders), runs, failed.append)
    inside = {id(r) for t in tables for s in t.setups.values() for r in s.runs}
    loose = setups.of_runs([run for run in runs if id(run) not in inside])
    every = [s for t in tables for s in t.setups.values() if s.runs] + loose
    setups.give_keys(every)
    parts = _tables(tables, loose, published, failed.append)
    parts += _comparisons(every, runs, options, failed.append)
    if not runs and not parts:
        first = (failed or [f"no {RESULTS} under {', '.join(map(str, folders))}"])[0]
        raise first if isinstance(first, Exception) else FileError(first)
    if status is not None:
        parts.insert(0, page.part(Section("Jobs", "jobs", [status])))
    room = FULL - BASE - len(page.vega()) - sum(map(_size, parts))
    filled, left_out = _fill(every, options, room, remembered)
    parts += [_runs(every, filled)] if every else []
    faults = [*map(str, failed), *(n for run in runs for n in run.notes)]
    faults = list(dict.fromkeys(faults))  # several runs may name one file
    if notes := _notes(faults, left_out, folders):
        parts.append(notes)
    html = page.render(
        parts,
        title or title_of(folders),
        _lead(runs, folders, left_out),
        _footer(),
        list(dict.fromkeys(s.task for s in every)),
        list(dict.fromkeys(s.upstream for s in every)),
        live,
    )
    return Made(html, runs, faults)


def _without_scores(runs):
    """Leaves out tests of a run on other data that lie in its folder: its section of
    robustness has them."""
    places = {run.folder.resolve() for run in runs}
    return [
        run
        for run in runs
        if not (
            run.results.get("scored") and places & set(run.folder.resolve().parents)
        )
    ]


def _tables(tables, loose, published, note):
    """Returns the parts with the tables of benchmarks, and of other runs."""
    parts = []
    for number, table in enumerate(tables):
        name = table.output.name if len(tables) > 1 else ""
        make = functools.partial(overview.of_benchmark, table, name, published)
        part = _tried(make, f"{table.output}: the table", note)
        if part is not None:
            key = part.key + (f"-{number + 1}" if number else "")
            parts.append(part._replace(key=key))
    if loose:
        make = functools.partial(overview.of_runs, loose, explains=not tables)
        parts.append(_tried(make, "The table of single runs", note))
    return [part for part in parts if part is not None]


def _comparisons(every, runs, options, note):
    """Returns the parts over all runs, after their tables."""
    makers = [functools.partial(differences.section, every, options)]
    makers += [functools.partial(m, runs, options) for m in contents.OVERVIEW_SECTIONS]
    parts = (_tried(make, _name(make.func), note) for make in makers)
    return [part for part in parts if part is not None]


def _tried(make: Callable, name: str, note: Callable) -> page.Part | None:
    """Returns a section as a part, or None if it is empty or cannot be made."""
    try:
        section = make()
        return page.part(section) if section and section.blocks else None
    except Exception as error:  # of any kind: files of others may hold anything
        note(_failure(name, error))
        return None


def _name(maker):
    return f"{maker.__module__.rpartition('.')[2]}.{maker.__name__}"


def _failure(name, error):
    return f"{name} could not be made: {type(error).__name__}: {str(error)[:MESSAGE]}"


def _makers(every: Sequence[setups.Setup]) -> Iterator[tuple]:
    """Yields what to add to the page, the most important first: a kind of section at a
    time, of all setups; of their first seeds before the others."""
    for maker in contents.CELL_SECTIONS:
        for setup in every:
            yield maker, setup.runs, setup.runs, id(setup)
    most = max((len(setup.runs) for setup in every), default=0)
    for seed in range(most):
        for maker in contents.RUN_SECTIONS:
            for setup in every:
                if seed < len(setup.runs):
                    run = setup.runs[seed]
                    yield maker, run, [run], id(run)


def _fill(every, options, room, remembered):
    """Returns the sections of each setup and run that there is room for, as HTML, and
    the titles of those left out, with their number."""
    distinguishing = details.settings_of(every)
    filled: dict[int, list[Markup]] = {}
    left_out: dict[str, int] = {}
    room -= sum(len(details.Entry(setup, []).html().encode()) for setup in every)
    for run in (run for setup in every for run in setup.runs):
        facts = _facts(run, distinguishing[id(run)])
        size = len(facts.encode())
        if size > room:
            left_out[FACTS] = left_out.get(FACTS, 0) + 1
            facts, size = Markup(), 0
        filled[id(run)] = [facts]
        room -= size
    for maker, of, runs, key in _makers(every):
        title, html = _remembered(maker, of, runs, options, remembered)
        size = _size_of(html, options)
        if not html:
            continue
        if size > room:
            left_out[title] = left_out.get(title, 0) + 1
            continue
        room -= size
        filled.setdefault(key, []).append(html)
    return filled, left_out


def _facts(run, settings):
    """Returns what is known of a run as HTML."""
    try:
        return joined(details.of_run(run, settings))
    except Exception as error:  # as above
        run.note(_failure(f"{run.folder}: the facts", error))
        return Figures([("folder", str(run.folder))]).html()


def _remembered(maker, of, runs, options, remembered):
    """Returns the title of a section, and the section as HTML, made or as it was."""
    key = (maker, options, *(_state(run) for run in runs))
    if remembered is None or key not in remembered:
        title, html = _made(maker, of, runs, options)
        found = title, html, [(run.folder, [*run.notes]) for run in runs]
        if remembered is None:
            return title, html
        remembered[key] = found
    title, html, notes = remembered[key]
    for run in runs:
        for note in dict(notes)[run.folder]:
            run.note(note)
    return title, html


def _made(maker, of, runs, options):
    try:
        section = maker(of, options)
        if section is None or not section.blocks:
            return "", Markup()
        return section.title, details.Titled(section.title, section.blocks).html()
    except Exception as error:  # as above
        runs[0].note(_failure(f"{runs[0].folder}: {_name(maker)}", error))
        return "", Markup()


def _state(run):
    """Returns what changes with the results of a run."""
    try:
        state = (run.folder / RESULTS).stat()
    except OSError:
        return run.folder, None
    return run.folder, state.st_mtime_ns


def _size_of(html, options):
    """Returns the size of a section; what was asked for with sound does not count."""
    if options.audio:
        html = EMBEDDED.sub("", html)
    return len(html.encode())


def _size(part):
    return len(part.html.encode())


def _runs(every, filled):
    """Returns the part with an entry for each setup, by task."""
    blocks, inner = [], []
    for task in dict.fromkeys(setup.task for setup in every):
        mine = [setup for setup in every if setup.task == task]
        key = f"task-{len(inner)}-{slug(task)[:60]}"
        name = task or "without a task"
        inner.append((brief(name, 100), key))
        entries = [details.Entry(s, _of_setup(s, filled)) for s in mine]
        whole = Markup(
            '<div class="of-task" data-task="{}"><h3 id="{}">{}</h3>{}</div>'
        )
        html = whole.format(brief(task), key, brief(name), joined(entries))
        blocks.append(Html(html))
    return page.part(Section("Runs", "runs", blocks), inner)


def _of_setup(setup, filled):
    """Returns what the entry of a setup holds: what its seeds share, then each."""
    blocks: list[Block] = [Html(html) for html in filled.get(id(setup), ())]
    for number, run in enumerate(setup.runs):
        inner = [Html(html) for html in filled[id(run)]]
        seed = run.results.get("seed")
        name = run.folder.name if seed is None else f"Seed {seed}"
        has_more = len(setup.runs) > 1
        blocks += [Group(name, inner, open=number == 0)] if has_more else inner
    back = '<p class="back"><a href="#main">Back to the tables</a></p>'
    return [*blocks, Html(Markup(back))]


def _notes(faults, left_out, folders):
    """Returns the part that says what the page lacks."""
    blocks: list[Block] = []
    if left_out:
        blocks.append(Prose(_said(left_out)))
        blocks.append(
            Prose(
                "A page of fewer runs has room for them: give s3prl-sb report the "
                "folders of some of the runs instead of "
                f"{', '.join(map(str, folders))}."
            )
        )
    if faults:
        blocks.append(Prose("These files could not be read, or not be shown:"))
        faults = [brief(fault, 2 * MESSAGE) for fault in faults]
        more = [f"… and {len(faults) - FAULTS:,} more."] if faults[FAULTS:] else []
        blocks.append(overview.Notes([*faults[:FAULTS], *more]))
    return page.part(Section("What is missing", "missing", blocks)) if blocks else None


def _said(left_out):
    kinds = ", ".join(f"{title} ({count})" for title, count in left_out.items())
    return f"These sections were left out, so that the page stays under 5 MB: {kinds}."


def title_of(folders: Sequence[str]) -> str:
    """Returns the title of a page of folders."""
    names = [Path(folder).resolve().name or str(folder) for folder in folders]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return "Results of " + ", ".join(names[:3]) + more


def _lead(runs, folders, left_out):
    count = f"{len(runs)} run{'s' * (len(runs) != 1)}"
    places = ", ".join(map(str, folders))
    text = Markup('<p class="lead">{} from {}.{}</p>')
    more = Markup(' <a href="#missing">Some charts were left out.</a>')
    return text.format(count, shown(places), more if left_out else "")


def _footer():
    now = datetime.datetime.now().astimezone()
    return Markup("Made by s3prl_sb {} on {}. {}").format(
        s3prl_sb.__version__,
        now.strftime("%Y-%m-%d at %H:%M %Z"),
        "The page holds all that it shows, and asks no server for anything.",
    )
