"""Tasks in the layout of HEAR, whatever their corpus.

HEAR (Turian et al. 2022, https://arxiv.org/abs/2203.03022) publishes its tasks
preprocessed, at https://doi.org/10.5281/zenodo.5885750, each as a ``tar.gz`` with a
folder::

    task_metadata.json      embedding_type, prediction_type, split_mode, splits, …
    labelvocabulary.csv     idx, label
    train.json              {"a.wav": ["dog"], …}; also valid.json and test.json, or
                            fold00.json, …
    48000/train/a.wav       audio of each split at one sample rate or at several

A scene task has a list of labels for each clip; an event task (``embedding_type``
event) a list of ``{"label": …, "start": …, "end": …}`` in milliseconds.

A tar is unpacked once, into a folder beside it that has its name.

Note
----
Of several sample rates the highest is read. Folds are numbered from 1, in the order of
their names: fold 1 is ``fold00``.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import logging
import os
import re
from pathlib import Path
from typing import Any

from s3prl_sb.corpora import downloading
from s3prl_sb.corpora.clip_folds import write_clips
from s3prl_sb.corpora.completeness import check_folder, with_audio
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import SPLITS, ManifestError
from s3prl_sb.dataio.tables import skipped
from s3prl_sb.storage.files import FileError, read_json
from s3prl_sb.storage.parts import Part
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

download_hear = downloading.behind_a_form(
    "HEAR",
    "https://doi.org/10.5281/zenodo.5885750",
    "its tasks are tars at Zenodo. Get those that you want; each is, as it is, a "
    "data_folder of HEAR/scene or HEAR/events.",
)
VERSION = "hear/1"  # a change makes finished preparations stale
METADATA, VOCABULARY = "task_metadata.json", "labelvocabulary.csv"
ENDINGS = (".tar.gz", ".tgz", ".tar")
#: Places of a task below data_folder.
PLACES = ("", "*/", "tasks/*/", "*/tasks/*/")
SPLIT_MODES = ("trainvaltest", "new_split_kfold", "presplit_kfold")
#: Names of metrics in HEAR to those of results.json.
MEASURES = {
    "top1_acc": "accuracy",
    "mAP": "mean_average_precision",
    "d_prime": "d_prime",
    "aucroc": "auc",
    "pitch_acc": "pitch_accuracy",
    "chroma_acc": "chroma_accuracy",
}


def prepare_hear(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of a scene task.

    Arguments
    ---------
    data_folder : str
        The tar of a task, its folder, or a folder with one task.
    save_folder : str
        Folder for the manifests. A finished preparation of the same clips is kept.
    fold : int, optional
        Test fold, from 1, of a task with folds.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label``, or
        ``labels`` in a task of any number of labels.

    Raises
    ------
    ManifestError
        With the file and the way out.
    """
    return _prepare("scene", data_folder, save_folder, fold, skip_prep)


