"""Headers of audio files: what they say, which are broken, which are cut off."""

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.audio import headers


def tone(path, seconds=1.0, rate=16000, channels=1):
    """Writes a quiet file of that length; gives its path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.full((int(seconds * rate), channels), 0.1)
    soundfile.write(path, samples, rate)
    return str(path)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_audio_info(tmp_path, ending):
    path = tone(tmp_path / f"a.{ending}", 0.5, 8000, 2)
    assert headers.audio_info(path) == (8000, 4000, 2)


def test_audio_info_names_the_file_and_the_way_out(tmp_path):
    with fails("none.wav: no such audio file"):
        headers.audio_info(tmp_path / "none.wav")
    for name, way_out in {
        "a.wav": "sound copy",
        "a.m4a": "Convert it to wav or flac: ffmpeg -i in.m4a out.wav",
        "a.sph": "Convert it to wav or flac: sph2pipe",
        "a.raw": "Convert it",
    }.items():
        path = tmp_path / name
        path.write_bytes(b"not audio at all" * 100)
        with fails(f"{path}: cannot be read as audio", way_out):
            headers.audio_info(path)
    with fails("empty.wav: holds no audio"):
        headers.audio_info(tone(tmp_path / "empty.wav", 0))


@pytest.mark.parametrize("name", ["SA1.WAV", "a.sph"])
def test_compressed_sphere(tmp_path, name):
    soundfile.write(tmp_path / name, [0.0] * 1600, 16000, format="NIST")
    plain = (tmp_path / name).read_bytes()
    coding = b"sample_coding -s26 pcm,embedded-shorten-v2.00\nend_head"
    header = plain[:1024].replace(b"end_head", coding, 1)[:1024]
    (tmp_path / name).write_bytes(header + b"ajkg\x02" + bytes(500))
    with fails(name, "SPHERE file that is compressed", "shorten", "sph2pipe -f wav"):
        headers.audio_info(tmp_path / name)


def test_audio_info_on_real_formats(data_folder):
    seen = set()
    for path in sorted((data_folder / "resample_cases").rglob("*.*")):
        if path.suffix in (".wav", ".flac", ".ogg", ".mp3", ".sph"):
            rate, frames, channels = headers.audio_info(path)
            samples, expected = soundfile.read(path, always_2d=True)
            assert (rate, channels) == (expected, samples.shape[1]), path
            assert abs(frames - len(samples)) <= 1152, path  # an mp3 frame
            seen.add(path.suffix)
    assert {".wav", ".mp3", ".sph"} <= seen


def test_many_headers_show_a_bar(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(headers.progress, "on_terminal", lambda: True)
    path = tone(tmp_path / "a.wav", 0.5)
    assert headers.durations([path] * 201) == [0.5] * 201
    assert "201/201" in capsys.readouterr().err
    headers.durations([path] * 200)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("declared", [None, 0xFFFFFFFF, 0x7FFFF024])
def test_files_that_are_cut_off_are_counted(tmp_path, caplog, declared):
    for name in "ab":
        path = tmp_path / f"{name}.wav"
        whole = open(tone(path), "rb").read()
        if declared:  # a stream: the size was not known
            whole = whole[:4] + declared.to_bytes(4, "little") + whole[8:]
        path.write_bytes(whole[: len(whole) // 2])
    tone(tmp_path / "c.wav")
    paths = [str(tmp_path / f"{name}.wav") for name in "cab"]
    assert headers.durations(paths) == [1.0, 0.499312, 0.499312]
    if declared:
        assert not caplog.records
    else:
        (entry,) = caplog.records
        assert entry.message == (
            f"{paths[1]}: cut off, or more than one file? Its header says 32044 bytes, "
            "and it has 16022. Such files: 2"
        )
