"""Odd audio files: a second of a tone in every guise, whole and damaged.

``python odd_audio.py FOLDER`` writes them all, to try other programs on them.

``FILES`` maps a name to a function that writes the file and to what is right: the
seconds that it has, or the words of an error; and the words of a warning, if there is
to be one.
"""

import os
import struct
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

RATE = 16000
FILES = {}


class Odd(NamedTuple):
    """A file: how it is written, and what is right."""

    write: object
    seconds: float | None
    error: str | None
    warning: str | None
    lossy: bool


def odd(name, seconds=1.0, error=None, warning=None, lossy=False):
    """Adds a file to the list."""

    def add(write):
        seconds_ = None if error else seconds
        FILES[name] = Odd(write, seconds_, error, warning, lossy)
        return write

    return add


def tone(rate=RATE, seconds=1.0):
    """440 Hz, with a little noise so that nothing is packed away."""
    samples = round(rate * seconds)
    noise = np.random.default_rng(0).standard_normal(samples)
    return 0.3 * np.sin(2 * np.pi * 440 * np.arange(samples) / rate) + 0.003 * noise


def save(path, form, subtype, rate=RATE, samples=None, **options):
    samples = tone(rate) if samples is None else samples
    soundfile.write(path, samples, rate, format=form, subtype=subtype, **options)


def changed(path, change, *saved, **options):
    """Saves a file, and changes its bytes."""
    save(path, *saved, **options)
    path.write_bytes(change(bytearray(path.read_bytes())))


def at(place, new):
    """Replaces bytes."""

    def change(data):
        data[place : place + len(new)] = new
        return data

    return change


def cut(part):
    return lambda data: data[: round(part * len(data))]


def tagged(data):
    """An ID3 tag before."""
    return b"ID3\x03\0\0\0\0\x02\0" + bytes(256) + data


# ---------------------------------------------------------- formats and their samples
#: Seconds in whole blocks of samples, which is what such files hold.
BLOCKS = {"IMA_ADPCM": 1.017, "MS_ADPCM": 1.012, "GSM610": 1.04}
for _name, _form, _subtype, _rate, _lossy in [
    ("u8.wav", "WAV", "PCM_U8", RATE, True),
    ("pcm16.wav", "WAV", "PCM_16", RATE, False),
    ("pcm24.wav", "WAV", "PCM_24", RATE, False),
    ("pcm32.wav", "WAV", "PCM_32", RATE, False),
    ("float.wav", "WAV", "FLOAT", RATE, False),
    ("double.wav", "WAV", "DOUBLE", RATE, False),
    ("mu-law.wav", "WAV", "ULAW", RATE, True),
    ("a-law.wav", "WAV", "ALAW", RATE, True),
    ("ima-adpcm.wav", "WAV", "IMA_ADPCM", RATE, True),
    ("ms-adpcm.wav", "WAV", "MS_ADPCM", RATE, True),
    ("gsm.wav", "WAV", "GSM610", 8000, True),
    ("extensible.wav", "WAVEX", "PCM_24", RATE, False),
    ("rf64.wav", "RF64", "PCM_16", RATE, False),
    ("a.w64", "W64", "PCM_16", RATE, False),
    ("big-endian.aiff", "AIFF", "PCM_16", RATE, False),
    ("float.aif", "AIFF", "FLOAT", RATE, False),
    ("big-endian.au", "AU", "PCM_16", RATE, False),
    ("a.caf", "CAF", "PCM_24", RATE, False),
    ("alac.caf", "CAF", "ALAC_16", RATE, False),
    ("sphere.sph", "NIST", "PCM_16", RATE, False),
    ("a.voc", "VOC", "PCM_16", RATE, False),
    ("pcm16.flac", "FLAC", "PCM_16", RATE, False),
    ("pcm24.FLAC", "FLAC", "PCM_24", RATE, False),
    ("s8.flac", "FLAC", "PCM_S8", RATE, True),
    ("vorbis.ogg", "OGG", "VORBIS", RATE, True),
    ("a.opus", "OGG", "OPUS", RATE, True),
    ("cbr.mp3", "MP3", None, RATE, True),
    ("rate-8009.wav", "WAV", "PCM_16", 8009, False),
    ("rate-22254.wav", "WAV", "PCM_16", 22254, False),
    ("rate-192000.wav", "WAV", "PCM_16", 192000, False),
    ("a name {of} 100 % [all] kinds.wav", "WAV", "PCM_16", RATE, False),
]:
    odd(_name, BLOCKS.get(_subtype, 1.0), lossy=_lossy)(
        lambda path, form=_form, subtype=_subtype, rate=_rate: save(
            path, form, subtype, rate
        )
    )


@odd("vbr.mp3", lossy=True)
def _(path):
    save(path, "MP3", None, bitrate_mode="VARIABLE", compression_level=0.5)


@odd("wrong-ending.wav")
def _(path):
    save(path, "FLAC", "PCM_16")


