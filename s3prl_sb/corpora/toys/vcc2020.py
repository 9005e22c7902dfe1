"""Toy VCC2020: a woman and a man to convert, a woman and a man to convert to.

All read the same sentences. As in the original, the source speakers' are for the test
alone, and the sample rate is 24 kHz.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np

from s3prl_sb.corpora import vcc2020 as corpus
from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.toys import making

RATE = 24000
SOURCES, TARGETS = corpus.SOURCES[::2], corpus.TASK1[::2]
FOLDERS = {  # of the archives
    "train": "target_task1",
    "valid": "target_task1",
    "source": "vcc2020_database_evaluation",
    "truth": "vcc2020_database_groundtruth",
}
TRAINING_TEXTS = "transcriptions_training/vcc2020_database_training_Eng"
TEST_TEXTS = "transcriptions_evaluation/vcc2020_database_evaluation"


@making.toy
def vcc2020(destination, train=20, valid=4, test=5, words=4, seed=0):
    """Speaks VCC2020 with two source and two target speakers of task 1.

    Arguments
    ---------
    destination : str
        Folder to make.
    train, valid, test : int
        Number of sentences of each set.
    words : int
        Approximate number of words of a sentence.

    Returns
    -------
    pathlib.Path
    """
    counts = {"train": train, "valid": valid, "test": test}
    limits = {"train": 60, "valid": 10, "test": 25}
    if any(not 1 <= counts[split] <= limits[split] for split in counts):
        raise ValueError(f"1 sentence a set is the least, and {limits} are the most")
    sentences, jobs = {}, []
    voices = _voices(seed)
    for split, count in counts.items():
        (first, _), *_ = corpus.SENTENCES[split]
        for number in range(first, first + count):
            rng = making.random_generator(seed, "sentence", number)
            sentences[number] = making.passage(rng, words)
            for speaker in SOURCES if split == "test" else ():
                jobs.append((f"{FOLDERS['source']}/{speaker}", speaker, number))
            for speaker in TARGETS:
                folder = FOLDERS["truth" if split == "test" else split]
                jobs.append((f"{folder}/{speaker}", speaker, number))
    clips = (
        (f"{folder}/E{number}.wav", _spoken(voices[s], sentences[number], s, seed))
        for folder, s, number in jobs
    )
    making.write_clips(destination, clips, len(jobs), RATE)
    for name, numbers in (
        (TRAINING_TEXTS, [n for n in sentences if n < 30000]),
        (TEST_TEXTS, [n for n in sentences if n > 30000]),
    ):
        path = destination / f"vcc2020_database_transcriptions/{name}"
        path = path.with_name(f"{path.name}_transcriptions.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{n} {sentences[n].capitalize()}." for n in numbers]
        making.write_lines(path, lines)


def _voices(seed):
    """Returns a voice for each speaker, of the gender in its name."""
    everyone, chosen = list(making.plain_voices(16, seed)), {}
    for speaker in (*SOURCES, *TARGETS):
        gender = speaker[2].lower()
        others = {voice.variant for voice in chosen.values()}
        chosen[speaker] = next(
            voice
            for voice in everyone
            if voice.gender == gender and voice.variant not in others
        )
    return chosen


def _spoken(voice, sentence, speaker, seed):
    """Returns a sentence at 24 kHz with a little noise."""
    rng = making.random_generator(seed, speaker, sentence)
    samples = making.varied(voice, rng).speak(sentence).trimmed(margin=0.1)
    return resampled(making.recorded(samples, rng, snr=(35, 45), peak=(-9, -6)), RATE)


def resampled(samples, rate):
    """Returns a waveform of eSpeak at another rate, without clipping.

    Example
    -------
    >>> len(resampled(np.zeros(160), 24000))
    240
    """
    import torch

    from s3prl_sb.audio.resampling import resample

    signal = torch.from_numpy(np.asarray(samples, dtype=np.float32))
    return resample(signal, SAMPLE_RATE, rate).clamp(-1, 1).numpy()
