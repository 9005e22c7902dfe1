"""Toy TIMIT: sentences with the times of their phones and words, as SPHERE files.

eSpeak reports its phones, which are mapped to ARPAbet as for the toy LibriSpeech. They
are TIMIT's labels but for its closures and its finer vowels.

Authors
 * The s3prl_sb developers, 2026
"""

import io

import numpy as np

from s3prl_sb.corpora import timit as corpus
from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.toys import making
from s3prl_sb.corpora.toys.librispeech import aligned

DIALECTS = 8
#: The two sentences that everybody reads, as in the original.
SHARED = (
    "She had your dark suit in greasy wash water all year.",
    "Don't ask me to carry an oily rag like that.",
)


@making.toy
def timit(destination, speakers=16, sentences=6, seed=0):
    """Speaks TIMIT.

    Arguments
    ---------
    destination : str
        Folder to make, with ``TRAIN`` and ``TEST``.
    speakers : int
        Number of speakers: a quarter in ``TEST``, half of them of the core test set.
    sentences : int
        Number of sentences of each speaker besides the two that everybody reads.

    Returns
    -------
    pathlib.Path
    """
    if speakers < 8 or sentences < 1:
        raise ValueError("8 speakers and 1 sentence are the least")
    tested = speakers // 4
    voices = making.choose_voices(speakers, seed)
    core = {sex: [n for n in corpus.CORE if n[0] == sex] for sex in "FM"}
    jobs = []
    for number, voice in enumerate(voices):
        voice, sex = voice._replace(voice="en-us"), voice.gender.upper()
        place = f"DR{number % DIALECTS + 1}"
        name = f"{sex}TO{chr(65 + number // 10 % 26)}{number % 10}"
        if number < tested // 2:
            name = core[sex][number]
        folder = f"{'TEST' if number < tested else 'TRAIN'}/{place}/{name}"
        for n in range(sentences + len(SHARED)):
            kind = "SA" if n < len(SHARED) else ("SI", "SX")[n % 2]
            label = f"{kind}{n + 1 if kind == 'SA' else 10 * number + n}"
            jobs.append((folder, label, voice, SHARED[n] if kind == "SA" else None))
    for folder, label, voice, text in making.shown(jobs):
        rng = making.random_generator(seed, folder, label)
        spoken = voice.speak(text or making.passage(rng, words=rng.integers(5, 10)))
        samples = making.recorded(spoken.samples, rng, (25, 40), (-12, -3))
        path = destination / folder
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{label}.WAV").write_bytes(_sphere(samples))
        making.write_lines(path / f"{label}.PHN", _lines(_phones(spoken)))
        making.write_lines(path / f"{label}.WRD", _lines(spoken.words))
        words = " ".join(word for *_, word in spoken.words)
        making.write_lines(path / f"{label}.TXT", [f"0 {len(samples)} {words}"])


def _sphere(samples):
    """Returns the bytes of a SPHERE file."""
    import soundfile

    file = io.BytesIO()
    pcm = np.rint(samples * (2**15 - 1)).astype(np.int16)
    soundfile.write(file, pcm, SAMPLE_RATE, format="NIST", subtype="PCM_16")
    return file.getvalue()


def _phones(spoken):
    """Returns (start, stop, phone) with TIMIT's names; h# at the ends."""
    phones = []
    for start, stop, phone in aligned(spoken):
        name = phone.rstrip("012").lower()
        phones.append((start, stop, "pau" if name == "sil" else name))
    for place in (0, -1):
        if phones[place][2] == "pau":
            phones[place] = (*phones[place][:2], "h#")
    return phones


def _lines(segments):
    return [
        f"{round(start * SAMPLE_RATE)} {round(stop * SAMPLE_RATE)} {label}"
        for start, stop, label in segments
        if round(start * SAMPLE_RATE) < round(stop * SAMPLE_RATE)
    ]
