"""Synthetic speech with exact times of words and phones.

eSpeak NG is a formant synthesiser of half a megabyte. It speaks a hundred times faster
than real time on one core, in many languages and voices, and reports the start of each
word and phone. The library comes with the wheel ``espeakng-loader``
(``pip install 's3prl_sb[demo]'``) and is called through :mod:`ctypes`.

Authors
 * The s3prl_sb developers, 2026
"""

import ctypes
import functools
import re
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s3prl_sb.errors import MissingExtra

SAMPLE_RATE = 16000  # of every Utterance

# The subset of eSpeak's C interface (speak_lib.h, revision 12) used here
_SYNCHRONOUS, _PHONEME_EVENTS, _DONT_EXIT = 2, 0x0001, 0x8000
_CHARS_UTF8, _POS_CHARACTER = 1, 1
_RATE, _VOLUME, _PITCH, _PITCH_RANGE = 1, 2, 3, 4
_EVENT_WORD, _EVENT_PHONEME = 1, 7
_BUFFER_MS = 1000
# At the default of 100 several variants clip inside the library
_HEADROOM_VOLUME, _PEAK = 30, 0.5
_STRESS_MARKS = "',%="
_EDGES = re.compile(r"^\W+|\W+$")

# All threads share the static variables of the library
_lock = threading.Lock()


class _EventValue(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventValue),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_short),
    ctypes.c_int,
    ctypes.POINTER(_Event),
)


class Utterance(NamedTuple):
    """Speech with the times of its words and phones.

    Arguments
    ---------
    samples : numpy.ndarray
        Waveform [samples], float32, mono, 16 kHz.
    words : list of (float, float, str)
        Start and end in seconds, and the word as written. Words that English runs
        together ("of the") may share one entry.
    phones : list of (float, float, str)
        Start and end in seconds, and eSpeak's mnemonic without its stress mark. There
        are no gaps; pauses are ``"_"``.
    """

    samples: np.ndarray
    words: list
    phones: list

    @property
    def duration(self):
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE

    def trimmed(self, margin=0.02):
        """Returns the samples from the first word to the last, with a margin (s)."""
        start = max(0, round((self.words[0][0] - margin) * SAMPLE_RATE))
        stop = round((self.words[-1][1] + margin) * SAMPLE_RATE)
        return self.samples[start:stop]


class Voice(NamedTuple):
    """Speaker: settings of :func:`speak`.

    ``gender`` is "f" or "m", the intended sound of the variant.
    """

    voice: str
    variant: str
    rate: int
    pitch: int
    pitch_range: int
    gender: str

    def speak(self, text, **changes):
        """Calls :func:`speak` with this voice; ``changes`` override its settings."""
        settings = self._asdict()
        del settings["gender"]
        return speak(text, **{**settings, **changes})


def speak(text, voice="en-us", variant=None, rate=175, pitch=50, pitch_range=50):
    """Speaks a text.

    The same call returns identical samples, whatever was spoken before.

    Arguments
    ---------
    text : str
        Text to speak. Punctuation makes pauses.
    voice : str
        Language or accent, a name in :func:`languages`.
    variant : str or None
        Timbre, a name in :func:`variants`; None is the voice's default.
    rate : int
        Words per minute, 80 to 450.
    pitch : int
        0 to 99, relative to the variant's register.
    pitch_range : int
        0 (monotone) to 99 (lively).

    Returns
    -------
    Utterance
        Waveform at 16 kHz, its peak at 0.5, with the times of words and phones.

    Raises
    ------
    MissingExtra
        If ``espeakng-loader`` is not installed.
    ValueError
        If a setting is out of range or unknown, or there is nothing to say.

    Example
    -------
    >>> import pytest
    >>> _ = pytest.importorskip("espeakng_loader")
    >>> [word for start, stop, word in speak("good day", variant="f2").words]
    ['good', 'day']
    """
    for name, value, low, high in [
        ("rate", rate, 80, 450),
        ("pitch", pitch, 0, 99),
        ("pitch_range", pitch_range, 0, 99),
    ]:
        if not low <= value <= high:
            raise ValueError(f"{name} must be {low} to {high}, not {value}")
    path = _file_of("voice", voice, languages())
    if variant is not None:
        path += "+" + _file_of("variant", variant, variants())
    settings = {_RATE: rate, _VOLUME: _HEADROOM_VOLUME}
    settings.update({_PITCH: pitch, _PITCH_RANGE: pitch_range})
    with _lock:
        pcm, sample_rate, events = _synthesise(text, path, settings)
    if not any(event[0] == _EVENT_WORD for event in events):
        raise ValueError(f"Nothing to say in {text!r}")
    words, phones = _spans(text, events, sample_rate, len(pcm) / sample_rate)
    return Utterance(_resampled(pcm, sample_rate), words, phones)


