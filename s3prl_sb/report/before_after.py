"""Predictions of a run that are sounds, beside the sounds that they came from.

Enhancement and separation leave examples in ``examples``, conversion leaves all in
``converted``.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from s3prl_sb.errors import UserError
from s3prl_sb.report.audio_roots import remark
from s3prl_sb.report.blocks import Block, Options, Prose, Section, joined
from s3prl_sb.report.example_kinds import number, title
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.listening import record_of, seen
from s3prl_sb.report.ranking import PREDICTIONS, worst
from s3prl_sb.report.timelines import Track
from s3prl_sb.report.worst import Example
from s3prl_sb.terminal.quantities import measure

INDEX = "examples/index.json"
SHOWN = 1  # examples without sound
HIDDEN = ("seconds", "duration")  # other columns than measures


class SideBySide(NamedTuple):
    """Versions of one sound; a player that is started continues where another was.

    Arguments
    ---------
    tracks : list of Track
        The versions.

    Example
    -------
    >>> SideBySide([Track("mixture", 0.0, 1.0)]).html().count("<figure")
    1
    """

    tracks: Sequence[Track]

    def html(self) -> Markup:
        """Returns the versions as HTML."""
        return Markup('<div class="side-by-side">{}</div>').format(joined(self.tracks))


def section(run: Run, options: Options) -> Section | None:
    """Returns examples of a run whose predictions are sounds.

    Arguments
    ---------
    run : Run
        A run.
    options : Options
        How many of them have their sound.

    Returns
    -------
    Section or None
        None for other runs.
    """
    wanted = max(SHOWN, options.audio)
    examples = _left(run, wanted) or _converted(run, wanted, options)
    if not examples:
        return None
    lead = (
        "Spectrograms of an example share their colours: 80 dB from its loudest point."
    )
    if not options.audio:
        lead += " A report with --audio has the sounds, too."
    blocks: list[Block] = [Prose(lead)]
    for name, files in examples:
        parts = _compared(run, files, bool(options.audio))
        blocks.append(Example(name, _facts(run, name), parts))
    return Section("Before and after", "before-after", blocks)


def _left(run: Run, wanted: int) -> list[tuple[str, dict[str, Path]]]:
    """Returns the files of the examples that a run left, by their kinds."""
    index = run.json(INDEX)
    entries = index.get("examples") if isinstance(index, dict) else None
    found = []
    for entry in entries if isinstance(entries, list) else []:
        files = entry.get("files") if isinstance(entry, dict) else None
        if isinstance(files, dict) and files:
            # Names alone: nothing outside the folder gets into the page
            place = run.folder / Path(INDEX).parent
            paths = {str(kind): place / Path(str(f)).name for kind, f in files.items()}
            found.append((str(entry.get("name")), paths))
    return found[:wanted]


def _converted(
    run: Run, wanted: int, options: Options
) -> list[tuple[str, dict[str, Path]]]:
    """Returns source, conversion and target of the worst conversions."""
    rows = run.table(PREDICTIONS) or []
    if not rows or not {"id", "speaker", "wav"} <= set(rows[0]):
        return []
    ranked = worst(run, wanted)
    examples = []
    for each in ranked.examples if ranked else []:
        name, file = each.row["id"], Path(each.row["wav"])
        converted = run.folder / file.parent.name / file.name
        files = {"converted": converted}
        try:
            record = record_of(run, name, options)
            files = {"source": Path(record["wav"]), **files}
            if said := remark(run, record, options.audio_roots):
                run.note(said)
            if isinstance(record.get("target"), str):
                files["target"] = Path(record["target"])
        except UserError as error:
            run.note(error)
        examples.append((name, files))
    return examples


def _compared(run: Run, files: Mapping[str, Path], is_heard: bool) -> list[Block]:
    """Returns the versions of a sound, and sentences about those that are missing."""
    # Only now: they import torch, which takes longer than all the rest
    from s3prl_sb.report import waveforms

    read: dict[str, Any] = {}
    faults: list[Block] = []
    for kind, path in files.items():
        try:
            read[kind] = waveforms.of_file(kind, path)
        except UserError as error:
            faults.append(Prose(f"No sound: {error}"))
    if not read:
        return faults
    top = waveforms.loudest([each.samples for each in read.values()])
    tracks = [
        Track(
            " ".join(filter(None, (kind.replace("_", " "), each.remark))),
            each.start,
            each.stop,
            (),
            "",
            seen(run, each.samples, kind.replace("_", " "), top),
            waveforms.sound(each.samples, kind) if is_heard else None,
        )
        for kind, each in read.items()
    ]
    return [SideBySide(tracks), *faults]


def _facts(run: Run, name: str) -> list[str]:
    """Returns the measures of an example."""
    row = next((r for r in run.table(PREDICTIONS) or [] if r.get("id") == name), {})
    numbers = {c: number(row, c) for c in row if c and c not in (*HIDDEN, "id")}
    return [
        f"{title(column)} {measure(column, value)}"
        for column, value in numbers.items()
        if value == value  # not NaN
    ]
