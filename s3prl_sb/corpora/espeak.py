"""Synthetic speech whose word and phone times are known exactly.

eSpeak NG is a formant synthesiser of half a megabyte: it speaks hundreds of
times faster than real time on one core, in many languages and voices, and
reports when each word and phone begins. That makes it the ideal source of
small spoken corpora for demonstrations and tests (see
:mod:`s3prl_sb.corpora.toy`).

The library comes with the wheel ``espeakng-loader``
(``pip install 's3prl_sb[demo]'``) and is called through :mod:`ctypes`.

Authors
-------
 * The s3prl_sb contributors, 2026
"""

import ctypes
import functools
import threading
from pathlib import Path
from typing import List, NamedTuple, Tuple

import numpy as np

#: Hz, of every :class:`Utterance`
SAMPLE_RATE = 16000

# The subset of eSpeak's C interface (speak_lib.h, revision 12) used here
_SYNCHRONOUS, _PHONEME_EVENTS, _DONT_EXIT = 2, 0x0001, 0x8000
_CHARS_UTF8, _POS_CHARACTER = 1, 1
_RATE, _PITCH, _PITCH_RANGE = 1, 3, 4
_EVENT_WORD, _EVENT_PHONEME = 1, 7
_BUFFER_MS = 1000
_STRESS_MARKS = "',%="

# Statics of one library serve all threads
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

Span = Tuple[float, float, str]


class Utterance(NamedTuple):
    """What was said, and when.

    Arguments
    ---------
    samples : numpy.ndarray
        Waveform [samples], float32 within -1 and 1, mono at 16 kHz.
    words : list of (float, float, str)
        Start and end in seconds, and the word as written. Words that
        English runs together ("of the") may share one entry.
    phones : list of (float, float, str)
        Start and end in seconds, and eSpeak's mnemonic without its stress
        mark. They leave no gap; pauses are ``"_"``.
    """

    samples: np.ndarray
    words: List[Span]
    phones: List[Span]

    @property
    def duration(self):
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE

    def trimmed(self, margin=0.02):
        """Only the samples from the first word to the last.

        Arguments
        ---------
        margin : float
            Seconds to keep on either side.

        Returns
        -------
        samples : numpy.ndarray
            Waveform [samples], float32, 16 kHz.
        """
        start = max(0, round((self.words[0][0] - margin) * SAMPLE_RATE))
        stop = round((self.words[-1][1] + margin) * SAMPLE_RATE)
        return self.samples[start:stop]


class Voice(NamedTuple):
    """One speaker: the settings of :func:`speak` that make a person.

    Arguments
    ---------
    voice : str
        Language or accent, such as ``"en-us"``.
    variant : str
        Vocal tract and voice quality, a name of :func:`variants`.
    rate : int
        Words a minute.
    pitch : int
        0 to 99, relative to the variant's own register.
    pitch_range : int
        0 (monotone) to 99 (lively).
    gender : str
        ``"f"`` or ``"m"``, as the variant is meant to sound.
    """

    voice: str
    variant: str
    rate: int
    pitch: int
    pitch_range: int
    gender: str

    def speak(self, text, **changes):
        """:func:`speak` with this voice; ``changes`` override its settings."""
        settings = self._asdict()
        del settings["gender"]
        return speak(text, **{**settings, **changes})


def speak(
    text, voice="en-us", variant=None, rate=175, pitch=50, pitch_range=50
):
    """Speaks a text.

    The same call gives identical samples, whatever was spoken before.

    Arguments
    ---------
    text : str
        What to say. Punctuation makes pauses.
    voice : str
        Language or accent, a name of :func:`languages`.
    variant : str or None
        Timbre, a name of :func:`variants`; None is the voice's own.
    rate : int
        Words a minute, 80 to 450.
    pitch : int
        0 to 99, relative to the variant's own register.
    pitch_range : int
        0 (monotone) to 99 (lively).

    Returns
    -------
    utterance : Utterance
        Waveform at 16 kHz with the times of words and phones.

    Raises
    ------
    ImportError
        If ``espeakng-loader`` is not installed.
    ValueError
        If a setting is out of range or its name unknown, or if nothing in
        the text can be spoken.

    Example
    -------
    >>> import pytest
    >>> _ = pytest.importorskip("espeakng_loader")
    >>> utterance = speak("good morning", variant="f2")
    >>> [word for start, stop, word in utterance.words]
    ['good', 'morning']
    >>> utterance.samples.dtype, 0.5 < utterance.duration < 1.5
    (dtype('float32'), True)
    """
    for name, value, low, high in [
        ("rate", rate, 80, 450),
        ("pitch", pitch, 0, 99),
        ("pitch_range", pitch_range, 0, 99),
    ]:
        if not low <= value <= high:
            raise ValueError(f"{name} must be {low} to {high}, not {value}")
    path = _known("voice", voice, languages())
    if variant is not None:
        path += "+" + _known("variant", variant, variants())
    settings = {_RATE: rate, _PITCH: pitch, _PITCH_RANGE: pitch_range}
    with _lock:
        pcm, sample_rate, events = _synthesise(text, path, settings)
    if not any(event[0] == _EVENT_WORD for event in events):
        raise ValueError(f"Nothing to say in {text!r}")
    words, phones = _spans(text, events, sample_rate, len(pcm) / sample_rate)
    return Utterance(_resampled(pcm, sample_rate), words, phones)


@functools.lru_cache(maxsize=None)
def languages():
    """Every language and accent that :func:`speak` knows.

    Returns
    -------
    languages : dict
        The library's file of each, by lower-case tag such as ``"en-gb"``.
    """
    files = {}
    folder = _data_folder() / "lang"
    for file in sorted(folder.glob("*/*")):
        path = file.relative_to(folder).as_posix()
        tag = file.read_text(encoding="utf-8").split("language", 1)[1].split()[0]
        files.setdefault(tag.lower(), path)
        files.setdefault(file.name.lower(), path)
    return files


@functools.lru_cache(maxsize=None)
def variants():
    """Every timbre that :func:`speak` knows.

    Returns
    -------
    variants : dict
        Names, to themselves.
    """
    folder = _data_folder() / "voices" / "!v"
    return {file.name: file.name for file in sorted(folder.iterdir())}
