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
-------
 * The s3prl_sb contributors, 2026
"""

import base64
import functools
import hashlib
import inspect
import json
import logging
import os
import re
import shutil
import uuid
from collections import Counter
from pathlib import Path

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE, voices

logger = logging.getLogger(__name__)

#: Recorded in ``toy.json``. Raise it when the same parameters give other files.
VERSION = 1
RECORD = "toy.json"

KEYWORDS = "yes no up down left right on off stop go".split()
OTHER_WORDS = (
    "zero one two three four five six seven eight nine bed bird cat dog happy "
    "house marvin sheila tree wow"
).split()
BACKGROUNDS = (
    "white_noise pink_noise running_tap exercise_bike doing_the_dishes "
    "dude_miaowing"
).split()
NATIONALITIES = {
    "en-us": "USA",
    "en-us-nyc": "USA",
    "en-029": "Jamaica",
}

_PHRASES = {
    "when": "today|every evening|last winter|before the storm|on sunday|"
    "at half past four|after the long meeting|once a year",
    "who": "my youngest sister|the captain|an old farmer|nobody|the piano "
    "teacher|our neighbour|two of the children|a stranger|the whole orchestra",
    "did": "painted|forgot about|carried|sold|was looking for|described|"
    "wanted to repair|laughed at|photographed|finally found",
    "what": "the blue bicycle|a box of oranges|the wooden bridge|seven letters|"
    "an empty bottle|the kitchen window|their new telescope|a very large map|"
    "the broken clock|some fresh bread",
    "where": "behind the station|near the river|in the library|under the stairs|"
    "at the edge of the forest|on the third floor|outside the theatre|"
    "beside the harbour",
    "link": "and|but|because|while|although|so",
}
_PHRASES = {slot: phrases.split("|") for slot, phrases in _PHRASES.items()}
_CLAUSES = (
    "who did what where|when who did what|who did what|who did what when|"
    "where who did what"
).split("|")


def toy(function):
    """Turns ``function(folder, ...)``, which fills an empty folder, into
    ``function(destination, ...)``, which makes ``destination`` all or not
    at all.

    Parameters are recorded in ``toy.json``. If the destination already is
    that very toy, it is returned at once.

    Arguments
    ---------
    function : callable
        Its first argument is the folder to fill, the others, which go into
        the record, have defaults.

    Returns
    -------
    function : callable
        Returns the path of the destination. Raises FileExistsError rather
        than touch anything else that is there.

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
        record = {
            "corpus": function.__name__,
            "version": VERSION,
            "parameters": parameters,
        }
        destination = Path(destination).expanduser().absolute()
        if _is_there(destination, record):
            logger.info("Found the toy %s", destination)
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
                    destination.rmdir()
                os.rename(partial, destination)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return destination

    return write


def _is_there(destination, record):
    """Whether the toy exists; an error if something else does."""
    if not os.path.lexists(destination):
        return False
    if destination.is_dir() and not destination.is_symlink():
        if not any(destination.iterdir()):
            return False
        try:
            found = json.loads((destination / RECORD).read_text("utf-8"))
        except (OSError, ValueError):
            found = {}
        if found == record:
            return True
        if isinstance(found, dict) and found.keys() == record.keys():
            raise FileExistsError(
                f"{destination} holds the toy {found['corpus']} (version "
                f"{found['version']}) with {found['parameters']}, and you ask "
                f"for {record['corpus']} (version {record['version']}) with "
                f"{record['parameters']}: give another destination, or delete "
                "that folder"
            )
    raise FileExistsError(
        f"{destination} exists and is not a toy corpus, so it is left alone: "
        "give a destination that does not exist yet"
    )


