"""``s3prl-sb predict``: what a model says of audio files, as text, JSON and files.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
import json
import sys
from pathlib import Path

from s3prl_sb import inference
from s3prl_sb.audio.audio_names import as_id
from s3prl_sb.errors import UserError
from s3prl_sb.startup import devices
from s3prl_sb.storage.files import naming, write_json, write_text

#: What tells that a folder has predictions of its own.
OF_OTHERS = ("results.json", "hyperparams.yaml")


class PlaceError(UserError, ValueError):
    """A folder that predictions cannot go into."""


def predict(folder, paths, device="auto", as_json=False, output=None):
    """Prints what a model says of audio files.

    Arguments
    ---------
    folder : str
        An export or a run.
    paths : list of str
        Audio files. One that cannot be read is named, and the others are labelled.
    device : str
        As for :func:`s3prl_sb.startup.devices.chosen`.
    as_json : bool
        Whether to print a line of JSON for each record, instead of text.
    output : str, optional
        Folder that gets ``predictions.json``, ``predictions.csv`` and what the task
        has beside: ``hyp.txt`` of texts, ``hyp.rttm`` of speakers.

    Returns
    -------
    int
        Files that could not be read.
    """
    if output is not None:
        make_place(Path(output))
    device = devices.chosen(device)
    model = inference.load(folder, run_opts={"device": device})
    bad, said = [], []

    def failed(path, error):
        bad.append(path)
        place = "" if str(path) in str(error) else f"{path}: "
        print(f"s3prl-sb: {place}{error}", file=sys.stderr)

    for record in model.records(paths, failed):
        said.append(record)
        text = json.dumps(record, ensure_ascii=False) if as_json else model.line(record)
        if text:
            print(text, flush=as_json)
    if output is not None:
        write(model, said, Path(output))
    return len(bad)


def make_place(folder):
    """Makes a folder for predictions, or says that one has other results in it.

    Arguments
    ---------
    folder : pathlib.Path
        Where they go; predictions of before are replaced.

    Raises
    ------
    s3prl_sb.errors.UserError
        If it is no folder, cannot be made, or is one of a run, a score or an export,
        whose own ``predictions.csv`` would be lost.
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
    """Writes the files of a task; a file's name that is not UTF-8 is spelt out.

    Arguments
    ---------
    model : s3prl_sb.inference.pretrained.SpeechModel
        Which has said it.
    records : list of dict
        What it has said.
    folder : pathlib.Path
        Where they go.
    """
    write_json(folder / "predictions.json", records)
    write_text(folder / "predictions.csv", as_id(table(records)))
    for name, text in model.files(records).items():
        write_text(folder / name, as_id(text))


def table(records):
    """Records as CSV: mappings become columns, lists are JSON.

    Arguments
    ---------
    records : list of dict
        JSON values, all of one form.

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
            spread = isinstance(value, dict) and key == "intent"
            row.update(value if spread else {key: value})
        rows.append(row)
    text = io.StringIO()
    columns = list(dict.fromkeys(column for row in rows for column in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {
                key: json.dumps(value, ensure_ascii=False)
                if isinstance(value, (dict, list))
                else value
                for key, value in row.items()
            }
        )
    return text.getvalue()
