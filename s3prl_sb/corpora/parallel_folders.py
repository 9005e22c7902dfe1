"""Corpora of mixtures whose folders are parallel: a file of each has the same name.

``noisy/a.wav`` has its clean speech in ``clean/a.wav``, and ``mix_clean/a.wav`` its
sources in ``s1/a.wav`` and ``s2/a.wav``. Instead of audio a folder may have a
``wav.scp`` of Kaldi with lines ``<utterance> <path>``, as S3PRL's preparations do.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from s3prl_sb.audio.audio_names import as_id, only_audio
from s3prl_sb.audio.headers import add_durations
from s3prl_sb.corpora.moved import Moved
from s3prl_sb.dataio import audio_columns, manifest
from s3prl_sb.dataio.kaldi_folders import check_file, table
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

SCP = "wav.scp"
Files = dict[str, str]


def read_files(folder: str, roots: Iterable[str] = ()) -> Files:
    """Returns the audio of a folder, or of its ``wav.scp``.

    Arguments
    ---------
    folder : str
        Absolute path.
    roots : list of str
        Other folders where the paths of a ``wav.scp`` may start.

    Returns
    -------
    dict
        Utterances to paths, sorted; file names without extensions are the utterances.

    Raises
    ------
    ManifestError
        If there is no audio.
    """
    scp = os.path.join(folder, SCP)
    if os.path.isfile(scp):
        moved, files = Moved([*roots, folder]), {}
        for name, (path, place) in table(scp, "utterance file", has_text=True).items():
            check_file(name, path, place)
            files[name] = moved.find(path)
        moved.report(scp)
    else:
        names = only_audio(sorted(os.listdir(folder)), folder)
        files = {as_id(os.path.splitext(n)[0]): os.path.join(folder, n) for n in names}
    if not files:
        raise ManifestError(f"{folder}: no audio. Get a sound copy of the corpus.")
    return dict(sorted(files.items()))


def pair(
    mixtures: Files, sources: Sequence[Files], folders: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Combines the files of parallel folders to records.

    Arguments
    ---------
    mixtures : dict
        Utterances to the paths of mixtures, see :func:`read_files`.
    sources : list of dict
        The same of each source.
    folders : list of str
        Folders of the mixtures and of each source, for errors.

    Returns
    -------
    dict
        ``{utterance: record}`` without durations; ``sources`` is a list of paths.

    Raises
    ------
    ManifestError
        If a file has no partner; it names the files.

    Example
    -------
    >>> pair({"a": "noisy/a.wav"}, [{"a": "clean/a.wav"}], ["noisy", "clean"])["a"]
    {'wav': 'noisy/a.wav', 'start': None, 'stop': None, 'sources': ['clean/a.wav']}
    """
    for files, folder in zip(sources, folders[1:]):
        for here, place, there, other in (
            (files, folder, mixtures, folders[0]),
            (mixtures, folders[0], files, folder),
        ):
            alone = sorted(here.keys() - there.keys())
            if alone:
                raise ManifestError(
                    f"{other}: lacks {len(alone)} of the {len(here)} files in {place}: "
                    f"{few(alone, 3)}. Get a sound copy of the corpus."
                )
    return {
        name: manifest.whole_file(path, sources=[files[name] for files in sources])
        for name, path in mixtures.items()
    }


def read_parallel(
    mixtures: str, sources: Sequence[str], roots: Iterable[str] = ()
) -> dict[str, dict[str, Any]]:
    """Reads parallel folders.

    Arguments
    ---------
    mixtures : str
        Folder of the mixtures.
    sources : list of str
        Folder of each source.
    roots : list of str
        See :func:`read_files`.

    Returns
    -------
    dict
        ``{utterance: record}`` without durations, see :func:`pair`.
    """
    folders = [os.path.abspath(folder) for folder in (mixtures, *sources)]
    first, *others = (read_files(folder, roots) for folder in folders)
    return pair(first, others, folders)


def measure(records: Mapping[str, dict[str, Any]]) -> None:
    """Adds durations to records, and checks that sources are as long as mixtures.

    Arguments
    ---------
    records : dict
        ``{utterance: record}``, changed in place.

    Raises
    ------
    ManifestError
        For missing and broken files, and for sources of another length.
    """
    add_durations(records.values())
    audio_columns.check_lengths(records, ("sources",), {})


def warn_of_shared_speakers(
    splits: Mapping[str, Iterable[str]], speakers_of: Callable[[str], Iterable[str]]
) -> None:
    """Logs a warning for speakers of the training set in another one.

    Arguments
    ---------
    splits : dict
        ``{split: utterances}`` with "train".
    speakers_of : callable
        Returns the speakers of an utterance.

    Example
    -------
    >>> splits = {"train": ["p1_1"], "valid": ["p2_1"]}
    >>> warn_of_shared_speakers(splits, lambda name: [name.split("_")[0]])
    """
    speakers = {
        split: {speaker for name in names for speaker in speakers_of(name)}
        for split, names in splits.items()
    }
    for split in speakers.keys() - {"train"}:
        shared = sorted(speakers["train"] & speakers[split])
        if shared:
            logger.warning(
                "%d of the %d speakers of the %s set are in the training set too, such "
                "as %s: a leak?",
                len(shared),
                len(speakers[split]),
                split,
                few(shared, 3),
            )
