"""SNIPS for the classification of intents: Audio SNIPS as published, or SUPERB's copy.

Audio SNIPS (Lai et al. 2021, https://arxiv.org/abs/2010.13826) as published has the
requests of SNIPS (https://arxiv.org/abs/1805.10190) spoken by sixteen synthetic voices,
``audio_<voice>/snips/<name>.mp3`` at 22.05 kHz, and tables separated by tabs,
``data/nlu_annotation/{train,valid,test}``, whose columns ``u_id`` and ``intent`` name
the recording and its class. SUPERB's copy, see :mod:`s3prl_sb.corpora.audio_snips`, has
the same requests, and is read as well.

S3PRL trains on two voices, validates on other requests by the same voices, and tests on
one of them.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.corpora import audio_snips
from s3prl_sb.corpora.completeness import check_folder, with_audio
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS, check_classes, skipped
from s3prl_sb.identity import digest

VERSION = "snips/1"  # a change makes finished preparations stale
TABLES = "data/nlu_annotation"
TRAIN_SPEAKERS, TEST_SPEAKERS = ("Aditi", "Amy"), ("Aditi",)


def prepare_snips(
    data_folder: str | None,
    save_folder: str,
    train_speakers: Sequence[str] = TRAIN_SPEAKERS,
    valid_speakers: Sequence[str] = TRAIN_SPEAKERS,
    test_speakers: Sequence[str] = TEST_SPEAKERS,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with ``data/nlu_annotation`` and the folders of the voices; or SUPERB's
        copy, see :func:`~s3prl_sb.corpora.audio_snips.prepare_audio_snips`.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files with the same
        arguments is kept.
    train_speakers, valid_speakers, test_speakers : list of str
        Voices of each split, each of which says all its requests.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label`` (the
        intent) and ``speaker``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, TABLES).mkdir(parents=True)
    ...     Path(folder, "audio_Joey/snips").mkdir(parents=True)
    ...     for split in SPLITS:
    ...         name = f"snips-{split}-0"
    ...         wav = f"{folder}/audio_Joey/snips/{name}.wav"
    ...         soundfile.write(wav, numpy.zeros(1600), 22050)
    ...         table = Path(folder, TABLES, split)
    ...         _ = table.write_text(f"u_id\\tintent\\n{name}\\tPlayMusic\\n")
    ...     paths = prepare_snips(folder, folder + "/save", *[["Joey"]] * 3)
    ...     manifest.read(paths["test"])["Joey-snips-test-0"]["label"]
    'PlayMusic'
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    speakers = dict(zip(SPLITS, (train_speakers, valid_speakers, test_speakers)))
    audio_snips.check_speakers(speakers)
    folder = Path(check_folder(data_folder, "of SNIPS"))
    if (folder / TABLES).is_dir():
        splits, places = _as_published(folder, speakers)
    else:
        splits, places = _superbs(folder, speakers), {}
    arguments = {
        "version": VERSION,
        "data_folder": str(folder),
        "listing": digest(splits),
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    check_classes(splits, "label", lambda split: places)
    for records in splits.values():
        headers.add_durations(list(records.values()))
    return manifest.finish(splits, save_folder, arguments)


def _as_published(folder, speakers):
    """Returns ``{split: {id: record}}``, and ``{id: "file:line"}``."""
    splits = {}
    places = {}
    for split in SPLITS:
        path, records = folder / TABLES / split, {}
        for line, name, intent in _rows(path):
            for speaker in speakers[split]:
                record_id = f"{speaker}-{name}"
                if record_id in records:
                    raise ManifestError(
                        f"{path}:{line}: '{name}' again, first {places[record_id]}. "
                        "Drop one of them."
                    )
                places[record_id] = f"{path}:{line}"
                wav = folder / f"audio_{speaker}" / "snips" / f"{name}.mp3"
                labels = {"label": intent, "speaker": speaker}
                records[record_id] = manifest.whole_file(str(wav), **labels)
        splits[split] = with_audio(records, split, str(path))
    return splits, places


def _rows(path):
    """Yields the line, the name and the intent of each row of a table."""
    if not path.is_file():
        raise ManifestError(f"{path}: no such file. Unpack the tables of SNIPS there.")
    names = []
    # A quote is part of a request, so this is no CSV
    for number, line in enumerate(manifest.read_text(path).splitlines(), 1):
        cells = [cell.strip() for cell in line.split("\t")]
        if not any(cells):
            continue
        if not names:
            names = cells
            if missing := {"u_id", "intent"} - set(names):
                raise ManifestError(
                    f"{path}:{number}: no column {', '.join(sorted(missing))}; found "
                    f"{', '.join(names)}. The first line must name the columns."
                )
            continue
        row = dict(zip(names, cells))
        if len(cells) != len(names) or not row["u_id"] or not row["intent"]:
            raise ManifestError(
                f"{path}:{number}: {len(cells)} cells, but the header has "
                f"{len(names)}, or no u_id or intent. Correct the line."
            )
        yield number, row["u_id"], row["intent"]


def _superbs(folder, speakers):
    """Returns ``{split: {id: record}}`` of SUPERB's copy."""
    found = audio_snips.requests(audio_snips.find_corpus(str(folder)), speakers)
    return {
        split: {
            name: manifest.whole_file(r["wav"], label=r["intent"], speaker=r["speaker"])
            for name, r in records.items()
        }
        for split, records in found.items()
    }
