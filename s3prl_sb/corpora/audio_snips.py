"""Audio SNIPS: requests to an assistant, with the slots in them (SUPERB SF).

SNIPS (Coucke et al. 2018, https://arxiv.org/abs/1805.10190), spoken by the sixteen
synthetic voices of Audio SNIPS (Lai et al. 2021, https://arxiv.org/abs/2010.13826).
SUPERB's copy of it has the recordings of all voices as
``{train,valid,test}/<voice>-snips-<split>-<number>.wav``, and ``all.iob.snips.txt``
with a line for each: its name, ``BOS``, the words, ``EOS``, a tab, then a tag for each:
``O``, those of the words (``O`` or a slot), the intent. ``slots.txt`` lists the slots.

The manifests have words (``text``) and a tag for each (``iob``), see
:mod:`s3prl_sb.dataio.slots`.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import only_audio
from s3prl_sb.corpora.completeness import check_folder
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.slots import CHARACTERS, tagged_words
from s3prl_sb.dataio.tables import SPLITS, skipped

logger = logging.getLogger(__name__)

ARCHIVE = Published(
    # S3PRL's processed copy (16 kHz wav, texts), which Google serves from here
    "https://drive.usercontent.google.com/download"
    "?id=1oBRZd-PaCKz5iY3eZkXs5OB_ZZ4w7bbG&export=download&confirm=t",
    11,
    name="SNIPS.zip",
)
VERSION = "audio_snips/1"  # a change makes finished preparations stale
TEXT_FILE, SLOTS_FILE = "all.iob.snips.txt", "slots.txt"
SPEAKERS = {
    "train": "Ivy Joanna Joey Justin Kendra Kimberly Matthew Salli".split(),
    "valid": "Aditi Amy Geraint Nicole".split(),
    "test": "Brian Emma Raveena Russell".split(),
}
# Texts as English voices pronounce them, from S3PRL's newer API.
CORRECTIONS = {"楽園追放": "EXPELLED", "官方杂志": "", '"': " "}


def prepare_audio_snips(
    data_folder: str | None,
    save_folder: str,
    train_speakers: Sequence[str] = SPEAKERS["train"],
    valid_speakers: Sequence[str] = SPEAKERS["valid"],
    test_speakers: Sequence[str] = SPEAKERS["test"],
    characters: str = CHARACTERS,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with ``all.iob.snips.txt`` and the folders of the splits, or its parent
        if it is called ``SNIPS``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same texts with the same
        arguments is kept.
    train_speakers, valid_speakers, test_speakers : list of str
        Voices of each split; its other recordings are left out.
    characters : str
        Characters of words. Other accents are dropped, and so are characters that no
        voice pronounces. Any other dropped character is logged.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``text``,
        ``iob``, ``intent`` and ``speaker``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for split, voices in SPEAKERS.items():
    ...         name = f"{voices[0]}-snips-{split}-0"
    ...         os.mkdir(f"{folder}/{split}")
    ...         soundfile.write(f"{folder}/{split}/{name}.wav", numpy.zeros(800), 16000)
    ...         with open(f"{folder}/{TEXT_FILE}", "a") as file:
    ...             line = f"{name} BOS PLAY ABBA ! EOS\\tO O artist O PlayMusic\\n"
    ...             _ = file.write(line)
    ...     paths = prepare_audio_snips(folder, folder + "/save")
    ...     record = manifest.read(paths["test"])["Brian-snips-test-0"]
    >>> record["text"], record["iob"], record["intent"]
    ('PLAY ABBA', 'O B-artist', 'PlayMusic')
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    folder = find_corpus(data_folder)
    speakers = dict(zip(SPLITS, (train_speakers, valid_speakers, test_speakers)))
    check_speakers(speakers)
    text_file = folder / TEXT_FILE
    arguments = {
        "version": VERSION,
        "data_folder": str(folder),
        "sha256": manifest.digest(text_file),
        "speakers": {split: sorted(names) for split, names in speakers.items()},
        "characters": characters,
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    splits = requests(folder, speakers, characters)
    headers.add_durations([r for split in splits.values() for r in split.values()])
    return manifest.finish(splits, save_folder, arguments, ("text", "iob"))


def check_speakers(speakers):
    """Raises an error if the voices of a split, ``{split: names}``, are no list."""
    for split, names in speakers.items():
        if isinstance(names, str) or not names:
            raise ManifestError(
                f"{split}_speakers: {names!r} is no list of voices. Give some, such as "
                f"[{', '.join(SPEAKERS[split][:2])}]."
            )


def requests(folder, speakers, characters=CHARACTERS):
    """Reads the requests of the chosen voices.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the corpus, see :func:`find_corpus`.
    speakers : dict
        Splits to the names of their voices.
    characters : str
        See :func:`prepare_audio_snips`.

    Returns
    -------
    dict
        ``{split: {id: record}}``, without durations.
    """
    wavs = {split: _find_audio(folder, split, speakers[split]) for split in SPLITS}
    splits = _read_texts(folder / TEXT_FILE, wavs, speakers, characters)
    _report(splits, wavs, speakers, folder / TEXT_FILE)
    return splits


def find_corpus(data_folder):
    """Returns the folder that has the texts."""
    data_folder = data_folder and os.path.expanduser(data_folder)
    folder = Path(check_folder(data_folder, "of Audio SNIPS"))
    if not (folder / TEXT_FILE).is_file() and (folder / "SNIPS" / TEXT_FILE).is_file():
        folder = folder / "SNIPS"
    if not (folder / TEXT_FILE).is_file():
        raise ManifestError(
            f"{folder / TEXT_FILE}: absent. data_folder is Audio SNIPS as SUPERB hands "
            "it out: that file beside train, valid and test."
        )
    return folder


def _find_audio(folder, split, speakers):
    """Returns ``{name: path}`` of the recordings of a split by its voices."""
    wavs = {}
    paths = sorted((folder / split).rglob("[!.]*"))
    for path in only_audio(paths, folder / split):
        voice = path.stem.split("-")[0]
        if voice in speakers:
            wavs[path.stem] = str(path)
    if not wavs:
        raise ManifestError(
            f"{folder / split}: no recordings <voice>-snips-{split}-<number>.wav of "
            f"{', '.join(speakers)}. Unpack them there, or set {split}_speakers."
        )
    return wavs


def _read_texts(path, wavs, speakers, characters):
    """Returns ``{split: {id: record}}`` of the recordings that have a line."""
    homes = {name: split for split in SPLITS for name in wavs[split]}
    splits, lines, faults = {split: {} for split in SPLITS}, {}, []
    slots, dropped = _read_slots(path.parent / SLOTS_FILE), {}
    silent = {}  # lines of chosen voices that have no recording
    for number, line in enumerate(manifest.read_text(path).splitlines(), 1):
        name = line.split(" ", 1)[0]
        if name not in homes:
            voice, _, split = (*name.split("-"), "", "")[:3]
            if voice in speakers.get(split, ()):
                silent.setdefault(split, []).append(f"{path}:{number}: '{name}'")
            continue
        if name in lines:
            raise ManifestError(
                f"{path}:{number}: '{name}' again, first in line {lines[name]}. "
                "Drop one of them."
            )
        lines[name], split = number, homes[name]
        try:
            record, unknown = _read_line(line, slots, characters)
        except ValueError as fault:
            faults.append(f"{path}:{number}: '{name}': {fault}")
            continue
        for character in unknown:
            dropped.setdefault(character, f"{path}:{number}")
        speaker = name.split("-")[0]
        wav = wavs[split][name]
        splits[split][name] = manifest.whole_file(wav, **record, speaker=speaker)
    if faults:
        way_out = "Expected '<name> BOS words EOS<tab>O tags intent', a tag each."
        raise ManifestError.listing(faults, way_out)
    for character, place in sorted(dropped.items()):
        message = "%s: '%s' is dropped, as it is none of the characters %s"
        logger.warning(message, place, character, characters)
    for split, places in silent.items():
        message = "%s: %d lines have no recording and are left out, the first in %s"
        logger.warning(message, split, len(places), places[0])
    return splits


def _read_line(line, slots, characters):
    """Returns a line's part of the record, and the dropped characters."""
    text, tab, iob = line.partition("\t")
    if not tab:
        raise ValueError("no tab between words and tags")
    for wrong, right in CORRECTIONS.items():
        text = text.replace(wrong, right)
    words, tags = text.split()[1:], iob.split()
    if len(words) != len(tags):
        raise ValueError(f"{len(words)} words, but {len(tags)} tags")
    if words[:1] != ["BOS"] or words[-1:] != ["EOS"]:
        raise ValueError("the words are not between BOS and EOS")
    for tag in tags[1:-1]:
        if slots is not None and tag.removeprefix("B-").removeprefix("I-") not in slots:
            raise ValueError(f"'{tag}' is not in {SLOTS_FILE}")
    words, kept, unknown = tagged_words(
        " ".join(words[1:-1]), " ".join(tags[1:-1]), characters
    )
    if not words:
        raise ValueError("no words")
    record = {"text": " ".join(words), "iob": " ".join(kept), "intent": tags[-1]}
    return record, unknown


def _read_slots(path):
    """Returns the slots of the corpus and ``O``; None if there is no list."""
    if not path.is_file():
        return None
    return {"O", *manifest.read_text(path).split()}


def _report(splits, wavs, speakers, path):
    """Logs what is left out; raises an error for an empty split."""
    for split, records in splits.items():
        silent = sorted(set(speakers[split]) - {n.split("-")[0] for n in wavs[split]})
        if silent:
            logger.warning("%s: no recordings of %s", split, ", ".join(silent))
        missing = [name for name in wavs[split] if name not in records]
        if not records:
            raise ManifestError(
                f"{path}: no line for any of the {len(missing)} recordings of {split}, "
                f"such as '{missing[0]}'. Take the file that belongs to them."
            )
        if missing:
            message = "%s: %d recordings have no line in %s and are left out, as '%s'"
            logger.warning(message, split, len(missing), path, missing[0])


def download_audio_snips(destination: str) -> Path:
    """Downloads Audio SNIPS as S3PRL has processed it: wav files and texts.

    Arguments
    ---------
    destination : str
        Folder that gets ``SNIPS``.

    Returns
    -------
    pathlib.Path
        The destination.
    """
    return download([ARCHIVE], destination)
