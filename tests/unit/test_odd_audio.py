"""Every odd audio file is right, or an error in words: the header and the samples."""

import re

import numpy as np
import pytest
import soundfile
from odd_audio import FILES, RATE, save, tone, without_header

from s3prl_sb.audio import containers, headers
from s3prl_sb.dataio.audio import AudioFileError, LoadAudio
from s3prl_sb.dataio.manifest import ManifestError


def test_there_are_enough():
    assert len(FILES) >= 49


@pytest.mark.parametrize("name", FILES, ids=ascii)
def test_right_or_a_clear_error(name, tmp_path, caplog, monkeypatch):
    file, path = FILES[name], tmp_path / name
    file.write(path)
    for kind in ("loading._loud", "loading._opposite", "sound_files._doubtful"):
        monkeypatch.setattr(f"s3prl_sb.audio.{kind}.seen", set())  # the first one
    heard, measured = outcome(str(path))
    if file.error:
        assert isinstance(heard, AudioFileError)
        assert re.search(file.error, str(heard)), heard
        assert str(path) in str(heard) and len(str(heard).splitlines()) == 1
        for error in (heard, measured):  # what the header tells, preparation finds
            assert not isinstance(error, Exception) or re.search(
                rf"(?s){file.error}|cannot be read|no audio|no such", str(error)
            )
        return
    assert not isinstance(heard, Exception), heard
    assert abs(measured - len(heard) / RATE) <= 2 / RATE, "the header and the samples"
    if file.seconds is not None:
        assert abs(measured - file.seconds) <= 2 / RATE
    expected = tone(seconds=2)[: len(heard)]
    if name != "opposite-phase.wav" and len(heard) > 1:
        likeness = np.corrcoef(heard.numpy(), expected)[0, 1]
        assert likeness > {"gsm.wav": 0.85}.get(name, 0.98 if file.lossy else 0.999)
    said = "\n".join(record.getMessage() for record in caplog.records)
    if file.warning:
        assert re.search(file.warning, said), said
    else:
        assert not said


@pytest.mark.parametrize("is_prepared", [False, True])
def test_a_doubt_is_told_once(is_prepared, tmp_path, caplog):
    """The first reader of the file warns: ``predict`` prepares nothing."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), RATE)
    path.write_bytes(path.read_bytes()[:16044])
    for _ in range(2):
        if is_prepared:
            assert headers.durations([str(path)]) == [0.5]
            is_prepared = False
        assert len(LoadAudio(RATE).load("u", str(path))) == RATE // 2
    (record,) = caplog.records
    assert "says 32044 bytes, and it has 16044" in record.getMessage()


def outcome(path):
    """Returns the results of loading and measuring, or their errors."""
    try:
        heard = LoadAudio(RATE).load("u", path)
    except AudioFileError as error:
        heard = error
    try:
        (measured,) = headers.durations([path])
    except ManifestError as error:
        measured = error
    return heard, measured


@pytest.mark.parametrize(
    "name",
    [n for n, f in FILES.items() if (f.seconds or 0) >= 1 and not f.warning],
    ids=ascii,
)
def test_segments(name, tmp_path):
    path = tmp_path / name
    FILES[name].write(path)
    whole = LoadAudio(RATE).load("u", str(path))
    part = LoadAudio(RATE).load("u", str(path), 0.25, 0.75)
    assert abs(len(part) - RATE // 2) <= 2
    inner = slice(200, 7800)  # resampling has edges
    likeness = np.corrcoef(part[inner], whole[RATE // 4 :][inner])[0, 1]
    assert likeness > 0.99


def test_found_at_preparation(tmp_path):
    """Truncated and concatenated files are reported before any computation."""
    faults = [
        n for n in FILES if re.match("cut.(flac|ogg|opus|mp3)|(two-)?joined|chained", n)
    ]
    assert len(faults) == 15
    for name in faults:
        FILES[name].write(tmp_path / name)
    with pytest.raises(ManifestError) as caught:
        headers.durations([str(tmp_path / name) for name in faults])
    assert "15 of 15" in str(caught.value) and "cut off" in str(caught.value)


def test_an_mp3_of_one_bit_rate_needs_no_header(tmp_path):
    """libsndfile's guess is right, but for what encoders pad."""
    path = tmp_path / "a.mp3"
    constant = {"bitrate_mode": "CONSTANT", "compression_level": 0.2}
    save(path, "MP3", None, samples=tone(seconds=4), **constant)
    path.write_bytes(without_header(path.read_bytes()))
    (measured,) = headers.durations([str(path)])
    heard = LoadAudio(RATE).load("u", str(path))
    assert measured == len(heard) / RATE == pytest.approx(4, abs=0.2)


def test_warnings_count(tmp_path, caplog):
    for number in range(12):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 1000 * tone(), RATE, subtype="FLOAT")
        for _ in range(3):  # epochs
            LoadAudio(RATE).load("u", str(path))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) <= 2
    assert all("integers written as floats" in text for text in said)


@pytest.mark.parametrize("seconds", [0.2, 3.0])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_S8"])
def test_lengths_of_flac(subtype, seconds, tmp_path):
    """The last frame tells the length: of silence, of noise, of every block size."""
    noise = np.random.default_rng(0).uniform(-1, 1, round(seconds * RATE))
    for number, samples in enumerate(
        (noise, 0 * noise, noise[: len(noise) // 2 * 0 + 777])
    ):
        for level in (0.0, 0.5, 1.0):
            path = tmp_path / f"{number}{level}.flac"
            soundfile.write(
                path, samples, RATE, subtype=subtype, compression_level=level
            )
            data = bytearray(path.read_bytes())
            data[21] &= 0xF0
            data[22:26] = bytes(4)
            path.write_bytes(data)
            assert headers.audio_info(path) == (RATE, len(samples), 1)


@pytest.mark.parametrize("is_known", [True, False])
def test_samples_that_look_like_the_head_of_a_frame(is_known, tmp_path):
    """Among the bytes of the last frame, with a sum that is right."""
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(seconds=2), RATE)
    data = bytearray(path.read_bytes())
    place = data.rindex(data[data.index(b"\xff\xf8") :][:2])
    head = data[place : place + 16]
    looks = bytes([*head[:4], 3])  # the frame of number 3, which is not the last
    looks += bytes([containers._crc8(looks)])
    if head[2] >> 4 in (6, 7):  # its size stands behind the number
        size = head[5 : 6 + (head[2] >> 4 == 7)]
        looks = bytes([*head[:4], 3, *size])
        looks += bytes([containers._crc8(looks)])
    data[-200 : -200 + len(looks)] = looks
    if not is_known:
        data[21] &= 0xF0
        data[22:26] = bytes(4)
    path.write_bytes(data)
    frames = containers.look(path)
    assert frames.fault is None
    expected = (
        {} if is_known else {21: bytes([data[21]]) + (2 * RATE).to_bytes(4, "big")}
    )
    assert frames.patches == expected
