"""Trials of speaker verification: pairs of utterances with the same speaker or not.

A list of trials is a text file with one trial per line: 1 (same speaker) or 0, and the
ids of the two utterances, separated by tabs.

Authors
 * The s3prl_sb developers, 2026
"""

import random
import re
from typing import NamedTuple

from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.rows import check_id, csv_cells, suffix
from s3prl_sb.dataio.segment_times import read_name
from s3prl_sb.errors import ManifestError
from s3prl_sb.identity.locations import default_id
from s3prl_sb.storage.files import write_text

COLUMNS = ("label", "wav_path1", "wav_path2")
ALIASES = {"wav1": "wav_path1", "wav2": "wav_path2"}


class Trial(NamedTuple):
    """A label, 1 for the same speaker and 0 otherwise, and two utterance ids."""

    label: int
    first: str
    second: str


def write(trials, path):
    """Writes a list of trials atomically.

    Arguments
    ---------
    trials : list of Trial
        The trials, in order.
    path : str
        The text file.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write([Trial(1, "a", "b")], folder + "/trials.txt")
    ...     read(folder + "/trials.txt")
    [Trial(label=1, first='a', second='b')]
    """
    write_text(path, "".join(f"{t.label}\t{t.first}\t{t.second}\n" for t in trials))


def read(path):
    """Reads the list of Trial that :func:`write` has written."""
    trials = []
    for number, line in enumerate(manifest.read_text(path).splitlines(), 1):
        cells = line.split("\t")
        if len(cells) != 3 or cells[0] not in ("0", "1"):
            raise ManifestError(
                f"{path}:{number}: malformed line {line!r}. Expected 1 or 0, a tab, an "
                "id, a tab, an id. Delete the file, and prepare again."
            )
        trials.append(Trial(int(cells[0]), *cells[1:]))
    return trials


def check(trials, path):
    """Checks that there are trials of both kinds, which error rates need."""
    for label, kind in ((1, "the same speaker"), (0, "different speakers")):
        if not any(trial.label == label for trial in trials):
            raise ManifestError(
                f"{path}: none of {len(trials)} trials is of {kind} (label {label}). "
                "Error rates need both kinds."
            )


def draw(records, each=4, seed=0):
    """Draws trials, as many with the same speaker as with different ones.

    Arguments
    ---------
    records : dict
        ``{id: record}``, with ``speaker``, and optionally ``video`` (the session).
    each : int
        Number of trials of either kind in which an utterance is the first.
    seed : int
        Seed of the choice.

    Returns
    -------
    list of Trial
        Pairs of the same speaker have different videos, unless the speaker has only
        one. No pair occurs twice.

    Example
    -------
    >>> records = {f"{s}{n}": {"speaker": s} for s in "abc" for n in range(4)}
    >>> trials = draw(records, each=2)
    >>> len(trials) == 2 * sum(trial.label for trial in trials)
    True
    """
    own, others, names = {}, {}, sorted(records)
    for name in names:
        own.setdefault(records[name]["speaker"], []).append(name)
    for speaker in own:
        others[speaker] = [n for n in names if records[n]["speaker"] != speaker]
    trials, seen = [], set()
    for name in names:
        speaker, video = records[name]["speaker"], records[name].get("video")
        same = [n for n in own[speaker] if n != name]
        elsewhere = [n for n in same if records[n].get("video") != video]
        rng = random.Random(f"{seed}|{name}")
        targets = _some(rng, elsewhere or same, name, each, seen)
        if targets:
            different = _some(rng, others[speaker], name, len(targets), seen)
            trials += [Trial(1, name, other) for other in targets[: len(different)]]
            trials += [Trial(0, name, other) for other in different]
    return trials


def _some(rng, pool, name, count, seen):
    """Draws up to ``count`` names that were not paired with ``name`` before."""
    drawn = rng.sample(pool, min(len(pool), 8 * count))
    new = [n for n in drawn if (min(n, name), max(n, name)) not in seen][:count]
    seen.update((min(n, name), max(n, name)) for n in new)
    return new


