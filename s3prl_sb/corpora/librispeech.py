"""LibriSpeech: read English with its words (SUPERB PR and ASR).

The corpus (Panayotov et al. 2015, https://doi.org/10.1109/ICASSP.2015.7178964) has
``<split>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac``, and in each chapter a
file ``<speaker>-<chapter>.trans.txt`` with a line for each recording: its name, its
words in capitals. SUPERB trains on ``train-clean-100``, validates on ``dev-clean`` and
tests on ``test-clean``.

Note
----
Each file of transcriptions is read once. S3PRL opens and searches it for every
recording of the chapter, and reads its lexica in every epoch.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import as_id, hint, is_audio
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.corpora.lexicon import PHONES, add_phones, check_unknown_words
from s3prl_sb.corpora.librilight import librilight_folders
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS, skipped
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

VERSION = "librispeech/1"  # a change makes finished preparations stale
SUFFIX = ".trans.txt"
LEXICA = "librispeech-lexicon*.txt"  # in data_folder, by default
UTTERANCES = {  # as published
    "train-clean-100": 28539,
    "train-clean-360": 104014,
    "train-other-500": 148688,
    "dev-clean": 2703,
    "dev-other": 2864,
    "test-clean": 2620,
    "test-other": 2939,
}

OPENSLR = "https://www.openslr.org/resources"
MD5SUMS = f"{OPENSLR}/12/md5sum.txt"
G2P = "https://huggingface.co/datasets/s3prl/g2p/resolve/main/lexicon"
SUPERB_LEXICA = (
    "librispeech-lexicon-200k-g2p.txt",
    "librispeech-lexicon-allothers-g2p.txt",
)
PARTS = {  # GB and SHA-256 of the archives
    "dev-clean": (
        0.34,
        "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    ),
    "dev-other": (
        0.32,
        "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
    ),
    "test-clean": (
        0.35,
        "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    ),
    "test-other": (
        0.33,
        "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    ),
    "train-clean-100": (
        6.4,
        "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    ),
    "train-clean-360": (
        23.1,
        "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
    ),
    "train-other-500": (
        30.6,
        "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
    ),
}


def prepare_librispeech(
    data_folder: str | None,
    save_folder: str,
    train_splits: str | Sequence[str] = ("train-clean-100",),
    valid_split: str | Sequence[str] = "dev-clean",
    test_split: str | Sequence[str] = "test-clean",
    lexicon: str | Sequence[str] | None = None,
    unknown_words: str = "error",
    librilight_folder: str | None = None,
    librilight_split: str = "10h",
    phones: Sequence[str] = PHONES,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with the folders of the splits, or with ``LibriSpeech``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same transcriptions with
        the same arguments is kept.
    train_splits : list of str
        Folders of the training set.
    valid_split, test_split : str
        Folders, or lists of folders, for validation and test.
    lexicon : list of str, optional
        Lexicon files: records then have ``phones``. See
        :mod:`s3prl_sb.corpora.lexicon`.
    unknown_words : str
        "error", "drop" or "spn", see :func:`s3prl_sb.corpora.lexicon.add_phones`.
    librilight_folder : str, optional
        Libri-light's sets for limited supervision, which replace ``train_splits``.
    librilight_split : str
        "10h", "1h", or "10m-0" to "10m-5".
    phones : list of str
        Phones that the lexicon may have.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``text`` (words
        in capitals), ``speaker`` and, given a lexicon, ``phones``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for split in ("train-clean-100", "dev-clean", "test-clean"):
    ...         chapter = Path(folder, split, "19", "198")
    ...         chapter.mkdir(parents=True)
    ...         soundfile.write(chapter / "19-198-0000.flac", numpy.zeros(1600), 16000)
    ...         _ = (chapter / "19-198.trans.txt").write_text("19-198-0000 GOOD DAY\\n")
    ...     paths = prepare_librispeech(folder, folder + "/save")
    ...     manifest.read(paths["test"])["19-198-0000"]["text"]
    'GOOD DAY'
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    check_unknown_words(unknown_words)
    lexicon = [lexicon] if isinstance(lexicon, str) else list(lexicon or [])
    folders = find_sets(data_folder, train_splits, valid_split, test_split)
    if librilight_folder is not None:
        folders["train"] = librilight_folders(librilight_folder, librilight_split)
    splits, places = {}, {}
    for split, names in folders.items():
        splits[split], places[split] = read_transcriptions(names)
    lines = [
        f"{name} {record['wav']} {record['text']}"
        for records in splits.values()
        for name, record in sorted(records.items())
    ]
    arguments = {
        "version": VERSION,
        "folders": folders,
        "listing": hashlib.sha256("\n".join(map(as_id, lines)).encode()).hexdigest(),
        "lexicon": [manifest.digest(path) for path in lexicon],
        "unknown_words": unknown_words,
        "phones": list(phones) if lexicon else None,
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    if lexicon:
        add_phones(splits, lexicon, places.get, unknown_words, phones)
    headers.add_durations(
        [record for records in splits.values() for record in records.values()],
        [places[split][name] for split, records in splits.items() for name in records],
    )
    required = ("text", "phones") if lexicon else ("text",)
    return manifest.finish(splits, save_folder, arguments, required)


def find_lexica(data_folder):
    """Returns the lexicon files in the folder of the corpus.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_librispeech`.

    Returns
    -------
    list of str
        S3PRL's two come before openslr's.

    Raises
    ------
    ManifestError
        If there is none.
    """
    folder = Path(_corpus(data_folder))
    for place in (folder, folder.parent):
        lexica = sorted(map(str, place.glob(LEXICA)))
        if lexica:
            return lexica
    raise ManifestError(
        f"{folder}: no {LEXICA}. Put LibriSpeech's lexicon there (s3prl-sb download "
        "librispeech does, or https://www.openslr.org/11), or set lexicon: [a.txt, "
        "b.txt]"
    )


def read_transcriptions(folders):
    """Reads the transcriptions of the recordings in folders.

    Arguments
    ---------
    folders : list of str
        Folders that have ``<speaker>/<chapter>/``.

    Returns
    -------
    records : dict
        ``{id: record}`` with ``wav``, ``text`` and ``speaker``, without durations.
    places : dict
        ``{id: "file:line"}``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.
    """
    records, places = {}, {}
    for folder in folders:
        files, silent = _transcriptions(folder)
        if not files:
            raise ManifestError(
                f"{folder}: no files <speaker>/<chapter>/*{SUFFIX} in it. Unpack the "
                "corpus' archive anew."
            )
        if silent:
            way_out = "Unpack the corpus' archive anew, or remove these folders."
            raise ManifestError.listing(silent, way_out, len(files) + len(silent))
        unwritten, before = [], len(records)
        for file in files:
            unwritten += _read_chapter(file, records, places)
        corpus, name = os.path.split(folder)
        count, published = len(records) - before, UTTERANCES.get(name, 0)
        warn_if_short(corpus, count, published, f"utterances of {name}")
        if unwritten:
            message = "%s: %d recordings have no transcription, such as %s; left out"
            logger.warning(message, folder, len(unwritten), unwritten[0])
    return records, places


def _transcriptions(folder):
    """Returns the files of transcriptions, and the chapters with audio but none."""
    files, silent = [], []
    for chapter in sorted(p for p in Path(folder).glob("*/*") if p.is_dir()):
        names = [n for n in sorted(os.listdir(chapter)) if not n.startswith(".")]
        written = [chapter / name for name in names if name.endswith(SUFFIX)]
        files += written
        if not written and any(map(is_audio, names)):
            usual = f"{chapter.parent.name}-{chapter.name}{SUFFIX}"
            silent.append(f"{chapter}: audio, but no {usual}")
    return files, silent


def _read_chapter(file, records, places):
    """Adds the recordings of a chapter; returns those without a transcription."""
    audio = {}
    names = sorted(
        os.listdir(file.parent), key=lambda n: (n.lower()[-5:] != ".flac", n)
    )
    for name in filter(is_audio, names):  # published names come before converted ones
        audio.setdefault(os.path.splitext(name)[0], name)
    missing, written = [], set()
    lines = manifest.read_text(file).splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, *words = line.split()
        place = f"{file}:{number}"
        if not words:
            raise ManifestError(
                f"{place}: malformed line {line!r}. Expected a recording's name and "
                "its words: '19-198-0000 NORTHANGER ABBEY'"
            )
        if name in places:
            raise ManifestError(f"{place}: {name} again, first {places[name]}")
        if name not in audio:
            wav = f"{file.parent / name}.flac"
            missing.append(f"{place}: missing audio file {wav}{hint(wav)}")
            continue
        written.add(name)
        places[name] = place
        records[name] = manifest.whole_file(
            os.path.join(file.parent, audio[name]),
            text=" ".join(words).upper(),
            speaker=file.parent.parent.name,
        )
    if missing:
        way_out = "Unpack the corpus' archive anew, or remove these lines."
        raise ManifestError.listing(missing, way_out, len(lines))
    return sorted(audio.keys() - written)


def _corpus(data_folder):
    return check_folder(data_folder, "of LibriSpeech", inside="LibriSpeech")


def find_sets(data_folder, *wanted):
    """Returns ``{"train": folders, "valid": …, "test": …}``, all of which exist."""
    corpus, folders = _corpus(data_folder), {}
    for split, names in zip(SPLITS, wanted):
        names = [names] if isinstance(names, str) else list(names)
        folders[split] = [os.path.join(corpus, name) for name in names]
        for path in folders[split]:
            if not os.path.isdir(path):
                here = sorted(p.name for p in Path(corpus).iterdir() if p.is_dir())
                key = f"{split}_splits" if split == "train" else f"{split}_split"
                raise ManifestError(
                    f"{path}: no such folder; {corpus} has {few(here)}."
                    f" Unpack its archive there (s3prl-sb download librispeech), or "
                    f"correct data_folder or {key}."
                )
    every = [path for paths in folders.values() for path in paths]
    twice = [path for path in every if every.count(path) > 1]
    if twice:
        logger.warning("%s is in two of the splits: a leak?", twice[0])
    return folders


def download_librispeech(
    destination: str,
    splits: Sequence[str] = ("train-clean-100", "dev-clean", "test-clean"),
    lexicon: bool = True,
    language_model: bool = False,
) -> Path:
    """Downloads LibriSpeech from openslr.org.

    Arguments
    ---------
    destination : str
        Folder that gets ``LibriSpeech``.
    splits : list of str
        Names in ``PARTS``.
    lexicon : bool
        Downloads SUPERB's two lexica and openslr's too, for phoneme recognition.
    language_model : bool
        Downloads the official 4-gram model too (1.3 GB), for speech recognition.

    Returns
    -------
    pathlib.Path
        The destination.

    Raises
    ------
    ValueError
        For a split that does not exist.
    """
    unknown = [name for name in splits if name not in PARTS]
    if unknown:
        raise ValueError(f"no part {unknown[0]!r}. There are {', '.join(PARTS)}")
    files = [
        Published(f"{OPENSLR}/12/{name}.tar.gz", *PARTS[name], md5sums=MD5SUMS)
        for name in splits
    ]
    if lexicon:
        urls = [f"{G2P}/{name}" for name in SUPERB_LEXICA]
        urls.append(f"{OPENSLR}/11/librispeech-lexicon.txt")
        files += [Published(url, 0.01, folder="LibriSpeech") for url in urls]
    if language_model:
        url = f"{OPENSLR}/11/4-gram.arpa.gz"
        files.append(Published(url, 1.4, folder="LibriSpeech"))
    return download(files, destination)
