"""A submission to SUPERB's leaderboard: the folder ``predict`` and its zip file.

Authors
 * The s3prl_sb developers, 2026
"""

import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from s3prl_sb.errors import UserError
from s3prl_sb.runs.results import main_metrics
from s3prl_sb.storage.files import json_text, naming, read_json, write_text
from s3prl_sb.storage.parts import Part, recover
from s3prl_sb.submission.choosing import Choice, SubmissionError, choose, runs_of
from s3prl_sb.submission.entries import ENTRIES, Entry
from s3prl_sb.submission.parts import AGAIN, PREDICTIONS, NotTested
from s3prl_sb.terminal.messages import few
from s3prl_sb.terminal.quantities import measures

PREDICT, ZIP, RECORD = "predict", "predict.zip", "submission.json"
MARK = {"made_by": "s3prl-sb submit"}
#: Time of all files in the zip file, so that equal files give equal bytes.
NO_TIME = (1980, 1, 1, 0, 0, 0)


class Written(NamedTuple):
    """A task of a submission that was made.

    Arguments
    ---------
    entry : Entry
        The task.
    choice : Choice
        The run.
    ids : int
        Number of its ids.
    metrics : dict
        Metrics measured from the files.
    faults : list of str
        Reasons why the leaderboard would refuse it, or measure something else.
    notes : list of str
        Facts to know.
    """

    entry: Entry
    choice: Choice
    ids: int
    metrics: dict
    faults: list
    notes: list


class Submission(NamedTuple):
    """A submission that was made.

    Arguments
    ---------
    written : list of Written
        Its tasks.
    missing : dict
        Names of the tasks without a run to the reason.
    failed : dict
        Names of the tasks with a run that could not be written to the reason.
    """

    written: list
    missing: dict
    failed: dict


def submit(
    folders: Sequence[str],
    destination: str | Path,
    upstream: str | None = None,
    seed: int | None = None,
    failed: Callable[[UserError], None] = lambda error: None,
) -> Submission:
    """Writes the predictions of finished runs as SUPERB's leaderboard takes them.

    Arguments
    ---------
    folders : list of str
        Folders of benchmarks and runs.
    destination : str
        Folder to make, or an earlier submission, which is replaced: ``predict`` with a
        folder for each task, ``predict.zip``, and ``submission.json``, which says from
        which runs the files are.
    upstream, seed, failed
        See :func:`~s3prl_sb.submission.choosing.runs_of`.

    Returns
    -------
    Submission

    Raises
    ------
    SubmissionError
        If there is nothing to submit, or the destination has something else.
    """
    destination = Path(destination)
    recover(destination)
    _check(destination)
    runs = runs_of(folders, failed, upstream, seed)
    with Part(destination) as part:
        _check(destination)  # it may have been made meanwhile
        part.path.mkdir()
        made = _fill(part.path / PREDICT, runs)
        if not made.written:
            out = {**made.failed, **made.missing}
            reasons = [f"{name}: {reason}" for name, reason in out.items()]
            raise SubmissionError("\n".join(["Nothing to submit.", *_several(reasons)]))
        _pack(part.path)
        write_text(part.path / RECORD, json_text(record(made)) + "\n")
        part.publish(keep=lambda name: name not in (PREDICT, ZIP, RECORD))
    return made


def _check(destination):
    if destination.exists() and not destination.is_dir():
        raise SubmissionError(f"'{destination}' is a file. Choose a folder.")
    if not destination.is_dir() or not any(destination.iterdir()):
        return
    path = destination / RECORD
    if path.is_file() and MARK.items() <= read_json(path, kind=dict).items():
        return
    raise SubmissionError(
        f"'{destination}' holds something else than a submission. Choose a new folder."
    )


def _several(reasons):
    """Returns the distinct reasons, those of tasks without any run as one."""
    unique = [reason for reason in reasons if not reason.endswith(NO_RUN)]
    return unique[:5] or ["No run of a task of the leaderboard was found."]


