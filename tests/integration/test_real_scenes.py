"""Scenes of real speech and real sounds: levels, times, speakers and folds."""

import numpy as np
import pytest
import soundfile

from s3prl_sb import cli
from s3prl_sb.corpora.scenes import prepare_scenes
from s3prl_sb.dataio import scenes

SPLITS = ("train", "valid", "test")
COUNTS = "--train 3 --valid 2 --test 2 --seconds 8 10 --events 2 3".split()


def stem(folder, split, scene, name):
    path = folder / "stems" / split / scene / f"{name}.wav"
    return soundfile.read(path)[0]


@pytest.mark.parametrize(
    ("speech", "word_times"), [("TIMIT", "exact"), ("LibriSpeech", "estimated")]
)
def test_times_levels_and_disjoint_sources(speech, word_times, data_folder, tmp_path):
    folder = tmp_path / "scenes"
    options = ["--speech", data_folder / speech, "--sounds", data_folder / "ESC-10"]
    argv = ["mix", folder, *options, *COUNTS, "--stems", "--snr", "0", "0"]
    assert cli.main([str(each) for each in argv]) == 0
    paths = prepare_scenes(str(folder), str(tmp_path / "save"))
    people = {}
    for split in SPLITS:
        for record in scenes.read_scenes(paths[split]).values():
            assert record["word_times"] == word_times
            people.setdefault(split, set()).update(record["speakers"])
            if record["twin"] == "both":
                _check(folder, split, record)
    assert not people["train"] & people["test"] and not people["valid"] & people["test"]


def _check(folder, split, record):
    """The energy of each stem is where the truth says, and as loud."""
    levels = {}
    for speaker in record["speakers"]:
        wave = stem(folder, split, record["scene"], f"speech-{speaker}")
        spans = [s[1:] for s in record["segments"] if s[0] == speaker]
        inside = _inside(wave, spans)
        assert (wave[inside] ** 2).sum() > 0.99 * (wave**2).sum()
        levels[speaker] = 10 * np.log10(np.mean(wave[inside] ** 2))
    speech = np.mean(list(levels.values()))
    for i, (_, start, stop) in enumerate(record["events"]):
        wave = stem(folder, split, record["scene"], f"sound-{i}")
        inside = _inside(wave, [(start, stop)])
        assert (wave[inside] ** 2).sum() > 0.999 * (wave**2).sum()
        # An event has silent parts; a speaker is up to 3 dB from the scene's level
        loudest = 10 * np.log10(np.mean(wave[inside] ** 2))
        assert -8 < loudest - speech < 4
    assert record["snr"] == 0.0


def _inside(wave, spans):
    mask = np.zeros(len(wave), bool)
    for start, stop in spans:
        mask[round(start * 16000) : round(stop * 16000)] = True
    return mask
