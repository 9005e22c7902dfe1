"""Spoken corpora made on the spot, in the folder layout of the real ones.

A toy has the folders, names and lists of the original, so the original's parser reads
it, and is spoken by many synthetic voices. Every recipe can be tried without a
download. Scores on a toy say that things work, nothing about the real corpus.

Each file depends on the seed and its own name only: the same parameters give the same
bytes. A new toy is a function decorated with :func:`toy` that passes names and
waveforms to :func:`write_clips`, and a line in ``TOYS``.

Authors
 * The s3prl_sb developers, 2026
"""

import base64
import functools
import hashlib
import inspect
import itertools
import json
import os
import shutil
import uuid
from collections import Counter
from pathlib import Path

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE, voices
from s3prl_sb.corpora.speech_commands import KEYWORDS, LISTS, speaker_split

VERSION = 1  # raise it when the same parameters give other files
RECORD = "toy.json"

OTHER_WORDS = """zero one two three four five six seven eight nine bed bird cat dog
happy house marvin sheila tree wow""".split()
# The power falls with frequency to an exponent; beats a second, and their depth
BACKGROUNDS = {
    "white_noise": (0, 0, 0),
    "pink_noise": (1, 0, 0),
    "running_tap": (-0.7, 0.7, 0.4),
    "exercise_bike": (1.6, 1.8, 0.9),
    "doing_the_dishes": (-0.3, 3.1, 1),
    "dude_miaowing": (2.2, 0.8, 1),
}
CLAUSES = "who did what where|when who did what|who did what|where who did what"
PHRASES = {
    "when": "today|every evening|last winter|before the storm|on sunday|once a year|"
    "at half past four|after the long meeting",
    "who": "my youngest sister|the captain|an old farmer|nobody|the piano teacher|"
    "our neighbour|two of the children|a stranger|the whole orchestra",
    "did": "painted|forgot about|carried|sold|was looking for|described|laughed at|"
    "wanted to repair|photographed|finally found",
    "what": "the blue bicycle|a box of oranges|the wooden bridge|seven letters|a map|"
    "an empty bottle|the kitchen window|their new telescope|the broken clock",
    "where": "behind the station|near the river|in the library|under the stairs|"
    "at the edge of the forest|on the third floor|outside the theatre",
    "link": "and|but|because|while|although|so",
}


def toy(function):
    """Decorates a function that fills a folder: it makes it wholly or not at all.

    The folder gets its name at the end. A destination that is that very toy already, by
    the parameters in its ``toy.json``, is returned at once.

    Arguments
    ---------
    function : callable
        Its first argument is the empty folder to fill, the others have defaults.

    Returns
    -------
    callable
        Takes the destination in place of the folder, and returns its path. Raises
        FileExistsError if anything else is there.

    Example
    -------
    >>> import tempfile
    >>> @toy
    ... def greeting(folder, text="hello"):
    ...     _ = (folder / "greeting.txt").write_text(text)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (greeting(folder + "/toy", text="good day") / "greeting.txt").read_text()
    'good day'
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def write(destination, *args, **kwargs):
        bound = signature.bind(destination, *args, **kwargs)
        bound.apply_defaults()
        parameters = dict(list(bound.arguments.items())[1:])
        record = {"corpus": function.__name__, "version": VERSION, **parameters}
        destination = Path(destination).expanduser().resolve()
        if _is_there(destination, record):
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        partial = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}")
        partial.mkdir()
        try:
            function(partial, **parameters)
            _write_lines(partial / RECORD, [json.dumps(record, indent=2)])
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
    if not destination.exists():
        return False
    if destination.is_dir() and not any(destination.iterdir()):
        return False
    try:
        found = json.loads((destination / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        found = None
    if found == record:
        return True
    is_toy = isinstance(found, dict) and "corpus" in found
    content = f"holds {json.dumps(found)}" if is_toy else "is not a toy corpus"
    raise FileExistsError(
        f"{destination} exists and {content}, so it is left alone. For "
        f"{json.dumps(record)}, give another destination or delete that one."
    )


def random_generator(seed, *names):
    """A random generator for one thing, such as a file, whatever else is made."""
    return np.random.default_rng(int(_digest(seed, *names), 16))


def _digest(*names):
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def choose_voices(count, seed):
    """Draws so many voices, repeating a timbre only when all have been used.

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
    """Makes up plain English: a sentence of about so many words.

    Example
    -------
    >>> 3 <= len(passage(random_generator(0, "example"), words=5).split()) <= 13
    True
    """
    text = ""
    while not text or len(text.split()) < words - 2:
        slots = rng.choice(CLAUSES.split("|")).split()
        clause = " ".join(rng.choice(PHRASES[slot].split("|")) for slot in slots)
        link = f", {rng.choice(PHRASES['link'].split('|'))} " if text else ""
        text += link + clause
    return text