def random_generator(seed, *names):
    """A random generator for one thing, independent of all the others.

    Arguments
    ---------
    seed : int
    *names : str or int
        What it is for, such as the name of a file.

    Returns
    -------
    rng : numpy.random.Generator

    Example
    -------
    >>> draw = lambda *names: random_generator(*names).integers(2**40)
    >>> draw(0, "a") == draw(0, "a"), draw(0, "a") == draw(0, "b")
    (True, False)
    """
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
    voices : list of s3prl_sb.corpora.espeak.Voice

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
    """Makes up plain English.

    Arguments
    ---------
    rng : numpy.random.Generator
    words : int
        About how many words.

    Returns
    -------
    text : str
        One sentence of lower-case words and commas.

    Example
    -------
    >>> passage(random_generator(0, "example"), words=5)
    'a stranger sold the kitchen window'
    """
    text = ""
    while not text or len(text.split()) < words - 2:
        if text:
            text += ", " + rng.choice(_PHRASES["link"]) + " "
        slots = rng.choice(_CLAUSES).split()
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
    noise : numpy.ndarray
        Waveform [samples], float64, of mean square 1.

    Example
    -------
    >>> sound = noise("running_tap", 16000, random_generator(0, "tap"))
    >>> sound.shape, round(float(np.mean(sound**2)), 6)
    ((16000,), 1.0)
    """
    time = np.arange(samples) / SAMPLE_RATE
    # Power falls with frequency to this exponent
    exponent = {"white_noise": 0, "running_tap": -0.7, "exercise_bike": 1.6}
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    bins = np.arange(1, len(spectrum) + 1)
    sound = np.fft.irfft(spectrum * bins ** (-exponent.get(kind, 1) / 2), samples)
    sound /= np.sqrt(np.mean(sound**2))
    if kind == "running_tap":
        sound *= 1 + 0.4 * np.sin(2 * np.pi * (0.7 * time + rng.random()))
    elif kind == "exercise_bike":
        sound *= 0.2 + np.sin(np.pi * (1.8 * time + rng.random())) ** 2
    elif kind == "doing_the_dishes":
        sound *= 0.3
        for start in np.flatnonzero(rng.random(samples) < 4 / SAMPLE_RATE):
            t = time[: samples - start]
            ring = np.sin(2 * np.pi * rng.uniform(1500, 6000) * t)
            sound[start:] += rng.uniform(1, 4) * ring * np.exp(-25 * t)
    elif kind == "dude_miaowing":
        beat = (0.8 * time + rng.random()) % 1
        pitch = 350 + 450 * np.sin(np.pi * beat)
        phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
        voice = sum(np.sin(n * phase) / n for n in range(1, 7))
        sound = 0.15 * sound + voice * np.clip(np.sin(2 * np.pi * beat), 0, 1)
    return sound / np.sqrt(np.mean(sound**2))


def add_noise(samples, rng, snr, kind=None):
    """Adds background noise.

    Arguments
    ---------
    samples : numpy.ndarray
        Speech [samples].
    rng : numpy.random.Generator
    snr : float
        Decibels, over the parts of the speech that are not silent.
    kind : str or None
        One of ``BACKGROUNDS``; None draws one.

    Returns
    -------
    samples : numpy.ndarray
        Waveform [samples], float64.
    """
    kind = rng.choice(BACKGROUNDS) if kind is None else kind
    loud = samples[np.abs(samples) > 0.01 * np.abs(samples).max()]
    scale = np.sqrt(np.mean(loud**2)) * 10 ** (-snr / 20)
    return samples + scale * noise(kind, len(samples), rng)


def at_level(samples, peak):
    """Scales a waveform to a peak in decibels below full scale."""
    return samples * (10 ** (peak / 20) / np.abs(samples).max())


def write_clips(folder, clips, total):
    """Writes audio, 16 bit at 16 kHz, with a progress bar.

    Arguments
    ---------
    folder : pathlib.Path
    clips : iterable of (str, numpy.ndarray)
        Paths in the folder, their endings the format (wav, flac), and
        waveforms [samples] within -1 and 1.
    total : int
        How many, for the progress bar.
    """
    from speechbrain.dataio import audio_io
    from tqdm import tqdm

    for name, samples in tqdm(clips, total=total, unit="clip"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if np.abs(samples).max() > 1:
            raise ValueError(f"{name} would clip")
        pcm = np.rint(samples * (2**15 - 1)).astype(np.int16)
        audio_io.save(str(path), pcm, SAMPLE_RATE, subtype="PCM_16")


def which_set(name):
    """Speech Commands' own rule for its splits.

    All recordings of a speaker share a split, however the corpus grows: it
    follows from a hash of the speaker's part of the file name.

    Arguments
    ---------
    name : str
        File name, such as ``"0a7c2a8d_nohash_0.wav"``.

    Returns
    -------
    split : str
        ``"validation"`` or ``"testing"``, each for a tenth of the speakers,
        or ``"training"``.

    Example
    -------
    >>> which_set("0a7c2a8d_nohash_0.wav") == which_set("0a7c2a8d_nohash_3.wav")
    True
    """
    most = 2**27 - 1
    speaker = re.sub(r"_nohash_.*$", "", os.path.basename(name))
    value = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (most + 1)
    percentage = value * 100.0 / most
    if percentage < 10:
        return "validation"
    return "testing" if percentage < 20 else "training"


@toy
def speech_commands(destination, speakers=40, repetitions=1, seed=0):
    """Speech Commands v0.01 with its separate test set.

    Arguments
    ---------
    destination : str
        Folder to make; it gets ``speech_commands_v0.01`` and
        ``speech_commands_test_set_v0.01``.
    speakers : int
        Of the training folder, a tenth of them for validation and a tenth
        for testing. Half as many others speak the test set.
    repetitions : int
        How often each speaker says each word.
    seed : int

    Returns
    -------
    destination : pathlib.Path
    """
    if speakers < 3 or repetitions < 1:
        raise ValueError("At least 3 speakers and 1 repetition are needed")
    train, test = "speech_commands_v0.01", "speech_commands_test_set_v0.01"
    tenth, others = max(1, speakers // 10), max(2, speakers // 2)
    splits = ["validation"] * tenth + ["testing"] * tenth
    splits += ["training"] * (speakers - 2 * tenth) + [None] * others
    people = choose_voices(len(splits), seed)
    names = _speaker_hashes(splits, seed)

    jobs = []  # path, voice, word
    for i, (split, name, voice) in enumerate(zip(splits, names, people)):
        for n in range(repetitions):
            for word in KEYWORDS + (OTHER_WORDS if split else []):
                folder = f"{train if split else test}/{word}"
                jobs.append((f"{folder}/{name}_nohash_{n}.wav", voice, word))
            if not split:
                word = OTHER_WORDS[(i * repetitions + n) % len(OTHER_WORDS)]
                path = f"{test}/_unknown_/{name}_nohash_{n}.wav"
                jobs.append((path, voice, word))
                path = f"{test}/_silence_/{name}_nohash_{n}.wav"
                jobs.append((path, voice, None))

    def clips():
        for kind in BACKGROUNDS:
            path = f"{train}/_background_noise_/{kind}.wav"
            rng = random_generator(seed, path)
            yield path, at_level(noise(kind, 15 * SAMPLE_RATE, rng), -6)
        for path, voice, word in jobs:
            rng = random_generator(seed, path)
            yield path, _one_second(voice, word, rng)

    write_clips(destination, clips(), len(BACKGROUNDS) + len(jobs))
    for split in ["validation", "testing"]:
        paths = [path.split("/", 1)[1] for path, _, _ in jobs if train in path]
        lines = [f"{path}\n" for path in sorted(paths) if which_set(path) == split]
        file = destination / train / f"{split}_list.txt"
        file.write_text("".join(lines), encoding="utf-8")


def _speaker_hashes(splits, seed):
    """Eight hex digits for each speaker, drawn again until the corpus' rule
    puts the speaker into the wanted split (None: any)."""
    names = []
    for i, split in enumerate(splits):
        draw = 0
        while len(names) == i:
            name = _digest(seed, "speaker", i, draw)[:8]
            if name not in names and split in (None, which_set(name)):
                names.append(name)
            draw += 1
    return names


def _one_second(voice, word, rng):
    """A word (None: no word) somewhere in a second of noise."""
    if word is None:
        sound = noise(rng.choice(BACKGROUNDS), SAMPLE_RATE, rng)
        return at_level(sound, rng.uniform(-45, -15))
    rate = voice.rate + int(rng.integers(-10, 11))
    pitch = voice.pitch + int(rng.integers(-5, 6))
    spoken = voice.speak(word, rate=rate, pitch=pitch).trimmed()
    while len(spoken) > 0.95 * SAMPLE_RATE:
        rate += 40
        spoken = voice.speak(word, rate=rate, pitch=pitch).trimmed()
    sound = np.zeros(SAMPLE_RATE)
    start = rng.integers(SAMPLE_RATE - len(spoken) + 1)
    sound[start : start + len(spoken)] = spoken
    sound = add_noise(sound, rng, snr=rng.uniform(10, 30))
    return at_level(sound, rng.uniform(-20, -2))


@toy
def voxceleb1(destination, speakers=20, videos=4, utterances=3, seed=0):
    """VoxCeleb1 with its lists for identification and verification.

    Arguments
    ---------
    destination : str
        Folder to make; it gets ``dev``, ``test`` and the lists.
    speakers : int
        A quarter of them are in ``test``, numbered from id10270 as there.
    videos : int
        Of each speaker, each with its own noise, level and colour. For
        identification the last is the test set, the last but one the
        validation set.
    utterances : int
        Of each video, 3 to 9 s long.
    seed : int

    Returns
    -------
    destination : pathlib.Path
    """
    if not 4 <= speakers <= 160 or videos < 3 or utterances < 1:
        raise ValueError(
            "4 to 160 speakers, at least 3 videos and 1 utterance are needed"
        )
    people = choose_voices(speakers, seed)
    tests = speakers // 4
    ids = [f"id{10001 + i}" for i in range(speakers - tests)]
    ids += [f"id{10270 + i}" for i in range(tests)]
    folders = ["dev"] * (speakers - tests) + ["test"] * tests

    jobs, lines, meta = [], [], []
    for person, folder, voice in zip(ids, folders, people):
        for video in range(videos):
            digest = bytes.fromhex(_digest(seed, person, video))
            name = base64.urlsafe_b64encode(digest)[:11].decode()
            split = {videos - 1: 3, videos - 2: 2}.get(video, 1)
            for n in range(utterances):
                path = f"{person}/{name}/{n + 1:05d}.wav"
                lines.append(f"{split} {path}\n")
                jobs.append((folder, path, voice, video + n == 0))
        nation = NATIONALITIES.get(voice.voice, "UK")
        alias = f"{voice.voice}+{voice.variant}"
        meta.append(f"{person}\t{alias}\t{voice.gender}\t{nation}\t{folder}\n")

    def clips():
        for folder, path, voice, long in jobs:
            clip = _in_video(voice, path, 8 if long else 3, seed)
            yield f"{folder}/wav/{path}", clip

    write_clips(destination, clips(), len(jobs))
    header = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    tested = [path for folder, path, _, _ in jobs if folder == "test"]
    for name, content in {
        "iden_split.txt": lines,
        "veri_test.txt": _trials(tested, random_generator(seed, "trials")),
        "vox1_meta.csv": [header] + meta,
    }.items():
        (destination / name).write_text("".join(content), encoding="utf-8")


def _in_video(voice, path, shortest, seed):
    """An utterance of ``shortest`` to 9 s as its video would record it."""
    rng = random_generator(seed, path)
    seconds = target = rng.uniform(shortest + 0.2, 8.8)
    text = passage(rng, words=round(2.9 * target))
    utterance = voice.speak(text)
    while not shortest <= utterance.duration <= 9:
        seconds *= target / utterance.duration
        text = passage(rng, words=round(2.9 * seconds))
        utterance = voice.speak(text)
    room = random_generator(seed, os.path.dirname(path))
    tilt, snr = room.uniform(-0.4, 0.4), room.uniform(12, 30)
    kind, peak = room.choice(BACKGROUNDS), room.uniform(-15, -2)
    samples = np.convolve(utterance.samples, [1, tilt])
    return at_level(add_noise(samples, rng, snr, kind), peak)


def _trials(paths, rng):
    """Pairs for verification: each utterance, the first of each, with four
    of the same speaker and four of others, as many as there are."""
    lines = []
    for path in paths:
        same = [p for p in paths if p[:7] == path[:7] and p != path]
        different = [p for p in paths if p[:7] != path[:7]]
        for target, others in [(1, same), (0, different)]:
            for i in rng.permutation(len(others))[:4]:
                lines.append(f"{target} {path} {others[i]}\n")
    return lines


#: What ``s3prl-sb toy NAME DESTINATION`` can make
TOYS = {"speech_commands": speech_commands, "voxceleb1": voxceleb1}
