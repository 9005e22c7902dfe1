"""Spoken corpora made on the spot, in the folder layout of the real ones.

Every recipe can be tried without a download: a toy has the folders, names
and lists of the original, so the original's parser reads it, and is spoken
by many different synthetic voices (:mod:`s3prl_sb.corpora.espeak`).
Scores on a toy say that things work, nothing about the real corpus.

A toy is written beside its destination and renamed once it is complete.
Each file depends on the seed and its own name only, so the same parameters
give the same bytes.

A new toy is a function of a folder that hands ``(path, samples)`` pairs to
:func:`write_clips`, decorated with :func:`toy` and listed in ``TOYS``.

Authors
 * The s3prl_sb developers, 2026
"""

import base64
import functools
import hashlib
import inspect
import json
import logging
import os
import shutil
import uuid
from collections import Counter
from pathlib import Path

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE, voices
from s3prl_sb.corpora.speech_commands import KEYWORDS, LISTS, speaker_split

logger = logging.getLogger(__name__)

#: Recorded in ``toy.json``. Raise it when the same parameters give other files.
VERSION = 1
RECORD = "toy.json"

OTHER_WORDS = (
    "zero one two three four five six seven eight nine bed bird cat dog happy house "
    "marvin sheila tree wow"
).split()
BACKGROUNDS = (
    "white_noise pink_noise running_tap exercise_bike doing_the_dishes dude_miaowing"
).split()

_PHRASES = {
    "when": "today|every evening|last winter|before the storm|on sunday|once a year|"
    "at half past four|after the long meeting",
    "who": "my youngest sister|the captain|an old farmer|nobody|the piano teacher|"
    "our neighbour|two of the children|a stranger|the whole orchestra",
    "did": "painted|forgot about|carried|sold|was looking for|described|laughed at|"
    "wanted to repair|photographed|finally found",
    "what": "the blue bicycle|a box of oranges|the wooden bridge|seven letters|"
    "an empty bottle|the kitchen window|their new telescope|a very large map|"
    "the broken clock|some fresh bread",
    "where": "behind the station|near the river|in the library|under the stairs|"
    "at the edge of the forest|on the third floor|outside the theatre",
    "link": "and|but|because|while|although|so",
}
_PHRASES = {slot: phrases.split("|") for slot, phrases in _PHRASES.items()}
_CLAUSES = "who did what where|when who did what|who did what|where who did what"


