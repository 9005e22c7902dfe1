"""DESED: ten kinds of domestic sounds in clips of ten seconds.

Turpault, Serizel, Salamon and Shah, "Sound event detection in domestic environments
with weakly labeled data and soundscape synthesis", DCASE 2019,
https://project.inria.fr/desed. The layout is that of its program and of DCASE's task
4::

    metadata/train/…/*.tsv                audio/train/<folder>/*.wav
    metadata/validation/validation.tsv    audio/validation/validation/*.wav
    metadata/eval/public.tsv              audio/eval/public/*.wav

A row with ``onset``, ``offset`` (seconds) and ``event_label`` is an event; one with a
file name alone is a clip without events. Files of clips without times
(``event_labels``, "weak", or no labels) are left out, and their number is logged.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from pathlib import Path
from typing import NamedTuple

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import is_audio
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.corpora.recordings import TOLERANCE, check_speech, make_records
from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.rows import csv_cells
from s3prl_sb.dataio.segment_times import NO_TIME
from s3prl_sb.errors import ManifestError
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

download_desed = behind_a_form(
    "DESED",
    "https://project.inria.fr/desed",
    "its page has a program that fetches the clips and lays them out.",
)
VERSION = "desed/1"  # a change makes finished preparations stale
#: Splits to the folder below ``metadata`` and ``audio``, and the file in it, if one.
PARTS = {
    "train": ("train", None),
    "valid": ("validation", "validation.tsv"),
    "test": ("eval", "public.tsv"),
}
PUBLISHED = {"valid": 1168, "test": 692}  # clips
TIMES = {"onset", "offset", "event_label"}  # columns of a file of events


class _Clips(NamedTuple):
    """Clips of one file of events: ``{id: (path, place)}``, their events, and the names
    of those whose audio is missing."""

    audio: dict
    events: list
    missing: list


def prepare_desed(
    data_folder: str | None, save_folder: str, skip_prep: bool = False
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Training takes all files of events below ``metadata/train``: synthetic soundscapes,
    and real clips with times.

    Arguments
    ---------
    data_folder : str
        Folder with ``metadata`` and ``audio``, or its parent, where it is ``dataset``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files is kept.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; records as in
        :mod:`s3prl_sb.corpora.recordings`.

    Raises
    ------
    ManifestError
        With the file, the line and the fix.
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    folder = Path(check_folder(data_folder, "of DESED", "dataset"))
    sources = {split: _sources(folder, split) for split in PARTS}
    splits = {split: _read(folder, split, files) for split, files in sources.items()}
    arguments = {
        "version": VERSION,
        "data_folder": str(folder),
        "sha256": {str(f): manifest.digest(f) for fs in sources.values() for f in fs},
        "clips": {split: sorted(clips.audio) for split, clips in splits.items()},
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    for split, clips in splits.items():
        _report(split, clips, sources[split][0])
    records = {split: _records(clips) for split, clips in splits.items()}
    check_speech(records, {s: files[0] for s, files in sources.items()}, "event")
    tables.warn_of_leaks(records, {split: f"the {split} set" for split in PARTS})
    for split, published in PUBLISHED.items():
        warn_if_short(folder, len(records[split]), published, f"clips of {split}")
    return manifest.finish(records, save_folder, arguments, required=())


def _sources(folder, split):
    """Returns the files of events of a split."""
    part, name = PARTS[split]
    place = folder / "metadata" / part
    if name is not None:
        if not (place / name).is_file():
            raise ManifestError(f"{place / name}: no such file. Is DESED whole?")
        return [place / name]
    files, weak = [], 0
    for file in sorted(place.rglob("[!.]*.tsv")):
        rows = csv_cells(file, needed=("filename",))
        if rows and rows[0][1].keys() >= TIMES:
            files.append(file)
        elif rows and "duration" not in rows[0][1]:  # a file of durations has no clips
            weak += len(rows)
    if not files:
        raise ManifestError(
            f"{place}: no .tsv file with the columns filename, onset, offset and "
            "event_label. Is DESED whole?"
        )
    if weak:
        logger.warning(
            "%s: %d clips are left out, as their labels have no times", place, weak
        )
    return files


def _read(folder, split, files):
    """Returns the clips of a split. Clips of one name in two folders are two clips."""
    part = folder / "audio" / PARTS[split][0]
    folders = _audio(part)
    together = _Clips({}, [], [])
    for file in files:
        rows = csv_cells(file, needed=("filename", *sorted(TIMES)))
        names = {Path(row["filename"]).stem for _, row in rows}
        # The folder of a file of events has another name in each release
        most = max(
            folders.items(), default=("", {}), key=lambda f: len(names & {*f[1]})
        )
        is_unique = len(files) == 1 or not most[0]
        prefix = "" if is_unique else f"{Path(most[0]).relative_to(part)}/"
        prefix = prefix.replace("/", "-").replace(" ", "_")
        missing = set()
        for line, row in rows:
            place, name = f"{file}:{line}", Path(row["filename"]).stem
            if name not in most[1]:
                missing.add(row["filename"])
                continue
            together.audio.setdefault(prefix + name, (most[1][name], place))
            if event := _event(row, place):
                together.events.append((prefix + name, *event, place))
        together.missing.extend(sorted(missing))
    if not together.audio and not together.missing:
        raise ManifestError(f"{files[0]}: it names no clips. Is DESED whole?")
    if not together.audio:
        raise ManifestError(
            f"{files[0]}: none of its {len(together.missing)} clips is below {part}. "
            "Set data_folder to the folder that holds metadata and audio."
        )
    return together


def _audio(part):
    """Returns ``{folder: {stem: path}}`` of the audio below a folder."""
    return {
        place: {Path(n).stem: os.path.join(place, n) for n in names if is_audio(n)}
        for place, _, names in sorted(os.walk(part))
    }


def _event(row, place):
    """Returns the (label, onset, offset) of a row; None for a clip without events."""
    cells = [row["event_label"], row["onset"], row["offset"]]
    if all(cell.lower() in NO_TIME for cell in cells):
        return None
    try:
        label, start, stop = cells[0], float(cells[1]), float(cells[2])
    except ValueError:
        start = stop = -1.0
    if not cells[0] or not 0 <= start <= stop < float("inf"):
        raise ManifestError(
            f"{place}: an event {cells[0]!r} from {cells[1]!r} to {cells[2]!r}. Give a "
            "label and seconds, 0 <= onset <= offset."
        )
    return label, start, stop


def _report(split, clips, source):
    """Logs how many clips have no audio: some of YouTube's are gone for everyone."""
    if clips.missing:
        logger.warning(
            "%s: %d of %d clips of %s are not there and are left out, as %s",
            split,
            len(clips.missing),
            len(clips.missing) + len(clips.audio),
            source.parent,
            few(clips.missing),
        )


def _records(clips):
    """Returns the records of clips; events end with the audio at the latest."""
    paths, places = zip(*clips.audio.values())
    lengths = dict(zip(clips.audio, headers.durations(list(paths), list(places))))
    inside, cut = [], []
    for name, label, start, stop, place in clips.events:
        if stop > lengths[name] + TOLERANCE:
            cut.append(place)
        if start < lengths[name]:
            inside.append((name, label, start, min(stop, lengths[name]), place))
    if cut:
        logger.warning(
            "%d events end after their audio and are cut, as %s", len(cut), few(cut)
        )
    return make_records(clips.audio, inside, label="event_label")
