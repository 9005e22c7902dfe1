"""Real recordings with files of annotation, as scenes.

A folder has audio files, at any depth, and files with the name of a set (``train``,
``valid`` or ``dev``, ``test`` or ``eval``) for what is annotated:

==================  ================================================================
``.rttm``           turns of speakers
``.seglst.json``    words of speakers, in entries of a word or of a turn. The times
                    of words in longer entries are estimated from their characters.
                    Without RTTM its entries are the turns
``.ctm``            words with times, beside an RTTM: a word belongs to the speaker
                    whose turns it overlaps most. Where speakers overlap, SegLST is
                    better
``.tsv``            events, as in DESED
``.uem``            annotated regions
==================  ================================================================

The audio of ``<recording>`` is the file ``<recording>.wav`` or of another audio format.
A kind of annotation that a set has is taken to be complete: a recording that its file
does not name has no turns, words or events.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path
from typing import Any

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import is_audio, only_audio
from s3prl_sb.dataio import manifest, scene_checks, scene_files, scenes, tables
from s3prl_sb.dataio.ctm import ctm_rows
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rttm import read_rttm, read_uem
from s3prl_sb.terminal.messages import few

VERSION = "scene_recordings/1"  # a change makes finished preparations stale
NAMES = {
    "train": ("train", "trn"),
    "valid": ("valid", "dev", "development"),
    "test": ("test", "tst", "eval"),
}
SUFFIXES = (".rttm", ".seglst.json", ".ctm", ".tsv", ".uem")


def prepare(folder: Path, save_folder: str) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the recordings, see the top of this module.
    save_folder : str
        Folder for the manifests.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``.

    Raises
    ------
    ManifestError
        With the file, the line and the fix.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for split in NAMES:
    ...         soundfile.write(f"{folder}/{split}1.wav", numpy.zeros(16000), 16000)
    ...         line = f"SPEAKER {split}1 1 0.1 0.5 <NA> <NA> ann <NA> <NA>"
    ...         _ = Path(folder, f"{split}.rttm").write_text(line)
    ...     paths = prepare(Path(folder), folder + "/save")
    ...     record = manifest.read(paths["test"])["test1"]
    >>> record["segments"], record["words"]
    ([['ann', 0.1, 0.6]], None)
    """
    files = {split: _files(folder, names) for split, names in NAMES.items()}
    if lacking := [split for split, found in files.items() if not found]:
        raise ManifestError(
            f"{folder}: no annotation of the {lacking[0]} set: {lacking[0]}.rttm, "
            f"{lacking[0]}.seglst.json, {lacking[0]}.tsv …, and no scene manifest "
            f"{lacking[0]}.json of s3prl-sb mix."
        )
    every = [path for found in files.values() for path in found.values()]
    arguments = {
        "version": VERSION,
        "data_folder": str(folder),
        "sha256": {str(path): manifest.digest(path) for path in every},
    }
    if paths := tables.finished(save_folder, arguments):
        return paths
    audio = _audio(folder)
    splits = {split: _records(found, audio) for split, found in files.items()}
    sources = {s: str(next(iter(found.values()))) for s, found in files.items()}
    scene_checks.check_kinds(splits, sources)
    tables.warn_of_leaks(splits, sources)
    return manifest.finish(splits, save_folder, arguments, required=())


def has_annotation(folder: Path) -> bool:
    """Returns whether a folder has a file of annotation of one of the sets."""
    return any(_files(folder, names) for names in NAMES.values())


def _files(folder, names):
    """Returns ``{suffix: path}`` of the annotation of a set."""
    found = {}
    for suffix in SUFFIXES:
        for name in names:
            path = folder / f"{name}{suffix}"
            if path.is_file():
                found.setdefault(suffix, path)
    return found


def _audio(folder):
    """Returns ``{recording: paths}`` of all audio files."""
    paths: dict[str, list[str]] = {}
    for file in only_audio(sorted(folder.rglob("[!.]*")), folder):
        paths.setdefault(file.stem, []).append(str(file))
    return paths