@odd(os.fsdecode(b"not-utf8-\xe9.wav"))
def _(path):
    save(path.with_name("other.wav"), "WAV", "PCM_16")
    path.with_name("other.wav").rename(path)


# ------------------------------------------------------------------------- channels
@odd("stereo.wav")
def _(path):
    save(path, "WAV", "PCM_16", samples=np.stack([tone() * 1.5, tone() * 0.5], 1))


@odd("six-channels.wav")
def _(path):
    save(path, "WAV", "FLOAT", samples=np.repeat(tone()[:, None], 6, 1))


@odd("opposite-phase.wav", warning="cancel each other out.*channel: 0")
def _(path):
    save(path, "WAV", "FLOAT", samples=np.stack([tone(), -0.999 * tone()], 1))


# -------------------------------------------------------------------------- samples
@odd("scale-of-integers.wav", warning="up to 10000, where audio is within -1 and 1")
def _(path):
    save(path, "WAV", "FLOAT", samples=tone() / np.abs(tone()).max() * 10000)


@odd("nan.wav", error="NaN or infinite")
def _(path):
    save(path, "WAV", "FLOAT", samples=np.append(tone(), np.nan))


@odd("infinite.wav", error="NaN or infinite")
def _(path):
    save(path, "WAV", "DOUBLE", samples=np.append(tone(), -np.inf))


@odd("one-sample.wav", seconds=1 / RATE)
def _(path):
    save(path, "WAV", "PCM_16", samples=tone()[:1])


@odd("header-only.wav", error="holds no audio")
def _(path):
    save(path, "WAV", "PCM_16", samples=tone()[:0])


@odd("header-only-with-a-list.wav", error="holds no audio")
def _(path):
    changed(
        path,
        lambda data: data + b"LIST" + struct.pack("<I", 12) + b"INFOISFT" + bytes(4),
        "WAV",
        "PCM_16",
        samples=tone()[:0],
    )


# -------------------------------------------------------------------------- headers
for _name, _whole, _data in [
    ("sizes-zero.wav", 0, 0),
    ("sizes-all-ones.wav", 0xFFFFFFFF, 0xFFFFFFFF),
    ("data-size-zero.wav", 36 + 32000, 0),
    ("sizes-of-sox.wav", 0x7FFFF024, 0x7FFFF000),
    ("data-size-huge.wav", 36 + 32000, 0x7FFFFFF0),
]:
    odd(_name)(
        lambda path, whole=_whole, data=_data: changed(
            path,
            lambda b: at(4, struct.pack("<I", whole))(
                at(40, struct.pack("<I", data))(b)
            ),
            "WAV",
            "PCM_16",
        )
    )


@odd("size-zero.au")
def _(path):
    changed(path, at(8, bytes(4)), "AU", "PCM_16")


@odd("rate-0.wav", error="sample rate|cannot be read")
def _(path):
    changed(path, at(24, bytes(4)), "WAV", "PCM_16")


@odd("rate-1.wav", error="sample rate of 1 Hz")
def _(path):
    save(path, "WAV", "PCM_16", 1, tone())


@odd("rate-huge.wav", error="sample rate|cannot be read")
def _(path):
    changed(path, at(24, b"\xff\xff\xff\x7f"), "WAV", "PCM_16")


@odd("channels-0.wav", error="cannot be read")
def _(path):
    changed(path, at(22, bytes(2)), "WAV", "PCM_16")


# ---------------------------------------------------------------------------- whole?
@odd("cut.wav", seconds=0.499312, warning="cut off.* 32044 bytes, and it has 16022")
def _(path):
    changed(path, cut(0.5), "WAV", "PCM_16")


@odd("cut.aiff", seconds=None, warning="cut off.* bytes, and it has")
def _(path):
    changed(path, cut(0.5), "AIFF", "PCM_16")


@odd("cut.au", seconds=None, warning="cut off.* bytes, and it has")
def _(path):
    changed(path, cut(0.5), "AU", "PCM_16")


@odd("cut.flac", error="cut off: 8192 samples of the 16000 that its header says")
def _(path):
    changed(path, cut(0.5), "FLAC", "PCM_16")


@odd("cut-within-the-last-frame.flac", error="cut off or damaged: it has 1.000 s by")
def _(path):
    changed(path, lambda data: data[:-40], "FLAC", "PCM_16")


@odd("unknown-length.flac")
def _(path):
    changed(path, unknown, "FLAC", "PCM_16")


def unknown(data):
    """As an encoder leaves it that writes to a pipe: 0 samples of 36 bits."""
    data[21] &= 0xF0
    return at(22, bytes(4))(data)


@odd("unknown-length-cut.flac", error="cut off or damaged: ")
def _(path):
    changed(path, lambda data: cut(0.8)(unknown(data)), "FLAC", "PCM_16")


@odd("id3-before.flac")
def _(path):
    changed(path, tagged, "FLAC", "PCM_16")