def load_table(path, data_root=None):
    """Reads a custom table of trials.

    Arguments
    ---------
    path : str
        CSV or TSV with the columns ``label`` (1: same speaker, 0: not),
        ``wav_path1`` and ``wav_path2`` (or ``wav1``, ``wav2``), and optionally
        ``id1`` and ``id2``; in JSON, these keys. See
        :mod:`s3prl_sb.dataio.tables` for the paths.
    data_root : str, optional
        Folder of relative audio paths. Default: the folder of the table.

    Returns
    -------
    records : dict
        ``{id: record}`` of all utterances.
    trials : list of Trial
        The trials, in the order of the table.

    Raises
    ------
    ManifestError
        With the file and the line.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(8000), 16000)
    ...     soundfile.write(folder + "/b.wav", numpy.zeros(8000), 16000)
    ...     table = Path(folder, "my.csv")
    ...     _ = table.write_text("label,wav1,wav2\\n1,a.wav,a.wav\\n0,a.wav,b.wav\\n")
    ...     records, trials = load_table(str(table))
    >>> sorted(records), trials[1]
    (['a', 'b'], Trial(label=0, first='a', second='b'))
    """
    path, utterances, trials = str(path), {}, []
    for line, row in _rows(path):
        place = f"{path}:{line}"
        if not isinstance(row, dict):
            raise ManifestError(f"{place}: {row!r} is not an object")
        missing = [
            key for key in COLUMNS if row.get(key) is None or not str(row[key]).strip()
        ]
        if missing:
            raise ManifestError(
                f"{place}: missing {', '.join(missing)} (found {', '.join(row)}). A "
                "trial has a label and two audio files."
            )
        label = str(row["label"]).strip()
        if label not in ("0", "1"):
            raise ManifestError(
                f"{place}: label {label!r} is neither 1 (same speaker) nor 0."
            )
        names = []
        for side in "12":
            wav = row[f"wav_path{side}"]
            if not isinstance(wav, str):
                raise ManifestError(
                    f"{place}: wav_path{side} {wav!r} is no path. Give that of an "
                    "audio file."
                )
            name = str(row.get(f"id{side}") or default_id(wav))
            check_id(name, place)
            first_line, first_wav = utterances.setdefault(name, (line, wav))
            if first_wav != wav:
                raise ManifestError(
                    f"{place}: '{name}' is {wav}, but {first_wav} in line {first_line}."
                    " Give every audio file its own id."
                )
            names.append(name)
        trials.append(Trial(int(label), *names))
    if not trials:
        raise ManifestError(f"{path}: the table is empty. Add trials.")
    check(trials, path)
    wav_rows = [(n, line, {"wav": wav}) for n, (line, wav) in utterances.items()]
    return tables.records_of(path, wav_rows, (), data_root), trials


def _rows(path):
    """Returns the (line, row) of each trial."""
    if suffix(path) == ".json":
        entries = [(line, row) for _, line, row in manifest.json_rows(path)]
    else:
        entries = csv_cells(path, COLUMNS, ALIASES)
    dicts = [row for _, row in entries if isinstance(row, dict)]
    timed = [
        key for key in dict.fromkeys(k for row in dicts for k in row) if _timed(key)
    ]
    if timed and any(str(row.get(key) or "").strip() for row in dicts for key in timed):
        raise ManifestError(
            f"{path}:1: {', '.join(timed)}: a trial is about two whole files, so times "
            "cannot be heeded. Cut the files, or take the columns out."
        )
    return entries


def _timed(key):
    """Returns whether a column is a start or stop, such as start1 or end_2."""
    parsed = read_name(re.sub(r"_?[12]$", "", key))
    return parsed is not None and parsed[0] in ("start", "stop", "offset")
