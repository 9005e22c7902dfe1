"""``s3prl-sb predict``: predictions for audio files as text, JSON and files.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import sys
from pathlib import Path

from s3prl_sb import inference
from s3prl_sb.audio.audio_names import as_id
from s3prl_sb.dataio.timeline import FORMATS
from s3prl_sb.errors import UserError, without_secrets
from s3prl_sb.startup import devices
from s3prl_sb.storage.csv_files import csv_text
from s3prl_sb.storage.files import naming, write_json, write_text

#: Files of folders that already have other predictions.
OF_OTHERS = ("results.json", "hyperparams.yaml")


class PlaceError(UserError, ValueError):
    """A folder that predictions cannot be written to."""


def predict(
    folder, paths, device="auto", as_json=False, output=None, form=None, draw=None
):
    """Prints the predictions of a model for audio files.

    Arguments
    ---------
    folder : str
        Folder of an export or a run.
    paths : list of str
        Audio files. Those that cannot be read are reported and skipped.
    device : str
        See :func:`s3prl_sb.startup.devices.chosen`.
    as_json : bool
        Whether to print a line of JSON for each record, instead of text.
    output : str, optional
        Folder for ``predictions.json``, ``predictions.csv`` and the files of the task:
        ``hyp.txt`` with texts, ``hyp.rttm`` with speakers, waveforms.
    form : str, optional
        Format to print timelines in, of :data:`s3prl_sb.dataio.timeline.FORMATS`,
        instead of text.
    draw : callable, optional
        Function of the timeline of each file.

    Returns
    -------
    int
        Number of files that could not be read.
    """
    if output is not None:
        make_place(Path(output))
    device = devices.chosen(device)
    model = inference.load(folder, run_opts={"device": device})
    model.output = None if output is None else Path(output)
    bad, records = [], []

    def failed(path, error):
        bad.append(path)
        shown = without_secrets(str(path))
        place = "" if shown in str(error) else f"{shown}: "
        print(f"s3prl-sb: {place}{error}", file=sys.stderr)

    for record in model.records(paths, failed):
        record = {
            key: without_secrets(value) if isinstance(value, str) else value
            for key, value in record.items()
        }
        records.append(record)
        if form is None:
            text = model.line(record)
            if as_json:
                text = json.dumps(record, ensure_ascii=False)
            if text:
                print(text, flush=as_json)
        else:
            model.timeline(record)  # fails before the next file is read
        if draw is not None:
            draw(model.timeline(record))
    if form is not None:
        timelines = {each["recording"]: model.timeline(each) for each in records}
        print(FORMATS[form](timelines), end="")
    if output is not None:
        write(model, records, Path(output))
    return len(bad)


def make_place(folder):
    """Creates a folder for predictions.

    Arguments
    ---------
    folder : pathlib.Path
        The folder; earlier predictions in it are replaced.

    Raises
    ------
    s3prl_sb.errors.UserError
        If it is not a folder, cannot be created, or belongs to a run, a score or an
        export, whose ``predictions.csv`` would be lost.
    """
    if folder.exists() and not folder.is_dir():
        raise PlaceError(f"'{folder}' is a file: choose another --output.")
    others = [name for name in OF_OTHERS if (folder / name).exists()]
    if others:
        raise PlaceError(
            f"'{folder}' is of a run, a score or an export ({others[0]}), whose "
            "predictions would be replaced: choose another --output."
        )
    with naming(folder, "a folder for predictions", "Choose another --output."):
        folder.mkdir(parents=True, exist_ok=True)


def write(model, records, folder):
    """Writes the files of a task; names of audio files that are not UTF-8 are escaped.

    Arguments
    ---------
    model : s3prl_sb.inference.pretrained.SpeechModel
        The model.
    records : list of dict
        Records of the model.
    folder : pathlib.Path
        Folder for the files.
    """
    write_json(folder / "predictions.json", records)
    write_text(folder / "predictions.csv", as_id(table(records)))
    for name, text in model.files(records).items():
        write_text(folder / name, as_id(text))


def table(records):
    """Formats records as CSV: mappings become columns, lists are JSON.

    Arguments
    ---------
    records : list of dict
        Records of JSON values with the same keys.

    Returns
    -------
    str

    Example
    -------
    >>> print(table([{"wav": "a.wav", "intent": {"action": "on"}}]), end="")
    wav,action
    a.wav,on
    """
    rows = []
    for record in records:
        row = {}
        for key, value in record.items():
            if isinstance(value, dict) and key == "intent":
                row.update(value)
            elif isinstance(value, (dict, list)):
                row[key] = json.dumps(value, ensure_ascii=False)
            else:
                row[key] = value
        rows.append(row)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return csv_text(columns, ([row.get(name, "") for name in columns] for row in rows))
