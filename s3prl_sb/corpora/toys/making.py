"""Parts of all toys: voices, sentences, noise, and folders that appear complete.

A new toy is a module next to this one with a function of its name, decorated with
:func:`toy`, that passes names and waveforms to :func:`write_clips`.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import hashlib
import inspect
import json
from collections import Counter
from pathlib import Path

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE, voices
from s3prl_sb.storage.files import FileError, read_json
from s3prl_sb.storage.parts import Part, recover
from s3prl_sb.terminal import progress

VERSION = 3  # raise it when the same parameters give other files
RECORD = "toy.json"

# Exponent of the power's decay with frequency; beats per second, and their depth
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
    """Decorates a function that fills a folder, which then appears complete or not.

    The folder is renamed at the end. A destination that is this toy already, by the
    parameters in its ``toy.json``, is returned at once.

    Arguments
    ---------
    function : callable
        Function of the empty folder to fill; other arguments have defaults.

    Returns
    -------
    callable
        Function of the destination that returns its path. It raises FileExistsError
        if anything else is there.

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
        recover(destination)
        if _is_there(destination, record):
            return destination
        with Part(destination) as part:
            # Another process may have made the same toy
            if not _is_there(destination, record):
                part.path.mkdir()
                function(part.path, **parameters)
                write_lines(part.path / RECORD, [json.dumps(record, indent=2)])
                part.publish(sync=False)  # thousands of files, made again in minutes
        return destination

    return write


def _is_there(destination, record):
    """Returns whether the toy exists; raises an error if something else does."""
    if not destination.exists():
        return False
    if destination.is_dir() and not any(destination.iterdir()):
        return False
    try:
        content = read_json(destination / RECORD)
    except FileError:
        content = None
    if content == record:
        return True
    is_toy = isinstance(content, dict) and "corpus" in content
    content = f"holds {json.dumps(content)}" if is_toy else "is not a toy corpus"
    raise FileExistsError(
        f"{destination} exists and {content}, so it is left alone. For "
        f"{json.dumps(record)}, give another destination or delete that one."
    )


def random_generator(seed, *names):
    """Returns the random generator of one item, such as a file."""
    return np.random.default_rng(int(digest(seed, *names), 16))


def digest(*names):
    """Returns 64 hexadecimal digits for some JSON values."""
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def choose_voices(count, seed):
    """Draws voices, repeating a timbre only when all have been used.

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


def plain_voices(count, seed):
    """Draws voices of one accent and ordinary timbres, at many pitches and rates.

    With more variety, a small model cannot learn words from forty speakers.

    Example
    -------
    >>> {voice.voice for voice in plain_voices(20, seed=0)}
    {'en-us'}
    """
    timbres = {"f": "f1 f2 f3 f5 Annie", "m": "m1 m2 m3 m4 m6 m7 Michael pablo"}
    for i, voice in enumerate(choose_voices(count, seed)):
        names = timbres[voice.gender].split()
        yield voice._replace(voice="en-us", variant=names[i % len(names)])


def passage(rng, words):
    """Makes up a sentence of about ``words`` words of plain English.

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
    # Whole seconds, as a Fourier transform of a prime length is slow
    size = -(-samples // SAMPLE_RATE) * SAMPLE_RATE
    exponent, beats, depth = BACKGROUNDS[kind]
    spectrum = np.fft.rfft(rng.standard_normal(size))
    shape = np.arange(1.0, len(spectrum) + 1) ** (-exponent / 2)
    beat = 2 * np.pi * (beats * np.arange(size) / SAMPLE_RATE + rng.random())
    sound = np.fft.irfft(spectrum * shape, size) * (1 + depth * np.sin(beat))
    return sound[:samples] / np.sqrt(np.mean(sound[:samples] ** 2))


def add_noise(samples, rng, snr, kind=None):
    """Adds noise to speech [samples]; the default kind is random.

    ``snr`` is in decibels, over the samples of the speech that are not silent.
    """
    kind = rng.choice(list(BACKGROUNDS)) if kind is None else kind
    loud = samples[np.abs(samples) > 0.01 * np.abs(samples).max()]
    scale = np.sqrt(np.mean(loud**2)) * 10 ** (-snr / 20)
    return samples + scale * noise(kind, len(samples), rng)


def at_level(samples, peak):
    """Scales a waveform to a ``peak`` in decibels relative to full scale."""
    return samples * (10 ** (peak / 20) / np.abs(samples).max())


def recorded(samples, rng, snr=(20, 40), peak=(-10, -3), kind=None):
    """Adds noise to speech [samples], and scales it, both at random levels.

    ``snr`` and ``peak`` are the limits in decibels, see :func:`add_noise` and
    :func:`at_level`.
    """
    samples = add_noise(samples, rng, rng.uniform(*snr), kind)
    return at_level(samples, rng.uniform(*peak))


def varied(voice, rng):
    """Returns a voice with a slightly different pitch and rate."""
    pitch = voice.pitch + int(rng.integers(-5, 6))
    return voice._replace(pitch=pitch, rate=voice.rate + int(rng.integers(-10, 11)))


def shown(clips, total=None):
    """Iterates with a progress bar over ``clips``, ``total`` in number."""
    return progress.bar(clips, desc="Speaking", total=total, unit="clip", leave=False)


def write_clips(folder, clips, total, rate=SAMPLE_RATE):
    """Writes audio, 16 bit at 16 kHz, with a progress bar.

    ``clips`` are pairs of a path in the folder, whose ending tells the format (wav,
    flac), and a waveform [samples] within -1 and 1; ``total`` is their number. ``rate``
    is their sample rate, Hz.
    """
    from speechbrain.dataio import audio_io

    for name, samples in shown(clips, total):
        if np.abs(samples).max() > 1:
            raise ValueError(f"{name} would be clipped")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pcm = np.rint(samples * (2**15 - 1)).astype(np.int16)
        audio_io.save(str(path), pcm, rate, subtype="PCM_16")


def write_mp3(path, samples, rate):
    """Writes a waveform at 16 kHz as an MP3 at another rate (Hz)."""
    import soundfile
    import torch

    from s3prl_sb.audio.resampling import resample

    path.parent.mkdir(parents=True, exist_ok=True)
    sig = torch.from_numpy(samples.astype(np.float32))
    sig = resample(sig, SAMPLE_RATE, rate)
    soundfile.write(path, sig.numpy(), rate, format="MP3")


def write_lines(path, lines):
    """Writes a text file, each line with a line break."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
