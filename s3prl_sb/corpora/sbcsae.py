"""SBCSAE: spontaneous American English (SUPERB-SG's OOD-ASR).

The Santa Barbara Corpus of Spoken American English (Du Bois et al. 2000-2005) has sixty
recordings of conversations and transcripts of their turns. SUPERB-SG takes them through
https://github.com/vectominist/SBCSAE-preprocess. Two layouts are read:

* the folders that it downloads, ``mp3/01.mp3`` and ``trn/SBC001.trn``: the turns are
  chosen here as its script does, and are parts of the recordings;
* what its script writes: ``train.tsv``, ``dev.tsv`` and ``test.tsv`` with the columns
  ``path`` and ``sentence``, and a folder ``wav``.

Recordings 1 to 46 are for training, 47 to 53 for validation, 54 to 60 for the test.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import re
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import is_audio
from s3prl_sb.corpora import common_voice
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.manifest import ManifestError

logger = logging.getLogger(__name__)

download_sbcsae = behind_a_form(
    "SBCSAE",
    "https://github.com/vectominist/SBCSAE-preprocess",
    "its download.sh gets the folders mp3 and trn, which are enough.",
)
VERSION = "sbcsae/1"  # a change makes finished preparations stale
SPLITS = {
    "train": range(1, 47),
    "valid": range(47, 54),
    "test": range(54, 61),
}
TABLES = common_voice.TABLES
SECONDS = (0.1, 15.0)  # shortest and longest turn
_OTHERS_OR_UNSURE = re.compile(
    r"[][<>]"
)  # overlap with other speakers; uncertain words
_MARKS = str.maketrans({**dict.fromkeys('.,-%?!@+~_*#&"', " "), "’": "'", "=": None})
_LETTERS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ' ")


def prepare_sbcsae(
    data_folder: str | None, save_folder: str, skip_prep: bool = False
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder in one of the two layouts, or with ``SBCSAE``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same transcripts is
        kept.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``text``.

    Raises
    ------
    ManifestError
        With the file and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for place in ("mp3", "trn"):
    ...         Path(folder, place).mkdir()
    ...     for number in (1, 47, 54):
    ...         wav = f"{folder}/mp3/{number:02d}.wav"
    ...         soundfile.write(wav, numpy.zeros(16000), 16000)
    ...         line = "0.10 0.90\\tJOAN: \\t.. (H) wait=, okay?\\n"
    ...         _ = Path(folder, f"trn/SBC{number:03d}.trn").write_text(line)
    ...     paths = prepare_sbcsae(folder, folder + "/save")
    ...     manifest.read(paths["test"])["SBC054_000010-000090"]["text"]
    'WAIT OKAY'
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    corpus = find_corpus(data_folder)
    segmented = not (corpus / "trn").is_dir()
    sources = _tables(corpus) if segmented else _transcripts(corpus)
    arguments = {
        "version": VERSION,
        "data_folder": str(corpus),
        "sources": [
            manifest.digest(path) for paths in sources.values() for path in paths
        ],
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    splits = {}
    for split, files in sources.items():
        if segmented:
            splits[split] = _segments(files[0], split, corpus / "wav")
        else:
            splits[split] = _turns(files, split, corpus)
    return manifest.finish(splits, save_folder, arguments, required=("text",))


def find_corpus(data_folder: str | None) -> Path:
    """Returns the folder of the corpus.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_sbcsae`.

    Raises
    ------
    ManifestError
        If it has none of the two layouts.
    """
    corpus = Path(check_folder(data_folder, "of SBCSAE", inside="SBCSAE"))
    if not (corpus / "trn").is_dir() and not (corpus / TABLES["train"]).is_file():
        raise ManifestError(
            f"{corpus}: neither a folder trn with transcripts nor {TABLES['train']}. "
            "https://github.com/vectominist/SBCSAE-preprocess downloads the corpus; "
            "set data_folder or sbcsae_folder to it."
        )
    return corpus


def _tables(corpus):
    return {split: [corpus / name] for split, name in TABLES.items()}


def _segments(path, split, folder):
    """Returns ``{id: record}`` of a table of recordings that are cut already."""
    records = {}
    for _, row in common_voice.rows(path, common_voice.COLUMNS):
        name = common_voice.clip_id(row["path"])
        wav = str(folder / row["path"])
        records[name] = manifest.whole_file(wav, text=row["sentence"].upper())
    records = common_voice.with_clips(records, split, path)
    headers.add_durations(list(records.values()))
    return records


def _transcripts(corpus):
    """Returns the transcripts of each split; warns if there are not all."""
    files = {}
    for split, numbers in SPLITS.items():
        paths = [corpus / "trn" / f"SBC{number:03d}.trn" for number in numbers]
        files[split] = [path for path in paths if path.is_file()]
        if not files[split]:
            raise ManifestError(
                f"{paths[0]}: no such file, nor another transcript of {split}. "
                "Download the corpus again."
            )
        warn_if_short(corpus, len(files[split]), len(paths), f"transcripts of {split}")
    return files


def _turns(files, split, corpus):
    """Returns ``{id: record}`` of the turns of some recordings."""
    listed, records, unread = _recordings(corpus), {}, 0
    missing, lengths = [], {}
    for file in files:
        wav = listed.get(f"{int(file.stem[3:]):02d}")
        if wav is None:
            missing.append(f"{file}: no recording {corpus}/mp3/{file.stem[-2:]}.mp3")
            continue
        lengths[wav] = headers.durations([wav])[0]
        turns, strange = read_transcript(_content(file))
        unread += strange
        for start, stop, text in turns:
            name = f"{file.stem}_{int(start * 100):06d}-{int(stop * 100):06d}"
            stop = min(stop, lengths[wav])
            if stop <= start:
                unread += 1
                continue
            records[name] = {"wav": wav, "start": start, "stop": stop, "text": text}
            records[name]["duration"] = round(stop - start, 6)
    if missing:
        way_out = "Download these recordings, or remove their transcripts."
        raise ManifestError.listing(missing, way_out, len(files))
    if not records:
        raise ManifestError(
            f"{files[0]}: neither it nor another transcript of {split} has a turn that "
            "can be used. Download the corpus again."
        )
    if unread:
        logger.warning("%s: %d lines of transcripts have no valid time", split, unread)
    return records


def _content(file):
    """Returns a transcript without a BOM and without what is not UTF-8."""
    return file.read_bytes().decode("utf-8-sig", errors="ignore")


def _recordings(corpus):
    """Returns the paths of recordings by their two digits."""
    places = [corpus / "mp3", corpus / "wav"]
    files = [f for place in places if place.is_dir() for f in sorted(place.iterdir())]
    found: dict = {}
    for file in filter(lambda f: is_audio(f.name), files):
        found.setdefault(file.stem.removeprefix("SBC0"), str(file))
    return found


def read_transcript(content: str) -> tuple[list[tuple[float, float, str]], int]:
    """Reads the turns of a transcript that can be recognised.

    Arguments
    ---------
    content : str
        Lines with two times (s), a speaker and words, in several arrangements of
        spaces and tabs.

    Returns
    -------
    turns : list of (float, float, str)
        Start, stop and words of the turns of 0.1 to 15 s that no other one overlaps,
        by their ends.
    unread : int
        Number of lines whose times are not numbers.

    Note
    ----
    Turns that overlap are left out by the rule of SBCSAE-preprocess: in the order of
    their ends, a turn that begins before the end of earlier ones is dropped with them.

    Example
    -------
    >>> read_transcript("0.00 1.20\\tANN:\\tHello <X you X>.\\n1.20 2.50\\tANN:\\tBye.")
    ([(1.2, 2.5, 'BYE')], 0)
    """
    turns, unread = [], 0
    for line in content.split("\n"):
        cells = line.lstrip("\t").split("\t")  # a tab at the end makes a cell
        times = cells[0].split(" ")
        if len(cells) == 4 and all(map(_is_number, cells[:2])):
            times = cells[:2]
        elif len(cells) not in (2, 3, 4) or len(times) < 2:
            continue
        elif len(cells) == 3 and len(times) != 2:
            continue
        if not all(map(_is_number, times[:2])):
            unread += 1
            continue
        start, stop = map(float, times[:2])
        text = words(cells[-1])
        if SECONDS[0] <= stop - start <= SECONDS[1] and len(text) > 1:
            turns.append((start, stop, text))
    kept: list = []
    for turn in sorted(turns, key=lambda turn: turn[1]):
        overlaps = False
        while kept and turn[0] < kept[-1][1]:
            kept.pop()
            overlaps = True
        if not overlaps:
            kept.append(turn)
    return kept, unread


def _is_number(text):
    try:
        return float(text) >= 0
    except ValueError:
        return False


def words(turn: str) -> str:
    """Returns the words of a turn in capitals, without the annotation.

    Arguments
    ---------
    turn : str
        Words with marks of breath, laughter, lengthening, pauses, overlap.

    Returns
    -------
    str
        Empty if words are uncertain, overlap with another speaker, or cannot be
        spelled.

    Example
    -------
    >>> words(".. We=ll (H) that's -- @@ nice,"), words("[Mhm]"), words("XX okay")
    ("WELL THAT'S NICE", '', '')
    """
    if _OTHERS_OR_UNSURE.search(turn):
        return ""
    text = re.sub(r"\([^)]*\)", "", turn)
    text = re.sub(" +", " ", text.translate(_MARKS).upper()).strip()
    unknown = "XX" in text or " X " in f"{text} "  # X alone, but not at the beginning
    return "" if unknown or not _LETTERS.issuperset(text) else text
