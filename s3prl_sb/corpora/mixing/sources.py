"""Sources of scenes by their names: synthetic ones, corpora, and users' lists.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from s3prl_sb.audio import headers
from s3prl_sb.corpora import esc50, librispeech, timit
from s3prl_sb.corpora.mixing import lists
from s3prl_sb.corpora.mixing.backgrounds import PinkNoise, RecordedBackground
from s3prl_sb.corpora.mixing.layout import FIRST
from s3prl_sb.corpora.mixing.settings import MixError, Settings
from s3prl_sb.corpora.mixing.sounds import RecordedSounds, SoundSource
from s3prl_sb.corpora.mixing.speech import RecordedSpeech, SpeechSource
from s3prl_sb.corpora.mixing.toy_sounds import KINDS, ToySounds
from s3prl_sb.corpora.mixing.toy_speech import ToySpeech
from s3prl_sb.corpora.toys.making import random_generator
from s3prl_sb.dataio import label_files, manifest, tables
from s3prl_sb.dataio.manifest import SPLITS
from s3prl_sb.terminal.messages import few, near

logger = logging.getLogger(__name__)

TOY, NONE, PINK = "toy", "none", "pink"
KNOWN = {"speech": "LibriSpeech, TIMIT", "sounds": "ESC-50, ESC-10"}
LISTED = {"speech": "wav, speaker and text", "sounds": "wav and label"}
SHARE = 0.2  # of speakers or clips, for each of validation and test
Records = dict[str, dict[str, Any]]


def speech_source(
    name: str,
    settings: Settings,
    voices: int = 20,
    words: int = 0,
    word_times: str | None = None,
) -> SpeechSource | None:
    """Returns the speech of a mix.

    Arguments
    ---------
    name : str
        "toy"; "none"; a folder of LibriSpeech or TIMIT; a list (CSV, TSV, JSON) with
        ``wav``, ``speaker`` or ``spk_id``, ``text``, and optionally ``words``, [[start,
        stop, word], …]; or a folder with three of them, ``train.json`` and so on. The
        speakers of one list are divided among the splits.
    settings : Settings
        Numbers of the mix.
    voices, words : int
        See :class:`~s3prl_sb.corpora.mixing.toy_speech.ToySpeech`.
    word_times : str, optional
        File or folder with the times of words by the ids of utterances, see
        :mod:`s3prl_sb.dataio.label_files`.

    Returns
    -------
    SpeechSource or None

    Raises
    ------
    ManifestError, MixError
        With the file and the fix.
    """
    if name == NONE:
        return None
    if name == TOY:
        return ToySpeech(voices, words, settings.rate, settings.join, settings.seed)
    splits = _read(name, "speech", _SPEECH)
    times = label_files.read(word_times) if word_times else {}
    if times and not any(
        key in times for records in splits.values() for key in records
    ):
        raise MixError(
            f"{word_times}: words of {few(times, 2)}, and of no utterance of {name}, "
            f"such as {few(next(iter(splits.values())), 2)}. Give them the same ids."
        )
    spoken = {
        split: lists.utterances(records, times, name)
        for split, records in splits.items()
    }
    lists.check_words(spoken, name)
    if len(spoken) == 1:
        (people,) = spoken.values()
        parts = _divided(people, settings.seed, "speakers", name)
        spoken = {split: {p: people[p] for p in parts[split]} for split in SPLITS}
    _check_disjoint(spoken, name)
    source = RecordedSpeech(spoken, settings.rate, settings.longest_turn, settings.join)
    for split in SPLITS:
        if source.shortest(split) > settings.seconds[0] - FIRST:
            raise MixError(
                f"{name}: the shortest utterance of the {split} set has "
                f"{source.shortest(split):.1f} s, too long for scenes of "
                f"{settings.seconds[0]} s. Give longer ones, --seconds."
            )
    return source


def sound_source(
    name: str, settings: Settings, labels: Sequence[str] = ()
) -> SoundSource | None:
    """Returns the sounds of a mix.

    Arguments
    ---------
    name : str
        "toy"; "none"; a folder of ESC-50 or ESC-10; a list (CSV, TSV, JSON) with
        ``wav``, ``label`` and optionally ``fold``, or with ``events``, [[label, start,
        stop], …]; or a folder with three of them, ``train.json`` and so on. Of the
        folds, the last is for the test, the one before it for validation. A clip with
        several ``labels`` is not used.
    settings : Settings
        Numbers of the mix.
    labels : list of str
        Labels to use. Default: all.

    Returns
    -------
    SoundSource or None

    Raises
    ------
    ManifestError, MixError
        With the file and the fix.
    """
    if name == NONE:
        return None
    if name == TOY:
        return ToySounds(labels or list(KINDS), settings.rate)
    splits = _read(name, "sounds", _SOUNDS)
    clips = {split: lists.clips(records, name) for split, records in splits.items()}
    if labels:
        clips = {split: _chosen(every, labels, name) for split, every in clips.items()}
    if len(splits) == 1:
        ((split, records),) = splits.items()
        clips = _by_fold(records, clips[split], settings.seed, name)
    known = {clip.label for clip in clips["train"]}
    for split in SPLITS[1:]:
        if unknown := {clip.label for clip in clips[split]} - known:
            raise MixError(
                f"{name}: {few(sorted(unknown))} of the {split} set not in the "
                "training set. Leave these labels out, or change the folds."
            )
    return RecordedSounds(clips, settings.rate)


def background_source(name: str, settings: Settings) -> Any:
    """Returns the background of a mix: "pink", "none", or a folder of recordings."""
    if name == NONE:
        return None
    if name == PINK:
        return PinkNoise()
    return RecordedBackground(name, settings.rate, settings.seed)


# ----------------------------------------------------------------------------- reading
def _read(name, what, layouts) -> dict[str, Records]:
    """Returns ``{split: records}``, or one entry for a list without splits."""
    path = Path(name)
    if path.is_file():
        return {"all": tables.load_table(name)}
    if not path.is_dir():
        raise MixError(f"--{what} {name}: no such file or folder, and not 'toy'.")
    files = {split: str(path / f"{split}.json") for split in SPLITS}
    if all(map(os.path.isfile, files.values())):
        splits = {split: tables.load_table(file) for split, file in files.items()}
        tables.warn_of_leaks(splits, files)
        return splits
    for fits, read in layouts:
        if fits(path):
            return read(name)
    raise MixError(
        f"--{what} {name}: no corpus of {what} that can be mixed ({KNOWN[what]}). "
        f"Give a list of it: a CSV or JSON with {LISTED[what]}; see docs/scenes.md."
    )


def _librispeech(name) -> dict[str, Records]:
    """Reads LibriSpeech; without all of train-*, dev-* and test-* it is one list."""
    below = os.path.join(name, "LibriSpeech")
    corpus = below if os.path.isdir(below) else name
    names = {"train": "train", "valid": "dev", "test": "test"}
    found: dict[str, Records] = {}
    for split, prefix in names.items():
        folders = [
            str(p) for p in sorted(Path(corpus).glob(f"{prefix}-*")) if p.is_dir()
        ]
        if folders:
            records, places = librispeech.read_transcriptions(folders)
            headers.add_durations(list(records.values()), list(places.values()))
            found[split] = records
    if len(found) == len(SPLITS):
        return found
    logger.info("%s: no sets of all splits, so its speakers are divided", name)
    return {"all": {n: r for records in found.values() for n, r in records.items()}}


def _timit(name) -> dict[str, Records]:
    """Reads TIMIT with the times of its words."""
    with tempfile.TemporaryDirectory() as folder:
        paths = timit.prepare_timit(name, folder)
        splits = {split: manifest.read(path) for split, path in paths.items()}
    for records in splits.values():
        for key, record in records.items():
            place = Path(record["wav"])
            stem = place.name.partition(".")[0]
            files = [place.with_name(stem + end) for end in (".WRD", ".wrd")]
            file = next((path for path in files if path.is_file()), None)
            if file is None:
                raise MixError(f"{files[0]}: no times of the words. Unpack it again.")
            words = label_files.read(file)[file.stem]
            record["words"] = [[start, stop, word] for word, start, stop in words]
    return splits


def _esc50(name) -> dict[str, Records]:
    """Reads ESC-50, or a part of it such as ESC-10, with its folds."""
    _, clips, _ = esc50.read_clips("ESC-50", name)
    return {"all": clips}


Layouts = tuple[tuple[Callable[[Path], bool], Callable[[str], dict[str, Records]]], ...]
_SPEECH: Layouts = (
    (lambda path: any(path.glob("**/*.trans.txt")), _librispeech),
    (lambda path: any(path.glob("**/*.[Ww][Rr][Dd]")), _timit),
)
_SOUNDS: Layouts = ((lambda path: any(path.glob(f"**/{esc50.TABLE}")), _esc50),)


# ---------------------------------------------------------------------------- dividing
def _chosen(clips, labels, source):
    """Returns the clips of some labels."""
    known = sorted({clip.label for clip in clips})
    for label in labels:
        if label not in known:
            raise MixError(f"{source}: no label '{label}'. {near(label, known)}")
    return [clip for clip in clips if clip.label in labels]


def _by_fold(records, clips, seed, source):
    """Returns ``{split: clips}`` by folds, or by chance where there are none."""
    folds = {name: lists.flat(record.get("fold")) for name, record in records.items()}
    numbers = sorted(set(folds.values()), key=lambda fold: (len(fold), fold))
    if "" in numbers and len(numbers) > 1:
        lacking = [name for name, fold in folds.items() if not fold]
        raise MixError(
            f"{source}: '{lacking[0]}' has no fold, like {len(lacking)} of "
            f"{len(folds)} clips. Fill it in, or leave the column out."
        )
    if len(numbers) >= len(SPLITS):
        of = dict(zip(reversed(numbers), ("test", "valid")))
        parts = {split: [] for split in SPLITS}
        for clip in clips:
            parts[of.get(folds[clip.name], "train")].append(clip)
        return parts
    logger.warning(
        "%s: no column fold with three folds or more, so files are divided by chance. "
        "Two files of one recording may be in different sets.",
        source,
    )
    return _by_file(clips, seed, source)


def _by_file(clips, seed, source):
    """Returns ``{split: clips}``, each file in one split, each label in all of them."""
    files: dict[str, list[str]] = {}
    for clip in sorted(clips):
        files.setdefault(clip.label, []).append(clip.wav)
    of: dict[str, str] = {}
    for label in sorted(files, key=lambda label: (len(set(files[label])), label)):
        every = list(dict.fromkeys(files[label]))  # the rarest labels choose first
        for split, chosen in _divided(
            every, seed, f"files of '{label}'", source
        ).items():
            for wav in chosen:
                of.setdefault(wav, split)
    return {s: [clip for clip in clips if of[clip.wav] == s] for s in SPLITS}


def _divided(things, seed, what, source) -> dict[str, list]:
    """Divides things by chance among the splits."""
    things = list(things)
    part = max(1, round(len(things) * SHARE))
    if len(things) < len(SPLITS):
        raise MixError(
            f"{source}: {len(things)} {what}, and three sets need one each. Add some."
        )
    order = random_generator(seed, "division", what).permutation(len(things))
    things = [things[i] for i in order]
    parts = things[2 * part :], things[:part], things[part : 2 * part]
    return dict(zip(SPLITS, parts))


def _check_disjoint(spoken: Mapping[str, Mapping], source):
    """Raises an error if a speaker is in two splits."""
    seen: dict[str, str] = {}
    for split, people in spoken.items():
        for speaker in people:
            if other := seen.get(speaker):
                raise MixError(
                    f"{source}: speaker '{speaker}' is in {other} and {split}. Scenes "
                    "of the test need speakers of their own: move the utterances."
                )
            seen[speaker] = split
