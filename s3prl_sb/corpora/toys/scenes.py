"""Toy scenes: a few voices with a few words, and synthetic sounds.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.mixing.folder import Mix, make_scenes
from s3prl_sb.corpora.mixing.settings import Settings
from s3prl_sb.corpora.mixing.toy_sounds import KINDS, ToySounds
from s3prl_sb.corpora.mixing.toy_speech import ToySpeech
from s3prl_sb.corpora.toys import making


@making.toy
def scenes(
    destination,
    train=200,
    valid=16,
    test=16,
    seconds=6.0,
    speakers=2,
    voices=30,
    words=6,
    labels=5,
    seed=0,
):
    """Mixes scenes, as ``s3prl-sb mix`` does.

    Arguments
    ---------
    destination : str
        Folder to make, see :mod:`s3prl_sb.corpora.mixing.folder`.
    train, valid, test : int
        Number of scenes of each set. A scene of the test is there three times: with
        speech and sounds, and with one of them.
    seconds : float
        Length of a scene.
    speakers : int
        Largest number of speakers of a scene.
    voices : int
        Number of voices: a fifth each for validation and test, the others for training.
    words : int
        Size of the vocabulary.
    labels : int
        Number of kinds of sounds.
    seed : int
        Seed of the scenes.

    Returns
    -------
    pathlib.Path
    """
    settings = Settings(
        seed=seed,
        seconds=(seconds, seconds),
        speakers=(1, speakers),
        overlap=0.15,
        events=(1, 3),
        snr=(-3.0, 10.0),
    )
    mix = Mix(
        str(destination),
        settings,
        ToySpeech(voices, words, seed=seed),
        ToySounds(list(KINDS)[:labels]),
    )
    make_scenes(mix, {"train": train, "valid": valid, "test": test})
