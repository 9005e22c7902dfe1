"""VCC2018 and VCC2016 for the prediction of mean opinion scores.

In the listening test of the Voice Conversion Challenge 2018 (Lorenzo-Trueba et al.,
https://doi.org/10.7488/ds/2337) judges rated the naturalness of converted speech from 1
to 5. ``Converted_speech_of_submitted_systems`` holds it, as
``<system>_<target>_<source>_<sentence>_<task>.wav``. A system is named by its first
three characters and its task, such as ``N11_SPO``: it converts with parallel data
(``HUB``) or without (``SPO``); ``NAT`` is natural speech.

S3PRL's lists ``{train,valid,test}_judge.csv`` have a row for each judgement:
``WAV_PATH``, ``MEAN`` (of all judges of the utterance), ``MOS`` (of this one) and
``JUDGE``. Training utterances have three or four judges; the lists of validation and
test have one row an utterance.

VCC2016 (https://doi.org/10.7488/ds/1575) is a second test: its systems have mean
opinion scores, its utterances have none.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import os

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import Listed, as_id, hint, is_audio
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rows import csv_cells
from s3prl_sb.dataio.tables import skipped
from s3prl_sb.terminal.messages import few

download_vcc2018 = behind_a_form(
    "VCC2018",
    "https://doi.org/10.7488/ds/2337",
    "it has several archives. Unpack the converted speech and the results, and add "
    "S3PRL's lists train_judge.csv, valid_judge.csv and test_judge.csv from its "
    "downstream/mos_prediction/data/VCC2018.",
)
VERSION = "vcc2018/1"  # a change makes finished preparations stale
AUDIO = "Converted_speech_of_submitted_systems"
RESULTS = os.path.join("VCC2018_Results", "system_mos_all_trackwise.csv")
LISTS = {split: f"{split}_judge.csv" for split in manifest.SPLITS}
COLUMNS = ("WAV_PATH", "MEAN", "MOS", "JUDGE")
UTTERANCES = {"train": 13580, "valid": 3000, "test": 4000}  # in S3PRL's lists
AUDIO_2016, RESULTS_2016 = "unified_speech", "system_mos.csv"


def prepare_vcc2018(
    data_folder: str | None, save_folder: str, skip_prep: bool = False
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``; of VCC2016 only
    ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder of VCC2018, or with ``VCC_2018``. A folder of VCC2016, with
        ``unified_speech`` and S3PRL's ``system_mos.csv``, is a test set only.
    save_folder : str
        Folder for the manifests. A finished preparation of the same lists is kept.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        Splits to paths. Records have ``value`` (the mean opinion score), ``system`` and
        its ``system_value``; those of training also ``judgements``, a list of
        [judge, value].

    Raises
    ------
    ManifestError
        With the file, the line and the way out.
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    corpus = check_folder(data_folder, "of VCC2018", inside="VCC_2018")
    if os.path.isdir(os.path.join(corpus, AUDIO_2016)):
        splits = {"test": _read_2016(corpus)}
    else:
        splits = {split: _read_list(corpus, split) for split in LISTS}
        _add_systems(splits, os.path.join(corpus, RESULTS))
    arguments = {
        "version": VERSION,
        "data_folder": corpus,
        "values": {
            split: {name: _facts(record) for name, record in records.items()}
            for split, records in splits.items()
        },
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    for split, records in splits.items():
        published = UTTERANCES[split] if len(splits) > 1 else 0
        warn_if_short(corpus, len(records), published, f"utterances of {split}")
        headers.add_durations(records.values())
    return manifest.finish(splits, save_folder, arguments, required=("value",))


def _facts(record):
    return [record[key] for key in ("value", "system", "system_value")] + [
        record.get("judgements")
    ]


def _read_list(corpus, split):
    """Reads a list of judgements as ``{id: record}``."""
    path = os.path.join(corpus, LISTS[split])
    if not os.path.isfile(path):
        raise ManifestError(
            f"{path}: no such file. Copy S3PRL's lists there, from its folder "
            "downstream/mos_prediction/data/VCC2018."
        )
    records, places, listed, missing = {}, {}, Listed(), []
    for line, row in csv_cells(path, needed=COLUMNS, aliases={}):
        place, wav = f"{path}:{line}", row["WAV_PATH"]
        name = os.path.splitext(wav)[0]
        mean, score = (_score(row, key, place) for key in ("MEAN", "MOS"))
        if name not in records:
            file = os.path.join(corpus, AUDIO, wav)
            found = listed.find(file)
            if not found:
                missing.append(f"{place}: missing audio file {file}{hint(file)}")
            records[name] = manifest.whole_file(
                found, value=mean, system=system_of(name), judgements=[]
            )
            places[name] = place
        record = records[name]
        if record["value"] != mean:
            raise ManifestError(
                f"{place}: {wav} has MEAN {mean} here, and {record['value']} in "
                f"{places[name]}. Correct one of them."
            )
        if row["JUDGE"] in dict(record["judgements"]):
            raise ManifestError(
                f"{place}: {row['JUDGE']} judges {wav} twice. Remove one of the rows."
            )
        record["judgements"].append([row["JUDGE"], score])
    if missing:
        way_out = f"Unpack the converted speech into {os.path.join(corpus, AUDIO)}."
        raise ManifestError.listing(missing, way_out, len(records))
    if not records:
        raise ManifestError(f"{path}: has no rows. Copy it again.")
    if split != "train":  # what a single judge says of an utterance is not evaluated
        for record in records.values():
            del record["judgements"]
    return records


def system_of(name):
    """Returns the system of an utterance of VCC2018, as the results name it.

    Example
    -------
    >>> system_of("N11_VCC2TF2_VCC2SF4_30003_SPO")
    'N11_SPO'
    """
    return f"{name[:3]}_{name.rpartition('_')[2]}"


def _add_systems(splits, path):
    """Adds the scores of the systems."""
    scores = _system_scores(path, "VCC2018's results of the listening test")
    for records in splits.values():
        for record in records.values():
            record["system_value"] = _of_system(record["system"], scores, path)


def _system_scores(path, what):
    """Reads a table with a column for each system, and its score below."""
    if not os.path.isfile(path):
        raise ManifestError(f"{path}: no such file, {what}.")
    rows = csv_cells(path, needed=(), aliases={})
    if not rows:
        raise ManifestError(f"{path}: has no row of scores, {what}.")
    line, row = rows[0]
    return {
        system: _score(row, system, f"{path}:{line}")
        for system, cell in row.items()
        if cell and _is_number(cell)
    }


def _of_system(system, scores, path):
    if system not in scores:
        raise ManifestError(
            f"{path}: no score of the system {system}. There are {few(sorted(scores))}."
        )
    return scores[system]


def _read_2016(corpus):
    """Returns the utterances of VCC2016, each with the score of its system."""
    path = os.path.join(corpus, RESULTS_2016)
    scores = _system_scores(
        path, "S3PRL's, in its folder downstream/mos_prediction/data/VCC2016"
    )
    folder, records = os.path.join(corpus, AUDIO_2016), {}
    for file in sorted(filter(is_audio, os.listdir(folder))):
        system = file.partition("_")[0]
        score = _of_system(system, scores, path)
        records[as_id(os.path.splitext(file)[0])] = manifest.whole_file(
            os.path.join(folder, file), value=score, system=system, system_value=score
        )
    if not records:
        raise ManifestError(f"{folder}: no audio files. Unpack VCC2016 there.")
    return records


def _score(row, key, place):
    """Returns a score of a row; raises an error for anything but a number."""
    if not _is_number(row[key]):
        raise ManifestError(
            f"{place}: {key} {row[key]!r} is not a number. Give a score from 1 to 5."
        )
    return float(row[key])


def _is_number(cell):
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
