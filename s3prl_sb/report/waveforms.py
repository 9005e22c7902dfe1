"""Sounds of a page and their pictures, from the audio that a run was tested on.

Sounds are MP3, mono at 16 kHz: every browser plays it, and a minute takes 0.3 MB.

Authors
 * The s3prl_sb developers, 2026
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from s3prl_sb.audio.headers import audio_info
from s3prl_sb.audio.loading import AudioFileError, load_waveform
from s3prl_sb.errors import MissingExtra
from s3prl_sb.identity.ark_names import is_entry
from s3prl_sb.plotting.panels import MELS, RANGE, log_mel
from s3prl_sb.report.blocks import Picture, Sound

RATE = 16000  # Hz
LONGEST = 30.0  # seconds of a sound
QUALITY = 0.5  # of MP3, from 0 (best) to 1: about 40 kbit/s
SHARP = 40  # quality of WebP, from 0 to 100 (best)
COLUMNS = 1500  # of a spectrogram
SLACK = 0.05  # seconds by which a file may differ from its manifest


class Excerpt(NamedTuple):
    """Part of a recording, or all of it.

    Arguments
    ---------
    samples : torch.Tensor
        [samples], mono, at :data:`RATE`.
    start, stop : float
        Its limits in the utterance, seconds.
    remark : str
        Sentence that says what is left out; "" if nothing is.
    """

    samples: torch.Tensor
    start: float
    stop: float
    remark: str = ""


def excerpt(
    name: str,
    record: Mapping[str, Any],
    start: float = 0.0,
    longest: float = LONGEST,
    key: str = "wav",
) -> Excerpt:
    """Reads the audio of an utterance, as its manifest names it.

    Arguments
    ---------
    name : str
        Id of the utterance.
    record : dict
        Its record in the manifest.
    start : float
        Seconds of the utterance at which the excerpt starts.
    longest : float
        Seconds after which it is cut.
    key : str
        Key of the record with the name of the file.

    Returns
    -------
    Excerpt

    Raises
    ------
    AudioFileError
        If the file is missing or broken, or is not as long any more as it was.

    Example
    -------
    >>> excerpt("a", {"wav": "/no/a.wav", "duration": 1.0})
    Traceback (most recent call last):
    ...
    s3prl_sb.audio.loading.AudioFileError: utterance 'a' (/no/a.wav): no such file.
    """
    wav, limits = str(record[key]), (record.get("start"), record.get("stop"))
    if is_entry(wav):
        raise AudioFileError(f"utterance '{name}' ({wav}): features, not audio.")
    duration = float(record["duration"])
    stop = min(duration, start + longest)
    if limits == (None, None) and Path(wav).is_file() and key == "wav":
        rate, samples, _ = audio_info(wav)
        if abs(samples / rate - duration) > SLACK:
            raise AudioFileError(
                f"utterance '{name}' ({wav}): {samples / rate:.2f} s, where its "
                f"manifest has {duration:.2f} s. The file has changed since the run."
            )
    first = limits[0] or 0.0
    is_whole = start == 0.0 and stop == duration
    ends = limits if is_whole else (first + start, first + stop)
    samples = load_waveform(name, wav, ends[0], ends[1], RATE)
    remark = ""
    if not is_whole:
        remark = f"Seconds {start:g} to {stop:g} of {duration:.1f}."
    return Excerpt(samples, start, stop, remark)


def of_file(name: str, path: str | Path) -> Excerpt:
    """Reads a file, of a long one the first 30 s.

    Arguments
    ---------
    name : str
        Name for errors.
    path : str
        The file.

    Returns
    -------
    Excerpt

    Raises
    ------
    UserError
        If it is missing or broken.
    """
    if not Path(path).is_file():
        raise AudioFileError(f"{name} ({path}): no such file.")
    rate, samples, _ = audio_info(str(path))
    return excerpt(name, {"wav": str(path), "duration": samples / rate})


def sound(samples: torch.Tensor, label: str) -> Sound:
    """Compresses a waveform.

    Arguments
    ---------
    samples : torch.Tensor
        [samples], at :data:`RATE`.
    label : str
        Name of the sound.

    Returns
    -------
    Sound
        MP3, or FLAC where the library for audio files cannot write it.

    Example
    -------
    >>> sound(torch.zeros(16000), "silence").kind
    'mp3'
    """
    import soundfile

    file, wav = io.BytesIO(), samples.clamp(-1, 1).numpy()
    kind = "mp3"
    if "MP3" in soundfile.available_formats():
        options = {"subtype": "MPEG_LAYER_III", "compression_level": QUALITY}
        soundfile.write(file, wav, RATE, format="MP3", **options)
    else:
        kind = "flac"
        soundfile.write(file, wav, RATE, format="FLAC")
    return Sound(file.getvalue(), kind, label)


def spectrogram(samples: torch.Tensor, name: str, top: float | None = None) -> Picture:
    """Draws a log-mel spectrogram.

    Arguments
    ---------
    samples : torch.Tensor
        [samples], at :data:`RATE`.
    name : str
        Name of the sound, for readers who do not see the picture.
    top : float, optional
        Level of the brightest colour, dB. Default: that of the loudest point.

    Returns
    -------
    Picture
        Its height is 80 bands of mel, its width the time, without axes.

    Raises
    ------
    MissingExtra
        Without matplotlib and what comes with it.

    Example
    -------
    >>> picture = spectrogram(torch.randn(16000), "noise")
    >>> picture.kind, picture.width, picture.height
    ('webp', 101, 80)
    """
    try:
        from matplotlib import colormaps
        from PIL import Image
    except ImportError as error:
        raise MissingExtra(
            "Spectrograms need matplotlib: pip install 's3prl_sb[plots]'"
        ) from error

    levels = log_mel(samples, RATE)
    step = -(-levels.shape[1] // COLUMNS)
    levels = torch.nn.functional.max_pool1d(levels, step, ceil_mode=True)
    top = float(levels.max()) if top is None else top
    shares = ((levels - top) / RANGE + 1).clamp(0, 1).flip(0)
    colors = colormaps["magma"](shares.numpy(), bytes=True)[..., :3]
    file = io.BytesIO()
    Image.fromarray(colors).save(file, "webp", quality=SHARP)
    words = (
        f"Spectrogram of {name}: {len(samples) / RATE:.1f} s, 0 to {RATE // 2000} kHz"
    )
    return Picture(file.getvalue(), "webp", words, shares.shape[1], MELS)


def loudest(waveforms: list[torch.Tensor]) -> float:
    """Returns the level of the loudest point of several spectrograms, dB.

    Arguments
    ---------
    waveforms : list of torch.Tensor
        Each [samples], at :data:`RATE`.

    Returns
    -------
    float
    """
    return max(float(log_mel(each, RATE).max()) for each in waveforms)
