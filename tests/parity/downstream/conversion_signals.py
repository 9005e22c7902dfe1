"""Signals like speech, for the metrics of voice conversion; numpy and scipy alone."""

import numpy
from scipy.signal import lfilter

VOWELS = {"a": (730, 1090, 2440), "i": (270, 2290, 3010), "u": (300, 870, 2240)}
WORDS = "a.i|u.a-i"  # ".": noise of a consonant, "|": silence, "-": nothing
# name: (rate, pitch, tempo, size of the vocal tract, silence at the end in seconds)
SPEAKERS = {
    "low": (24000, 110.0, 1.0, 1.0, 0.1),
    "high": (24000, 210.0, 0.8, 1.15, 0.3),
    "low at 16 kHz": (16000, 120.0, 0.9, 1.0, 0.0),
    "high at 16 kHz": (16000, 190.0, 1.1, 1.1, 0.2),
    "whisper": (24000, 0.0, 1.0, 1.0, 0.2),
}
#: Converted and target speaker, and the limits of the fundamental frequency.
PAIRS = [
    ("low", "high", 100, 361),
    ("high", "low", 71, 227),
    ("low at 16 kHz", "high at 16 kHz", 80, 300),
    ("whisper", "low", 71, 227),
]


def speech(name):
    """Vowels, consonants and silence, [samples] within -1 and 1, and the rate."""
    rate, pitch, tempo, size, silence = SPEAKERS[name]
    rng = numpy.random.default_rng(len(name))
    parts = [0.0005 * rng.standard_normal(int(0.05 * rate))]
    for word in WORDS:
        count = int(tempo * rate * {"-": 0.0, ".": 0.05, "|": 0.08}.get(word, 0.16))
        if word in VOWELS:
            parts.append(_vowel(count, rate, pitch, [size * f for f in VOWELS[word]]))
        else:
            level = {".": 0.05, "|": 0.0005}.get(word, 0.0)
            parts.append(level * rng.standard_normal(count))
    parts.append(numpy.zeros(int(silence * rate)))
    return numpy.concatenate(parts).astype(numpy.float32), rate


def _vowel(count, rate, pitch, formants):
    rng = numpy.random.default_rng(count)
    noise = rng.standard_normal(count)
    time = numpy.arange(count) / rate
    phase = numpy.cumsum(pitch * (1.1 - 0.8 * time)) / rate
    source = numpy.diff(numpy.floor(phase), prepend=0.0) + 0.002 * noise
    if not pitch:
        source = 0.1 * noise
    for formant in formants:
        radius, angle = 1 - 120 / rate, 2 * numpy.pi * formant / rate
        source = lfilter([1], [1, -2 * radius * numpy.cos(angle), radius**2], source)
    return 0.3 * source / numpy.abs(source).max()
