"""Corpora of labelled clips of sound by name: their preparation and their folds.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable
from typing import NamedTuple

from s3prl_sb.corpora import (
    crema_d,
    esc50,
    fsd50k,
    gtzan,
    hear,
    nsynth,
    urbansound8k,
    vocalsound,
    xares,
)


class ClipCorpus(NamedTuple):
    """A corpus of clips.

    Arguments
    ---------
    prepare : callable
        Takes ``data_folder``, ``save_folder``, ``fold`` and ``skip_prep``, and writes
        the manifests.
    folds : callable
        Takes ``data_folder``, and returns the numbers of the folds; None for fixed
        splits.
    """

    prepare: Callable[..., dict[str, str]]
    folds: Callable[[str | None], list[int] | None]


def without_folds(data_folder: str | None) -> None:
    """Returns None, as corpora with fixed splits do.

    Arguments
    ---------
    data_folder : str
        Not used.

    Returns
    -------
    None

    Example
    -------
    >>> without_folds("/corpora/GTZAN") is None
    True
    """


#: Values of the key ``corpus`` of HEAR/scene.
CLIP_CORPORA = {
    "hear": ClipCorpus(hear.prepare_hear, hear.folds),
    "xares": ClipCorpus(xares.prepare_xares, xares.folds),
    "esc50": ClipCorpus(esc50.prepare_esc50, esc50.folds),
    "esc10": ClipCorpus(esc50.prepare_esc10, esc50.folds),
    "urbansound8k": ClipCorpus(urbansound8k.prepare_urbansound8k, urbansound8k.folds),
    "fsd50k": ClipCorpus(fsd50k.prepare_fsd50k, fsd50k.folds),
    "gtzan": ClipCorpus(gtzan.prepare_gtzan, gtzan.folds),
    "gtzan_filtered": ClipCorpus(gtzan.prepare_gtzan_filtered, without_folds),
    "nsynth_pitch": ClipCorpus(nsynth.prepare_nsynth_pitch, nsynth.folds),
    "nsynth_instrument": ClipCorpus(nsynth.prepare_nsynth_instrument, nsynth.folds),
    "vocalsound": ClipCorpus(vocalsound.prepare_vocalsound, vocalsound.folds),
    "crema_d": ClipCorpus(crema_d.prepare_crema_d, crema_d.folds),
}
