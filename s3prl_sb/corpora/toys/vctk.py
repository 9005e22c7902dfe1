"""Toy VCTK: speakers of English who read different sentences.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora import vctk as corpus
from s3prl_sb.corpora.toys import making
from s3prl_sb.corpora.toys.vcc2020 import resampled

RATE = 48000
FIRST = 225  # number of the first speaker


@making.toy
def vctk(destination, speakers=6, utterances=20, words=4, seed=0):
    """Speaks VCTK 0.80: ``VCTK-Corpus/wav48/p225/p225_001.wav``.

    Arguments
    ---------
    destination : str
        Folder to make.
    speakers : int
        Number of speakers.
    utterances : int
        Number of utterances of each speaker: five validate, five are left out.
    words : int
        Approximate number of words of an utterance.

    Returns
    -------
    pathlib.Path
    """
    least = 2 * corpus.HELD_OUT + 1
    if speakers < 1 or utterances < least:
        raise ValueError(f"1 speaker and {least} utterances are the least")
    voices = list(making.choose_voices(speakers, seed))
    jobs = [
        (f"VCTK-Corpus/wav48/p{FIRST + n}/p{FIRST + n}_{number + 1:03d}.wav", voice)
        for n, voice in enumerate(voices)
        for number in range(utterances)
    ]
    clips = ((name, _spoken(name, voice, words, seed)) for name, voice in jobs)
    making.write_clips(destination, clips, len(jobs), RATE)


def _spoken(name, voice, words, seed):
    """Returns a sentence at 48 kHz with a little noise."""
    rng = making.random_generator(seed, name)
    sentence = making.passage(rng, words)
    samples = making.varied(voice, rng).speak(sentence).trimmed(margin=0.1)
    return resampled(making.recorded(samples, rng, snr=(35, 45), peak=(-9, -6)), RATE)