def toy(function):
    """Makes a function that fills a folder make it wholly or not at all.

    The folder is filled under another name. Its parameters are recorded in
    ``toy.json``, and if the destination is that very toy it is returned at once.

    Arguments
    ---------
    function : callable
        Its first argument is the empty folder to fill, the others have defaults.

    Returns
    -------
    callable
        Takes the destination in place of the folder and returns its path. Raises
        FileExistsError rather than touch anything else that is there.

    Example
    -------
    >>> import tempfile
    >>> @toy
    ... def greeting(folder, text="hello"):
    ...     _ = (folder / "greeting.txt").write_text(text)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = greeting(folder + "/greeting", text="good morning")
    ...     (path / "greeting.txt").read_text()
    'good morning'
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def write(destination, *args, **kwargs):
        bound = signature.bind(destination, *args, **kwargs)
        bound.apply_defaults()
        parameters = dict(list(bound.arguments.items())[1:])
        made = {"corpus": function.__name__, "version": VERSION}
        record = {**made, "parameters": parameters}
        destination = Path(destination).expanduser().absolute()
        if _is_there(destination, record):
            logger.info("Found the toy corpus %s", destination)
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        name = f".{destination.name}.{uuid.uuid4().hex[:8]}.partial"
        partial = destination.with_name(name)
        partial.mkdir()
        try:
            function(partial, **parameters)
            text = json.dumps(record, indent=2) + "\n"
            (partial / RECORD).write_text(text, encoding="utf-8")
            # Another process may have been making the same toy meanwhile
            if not _is_there(destination, record):
                if destination.is_dir():
                    destination.rmdir()  # empty, or this fails
                partial.rename(destination)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return destination

    return write


def _is_there(destination, record):
    """Whether the toy exists; an error if something else does."""
    if not os.path.lexists(destination):
        return False
    found = {}
    if destination.is_dir() and not destination.is_symlink():
        if not any(destination.iterdir()):
            return False
        try:
            found = json.loads((destination / RECORD).read_text("utf-8"))
        except (OSError, ValueError):
            pass
    if found == record:
        return True
    if not isinstance(found, dict) or found.keys() != record.keys():
        raise FileExistsError(
            f"{destination} exists and is not a toy corpus, so it is left alone. Give a "
            "destination that does not exist yet."
        )
    raise FileExistsError(
        f"{destination} holds another toy corpus: {json.dumps(found)}. You ask for "
        f"{json.dumps(record)}. Give another destination, or delete that folder."
    )


def random_generator(seed, *names):
    """A random generator for one thing, such as a file, whatever else is made."""
    return np.random.default_rng(int(_digest(seed, *names), 16))


def _digest(*names):
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def choose_voices(count, seed):
    """Draws speakers, repeating a timbre only when all have been used.

    Arguments
    ---------
    count : int
    seed : int

    Returns
    -------
    list of s3prl_sb.corpora.espeak.Voice

    Example
    -------
    >>> len({voice.variant for voice in choose_voices(20, seed=0)})
    20
    """
    everyone = voices()
    if count > len(everyone):
        raise ValueError(f"{count} speakers: there are {len(everyone)} voices")
    used, turns = Counter(), []
    for i in random_generator(seed, "voices").permutation(len(everyone)):
        turns.append((used[everyone[i].variant], len(turns), everyone[i]))
        used[everyone[i].variant] += 1
    return [voice for _, _, voice in sorted(turns)[:count]]


def passage(rng, words):
    """Makes up plain English: a sentence of about so many ``words``.

    Example
    -------
    >>> 4 <= len(passage(random_generator(0, "example"), words=5).split()) <= 13
    True
    """
    text = ""
    while not text or len(text.split()) < words - 2:
        if text:
            text += ", " + rng.choice(_PHRASES["link"]) + " "
        slots = rng.choice(_CLAUSES.split("|")).split()
        text += " ".join(rng.choice(_PHRASES[slot]) for slot in slots)
    return text


def noise(kind, samples, rng):
    """Makes background noise.

    Arguments
    ---------
    kind : str
        One of ``BACKGROUNDS``.
    samples : int
        Length at 16 kHz.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray
        Waveform [samples], float64, of mean square 1.

    Example
    -------
    >>> sound = noise("running_tap", 16000, random_generator(0, "tap"))
    >>> sound.shape, round(float(np.mean(sound**2)), 6)
    ((16000,), 1.0)
    """
    # Whole seconds, as a Fourier transform of a prime length takes long
    size = -(-samples // SAMPLE_RATE) * SAMPLE_RATE
    time = np.arange(size) / SAMPLE_RATE
    # The power falls with frequency to this exponent; 1 is pink
    exponents = {"white_noise": 0, "running_tap": -0.7, "exercise_bike": 1.6}
    spectrum = np.fft.rfft(rng.standard_normal(size))
    shape = np.arange(1.0, len(spectrum) + 1) ** (-exponents.get(kind, 1) / 2)
    sound = np.fft.irfft(spectrum * shape, size)
    sound /= np.sqrt(np.mean(sound**2))
    if kind == "running_tap":
        sound *= 1 + 0.4 * np.sin(2 * np.pi * (0.7 * time + rng.random()))
    elif kind == "exercise_bike":
        sound *= 0.2 + np.sin(np.pi * (1.8 * time + rng.random())) ** 2
    elif kind == "doing_the_dishes":
        for start in np.flatnonzero(rng.random(size) < 4 / SAMPLE_RATE):
            t = time[: size - start]
            clink = np.sin(2 * np.pi * rng.uniform(1500, 6000) * t) * np.exp(-25 * t)
            sound[start:] += rng.uniform(3, 12) * clink
    elif kind == "dude_miaowing":
        beat = (0.8 * time + rng.random()) % 1
        pitch = 350 + 450 * np.sin(np.pi * beat)
        phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
        miaow = sum(np.sin(n * phase) / n for n in range(1, 7))
        sound += 6 * miaow * np.clip(np.sin(2 * np.pi * beat), 0, 1)
    sound = sound[:samples]
    return sound / np.sqrt(np.mean(sound**2))


def add_noise(samples, rng, snr, kind=None):
    """Adds ``noise`` to a waveform [samples]; draws its ``kind`` if there is none.

    ``snr`` is in decibels, over those samples of the speech that are not silent.
    """
    kind = rng.choice(BACKGROUNDS) if kind is None else kind
    loud = samples[np.abs(samples) > 0.01 * np.abs(samples).max()]
    scale = np.sqrt(np.mean(loud**2)) * 10 ** (-snr / 20)
    return samples + scale * noise(kind, len(samples), rng)


def at_level(samples, peak):
    """Scales a waveform to a ``peak`` in decibels relative to full scale."""
    return samples * (10 ** (peak / 20) / np.abs(samples).max())


def write_clips(folder, clips, total):
    """Writes audio, 16 bit at 16 kHz, with a progress bar.

    Arguments
    ---------
    folder : pathlib.Path
    clips : iterable of (str, numpy.ndarray)
        Paths in the folder, whose endings tell the format (wav, flac), and
        waveforms [samples] within -1 and 1.
    total : int
        How many, for the progress bar.
    """
    from speechbrain.dataio import audio_io
    from tqdm import tqdm

    for name, samples in tqdm(clips, total=total, unit="clip", leave=False):
        if np.abs(samples).max() > 1:
            raise ValueError(f"{name} would be clipped")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pcm = np.rint(samples * (2**15 - 1)).astype(np.int16)
        audio_io.save(str(path), pcm, SAMPLE_RATE, subtype="PCM_16")


def _write_lines(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@toy
def speech_commands(destination, speakers=40, repetitions=1, seed=0):
    """Speech Commands v0.01 and its separate test set, which others speak.

    Arguments
    ---------
    destination : str
        Folder to make. It gets ``speech_commands_v0.01`` and
        ``speech_commands_test_set_v0.01``.
    speakers : int
        Of the former, a tenth of them for validation and a tenth for testing. Half as
        many others speak the test set.
    repetitions : int
        How often each speaker says each word.
    seed : int

    Returns
    -------
    pathlib.Path
        The destination.
    """
    if speakers < 3 or repetitions < 1:
        raise ValueError("At least 3 speakers and 1 repetition are needed")
    corpus, test_set = "speech_commands_v0.01", "speech_commands_test_set_v0.01"
    tenth, others = max(1, speakers // 10), max(2, speakers // 2)
    splits = ["valid"] * tenth + ["test"] * tenth
    splits += ["train"] * (speakers - 2 * tenth) + [None] * others
    names = _speaker_hashes(splits, seed)

    jobs = []  # path, voice, word
    for i, (split, voice) in enumerate(zip(splits, _plain_voices(len(splits), seed))):
        for n in range(repetitions):
            words = {word: word for word in KEYWORDS}
            if split:
                words.update({word: word for word in OTHER_WORDS})
            else:
                words["_unknown_"] = OTHER_WORDS[(i * repetitions + n) % 20]
                words["_silence_"] = None
            folder, file = corpus if split else test_set, f"{names[i]}_nohash_{n}.wav"
            jobs += [(f"{folder}/{c}/{file}", voice, w) for c, w in words.items()]

    def clips():
        for kind in BACKGROUNDS:
            path = f"{corpus}/_background_noise_/{kind}.wav"
            sound = noise(kind, 15 * SAMPLE_RATE, random_generator(seed, path))
            yield path, at_level(sound, -10)
        for path, voice, word in jobs:
            yield path, _one_second(voice, word, random_generator(seed, path))

    write_clips(destination, clips(), len(BACKGROUNDS) + len(jobs))
    paths = [path.split("/", 1)[1] for path, _, _ in jobs if path.startswith(corpus)]
    for split, name in LISTS.items():
        listed = sorted(path for path in paths if speaker_split(path) == split)
        _write_lines(destination / corpus / name, listed)


def _plain_voices(count, seed):
    """One accent and ordinary timbres at many pitches and rates: over more of a
    variety, forty speakers do not teach a linear classifier what a word is."""
    timbres = {
        "f": ("f1", "f2", "f3", "f5", "Annie"),
        "m": ("m1", "m2", "m3", "m4", "m6", "m7", "Michael", "pablo"),
    }
    chosen = choose_voices(count, seed)
    for i, voice in enumerate(chosen):
        names = timbres[voice.gender]
        chosen[i] = voice._replace(voice="en-us", variant=names[i % len(names)])
    return chosen


def _speaker_hashes(splits, seed):
    """Eight hexadecimal digits for each speaker, drawn until the corpus' own rule
    puts the speaker into the wanted split (None: any)."""
    names = []
    for i, split in enumerate(splits):
        draw = 0
        while len(names) == i:
            name = _digest(seed, "speaker", i, draw)[:8]
            if name not in names and split in (None, speaker_split(name)):
                names.append(name)
            draw += 1
    return names


def _one_second(voice, word, rng):
    """A word (None: no word) somewhere in a second of noise."""
    if word is None:
        sound = noise(rng.choice(BACKGROUNDS), SAMPLE_RATE, rng)
        return at_level(sound, rng.uniform(-20, -10))
    rate = voice.rate + int(rng.integers(-10, 11))
    pitch = voice.pitch + int(rng.integers(-5, 6))
    spoken = voice.speak(word, rate=rate, pitch=pitch).trimmed()
    while len(spoken) > 0.95 * SAMPLE_RATE:
        rate += 40
        spoken = voice.speak(word, rate=rate, pitch=pitch).trimmed()
    sound = np.zeros(SAMPLE_RATE)
    start = rng.integers(SAMPLE_RATE - len(spoken) + 1)
    sound[start : start + len(spoken)] = spoken
    sound = add_noise(sound, rng, snr=rng.uniform(15, 40))
    return at_level(sound, rng.uniform(-10, -3))


@toy
def voxceleb1(destination, speakers=20, videos=4, utterances=3, seed=0):
    """VoxCeleb1 and its lists for identification and verification.

    Arguments
    ---------
    destination : str
        Folder to make. It gets ``dev``, ``test`` and the lists.
    speakers : int
        A quarter of them are in ``test``, numbered from id10270 as there.
    videos : int
        Of each speaker, each with its own noise, level and colour. For identification
        the last is for testing, the last but one for validation.
    utterances : int
        Of each video, 3 to 9 s long.
    seed : int

    Returns
    -------
    pathlib.Path
        The destination.
    """
    if not 4 <= speakers <= 160 or videos < 3 or utterances < 1:
        raise ValueError("4 to 160 speakers, from 3 videos and 1 utterance are needed")
    tests = speakers // 4
    ids = [10001 + i for i in range(speakers - tests)] + [10270 + i for i in range(tests)]
    jobs, split_lines = [], []  # folder, path, voice, seconds at least
    meta = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    for number, voice in zip(ids, choose_voices(speakers, seed)):
        person, folder = f"id{number}", "test" if number >= 10270 else "dev"
        nation = "USA" if voice.voice.startswith("en-us") else "UK"
        alias = f"{voice.voice}+{voice.variant}"
        meta.append("\t".join([person, alias, voice.gender, nation, folder]))
        for video in range(videos):
            digest = bytes.fromhex(_digest(seed, person, video))
            name = base64.urlsafe_b64encode(digest)[:11].decode()
            split = {videos - 1: 3, videos - 2: 2}.get(video, 1)
            for n in range(utterances):
                path = f"{person}/{name}/{n + 1:05d}.wav"
                split_lines.append(f"{split} {path}")
                jobs.append((folder, path, voice, 3 if video + n else 8))

    def clips():
        for folder, path, voice, shortest in jobs:
            yield f"{folder}/wav/{path}", _in_video(voice, path, shortest, seed)

    write_clips(destination, clips(), len(jobs))
    tested = [path for folder, path, _, _ in jobs if folder == "test"]
    trials = _trials(tested, random_generator(seed, "trials"))
    _write_lines(destination / "iden_split.txt", split_lines)
    _write_lines(destination / "veri_test.txt", trials)
    _write_lines(destination / "vox1_meta.csv", meta)


def _in_video(voice, path, shortest, seed):
    """An utterance of ``shortest`` to 9 s as its video would have it."""
    rng = random_generator(seed, path)
    words = expected = 2.9 * rng.uniform(shortest + 0.2, 8.8)
    utterance = voice.speak(passage(rng, words))
    while not shortest <= utterance.duration <= 9:
        words *= expected / 2.9 / utterance.duration
        utterance = voice.speak(passage(rng, words))
    video = random_generator(seed, os.path.dirname(path))
    tilt, snr = video.uniform(-0.3, 0.3), video.uniform(15, 35)
    kind, peak = video.choice(BACKGROUNDS), video.uniform(-15, -2)
    samples = np.convolve(utterance.samples, [1, tilt])
    return at_level(add_noise(samples, rng, snr, kind), peak)


def _trials(paths, rng):
    """Pairs for verification: each utterance, the first of its pairs, with up to four
    of the same speaker and four of others."""
    lines = []
    for path in paths:
        same = [p for p in paths if p[:7] == path[:7] and p != path]
        different = [p for p in paths if p[:7] != path[:7]]
        for target, others in [(1, same), (0, different)]:
            drawn = rng.permutation(len(others))[:4]
            lines += [f"{target} {path} {others[i]}" for i in drawn]
    return lines


#: What ``s3prl-sb toy NAME DESTINATION`` can make
TOYS = {"speech_commands": speech_commands, "voxceleb1": voxceleb1}
