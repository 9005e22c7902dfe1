"""Audio ATIS: spoken questions about flights, with their intents.

ATIS (Hemphill et al. 1990, https://aclanthology.org/H90-1021) as S3PRL reads it has
recordings ``{train,dev,test}/<name>.wav``, and ``nlu_iob/iob.{train,dev,test}`` with a
line for each: its name, ``BOS``, the words, ``EOS``, a tab, then a tag for each, the
last of which is the intent. A question with two intents has them joined by ``#``, a
class of its own.

Note
----
As in S3PRL, a line without a recording is left out, and so is another line of the same
name. Some intents of the test set do not occur in training.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from pathlib import Path
from typing import Any

from s3prl_sb.audio import headers
from s3prl_sb.corpora.completeness import check_folder, with_audio
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS, skipped
from s3prl_sb.identity import digest

logger = logging.getLogger(__name__)

download_atis = behind_a_form(
    "ATIS",
    "https://catalog.ldc.upenn.edu/LDC94S19",
    "its recordings are licensed by the Linguistic Data Consortium, and S3PRL does not "
    "say where its lists are from. data_folder holds train, dev, test and nlu_iob.",
)
VERSION = "atis/1"  # a change makes finished preparations stale
LISTS = "nlu_iob"
FOLDERS = {"train": "train", "valid": "dev", "test": "test"}


def prepare_atis(
    data_folder: str | None, save_folder: str, skip_prep: bool = False
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with ``train``, ``dev``, ``test`` and ``nlu_iob``, or with ``atis``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files is kept.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label`` (the
        intent) and ``text``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, LISTS).mkdir()
    ...     for split in ("train", "dev", "test"):
    ...         Path(folder, split).mkdir()
    ...         soundfile.write(f"{folder}/{split}/q1.wav", numpy.zeros(1600), 16000)
    ...         line = "q1 BOS what is ap EOS\\tO O O O atis_abbreviation\\n"
    ...         _ = Path(folder, LISTS, f"iob.{split}").write_text(line)
    ...     paths = prepare_atis(folder, folder + "/save")
    ...     record = manifest.read(paths["test"])["test-q1"]
    >>> record["label"], record["text"]
    ('atis_abbreviation', 'what is ap')
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    corpus = Path(check_folder(data_folder, "of ATIS", inside="atis"))
    splits: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    for split in SPLITS:
        path = corpus / LISTS / f"iob.{FOLDERS[split]}"
        if not path.is_file():
            raise ManifestError(
                f"{path}: no such file. Set data_folder to the folder that holds "
                f"{LISTS}, train, dev and test."
            )
        lines = _read(path, corpus / FOLDERS[split], places)
        splits[split] = with_audio(lines, split, str(path))
    arguments = {
        "version": VERSION,
        "data_folder": str(corpus),
        "listing": digest(splits),
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    for records in splits.values():
        named = [places[name] for name in records]
        headers.add_durations(list(records.values()), named)
    return manifest.finish(splits, save_folder, arguments)


def _read(path, folder, places):
    """Returns ``{id: record}`` of a list; adds their lines to ``places``."""
    records = {}
    for number, line in enumerate(manifest.read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        spoken, tab, tags = line.partition("\t")
        name, *words = spoken.split() or [""]
        if not tab or not name or not tags.split():
            raise ManifestError(
                f"{path}:{number}: expected '<name> BOS words EOS<tab>tags intent'. "
                "Correct the line, or drop it."
            )
        record_id = f"{folder.name}-{name}"
        if record_id in records:
            message = "%s:%d: '%s' again, left out; first %s"
            logger.warning(message, path, number, name, places[record_id])
            continue
        places[record_id] = f"{path}:{number}"
        text = " ".join(word for word in words if word not in ("BOS", "EOS"))
        wav = str(folder / f"{name}.wav")
        label = tags.split()[-1]
        records[record_id] = manifest.whole_file(wav, label=label, text=text)
    return records
