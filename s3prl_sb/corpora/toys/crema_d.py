"""Toy CREMA-D: actors with six emotions by pitch, pace, melody and loudness.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.toys import making
from s3prl_sb.corpora.toys.iemocap import MANNERS, Manner, acted

FIRST = 1001  # number of the first actor
#: See :mod:`~s3prl_sb.corpora.toys.iemocap` for anger, joy and sadness.
EMOTIONS = {
    "ANG": MANNERS["ang"],
    "DIS": Manner(-5, -10, 0.85, -9, "Disgust", 1.8, 2.8),
    "FEA": Manner(30, 10, 1.4, -16, "Fear", 1.8, 3.8),
    "HAP": MANNERS["hap"],
    "NEU": MANNERS["neu"],
    "SAD": MANNERS["sad"],
}
SENTENCES = "DFA IEO IOM ITH ITS IWL IWW MTI TAI TIE TSI WSI".split()


@making.toy
def crema_d(destination, actors=10, sentences=3, seed=0):
    """Speaks sentences of every actor in every emotion, in the layout of CREMA-D.

    Arguments
    ---------
    destination : str
        Folder to make, with ``AudioWAV``.
    actors : int
        Number of actors, at least 5: one of each fold.
    sentences : int
        Number of sentences of an actor in each emotion, at most 12.
    seed : int
        Seed of the clips.

    Returns
    -------
    pathlib.Path
    """
    if actors < 5 or not 1 <= sentences <= len(SENTENCES):
        raise ValueError(
            f"At least 5 actors and 1 to {len(SENTENCES)} sentences are needed"
        )
    jobs = [
        (f"AudioWAV/{FIRST + number}_{sentence}_{emotion}_XX.wav", voice, manner)
        for number, voice in enumerate(making.plain_voices(actors, seed))
        for sentence in SENTENCES[:sentences]
        for emotion, manner in EMOTIONS.items()
    ]
    making.write_clips(destination, (acted(*job, seed) for job in jobs), len(jobs))
