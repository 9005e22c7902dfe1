"""CREMA-D: six acted emotions of 91 speakers, in five speaker-disjoint folds.

The corpus (Cao et al. 2014, https://doi.org/10.1109/TAFFC.2014.2336244) has 7,442 clips
as ``AudioWAV/1001_DFA_ANG_XX.wav``: actor, sentence, emotion, level. The label is the
emotion that was acted. It has no official folds: here the actors 1001, 1006, 1011 and
so on are fold 1, 1002, 1007 and so on fold 2, up to fold 5, so that no speaker is in
two of them.

Note
----
HEAR's five folds and X-ARES' three sets are in their own packages of the corpus;
:mod:`~s3prl_sb.corpora.hear` and :mod:`~s3prl_sb.corpora.xares` read them. X-ARES' sets
share speakers. One clip, 1076_MTI_SAD_XX, has no sound: it is left out where it cannot
be read.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re

from s3prl_sb.audio.audio_names import is_audio
from s3prl_sb.corpora.clip_folds import prepare_clips
from s3prl_sb.corpora.completeness import check_folder, warn_if_short, without_broken
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError

download_crema_d = behind_a_form(
    "CREMA-D",
    "https://github.com/CheyneyComputerScience/CREMA-D",
    "its audio is in Git LFS. Clone it with 'git lfs clone' and the address of its "
    "page.",
)
VERSION = "crema_d/1"  # a change makes finished preparations stale
EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
NAME = re.compile(rf"(1\d{{3}})_[A-Z]{{3}}_({'|'.join(EMOTIONS)})_[A-Z]{{2}}")
FIRST = 1001  # number of the first actor
FOLDS = (1, 2, 3, 4, 5)
CLIPS = 7442  # as published
BROKEN = ("1076_MTI_SAD_XX",)


def folds(data_folder: str | None) -> list[int] | None:
    """Returns the folds.

    Arguments
    ---------
    data_folder : str
        See :func:`prepare_crema_d`.

    Returns
    -------
    list of int

    Example
    -------
    >>> folds("/corpora/CREMA-D")
    [1, 2, 3, 4, 5]
    """
    return list(FOLDS)


def prepare_crema_d(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of a fold.

    Arguments
    ---------
    data_folder : str
        Folder with ``AudioWAV``, or the one that holds ``CREMA-D``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same clips is kept.
    fold : int
        Test fold, 1 to 5; the next one validates.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label``, such
        as "anger", and ``speaker``, such as "1001".

    Raises
    ------
    ManifestError
        If there are no clips, or one cannot be read.
    """
    return prepare_clips(_clips, data_folder, save_folder, VERSION, fold, skip_prep)


def _clips(data_folder):
    """Finds the clips; their names have everything."""
    corpus = check_folder(data_folder, "of CREMA-D", inside="CREMA-D")
    home, clips = os.path.join(corpus, "AudioWAV"), {}
    for file in sorted(os.listdir(home)) if os.path.isdir(home) else ():
        name = os.path.splitext(file)[0]
        match = NAME.fullmatch(name)
        if match and is_audio(file):
            clips[name] = manifest.whole_file(
                os.path.join(home, file),
                label=EMOTIONS[match[2]],
                speaker=match[1],
                fold=(int(match[1]) - FIRST) % len(FOLDS) + 1,
            )
    if not clips:
        raise ManifestError(
            f"{home}: no clips such as 1001_DFA_ANG_XX.wav. Set data_folder to the "
            "folder that holds AudioWAV."
        )
    warn_if_short(corpus, len(clips), CLIPS, "clips")
    return corpus, without_broken(clips, BROKEN), {}