@functools.cache
def languages():
    """Returns the file of each language, by lower-case tag such as "en-gb"."""
    files = {}
    folder = _data_folder() / "lang"
    for file in sorted(folder.glob("*/*")):
        path = file.relative_to(folder).as_posix()
        tag = re.search(r"^language\s+(\S+)", file.read_text("utf-8"), re.MULTILINE)
        files.setdefault(tag[1].lower(), path)
        files.setdefault(file.name.lower(), path)
    return files


@functools.cache
def variants():
    """Returns the names of all timbres."""
    folder = _data_folder() / "voices" / "!v"
    return tuple(sorted(file.name for file in folder.iterdir()))


# Variants that sound like different people: no robots, echoes, whispers
_TIMBRES = {
    "f": "f1 f2 f3 f4 f5 Alicia Andrea Annie anika aunty belinda grandma linda steph",
    "m": "m1 m2 m3 m4 m5 m6 m7 m8 Alex Andy Denis Diogo Lee Michael Mike Reed Storm "
    "adam boris croak david edward grandpa gustave ian john marcelo michel pablo paul "
    "quincy rob",
}
_ACCENTS = """en-us en-gb en-gb-scotland en-029 en-gb-x-rp en-us-nyc en-gb-x-gbclan
en-gb-x-gbcwmd""".split()


