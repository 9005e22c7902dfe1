"""CMU-MOSEI: sentiment and emotion of segments of monologues in videos.

The corpus (Zadeh et al. 2018, https://aclanthology.org/P18-1208) has the sound of
videos as ``Audio/Full/WAV_16000/<video>.wav``. S3PRL publishes the labels of its
23,259 segments as a table, ``CMU_MOSEI_Labels.csv``, and a script that cuts the sound
into ``Audio/Segmented_Audio/{train,dev,test}/<video>_<number>.wav``. Here the uncut
sound works as well.

The columns of the table are foldings of the sentiment, a mean of ratings from -3 to 3,
and ``label6``, the strongest of six emotions. 399 segments of the table are in no
split.

Note
----
The foldings are S3PRL's. The seven classes are intervals, not roundings: -3 is below
-2, -2 from there to below -1, 1 is above 0 and up to 1. A segment without any emotion
is among the happy ones, as the first of equal values is the strongest.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import math
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.corpora.completeness import check_folder, warn_if_short, with_audio
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rows import csv_cells
from s3prl_sb.dataio.tables import SPLITS, check_classes, skipped
from s3prl_sb.identity import digest

logger = logging.getLogger(__name__)

VERSION = "mosei/1"  # a change makes finished preparations stale
TABLE = "CMU_MOSEI_Labels.csv"
#: S3PRL's table, and where the sound is said to be (not checked: it is large).
LABELS = Published(
    "https://raw.githubusercontent.com/s3prl/s3prl/"
    f"ec8064b5889f81ca460fbe2c094ce576a6f120b7/s3prl/downstream/mosei/utility/{TABLE}",
    0.001,
    "f80bef15ec18fc6f362773720e8f79e35bc4f20dc74d5aed3a44d7a097c7715c",
)
SOUND = "http://immortal.multicomp.cs.cmu.edu/raw_datasets/CMU_MOSEI.zip"
SEGMENTS = 16327 + 1871 + 4662  # published: train, valid, test
CUT, WHOLE = "Segmented_Audio", "Full/WAV_16000"
#: Column ``split`` of the table to the name of the split, and of its folder.
NUMBERED = {"0": ("train", "train"), "1": ("valid", "dev"), "2": ("test", "test")}
UNUSED = "3"
#: Number of classes to a column of the table, and its values to labels.
CLASSES: dict[int, tuple[str, dict[str, str]]] = {
    2: ("label2a", {"0": "negative", "1": "non-negative"}),
    3: ("label2b", {"-1": "negative", "0": "neutral", "1": "positive"}),
    6: (
        "label6",
        dict(zip("012345", "happy sad anger surprise disgust fear".split())),
    ),
    7: ("label7", {str(value): str(value) for value in range(-3, 4)}),
}


def prepare_mosei(
    data_folder: str | None,
    save_folder: str,
    classes: int = 2,
    labels_csv: str | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with ``Segmented_Audio`` or ``Full/WAV_16000``, or with ``Audio``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files with the same
        arguments is kept.
    classes : int
        2 or 3 classes of sentiment, 6 emotions, or 7 classes of sentiment.
    labels_csv : str, optional
        Path of the table; default: ``CMU_MOSEI_Labels.csv`` in ``data_folder`` or in
        ``Audio``.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label`` and
        ``video``. Segments without sound are left out with a warning.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lines = ["file,index,start,end,label2a,split"]
    ...     for number, split in enumerate(("train", "dev", "test")):
    ...         wav = Path(folder, CUT, split, f"abc_{number}.wav")
    ...         wav.parent.mkdir(parents=True)
    ...         soundfile.write(wav, numpy.zeros(1600), 16000)
    ...         lines.append(f"abc,{number},0.0,0.1,1,{number}")
    ...     _ = Path(folder, TABLE).write_text("\\n".join(lines))
    ...     paths = prepare_mosei(folder, folder + "/save")
    ...     manifest.read(paths["test"])["abc_2"]["label"]
    'non-negative'
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    if classes not in CLASSES:
        choices = ", ".join(map(str, CLASSES))
        raise ManifestError(f"classes: '{classes}' is none of {choices}. Choose one.")
    corpus, is_cut = _find_corpus(data_folder)
    table = _find_table(corpus, labels_csv)
    splits, places = _read(table, corpus, is_cut, *CLASSES[classes])
    splits = {name: with_audio(splits[name], name, str(table)) for name in SPLITS}
    arguments = {
        "version": VERSION,
        "data_folder": str(corpus),
        "listing": digest(splits),
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    check_classes(splits, "label", lambda split: places)
    warn_if_short(corpus, sum(map(len, splits.values())), SEGMENTS, "segments")
    for records in splits.values():
        _measure(records, places)
    return manifest.finish(splits, save_folder, arguments)


def _find_corpus(data_folder):
    """Returns the folder of the sound, and whether it is cut into segments."""
    folder = Path(check_folder(data_folder, "of CMU-MOSEI"))
    for place in (folder, folder / "Audio"):
        for below in (CUT, WHOLE):
            if (place / below).is_dir():
                return place, below == CUT
    raise ManifestError(
        f"{folder}: no {CUT} and no {WHOLE}. Set data_folder to the folder Audio of "
        "CMU-MOSEI."
    )


def _find_table(corpus, labels_csv):
    """Returns the path of the table of labels."""
    if labels_csv:
        places = [Path(labels_csv).expanduser()]
    else:
        places = [corpus / TABLE, corpus.parent / TABLE]
    for path in places:
        if path.is_file():
            return path
    raise ManifestError(
        f"{places[0]}: no such file. `s3prl-sb download mosei {corpus}` downloads the "
        "table of labels; or set labels_csv to its path."
    )


def _read(table, corpus, is_cut, column, names):
    """Returns ``{split: {id: record}}``, and ``{id: "file:line"}``."""
    splits = {name: {} for name in SPLITS}
    places = {}
    needed = ("file", "index", "start", "end", column, "split")
    for line, row in csv_cells(str(table), needed, aliases={}):
        name, place = f"{row['file']}_{row['index']}", f"{table}:{line}"
        if row["split"] == UNUSED:
            continue
        for key, known in ((column, names), ("split", {*NUMBERED, UNUSED})):
            if row[key] not in known:
                raise ManifestError(
                    f"{place}: {key} '{row[key]}' is none of "
                    f"{', '.join(sorted(known))}. Get a sound copy of the table."
                )
        if name in places:
            raise ManifestError(
                f"{place}: '{name}' again, first {places[name]}. Drop one of them."
            )
        places[name] = place
        split, folder = NUMBERED[row["split"]]
        record = {"label": names[row[column]], "video": row["file"]}
        if is_cut:
            wav = corpus / CUT / folder / f"{name}.wav"
            splits[split][name] = manifest.whole_file(str(wav), **record)
        else:
            start, stop = (_seconds(row, key, place) for key in ("start", "end"))
            wav = corpus / WHOLE / f"{row['file']}.wav"
            # Some segments begin before the sound does
            times = {"start": max(0.0, start), "stop": stop}
            splits[split][name] = {"wav": str(wav), **times, **record}
    return splits, places


def _seconds(row, key, place):
    try:
        seconds = float(row[key])
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ManifestError(
            f"{place}: {key} '{row[key]}' is no number of seconds. Get a sound copy of "
            "the table."
        )
    return seconds


def _measure(records, places):
    """Adds durations; leaves out segments that begin after the end of the sound."""
    headers.add_durations(list(records.values()), [places[name] for name in records])
    for name, record in list(records.items()):
        if record["start"] is None:
            continue
        record["stop"] = min(record["stop"], record["duration"])
        record["duration"] = record["stop"] - record["start"]
        if record["duration"] <= 0:
            message = "%s: '%s' is left out, as it is not within %s"
            logger.warning(message, places[name], name, record["wav"])
            del records[name]


def download_mosei(destination: str) -> Path:
    """Downloads the table of labels, and logs where the sound is.

    Arguments
    ---------
    destination : str
        Folder that gets ``CMU_MOSEI_Labels.csv``.

    Returns
    -------
    pathlib.Path
        The destination.
    """
    folder = download([LABELS], destination)
    message = "%s has the labels. Unpack the sound of CMU-MOSEI beside them: %s"
    logger.warning(message, folder, SOUND)
    return folder
