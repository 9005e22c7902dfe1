"""Details of the runs of one setup: settings, costs, versions, command.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from s3prl_sb.report.blocks import Block, Cell, Figures, Grid, joined
from s3prl_sb.report.escaping import brief, shown
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.setups import Setup, interval_of
from s3prl_sb.runs.results import differences
from s3prl_sb.startup.arguments import argument
from s3prl_sb.terminal import quantities

#: Keys that depend on where a run was, and the seed, which comes last.
PLACES = ("output_folder", "save_folder", "train_log", "seed")


class Titled(NamedTuple):
    """Blocks below a heading.

    Arguments
    ---------
    title : str
        The heading.
    blocks : list of Block
        Blocks below it.
    level : int
        Level of the heading.

    Example
    -------
    >>> Titled("A", []).html()
    Markup('<h4>A</h4>\\n')
    """

    title: str
    blocks: Sequence[Block]
    level: int = 4

    def html(self) -> Markup:
        """Returns the heading and the blocks as HTML."""
        return Markup("<h{0}>{1}</h{0}>\n{2}").format(
            self.level, shown(self.title), joined(self.blocks)
        )


class Command(NamedTuple):
    """A command of the shell.

    Arguments
    ---------
    text : str
        The command.

    Example
    -------
    >>> Command("s3prl-sb run KS").html()
    Markup('<pre><code>s3prl-sb run KS</code></pre>')
    """

    text: str

    def html(self) -> Markup:
        """Returns the command as HTML."""
        lines = [""]
        for word in map(shlex.quote, shlex.split(self.text)):
            if word.startswith(
                "--"
            ):  # an option a line, as a browser breaks at hyphens
                lines.append(word)
            else:
                lines[-1] += f" {word}" if lines[-1] else word
        text = " \\\n  ".join(map(shown, lines))
        return Markup("<pre><code>{}</code></pre>").format(text)


class Entry(NamedTuple):
    """The runs of a setup, behind a line that opens them.

    Arguments
    ---------
    setup : Setup
        The setup.
    blocks : list of Block
        Content.
    """

    setup: Setup
    blocks: Sequence[Block]

    def html(self) -> Markup:
        """Returns the line and what it opens as HTML."""
        seeds = len(self.setup.runs)
        scores = ", ".join(score.text() for score in self.setup.scores)
        return Markup(
            '<details class="setup" id="{}" data-task="{}" data-upstream="{}">'
            '<summary><span>{}</span><span class="score">{}</span></summary>'
            "{}</details>"
        ).format(
            self.setup.key,
            brief(self.setup.task),
            brief(self.setup.upstream),
            brief(self.setup.name) + (f" ({seeds} seeds)" if seeds > 1 else ""),
            shown(scores),
            joined(self.blocks),
        )


def settings_of(setups: Sequence[Setup]) -> dict[int, list[tuple[str, str]]]:
    """Returns the settings in which the runs of each task differ.

    Arguments
    ---------
    setups : list of Setup
        All setups of the page.

    Returns
    -------
    dict
        ``id`` of each run to names and values.
    """
    runs = [run for setup in setups for run in setup.runs]
    found: dict[int, list[tuple[str, str]]] = {id(run): [] for run in runs}
    for task in {run.task for run in runs}:
        mine = [run for run in runs if run.task == task]
        for name, column in differences([run.results for run in mine]).items():
            for run, value in zip(mine, column, strict=True):
                if value not in (None, ""):
                    found[id(run)].append((name, _text(value)))
    return found


def of_run(run: Run, settings: Sequence[tuple[str, str]]) -> list[Block]:
    """Returns what is known of a run without opening its other files.

    Arguments
    ---------
    run : Run
        The run.
    settings : list of tuple
        Names and values of the settings that distinguish it.

    Returns
    -------
    list of Block
    """
    blocks: list[Block] = [_metrics(run)]
    if settings:
        what = "Settings that differ between the runs of this task"
        blocks.append(Titled(what, [Figures(settings)]))
    blocks.append(Titled("Training and costs", [Figures(_facts(run.results))]))
    blocks.append(Titled("Upstream and data", [Figures(_origin(run))]))
    if command := command_of(run.results):
        blocks.append(Titled("Command that trains it again", [Command(command)]))
    return blocks


def _metrics(run):
    """Returns all metrics, with intervals and those of validation."""
    valid = run.results.get("valid") or {}
    rows = []
    for name, value in run.results["metrics"].items():
        ends = interval_of([run], name)
        interval = ends and f"[{_plain(ends[0])}, {_plain(ends[1])}]"
        chosen = valid.get(name)
        validated = _plain(chosen) if isinstance(chosen, int | float) else ""
        rows.append([name, Cell(_plain(value), value), interval or "", validated])
    header = ["metric", "test", "95 % interval", "validation"]
    kept = [i for i in range(len(header)) if i < 2 or any(row[i] for row in rows)]
    rows = [[row[i] for i in kept] for row in rows]
    header = [header[i] for i in kept]
    return Grid(
        header, rows, "Metrics as results.json has them", range(1, len(kept)), False
    )


def _plain(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _facts(results):
    """Returns names and texts of how a run was trained, and what it took."""
    steps = results.get("total_steps")
    best = results.get("best_step")
    model = results.get("upstream_model") or {}
    training = results.get("training") or {}
    batch = training.get("batch_size") or training.get("batch_seconds")
    facts = [
        ("learning rate", _number(results.get("lr"))),
        ("steps", f"{steps}, the best at {best}" if best else steps),
        ("stopped", results.get("stopped")),
        ("batch", batch),
        ("time", quantities.duration(results["seconds"])),
        ("memory", _gigabytes(results.get("peak_memory_gb"))),
        ("memory of the GPU", _gigabytes(results.get("peak_gpu_memory_gb"))),
        ("device", results.get("device")),
        ("precision", training.get("precision")),
        ("processes", training.get("processes")),
        ("upstream", model.get("trained")),
        ("adapter", model.get("adapter")),
    ]
    return _present(facts)


def _origin(run):
    """Returns names and texts of the upstream, the data, the versions, the folder."""
    results = run.results
    model, identity = results.get("upstream_model") or {}, results.get("identity") or {}
    test, versions = results.get("test") or {}, results.get("versions") or {}
    split = {k: v for k, v in (results.get("utterances") or {}).items() if v}
    protocol = results.get("protocol") or {}
    judged = ", ".join(map(str, protocol.get("differs") or ()))
    followed = {True: "followed", False: f"departs from it: {judged}"}
    facts = [
        ("upstream", run.upstream),
        ("class", str(model.get("class") or "").rpartition(".")[2]),
        ("weights", _text(model.get("source"))),
        ("identity of the upstream", str(identity.get("upstream") or "")[:16]),
        ("test set", test.get("name")),
        ("utterances", ", ".join(f"{k} {v}" for k, v in split.items())),
        ("conditions", _text(test.get("conditions"))),
        ("content of the test set", str(test.get("sha256") or "")[:16]),
        ("protocol of the recipe", followed.get(protocol.get("followed"))),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions.items())),
        ("folder", str(run.folder)),
    ]
    return _present(facts)


def _present(facts):
    return [(name, value) for name, value in facts if value not in (None, "")]


def _text(value: Any) -> str:
    if value in (None, "", {}, []):
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value):
    return f"{value:g}" if isinstance(value, float) else value


def _gigabytes(value):
    return f"{value:g} GB" if isinstance(value, int | float) else None


def command_of(results: dict) -> str:
    """Returns the command that trains a run again, or an empty text.

    Arguments
    ---------
    results : dict
        Content of its results.json.

    Returns
    -------
    str

    Example
    -------
    >>> command_of({"task": "SUPERB/KS", "seed": 7, "settings": {"upstream": "a b"}})
    "s3prl-sb run SUPERB/KS --upstream 'a b' --seed 7"
    """
    settings = results.get("settings")
    if not settings or not results.get("task"):
        return ""
    words = ["s3prl-sb", "run", str(results["task"])]
    left_out = (*PLACES, "lr") if settings.get("lr_search") else PLACES
    pairs = {k: v for k, v in settings.items() if k not in left_out}
    if results.get("seed") is not None:
        pairs["seed"] = results["seed"]
    for key, value in pairs.items():
        words += [f"--{key}", argument(value)]
    return " ".join(map(shlex.quote, words))