def voices():
    """Returns different speakers of English, always the same ones.

    No two have the same timbre and accent; two with the same timbre or accent differ in
    pitch and rate. Women and men alternate.

    Example
    -------
    >>> len(set(voices()))
    224
    """
    people = []
    for k in range(len(_TIMBRES["f"].split()) * len(_ACCENTS)):
        for gender, names in _TIMBRES.items():
            names = names.split()
            # Each round shifts the accent by one. A timbre meets each accent once, as
            # their number, 8, and the odd len(names) + 1 have no common divisor
            accent = _ACCENTS[(k + k // len(names)) % len(_ACCENTS)]
            timbre, rate = names[k % len(names)], 150 + k * 29 % 46
            pitch, pitch_range = 30 + k * 17 % 41, 35 + k * 13 % 41
            people.append(Voice(accent, timbre, rate, pitch, pitch_range, gender))
    return people


def _file_of(kind, name, names):
    """Returns the file of a name, or raises an error that lists the names."""
    if name not in names:
        raise ValueError(
            f"Unknown {kind} {name!r}; there are: {', '.join(sorted(names))}"
        )
    return names[name] if isinstance(names, dict) else name


def _loader():
    """Imports the wheel that has the library."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingExtra(
            "Synthetic speech needs espeakng-loader: pip install 's3prl_sb[demo]'"
        ) from error
    return espeakng_loader


def _data_folder():
    return Path(_loader().get_data_path())


def _open():
    """Loads the library in its initial state.

    The phases of flutter, echo, voicing and noise are in static variables, which
    continue from one text to the next; no call resets them all. Loading the library
    again does, in a third of a millisecond.
    """
    loader = _loader()
    library = ctypes.CDLL(loader.get_library_path())
    if library.espeak_ng_GetSampleRate() != 0:
        _unload(library)
        raise RuntimeError(
            "Something else in this process uses this espeak-ng library, and speech "
            "would depend on what it did. Speak in another process."
        )
    path, options = loader.get_data_path().encode(), _PHONEME_EVENTS | _DONT_EXIT
    sample_rate = library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, path, options)
    if sample_rate <= 0:
        raise RuntimeError(f"espeak-ng finds no data in {_data_folder()}")
    # It seeds breath and aspiration noise with the time of day
    library.espeak_ng_SetRandSeed(ctypes.c_long(0))
    return library, sample_rate


def _unload(library):
    import _ctypes  # ctypes itself has no way to unload

    unload = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary
    unload(library._handle)


def _synthesise(text, voice, settings):
    """Runs the library once on the file of a voice, with ``+variant`` if any.

    ``settings`` are values by parameter number. Returns int16 samples, their rate in
    Hz, and events: type, first character (from 0), sample and phone.
    """
    chunks, events = [], []

    def receive(samples, count, event):
        if count:
            chunks.append(ctypes.string_at(samples, 2 * count))
        i = 0
        while event[i].type:
            kind = event[i].type
            phone = event[i].id.string if kind == _EVENT_PHONEME else b""
            position = event[i].text_position - 1
            events.append((kind, position, event[i].sample, phone))
            i += 1
        return 0

    callback = _Callback(receive)
    library, sample_rate = _open()
    try:
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise RuntimeError(f"espeak-ng cannot load the voice {voice!r}")
        for number, value in settings.items():
            library.espeak_SetParameter(number, value, 0)
        data = text.encode("utf-8") + b"\0"
        size = ctypes.c_size_t(len(data))
        status = library.espeak_Synth(
            data, size, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        if status != 0:
            raise RuntimeError(f"espeak-ng failed ({status}) on {text!r}")
    finally:
        library.espeak_Terminate()
        _unload(library)
    pcm = np.frombuffer(b"".join(chunks), dtype=np.int16)
    return pcm, sample_rate, events


def _resampled(pcm, sample_rate):
    import torch

    samples = torch.from_numpy(pcm.astype(np.float32) / 2**15)
    # A word is too little work for threads: on a busy machine, waiting for them takes
    # forty times as long as the work
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        samples = _resampler(sample_rate)(samples)
    finally:
        torch.set_num_threads(threads)
    return (samples * (_PEAK / samples.abs().max())).numpy()


@functools.cache
def _resampler(sample_rate):
    # Its filter takes longer to compute than a short word
    from torchaudio.transforms import Resample

    return Resample(sample_rate, SAMPLE_RATE)


def _spans(text, events, sample_rate, duration):
    """Turns the starts of words and phones into intervals.

    A word starts at its event. The event of the first phone is up to 50 ms later, after
    the closure or the onset of a vowel, which are part of the phone: it is moved to the
    start of the word. A linking glide without any time left is dropped.
    """
    starts, words, fresh = [], [], True
    for kind, position, sample, phone in events:
        if kind == _EVENT_WORD:
            words.append((sample, position))
            fresh = True
        elif kind == _EVENT_PHONEME:
            phone = phone.decode("utf-8", "replace").lstrip(_STRESS_MARKS)
            phone = "_" if phone.startswith("_") or not phone else phone
            if fresh and words and phone != "_":
                sample, fresh = words[-1][0], False
            starts.append((sample / sample_rate, phone))
    if starts:
        starts[0] = (0.0, starts[0][1])
    stops = [start for start, _ in starts[1:]] + [duration]
    phones = []
    for (start, phone), stop in zip(starts, stops):
        if phones and phone == phones[-1][2] == "_":
            phones[-1] = (phones[-1][0], stop, phone)
        elif stop > start:
            phones.append((start, stop, phone))
    # A word lasts until the next one, without the pause between them. Its text extends
    # to the next one too: espeak counts "isn't" as "isn"
    ends = words[1:] + [(duration * sample_rate, len(text))]
    spans = []
    for (sample, position), (limit, following) in zip(words, ends):
        start, limit = sample / sample_rate, limit / sample_rate
        spoken = [b for a, b, p in phones if start <= a < limit and p != "_"]
        word = _EDGES.sub("", text[position:following])
        if spoken and word:
            spans.append((start, min(spoken[-1], limit), word))
    return spans, phones
