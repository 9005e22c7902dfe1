"""Audio examples of a run: files, spectrograms, and the page that links them."""

import re
import sys
from html import unescape
from urllib.parse import unquote

import pytest
import soundfile
import torch

from s3prl_sb.brains import audio_examples
from s3prl_sb.brains.spectrogram_plot import RANGE, levels

RATE = 16000


def tone(level, hertz=1000, seconds=0.3):
    time = torch.arange(round(seconds * RATE)) / RATE
    return level * torch.sin(2 * torch.pi * hertz * time)


def linked(folder):
    """Returns the files that the page links to."""
    text = (folder / "examples.html").read_text("utf-8")
    return [unquote(unescape(link)) for link in re.findall(r'src="(.*?)"', text)]


def test_files_keep_their_level_and_are_linked(tmp_path):
    waves = {"mixture": tone(0.5), "estimate_1": tone(0.25), "clean_1": tone(0.125)}
    for name in ("ann/1 <b>", "bob#2"):
        audio_examples.write(tmp_path, name, waves, RATE)
    names = linked(tmp_path)
    assert len(names) == len(set(names)) == 8
    assert all((tmp_path / name).is_file() for name in names)
    for kind, samples in waves.items():
        found, rate = soundfile.read(tmp_path / "examples" / f"bob#2_{kind}.wav")
        assert rate == RATE and len(found) == len(samples)
        torch.testing.assert_close(
            torch.from_numpy(found).float(), samples, atol=2**-15, rtol=0
        )
    text = (tmp_path / "examples.html").read_text("utf-8")
    assert "ann/1 &lt;b&gt;" in text and "<b>" not in text
    tags = [tag for tag, _ in audio_examples.sounds(tmp_path)]
    assert tags[:2] == ["ann/1 <b>/mixture", "ann/1 <b>/estimate_1"]
    assert [path.suffix for path in audio_examples.pictures(tmp_path)] == [".png"] * 2


def test_utterances_never_share_a_file(tmp_path):
    for name, level in (("ann/1", 0.1), ("ann--1", 0.2)):
        audio_examples.write(tmp_path, name, {"clean": tone(level)}, RATE)
    paths = [path for _, path in audio_examples.sounds(tmp_path)]
    loudest = [soundfile.read(path)[0].max() for path in paths]
    assert loudest == pytest.approx([0.1, 0.2], abs=1e-3)


def test_an_utterance_is_replaced(tmp_path):
    for level in (0.1, 0.2):
        audio_examples.write(tmp_path, "a", {"clean": tone(level)}, RATE)
    assert len(linked(tmp_path)) == 2
    ((_, path),) = audio_examples.sounds(tmp_path)
    assert soundfile.read(path)[0].max() == pytest.approx(0.2, abs=1e-3)


def test_what_is_not_finite_is_left_out(tmp_path, caplog):
    waves = {"clean": tone(0.1), "estimate": torch.full((9,), torch.nan)}
    audio_examples.write(tmp_path, "a", waves, RATE)
    assert "estimate of 'a': the waveform holds NaN" in caplog.text
    assert [tag for tag, _ in audio_examples.sounds(tmp_path)] == ["a/clean"]
    audio_examples.write(tmp_path / "b", "a", {"estimate": waves["estimate"]}, RATE)
    assert audio_examples.sounds(tmp_path / "b") == []


def test_without_matplotlib_there_are_no_pictures(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    name = "a" * 300  # no file can have such a name
    audio_examples.write(tmp_path, name, {"clean": tone(0.1)}, RATE)
    assert audio_examples.pictures(tmp_path) == []
    (link,) = linked(tmp_path)
    assert (tmp_path / link).is_file()


def test_levels_of_a_spectrogram():
    found = levels(tone(1.0, hertz=2000), RATE)
    middle = found[:, found.shape[1] // 2]
    assert middle.argmax() == 2000 / RATE * 512
    quiet = levels(tone(0.1, hertz=2000), RATE)[:, found.shape[1] // 2]
    assert (middle.max() - quiet.max()).item() == pytest.approx(20, abs=0.1)
    assert middle.max() - middle[200:].max() > RANGE  # nothing at 6 kHz
    assert levels(torch.zeros(3), RATE).isfinite().all()
