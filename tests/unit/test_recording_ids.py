"""Files with any names are distinguished in RTTM."""

import logging

import pytest

from s3prl_sb.dataio.rttm import rttm_lines
from s3prl_sb.inference.diarizer import Diarizer
from s3prl_sb.inference.recording_ids import recording_ids


@pytest.mark.parametrize(
    ("paths", "ids"),
    [
        (["a.wav", "x/b.flac"], ["a", "b"]),
        (["x/my talk.wav"], ["my_talk"]),
        (["x/a.wav", "y/a.wav", "y/b.wav"], ["x--a", "y--a", "b"]),
        (["x/a b.wav", "y/a_b.wav"], ["x--a_b", "y--a_b"]),
        (["x/a b.wav", "x/a_b.wav"], ["x--a%20b.wav", "x--a_b.wav"]),
        (["x/a.wav", "x/a.flac"], ["x--a.wav", "x--a.flac"]),
        (["x/a.wav", "x/../x/a.wav", "x/a.wav"], ["a"]),
        (["x/a.wav", "x--a.wav", "y/a.wav"], None),
        (["m/x/a.wav", "n/x/a.wav"], None),
        (["x/andr\udce9.wav", "y/andr\udce9.wav"], None),
    ],
)
def test_every_file_has_its_own_id(paths, ids, caplog):
    caplog.set_level(logging.WARNING)
    found = recording_ids(paths)
    assert len(set(found.values())) == len(found)
    for name in found.values():
        name.encode()
        assert rttm_lines(name, [("speaker1", 0, 1)])
    if ids:
        assert list(found.values()) == ids
    renamed = any("/" in p and ("--" in i or "%" in i) for p, i in found.items())
    assert renamed is ("others have too" in caplog.text)


def test_rttm_of_two_files_of_one_name(monkeypatch):
    monkeypatch.setattr(Diarizer, "diarize_file", lambda *_: [("speaker1", 0, 1)])
    model = Diarizer.__new__(Diarizer)  # without its networks
    lines = list(model.lines(["a/meeting.wav", "b/meeting.wav", "b/meeting.wav"]))
    assert [line.split()[1] for line in lines] == ["a--meeting", "b--meeting"]
