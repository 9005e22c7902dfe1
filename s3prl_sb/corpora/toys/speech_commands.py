"""Toy Speech Commands: keywords and other words, each in a second of noise.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.speech_commands import KEYWORDS, LISTS, speaker_split
from s3prl_sb.corpora.toys import making

OTHER_WORDS = """zero one two three four five six seven eight nine bed bird cat dog
happy house marvin sheila tree wow""".split()


@making.toy
def speech_commands(destination, speakers=40, repetitions=1, seed=0):
    """Speaks Speech Commands v0.01, and its separate test set with other voices.

    Arguments
    ---------
    destination : str
        Folder to make, with ``speech_commands_v0.01`` and
        ``speech_commands_test_set_v0.01``.
    speakers : int
        Number of speakers of the corpus: a tenth for validation, a tenth for test. The
        separate test set has half as many others.
    repetitions : int
        Number of recordings of each word by each speaker.

    Returns
    -------
    pathlib.Path
    """
    if speakers < 3 or repetitions < 1:
        raise ValueError("At least 3 speakers and 1 repetition are needed")
    corpus, test_set = "speech_commands_v0.01", "speech_commands_test_set_v0.01"
    tenth, others = max(1, speakers // 10), max(2, speakers // 2)
    splits = ["valid"] * tenth + ["test"] * tenth
    splits += ["train"] * (speakers - 2 * tenth) + [None] * others

    jobs = []  # path, voice, word
    voices = making.plain_voices(len(splits), seed)
    for i, (split, voice) in enumerate(zip(splits, voices)):
        name = _speaker_hash(split, seed, "speaker", i)
        for n in range(repetitions):
            words = {word: word for word in [*KEYWORDS, *OTHER_WORDS]}
            if not split:
                unknown = OTHER_WORDS[(i * repetitions + n) % len(OTHER_WORDS)]
                words = {word: word for word in KEYWORDS}
                words.update(_unknown_=unknown, _silence_=None)
            folder, file = corpus if split else test_set, f"{name}_nohash_{n}.wav"
            jobs += [(f"{folder}/{k}/{file}", voice, w) for k, w in words.items()]

    def clips():
        for kind in making.BACKGROUNDS:
            path = f"{corpus}/_background_noise_/{kind}.wav"
            rng = making.random_generator(seed, path)
            yield path, making.at_level(making.noise(kind, 15 * SAMPLE_RATE, rng), -10)
        for path, voice, word in jobs:
            yield path, _one_second(voice, word, making.random_generator(seed, path))

    making.write_clips(destination, clips(), len(making.BACKGROUNDS) + len(jobs))
    paths = [path.split("/", 1)[1] for path, _, _ in jobs if path.startswith(corpus)]
    for split, name in LISTS.items():
        listed = [path for path in paths if speaker_split(path) == split]
        making.write_lines(destination / corpus / name, sorted(listed))


def _speaker_hash(split, *names):
    """Returns 8 hexadecimal digits that the rule maps to a split (None: any)."""
    draws = (making.digest(*names, draw)[:8] for draw in itertools.count())
    return next(name for name in draws if split in (None, speaker_split(name)))


def _one_second(voice, word, rng):
    """Returns a word (None: no word) at a random place in a second of noise."""
    if word is None:
        sound = making.noise(rng.choice(list(making.BACKGROUNDS)), SAMPLE_RATE, rng)
        return making.at_level(sound, rng.uniform(-20, -10))
    spoken = making.varied(voice, rng).speak(word).trimmed()
    sound = np.zeros(SAMPLE_RATE)
    start = rng.integers(SAMPLE_RATE - len(spoken) + 1)
    sound[start : start + len(spoken)] = spoken
    return making.recorded(sound, rng, snr=(15, 40))
