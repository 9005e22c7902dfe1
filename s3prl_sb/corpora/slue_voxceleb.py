"""SLUE-VoxCeleb: sentiment of what people say in interviews.

SLUE (Shon et al. 2021, https://arxiv.org/abs/2111.10367) has a table for each split,
``slue-voxceleb_<split>.tsv``, with the splits ``fine-tune``, ``dev`` and ``test``. Its
columns are found by name: ``id``, ``start_second``, ``end_second`` and ``sentiment``.
The recordings are in ``<split>_raw/<id>.flac``, where the times are of an utterance; or
in ``<split>/<id>.flac``, where SLUE's script has cut it out.

The test table with labels has been public since January 2024; the archive of the
toolkit has ``slue-voxceleb_test_blind.tsv`` without any.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

from s3prl_sb.audio import headers
from s3prl_sb.corpora.completeness import warn_if_short, with_audio
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.corpora.slue_voxpopuli import NAMES, find_tables
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rows import csv_cells
from s3prl_sb.dataio.tables import SPLITS, check_classes, skipped

logger = logging.getLogger(__name__)

VERSION = "slue_voxceleb/1"  # a change makes finished preparations stale
NAME = "slue-voxceleb"
UTTERANCES = {"train": 5777, "valid": 1454, "test": 3553}  # published
COLUMNS = ("id", "start_second", "end_second", "sentiment")
#: Labels; others, such as Disagreement or <mixed>, are left out as by SLUE's script.
LABELS = ("Negative", "Neutral", "Positive")
download_slue_voxceleb = behind_a_form(
    "SLUE-VoxCeleb",
    "https://huggingface.co/datasets/asapp/slue",
    "download its archive, or that of https://github.com/asappresearch/slue-toolkit "
    "(scripts/download_datasets.sh) with the table of the test labels, and unpack it.",
)


def prepare_slue_voxceleb(
    data_folder: str | None, save_folder: str, skip_prep: bool = False
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder ``slue-voxceleb``, or its parent.
    save_folder : str
        Folder for the manifests. A finished preparation of the same tables is kept.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in NAMES.values():
    ...         Path(folder, name + "_raw").mkdir()
    ...         soundfile.write(f"{folder}/{name}_raw/a.wav", numpy.zeros(9600), 16000)
    ...         rows = ["\\t".join(COLUMNS), "a\\t0.1\\t0.5\\tNeutral"]
    ...         _ = Path(folder, f"{NAME}_{name}.tsv").write_text("\\n".join(rows))
    ...     paths = prepare_slue_voxceleb(folder, folder + "/save")
    ...     manifest.read(paths["test"])["a"]["stop"]
    0.5
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    corpus, tables = find_tables(data_folder, NAME)
    cut = {split: (corpus / NAMES[split]).is_dir() for split in SPLITS}
    arguments = {
        "version": VERSION,
        "folder": str(corpus),
        "cut": cut,
        "tables": {split: manifest.digest(path) for split, path in tables.items()},
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    splits, places, others = {}, {}, {}
    for split, path in tables.items():
        ending = "" if cut[split] else "_raw"
        folder = corpus / f"{NAMES[split]}{ending}"
        records, places[split] = _records(path, folder, cut[split], others)
        records = with_audio(records, split, str(path))
        _measure(records, places[split])
        what = f"utterances of {split}"
        warn_if_short(str(corpus), len(records), UTTERANCES[split], what)
        splits[split] = records
    if others:
        message = "%s: utterances with other labels are left out: %s"
        counts = ", ".join(f"{label} ({n})" for label, n in sorted(others.items()))
        logger.info(message, corpus, counts)
    check_classes(splits, "label", places.get)
    return manifest.finish(splits, save_folder, arguments)


def _records(path, folder, is_cut, others):
    """Returns ``{id: record}`` of a table, and ``{id: "file:line"}``; counts other
    labels in ``others``."""
    records, places = {}, {}
    for line, row in csv_cells(str(path), COLUMNS, aliases={}):
        name, place = row["id"], f"{path}:{line}"
        if row["sentiment"] not in LABELS:
            others[row["sentiment"]] = others.get(row["sentiment"], 0) + 1
            continue
        if name in records:
            raise ManifestError(
                f"{place}: '{name}' again, first {places[name]}. Remove one of them."
            )
        places[name] = place
        wav = str(folder / f"{name}.flac")
        label = {"label": row["sentiment"]}
        if is_cut:
            records[name] = manifest.whole_file(wav, **label)
            continue
        try:
            start, stop = float(row["start_second"]), float(row["end_second"])
        except ValueError:
            raise ManifestError(
                f"{place}: start_second '{row['start_second']}' and end_second "
                f"'{row['end_second']}' are no seconds. Correct them."
            ) from None
        records[name] = {"wav": wav, "start": start, "stop": stop, **label}
    return records, places


def _measure(records, places):
    """Adds durations; an utterance may end a little after its recording."""
    headers.add_durations(list(records.values()), [places[name] for name in records])
    for name, record in records.items():
        if record["start"] is None:
            continue
        stop = min(record["stop"], record["duration"])
        if not 0 <= record["start"] < stop:
            raise ManifestError(
                f"{places[name]}: {record['start']} to {record['stop']} s is not "
                f"within the {record['duration']} s of {record['wav']}. Correct it."
            )
        record.update(stop=stop, duration=stop - record["start"])
