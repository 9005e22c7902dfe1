"""Waveforms are written as they are: level, length, rate; clipping is reported."""

import numpy as np
import pytest
import soundfile
import torch

from s3prl_sb.audio import writing
from s3prl_sb.audio.writing import encoding_of, write_waveform
from s3prl_sb.errors import UserError


@pytest.mark.parametrize("bits, encoding", [(16, "PCM_16"), (24, "PCM_24")])
def test_integers_come_back_exactly(tmp_path, bits, encoding):
    full = 2 ** (bits - 1)
    integers = np.array([0, 1, -1, full // 3, full // 2 + 1, full - 1, -full])
    samples = torch.from_numpy(integers / full)
    report = write_waveform(tmp_path / "a.wav", samples, 22050, encoding)
    assert report.clipped == 0 and report.excess == 0
    found, rate = soundfile.read(tmp_path / "a.wav")
    assert rate == 22050
    assert (found * full).tolist() == integers.tolist()
    assert soundfile.info(tmp_path / "a.wav").subtype == encoding


def test_floats_are_not_clipped(tmp_path):
    samples = torch.tensor([0.1, -3.0, 1e-9])
    assert write_waveform(tmp_path / "a.wav", samples, 8000, "FLOAT").clipped == 0
    found, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert found.tolist() == samples.tolist()


def test_clipping_is_reported(tmp_path, caplog):
    writing._clipped.seen.clear()
    samples = torch.tensor([0.5, 1.0, 2.0, -1.5])
    report = write_waveform(tmp_path / "a.wav", samples, 8000, name="ann-1")
    assert report.clipped == 2
    assert report.excess == pytest.approx(6.02, abs=0.01)
    assert "ann-1: 2 samples are beyond full scale, by up to 6.0 dB" in caplog.text
    found, _ = soundfile.read(tmp_path / "a.wav")
    np.testing.assert_allclose(found, [0.5, 1, 1, -1], atol=2**-15)


@pytest.mark.parametrize(
    "subtype, expected",
    [("PCM_16", "PCM_16"), ("PCM_24", "PCM_24"), ("FLOAT", "FLOAT"), ("ULAW",) * 2],
)
def test_the_encoding_of_the_input(tmp_path, subtype, expected):
    soundfile.write(tmp_path / "a.wav", np.zeros(99), 16000, subtype)
    kept = encoding_of(str(tmp_path / "a.wav"))
    assert kept == (expected if expected in writing.ENCODINGS else "PCM_16")
    assert encoding_of("https://example.org/a.wav") == "PCM_16"


def test_faults(tmp_path):
    with pytest.raises(UserError, match="ann-1: the waveform holds NaN"):
        write_waveform(
            tmp_path / "a.wav", torch.tensor([torch.nan]), 8000, name="ann-1"
        )
    with pytest.raises(UserError, match="no encoding 'MP3'"):
        write_waveform(tmp_path / "a.wav", torch.zeros(1), 8000, "MP3")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_waveform(tmp_path / "file" / "a.wav", torch.zeros(1), 8000)
    assert not (tmp_path / "a.wav").exists()