def noise(kind, samples, rng):
    """Makes background noise: [samples] at 16 kHz, float64, of mean square 1.

    ``kind`` is one of ``BACKGROUNDS``.

    Example
    -------
    >>> noise("running_tap", 16000, random_generator(0, "example")).shape
    (16000,)
    """
    # Whole seconds, as a Fourier transform of a prime length takes long
    size = -(-samples // SAMPLE_RATE) * SAMPLE_RATE
    exponent, beats, depth = BACKGROUNDS[kind]
    spectrum = np.fft.rfft(rng.standard_normal(size))
    shape = np.arange(1.0, len(spectrum) + 1) ** (-exponent / 2)
    beat = 2 * np.pi * (beats * np.arange(size) / SAMPLE_RATE + rng.random())
    sound = np.fft.irfft(spectrum * shape, size) * (1 + depth * np.sin(beat))
    return sound[:samples] / np.sqrt(np.mean(sound[:samples] ** 2))


def add_noise(samples, rng, snr, kind=None):
    """Adds noise to speech [samples], of any kind if none is given.

    ``snr`` is in decibels, over those samples of the speech that are not silent.
    """
    kind = rng.choice(list(BACKGROUNDS)) if kind is None else kind
    loud = samples[np.abs(samples) > 0.01 * np.abs(samples).max()]
    scale = np.sqrt(np.mean(loud**2)) * 10 ** (-snr / 20)
    return samples + scale * noise(kind, len(samples), rng)


def at_level(samples, peak):
    """Scales a waveform to a ``peak`` in decibels relative to full scale."""
    return samples * (10 ** (peak / 20) / np.abs(samples).max())


def write_clips(folder, clips, total):
    """Writes audio, 16 bit at 16 kHz, with a progress bar.

    ``clips`` are pairs of a path in the folder, whose ending tells the format (wav,
    flac), and a waveform [samples] within -1 and 1; ``total`` is their number.
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
    for i, (split, voice) in enumerate(zip(splits, _plain_voices(len(splits), seed))):
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
        for kind in BACKGROUNDS:
            path = f"{corpus}/_background_noise_/{kind}.wav"
            sound = noise(kind, 15 * SAMPLE_RATE, random_generator(seed, path))
            yield path, at_level(sound, -10)
        for path, voice, word in jobs:
            yield path, _one_second(voice, word, random_generator(seed, path))

    write_clips(destination, clips(), len(BACKGROUNDS) + len(jobs))
    paths = [path.split("/", 1)[1] for path, _, _ in jobs if path.startswith(corpus)]
    for split, name in LISTS.items():
        listed = [path for path in paths if speaker_split(path) == split]
        _write_lines(destination / corpus / name, sorted(listed))


def _plain_voices(count, seed):
    """One accent and ordinary timbres at many pitches and rates: from more variety,
    forty speakers do not teach a linear classifier what a word is."""
    timbres = {"f": "f1 f2 f3 f5 Annie", "m": "m1 m2 m3 m4 m6 m7 Michael pablo"}
    for i, voice in enumerate(choose_voices(count, seed)):
        names = timbres[voice.gender].split()
        yield voice._replace(voice="en-us", variant=names[i % len(names)])


def _speaker_hash(split, *names):
    """Eight hexadecimal digits that the corpus' rule puts into a split (None: any)."""
    draws = (_digest(*names, draw)[:8] for draw in itertools.count())
    return next(name for name in draws if split in (None, speaker_split(name)))


def _one_second(voice, word, rng):
    """A word (None: no word) somewhere in a second of noise."""
    if word is None:
        sound = noise(rng.choice(list(BACKGROUNDS)), SAMPLE_RATE, rng)
        return at_level(sound, rng.uniform(-20, -10))
    pitch = voice.pitch + int(rng.integers(-5, 6))
    rate = voice.rate + int(rng.integers(-10, 11))
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

    Returns
    -------
    pathlib.Path
    """
    if not 4 <= speakers <= 160 or videos < 3 or utterances < 1:
        raise ValueError("4 to 160 speakers, from 3 videos and 1 utterance are needed")
    tests = speakers // 4
    ids = [*range(10001, 10001 + speakers - tests), *range(10270, 10270 + tests)]
    jobs, split_lines = [], []  # folder, path, voice, seconds at least
    meta = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    for number, voice in zip(ids, choose_voices(speakers, seed)):
        person, folder = f"id{number}", "test" if number >= 10270 else "dev"
        nation = "USA" if voice.voice.startswith("en-us") else "UK"
        alias = f"{voice.voice}+{voice.variant}"
        meta.append(f"{person}\t{alias}\t{voice.gender}\t{nation}\t{folder}")
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
    _write_lines(destination / "iden_split.txt", split_lines)
    _write_lines(destination / "veri_test.txt", _trials(tested, seed))
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
    tilt, snr = video.uniform(-0.3, 0.3), video.uniform(20, 40)
    kind, peak = video.choice(list(BACKGROUNDS)), video.uniform(-15, -2)
    samples = np.convolve(utterance.samples, [1, tilt])
    return at_level(add_noise(samples, rng, snr, kind), peak)


def _trials(paths, seed):
    """Up to four pairs with the same speaker and four with others for each path."""
    rng = random_generator(seed, "trials")
    for path in paths:
        for target in (1, 0):
            others = [p for p in paths if (p[:7] == path[:7]) == target and p != path]
            for i in rng.permutation(len(others))[:4]:
                yield f"{target} {path} {others[i]}"


#: What ``s3prl-sb toy NAME DESTINATION`` can make
TOYS = {"speech_commands": speech_commands, "voxceleb1": voxceleb1}
