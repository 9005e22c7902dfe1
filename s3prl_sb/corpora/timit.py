"""TIMIT: read sentences with the times of their phones.

The corpus (Garofolo et al. 1993, https://catalog.ldc.upenn.edu/LDC93S1) has
``{TRAIN,TEST}/<dialect>/<speaker>/<sentence>`` in four files: ``.WAV`` (NIST SPHERE),
``.PHN`` (phones, in samples), ``.WRD`` (words, in samples) and ``.TXT`` (the sentence).
Names may be in upper or lower case. The two SA sentences, which all speakers read, are
left out. The core test set is 24 of the speakers of TEST; the others are for
validation.

Note
----
The glottal stop ``q`` is not among the 39 classes (Lee & Hon 1989), so its time has no
label. S3PRL reads one of 39 numbers for each 10 ms from a file of its own,
``converted_aligned_phones.txt``, which does not say where the glottal stops went.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import is_audio
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.dataio import label_files, manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.phones import CLASSES, FOLDED
from s3prl_sb.dataio.tables import skipped
from s3prl_sb.identity import digest
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

download_timit = behind_a_form(
    "TIMIT",
    "https://catalog.ldc.upenn.edu/LDC93S1",
    "it is licensed by the Linguistic Data Consortium. Unpack it so that data_folder "
    "holds TRAIN and TEST.",
)
VERSION = "timit/1"  # a change makes finished preparations stale
#: Speakers of the core test set, from the documentation of the corpus (TESTSET.DOC).
CORE = tuple(
    """MDAB0 MWBT0 FELC0 MTAS1 MWEW0 FPAS0 MJMP0 MLNT0 FPKT0 MLLL0 MTLS0 FJLM0 MBPM0
    MKLT0 FNLP0 MCMJ0 MJDH0 FMGD0 MGRT0 MNJM0 FDHC0 MJLN0 MPAM0 FMLD0""".split()
)
LONGER = 0.1  # seconds by which phones may exceed the audio
SENTENCES = 3696 + 1152 + 192  # published: train, valid, test, without SA


def prepare_timit(
    data_folder: str | None,
    save_folder: str,
    test_speakers: str | Sequence[str] | None = None,
    folded: bool = True,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with ``TRAIN`` and ``TEST``, or with ``TIMIT``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files with the same
        arguments is kept.
    test_speakers : list of str, optional
        Speakers of ``TEST`` for the test; the others are for validation. Default: the
        24 of the core test set. If none of them is there, as in a sample of the corpus,
        the last third of the speakers by name is used, with a warning.
    folded : bool
        Folds the 61 phones to the usual 39; otherwise they are labels as they are.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``segments``
        (lists of a phone, its start and its stop in seconds), ``speaker`` and ``text``
        (empty without a ``.TXT`` file).

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for person in ("TRAIN/DR1/FAAA0", "TEST/DR1/MDAB0", "TEST/DR1/FBBB0"):
    ...         place = Path(folder, person)
    ...         place.mkdir(parents=True)
    ...         wav = place / "SX1.WAV"
    ...         soundfile.write(wav, numpy.zeros(1600), 16000, format="NIST")
    ...         _ = (place / "SX1.PHN").write_text("0 800 h#\\n800 1600 ix\\n")
    ...     paths = prepare_timit(folder, folder + "/save")
    ...     manifest.read(paths["test"])["DR1-MDAB0-SX1"]["segments"]
    [['sil', 0.0, 0.05], ['ih', 0.05, 0.1]]
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    corpus = _corpus(data_folder)
    ends: dict[str, tuple[float, str]] = {}
    sentences = {
        part: _sentences(_folder(corpus, part), folded, ends)
        for part in ("train", "test")
    }
    people = sorted({record["speaker"] for record in sentences["test"].values()})
    tested = _test_speakers(people, test_speakers, corpus)
    splits: dict[str, dict[str, Any]] = {"train": sentences["train"]}
    for split, inside in (("valid", False), ("test", True)):
        splits[split] = {
            name: record
            for name, record in sentences["test"].items()
            if (record["speaker"] in tested) == inside
        }
    arguments = {
        "version": VERSION,
        "data_folder": corpus,
        "listing": digest(splits),
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    count = sum(map(len, splits.values()))
    warn_if_short(corpus, count, SENTENCES, "sentences besides SA")
    headers.add_durations(
        [record for records in splits.values() for record in records.values()]
    )
    _check_ends(splits, ends)
    return manifest.finish(splits, save_folder, arguments, ("segments",))


def _corpus(data_folder):
    """Returns the folder that holds TRAIN and TEST."""
    folder = check_folder(data_folder, "of TIMIT")
    for place in (folder, *(os.path.join(folder, name) for name in _names(folder))):
        if os.path.isdir(place) and {"train", "test"} <= set(
            map(str.lower, _names(place))
        ):
            return place
    raise ManifestError(
        f"{folder}: no folders TRAIN and TEST; it has {few(_names(folder))}. Set "
        "data_folder to the folder that holds them."
    )


def _names(folder):
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def _folder(corpus, part):
    name = next(name for name in _names(corpus) if name.lower() == part)
    return Path(corpus, name)


def _test_speakers(people, wanted, corpus):
    """Returns the speakers of the test; leaves at least one for validation."""
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if wanted is not None:
        tested = {name.upper() for name in wanted}
        if unknown := sorted(tested - set(people)):
            raise ManifestError(
                f"test_speakers: {few(unknown)} not in {corpus}/TEST, which has "
                f"{few(people)}. Correct the names."
            )
    else:
        tested = set(CORE) & set(people)
        if not tested:
            tested = set(people[-max(1, len(people) // 3) :])
            logger.warning(
                "%s: no speaker of the core test set, so this is not the published "
                "test. It is on %s; name others with test_speakers.",
                corpus,
                few(sorted(tested)),
            )
    if not set(people) - tested:
        raise ManifestError(
            f"{corpus}/TEST: no speaker is left for validation beside "
            f"{few(sorted(tested))}. Set test_speakers to fewer of {few(people)}."
        )
    return tested


def _sentences(folder, folded, ends):
    """Returns ``{id: record}`` of a part, without the SA sentences; adds to ``ends``
    where the phones of each end, and the line that says so."""
    records, missing = {}, []
    for place in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        files = _files(place)
        for sentence, kinds in sorted(files.items()):
            if sentence.startswith("SA") or not {".phn", "audio"} & set(kinds):
                continue
            if lacking := {".phn", "audio"} - set(kinds):
                what = "audio file" if "audio" in lacking else "file of phones (.PHN)"
                missing.append(f"{place / sentence}: its {what} is missing")
                continue
            name = f"{place.parent.name}-{place.name}-{sentence}".upper()
            segments, ends[name] = _phones(kinds[".phn"], folded)
            records[name] = manifest.whole_file(
                str(kinds["audio"]),
                segments=segments,
                speaker=place.name.upper(),
                text=_text(kinds.get(".txt")),
            )
    if missing:
        way_out = "Unpack the corpus again, or remove what is left of these sentences."
        raise ManifestError.listing(missing, way_out, len(records) + len(missing))
    if not records:
        raise ManifestError(
            f"{folder}: no sentences <dialect>/<speaker>/*.PHN in it. Unpack the "
            "corpus again."
        )
    return records


def _files(place) -> Mapping[str, dict[str, Path]]:
    """Returns ``{sentence: {".phn": path, "audio": path}}`` of a speaker.

    The original audio comes before converted copies such as ``SA1.WAV.wav``.
    """
    files: dict[str, dict[str, Path]] = {}
    for path in sorted(place.iterdir(), key=lambda path: (len(path.name), path.name)):
        sentence, _, ending = path.name.partition(".")
        kind = "audio" if is_audio(path.name) else f".{ending.lower()}"
        files.setdefault(sentence.upper(), {}).setdefault(kind, path)
    return files


def _phones(path, folded):
    """Returns the segments of a sentence as lists of phone, start and stop (s), and the
    end of the last one with its line."""
    segments, end = [], (0.0, f"{path}")
    for _, phone, start, stop, place in label_files.rows(path):
        if start == stop:
            continue
        if start < end[0] - label_files.OVERLAP:
            raise ManifestError(
                f"{place}: '{phone}' from {start} s, and the phone before is until "
                f"{end[0]} s. Correct the samples, or remove the sentence."
            )
        name = FOLDED.get(phone, phone) if folded else phone
        if folded and name and name not in CLASSES:
            raise ManifestError(
                f"{place}: '{phone}' is none of the 61 phones of TIMIT. Correct it, or "
                "remove the sentence."
            )
        segments += [[name, start, stop]] if name else []
        end = max(end, (stop, place))
    if not segments:
        raise ManifestError(
            f"{path}: no phones in it. Unpack the corpus again, or remove the sentence."
        )
    return segments, end


def _check_ends(splits, ends):
    """Checks that the phones of all sentences end with the audio."""
    longer = []
    for records in splits.values():
        for name, record in records.items():
            stop, place = ends[name]
            if stop > record["duration"] + LONGER:
                seconds = f"{stop:.2f} s, and the audio has {record['duration']:.2f} s"
                longer.append(f"{place}: a phone until {seconds}")
    if longer:
        way_out = "Unpack the corpus again, or remove these sentences."
        raise ManifestError.listing(longer, way_out, len(ends))


def _text(path):
    """Returns the sentence of a .TXT file, which begins with two sample numbers."""
    words = manifest.read_text(path).split() if path else []
    return " ".join(words[2:])