@odd("id3-before-unknown-length.flac")
def _(path):
    changed(path, lambda data: tagged(unknown(data)), "FLAC", "PCM_16")


@odd("two.flac", error="holds two FLAC files")
def _(path):
    changed(path, lambda data: data + data, "FLAC", "PCM_16")


@odd("cut.ogg", error="cut off at byte")
def _(path):
    changed(path, cut(0.9), "OGG", "VORBIS")


@odd("cut.opus", error="cut off at byte")
def _(path):
    changed(path, cut(0.9), "OGG", "OPUS")


@odd("damaged.ogg", error="damaged at byte")
def _(path):
    changed(
        path,
        lambda b: b.replace(b"OggS", b"XXXX").replace(b"XXXX", b"OggS", 2),
        "OGG",
        "VORBIS",
    )


@odd("chained.ogg", error="holds 2 streams one after another")
def _(path):
    changed(path, lambda data: data + data, "OGG", "VORBIS")


@odd("chained-thrice.opus", error="holds 3 streams one after another")
def _(path):
    changed(path, lambda data: data + data + data, "OGG", "OPUS")


@odd("id3-before-and-behind.mp3", lossy=True)
def _(path):
    changed(path, lambda b: tagged(b) + b"TAG" + bytes(125), "MP3", None)


@odd("cut.mp3", error="cut off: it has .* bytes of sound, 45 %")
def _(path):
    changed(path, cut(0.45), "MP3", None)


@odd(
    "cut-without-a-count-of-bytes.mp3",
    error="cut off or damaged: 1.047 s by its header, and 0",
)
def _(path):
    def change(data):
        flags = data.index(b"Info" if b"Info" in data else b"Xing") + 4
        data[flags + 3] &= ~2  # the count of frames stays
        del data[flags + 8 : flags + 12]
        data[flags + 12 : flags + 12] = bytes(4)
        return cut(0.45)(data)

    changed(path, change, "MP3", None)


@odd("joined.mp3", error="several files joined")
def _(path):
    changed(path, lambda data: data + data, "MP3", None)


def without_header(data):
    """As of a recorder: no frame that says how many there are, and other bit rates."""
    kilobits = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128)[data[2] >> 4]
    return data[72 * 1000 * kilobits // RATE :]


@odd("changing-bit-rate.mp3", error="changing bit rate.*ffmpeg")
def _(path):
    save(path, "MP3", None, samples=tone(seconds=4), bitrate_mode="VARIABLE")
    path.write_bytes(without_header(bytearray(path.read_bytes())))


# ------------------------------------------------------------------ whole, by a header
for ENDING, FORM in {
    "wav": "WAV",
    "aiff": "AIFF",
    "au": "AU",
    "caf": "CAF",
    "sph": "NIST",
    "w64": "W64",
    "rf64": "RF64",
}.items():

    @odd(f"two-joined.{ENDING}", error="holds two files one after another")
    def _(path, form=FORM):
        changed(path, lambda data: data + data, form, "PCM_16")


@odd("cut.sph", seconds=0.468, warning="says 33024 bytes, and it has 16000")
def _(path):
    changed(path, lambda data: data[:16000], "NIST", "PCM_16")


@odd("grown.wav", warning="cut off, or more than one file.* the rest is not read")
def _(path):  # the recorder ended before it wrote the last size
    changed(path, lambda data: data + data[44:], "WAV", "PCM_16")


@odd("tag-behind.wav")
def _(path):
    changed(path, lambda data: data + b"TAG" + bytes(125), "WAV", "PCM_16")


@odd("no-size.caf")
def _(path):
    def change(data):
        place = data.index(b"data") + 4
        return at(place, b"\xff" * 8)(data)

    changed(path, change, "CAF", "PCM_16")


@odd("joined-with-a-longer-one.flac", error="several files joined|two FLAC files")
def _(path):
    save(path, "FLAC", "PCM_16")
    first = path.read_bytes()
    save(path, "FLAC", "PCM_16", samples=tone(seconds=2))
    path.write_bytes(first + path.read_bytes())


# ------------------------------------------------------------------------ no audio
@odd("text.wav", error="cannot be read")
def _(path):
    path.write_text("This is no audio.\n" * 100)


@odd("empty.wav", error="cannot be read|no audio")
def _(path):
    path.write_bytes(b"")


@odd("folder.wav", error="a folder, not a file")
def _(path):
    path.mkdir()


@odd("broken-link.wav", error="no such")
def _(path):
    path.symlink_to(path.with_name("gone.wav"))


@odd("video.m4a", error="cannot be read.*Convert it.*: ffmpeg")
def _(path):
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(2000))


@odd("noise.mp3", error="cannot be read|no audio|cut off")
def _(path):
    path.write_bytes(np.random.default_rng(0).bytes(4000))


if __name__ == "__main__":
    for name, file in FILES.items():
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        file.write(Path(sys.argv[1]) / name)