def _records(files, audio):
    """Returns the records of a set."""
    turns, words, events, regions = (None, None, None, {})
    times = scene_checks.WORD_TIMES[0]
    if ".rttm" in files:
        turns = read_rttm(files[".rttm"])
    if ".seglst.json" in files:
        entries = scene_files.read_seglst(files[".seglst.json"])
        words, times = _words(entries)
        turns = _turns(entries) if turns is None else turns
    elif ".ctm" in files:
        words = _attributed(files[".ctm"], turns)
    if ".tsv" in files:
        read = scene_files.read_event_tsv(files[".tsv"])
        events = {_recording(name): rows for name, rows in read.items()}
    if ".uem" in files:
        regions = read_uem(files[".uem"])
    kinds = {"segments": turns, "words": words, "events": events}
    kinds = {kind: rows for kind, rows in kinds.items() if rows is not None}
    names = sorted({name for rows in kinds.values() for name in rows})
    first = next(iter(files.values()))
    if missing := [name for name in names if name not in audio]:
        raise ManifestError(
            f"{first}: no audio file of {few(missing)} in {first.parent}. Put it "
            "there, or leave the recording out."
        )
    if several := [name for name in names if len(audio[name]) > 1]:
        raise ManifestError(
            f"{first}: '{several[0]}' has {len(audio[several[0]])} audio files, "
            f"{few(audio[several[0]], 2)}. Keep one of them there."
        )
    lengths = headers.durations([audio[name][0] for name in names])
    records: dict[str, dict[str, Any]] = {}
    for name, length in zip(names, lengths):
        content = {kind: rows.get(name, []) for kind, rows in kinds.items()}
        scene_checks.check_ends(name, length, content, str(first))
        records[name] = scenes.scene_record(
            audio[name][0],
            length,
            **content,
            regions=regions.get(name),
            word_times=times,
        )
    scene_checks.check_scenes(records, dict.fromkeys(names, str(first)))
    return records


def _recording(filename):
    """Returns the recording of a file that a tsv names, with or without its ending."""
    path = Path(filename)
    return path.stem if is_audio(path) else path.name


def _turns(entries):
    """Returns the turns of entries, without those without duration and words."""
    return {
        name: [
            (speaker, start, _lasting(start, stop))
            for speaker, start, stop, text in rows
            if start < stop or text.split()
        ]
        for name, rows in entries.items()
    }


def _lasting(start, stop):
    """Returns the end of a word; one without a duration has a short one."""
    return max(stop, start + scenes.INSTANT)


def _words(entries):
    """Returns the words of entries, and whether their times are exact."""
    words: dict[str, list[scenes.Word]] = {}
    exact = True
    for name, rows in entries.items():
        timed = words.setdefault(name, [])
        for speaker, start, stop, text in rows:
            texts = text.split()
            exact = exact and len(texts) < 2
            if texts:
                spread = scenes.spread(texts, [(start, _lasting(start, stop))])
                timed += [(speaker, first, last, word) for first, last, word in spread]
    return words, scene_checks.WORD_TIMES[0 if exact else 1]


def _attributed(path, turns):
    """Returns the words of a CTM with their speakers."""
    if turns is None:
        raise ManifestError(
            f"{path} says no speakers. Add an RTTM with the turns, or give SegLST."
        )
    words: dict[str, list[scenes.Word]] = {}
    for name, word, start, end, line in ctm_rows(path):
        stop = _lasting(start, end)
        shared = [
            (min(stop, last) - max(start, first), speaker)
            for speaker, first, last in turns.get(name, ())
        ]
        most, speaker = max(shared, default=(0.0, ""))
        if most <= 0:
            raise ManifestError(
                f"{path}:{line}: '{word}' from {start} to {stop} s of '{name}' is in "
                "no turn of the RTTM. Correct its times, or remove it."
            )
        words.setdefault(name, []).append((speaker, start, stop, word))
    return words