NO_RUN = "no finished run"


def _fill(folder, runs):
    written, missing, failed = [], {}, {}
    for entry in ENTRIES:
        place = folder / entry.name
        try:
            choice = choose(entry, runs)
            if choice is None:
                missing[entry.name] = NO_RUN
                continue
            written.append(_write(entry, choice, place))
        except NotTested as error:
            missing[entry.name] = str(error)
            _remove(place)
        except UserError as error:
            failed[entry.name] = str(error)
            _remove(place)
    return Submission(written, missing, failed)


def _remove(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if folder.is_dir():
        folder.rmdir()


def _write(entry, choice, folder):
    """Writes a task, reads it again, and compares."""
    folder.mkdir(parents=True)
    predictions = entry.predictions
    with naming(choice.folder / PREDICTIONS, "predictions with their truth", AGAIN):
        ids = predictions.write(choice.folder, folder)
        metrics = predictions.measured(folder, choice.folder)
    faults = [*_faults_of_ids(entry, ids), *_faults_of_metrics(entry, choice, metrics)]
    notes = [choice.words()] if choice.others or choice.left_out else []
    judged = choice.run.get("protocol") or {}
    if judged.get("followed") is False:
        notes.append(f"departs from the protocol: {few(judged['differs'], 3)}")
    return Written(entry, choice, len(ids), metrics, faults, notes)


def _faults_of_ids(entry, ids):
    faults, names = [], entry.predictions
    if len(ids) != entry.size:
        of = f"{len(ids):,} of {entry.size:,} {entry.unit}"
        faults.append(f"{of}; the leaderboard will refuse it")
    if foreign := names.foreign(ids):
        of = f"{len(foreign):,} ids" if len(foreign) > 1 else "an id"
        faults.append(f"{of} not of the test set, such as {foreign[0]!r}")
    counts = Counter(map(names.names.name, ids))
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        faults.append(f"{len(twice):,} names for several ids, such as {twice[0]!r}")
    return faults


def _faults_of_metrics(entry, choice, metrics):
    faults = []
    for name, value in metrics.items():
        told = choice.run["metrics"].get(name)
        if told is None:
            continue
        allowed = entry.predictions.tolerance * max(1.0, abs(told))
        if not abs(value - told) <= allowed:  # also if one is not a number
            faults.append(f"{name} is {value:.6f}, in results.json {told:.6f}")
    return faults


def _pack(folder):
    """Writes the zip file, whose bytes depend on the content only."""
    with zipfile.ZipFile(folder / ZIP, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted((folder / PREDICT).rglob("*")):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                info = zipfile.ZipInfo(name, NO_TIME)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                packed.writestr(info, path.read_bytes())


def record(made: Submission) -> dict:
    """Describes a submission for ``submission.json``.

    Arguments
    ---------
    made : Submission
        The submission.

    Returns
    -------
    dict
        JSON values.
    """
    tasks = {
        each.entry.name: {
            "run": str(each.choice.folder.absolute()),
            "upstream": each.choice.run["upstream"],
            "chosen": each.choice.words(),
            each.entry.unit: each.ids,
            "of": each.entry.size,
            "metrics": each.metrics,
            "faults": each.faults,
            "notes": each.notes,
        }
        for each in made.written
    }
    return {**MARK, "tasks": tasks, "missing": made.missing, "failed": made.failed}


def result(each: Written) -> str:
    """Returns the measures of a task in its units.

    Arguments
    ---------
    each : Written
        The task.

    Returns
    -------
    str
    """
    run = {**each.choice.run, "metrics": {**each.choice.run["metrics"], **each.metrics}}
    texts = []
    for name, value, _, digits, unit in main_metrics(run):
        if name in each.metrics:
            texts.append(f"{name} {value:.{digits}f} {unit}".rstrip())
    return ", ".join(texts) or measures(each.metrics)
