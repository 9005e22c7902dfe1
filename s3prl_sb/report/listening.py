"""Utterances over time, with the sound that a run was tested on.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from s3prl_sb.dataio.manifest import is_number
from s3prl_sb.errors import MissingExtra, UserError
from s3prl_sb.report import audio_roots
from s3prl_sb.report.blocks import Block, Options, Picture, Prose
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.lanes import Lane
from s3prl_sb.report.timelines import Track

if TYPE_CHECKING:
    import torch

LISTS = ("test", "documents")  # manifests with what a run was tested on


def listened(
    run: Run,
    name: str,
    options: Options,
    rows: Sequence[Lane] = (),
    window: tuple[float, float] | None = None,
    summary: str = "",
    is_heard: bool = True,
) -> list[Block]:
    """Returns an utterance over time, with its sound if it is to be heard.

    Arguments
    ---------
    run : Run
        The run that was tested on it.
    name : str
        Id of the utterance.
    options : Options
        Options of the reader, with the folders of audio that has moved.
    rows : list of Lane
        Its timeline.
    window : (float, float), optional
        Seconds that are shown. Default: all, and of a long sound the first 30 s.
    summary : str
        Sentences that say what the timeline shows.
    is_heard : bool
        Whether the sound and its spectrogram are in the page.

    Returns
    -------
    list of Block
        With a sentence about audio that is missing, broken or changed.
    """
    faults: list[Block] = []
    if is_heard:
        try:
            return [_heard(run, name, options, rows, window, summary)]
        except UserError as error:
            faults.append(Prose(f"No sound: {error}"))
    if rows and window:
        return [Track(name, *window, rows, summary), *faults]
    return faults


def _heard(run, name, options, rows, window, summary):
    # Only now: they import torch, which takes longer than all the rest
    from s3prl_sb.report import waveforms

    limits = {} if window is None else {"start": window[0],
                                        "longest": window[1] - window[0]}  # fmt: skip
    record = record_of(run, name, options)
    try:
        part = waveforms.excerpt(name, record, **limits)
    except UserError:
        if said := audio_roots.remark(run, record, options.audio_roots):
            run.note(said)
        raise
    summary = " ".join(filter(None, (summary, part.remark if window is None else "")))
    return Track(
        name,
        part.start,
        part.stop,
        rows,
        summary,
        seen(run, part.samples, name),
        waveforms.sound(part.samples, name),
    )


def record_of(run: Run, name: str, options: Options) -> dict:
    """Returns the record of an utterance in the manifests of a run.

    Arguments
    ---------
    run : Run
        The run.
    name : str
        Id of the utterance.
    options : Options
        Options of the reader, with the folders of audio that has moved.

    Returns
    -------
    dict
        With the paths of the files where they are now.

    Raises
    ------
    UserError
        If no manifest of the run has it.
    """
    for each in LISTS:
        records = run.json(f"save/{each}.json")
        record = records.get(name) if isinstance(records, dict) else None
        if isinstance(record, dict) and _is_sound(record):
            return audio_roots.moved(record, options.audio_roots)
    place = run.folder / "save" / f"{LISTS[0]}.json"
    raise UserError(
        f"'{place}', the manifest of the test set, is missing, damaged or has no "
        f"'{name}'. Sounds are found by it: copy the folder save along with the run."
    )


def seen(
    run: Run, samples: "torch.Tensor", name: str, top: float | None = None
) -> Picture | None:
    """Returns a spectrogram, or None without the library that draws it.

    Arguments
    ---------
    run : Run
        Run that gets a note about the library.
    samples, name, top
        See :func:`s3prl_sb.report.waveforms.spectrogram`.

    Returns
    -------
    Picture or None
    """
    from s3prl_sb.report import waveforms

    try:
        return waveforms.spectrogram(samples, name, top)
    except MissingExtra as error:
        run.note(error)
        return None


def _is_sound(record):
    """Returns whether a record has what sounds are found by."""
    limits = [record.get("start"), record.get("stop")]
    limits = [each for each in limits if each is not None]
    is_named = isinstance(record.get("wav"), str)
    return is_named and all(map(is_number, [record.get("duration"), *limits]))