def prepare_hear_events(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of an event task.

    Arguments
    ---------
    data_folder, save_folder, fold, skip_prep
        See :func:`prepare_hear`.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``segments``,
        [[label, start, stop], …] in seconds.

    Raises
    ------
    ManifestError
        With the file and the way out.
    """
    return _prepare("event", data_folder, save_folder, fold, skip_prep)


def folds(data_folder: str | None) -> list[int] | None:
    """Returns the numbers of the folds of a task; None if its splits are fixed.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_hear`.

    Returns
    -------
    list of int or None
    """
    task = metadata(find_task(data_folder))
    if task["split_mode"] == SPLIT_MODES[0]:
        return None
    return list(range(1, len(task["splits"]) + 1))


def find_task(data_folder: str | None) -> str:
    """Returns the folder of a task, after its tar is unpacked.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_hear`.

    Returns
    -------
    str

    Raises
    ------
    ManifestError
        If there is no task, or there are several, or the tar cannot be unpacked.
    """
    path = data_folder and os.path.abspath(data_folder)
    if path and path.endswith(ENDINGS) and os.path.isfile(path):
        path = _unpacked(path)
    folder = check_folder(path, "of a HEAR task, or its tar")
    found = [p for place in PLACES for p in Path(folder).glob(f"{place}{METADATA}")]
    tasks = sorted({str(path.parent) for path in found})
    if not tasks:
        raise ManifestError(
            f"{folder}: there is no {METADATA}. Set data_folder to a task of HEAR: its "
            "tar, or its folder with 48000, labelvocabulary.csv and so on; or name "
            "another layout, --corpus."
        )
    if len(tasks) > 1:
        names = few([os.path.relpath(task, folder) for task in tasks], 6)
        raise ManifestError(
            f"{folder}: has {len(tasks)} tasks. Set data_folder to one of them: "
            f"{names}."
        )
    return tasks[0]


def metadata(folder: str) -> dict[str, Any]:
    """Returns the checked content of ``task_metadata.json``.

    Arguments
    ---------
    folder : str
        Folder of a task.

    Returns
    -------
    dict
        ``splits`` are sorted.

    Raises
    ------
    ManifestError
        If it is not that of a task.
    """
    path = Path(folder) / METADATA
    try:
        task = read_json(path, "the description of a HEAR task", kind=dict)
    except FileError as error:
        raise ManifestError(str(error)) from error
    for key, values in (
        ("embedding_type", ("scene", "event")),
        ("prediction_type", ("multiclass", "multilabel")),
        ("split_mode", SPLIT_MODES),
    ):
        if task.get(key) not in values:
            names = ", ".join(values)
            raise ManifestError(f"{path}: {key} {task.get(key)!r} is none of {names}.")
    splits = task.get("splits")
    if splits is None and task["split_mode"] == SPLIT_MODES[0]:
        splits = SPLITS
    named = isinstance(splits, (list, tuple)) and all(map(_is_name, splits))
    if not named or not splits:
        raise ManifestError(f"{path}: splits {splits!r} is no list of names.")
    if task["split_mode"] == SPLIT_MODES[0] and set(splits) != set(SPLITS):
        raise ManifestError(f"{path}: splits {splits!r}, not {', '.join(SPLITS)}.")
    scores = task.get("evaluation") or []
    if not isinstance(scores, list) or not all(isinstance(s, str) for s in scores):
        raise ManifestError(f"{path}: evaluation {scores!r} is no list of metrics.")
    return {**task, "splits": sorted(splits), "evaluation": scores}


def _is_name(value):
    return isinstance(value, str) and value == Path(value).name not in ("", "..")


def _unpacked(path):
    """Returns the folder that a tar is unpacked into, beside it."""
    folder = next(path.removesuffix(e) for e in ENDINGS if path.endswith(e))
    if os.path.isdir(folder):
        return folder
    logger.info("%s is unpacked into %s", path, folder)
    try:
        with Part(folder) as part:
            if not os.path.isdir(folder):  # by another process meanwhile
                part.path.mkdir()
                downloading.extract(Path(path), part.path)
                part.publish()
    except (*downloading.BROKEN, downloading.DownloadError, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(":.")
        raise ManifestError(
            f"{path}: cannot be unpacked into {folder} ({reason}). Download it again, "
            "or unpack it yourself and set data_folder to the folder."
        ) from error
    return folder


def _prepare(kind, data_folder, save_folder, fold, skip_prep):
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    folder = find_task(data_folder)
    task = metadata(folder)
    if task["embedding_type"] != kind:
        other = {"scene": "HEAR/scene", "event": "HEAR/events"}[task["embedding_type"]]
        raise ManifestError(
            f"{folder}: is a task of {task['embedding_type']}s. Its recipe is {other}."
        )
    rate, known = _rate(folder, task["splits"]), _vocabulary(folder)
    fixed = task["split_mode"] == SPLIT_MODES[0]
    clips, seen = {}, set()
    for number, split in enumerate(task["splits"], 1):
        source = os.path.join(folder, f"{split}.json")
        place = {"split": split} if fixed else {"fold": number}
        records = {}
        for name, content in _content(source).items():
            labels = _labels(content, kind, task, known, f"{source}: '{name}'")
            stem = os.path.splitext(name)[0]
            if stem in seen:
                raise ManifestError(f"{source}: '{name}': {stem} occurs twice.")
            seen.add(stem)
            wav = os.path.join(folder, rate, split, name)
            records[stem] = manifest.whole_file(wav, **labels, **place)
        clips.update(with_audio(records, split, source))
    named = [MEASURES.get(name, name) for name in task["evaluation"]]
    return write_clips(
        clips, save_folder, VERSION, folder, fold, measures=named, unseen=True
    )


def _content(path):
    """Returns ``{file name: labels}`` of a split."""
    try:
        content = read_json(Path(path), "the labels of a split", kind=dict)
    except FileError as error:
        raise ManifestError(str(error)) from error
    for name in content:
        if not _is_name(name):
            raise ManifestError(f"{path}: '{name}' is no name of a file.")
    return content


def _rate(folder, splits):
    """Returns the highest sample rate of a task's audio, a name of a folder; one of
    which no split is missing, if there is one."""
    rates = [name for name in os.listdir(folder) if re.fullmatch(r"\d+", name, re.A)]
    rates = [rate for rate in rates if os.path.isdir(os.path.join(folder, rate))]
    whole = [
        rate
        for rate in rates
        if all(os.path.isdir(os.path.join(folder, rate, split)) for split in splits)
    ]
    if not rates:
        raise ManifestError(
            f"{folder}: there is no folder of audio, such as 48000. Is it there whole?"
        )
    return max(whole or rates, key=int)


def _vocabulary(folder):
    """Returns the labels of a task."""
    path = os.path.join(folder, VOCABULARY)
    rows = list(csv.reader(manifest.read_text(path).splitlines()))
    names = rows[0] if rows else []
    if "label" not in names:
        raise ManifestError(f"{path}:1: no column label; found {', '.join(names)}.")
    column = names.index("label")
    return {row[column] for row in rows[1:] if len(row) > column}


def _labels(content, kind, task, known, place):
    """Returns the labels of a record."""
    if not isinstance(content, list):
        raise ManifestError(f"{place}: {content!r} is no list of labels.")
    if kind == "event":
        found = {"segments": [_segment(event, place) for event in content]}
        labels = [segment[0] for segment in found["segments"]]
    else:
        labels = list(dict.fromkeys(map(str, content)))
        found = {"labels": labels}
        if task["prediction_type"] == "multiclass":
            if len(labels) != 1:
                raise ManifestError(f"{place}: {content!r} is not one label.")
            found = {"label": labels[0]}
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise ManifestError(f"{place}: '{unknown[0]}' is not in {VOCABULARY}.")
    return found


def _segment(event, place):
    """Returns the label, the start and the stop of an event, in seconds."""
    try:
        times = [round(float(event[key]) / 1000, 6) for key in ("start", "end")]
        label = str(event["label"])
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(
            f"{place}: {event!r} is no event with label, start and end (milliseconds)."
        ) from error
    if not 0 <= times[0] < times[1]:
        raise ManifestError(f"{place}: {event!r} ends before it starts.")
    return [label, *times]
