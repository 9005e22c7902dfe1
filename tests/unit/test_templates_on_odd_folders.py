"""Templates on folders that do not hold what they should."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import soundfile

from s3prl_sb.dataio.manifest import ManifestError

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


def wavs(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, np.full(1600, 0.1), 16000, format="WAV")
    return folder


def use_in_speechbrain(folder):
    script = TEMPLATES / "use_in_speechbrain/train.py"
    made = runpy.run_path(str(script), run_name="a_template")
    return made["find_recordings"](str(folder))


def new_task(folder):
    script = TEMPLATES / "new_task/train.py"
    made = runpy.run_path(str(script), run_name="a_template")
    return made["prepare_recordings"](str(folder), str(folder.parent / "save"))


def new_corpus(folder):
    script = TEMPLATES / "new_corpus/my_corpus.py"
    made = runpy.run_path(str(script), run_name="a_template")
    return made["prepare_my_corpus"](str(folder), str(folder.parent / "save"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (None, "no such folder. Give --data_folder"),
        ((), "should hold <label>/<recording>.wav.*There is none"),
        (("a.wav", "b.WAV"), "There is 2 .wav files outside of any"),
        (("empty/notes/a.wav",), "There is none"),
        (("yes/a.wav", "no/b.wav"), "five recordings or more.*There are 1 at most"),
    ],
)
def test_use_in_speechbrain(names, message, tmp_path):
    folder = tmp_path / "words"
    if names is not None:
        folder.mkdir()
        wavs(folder, *names)
    with pytest.raises(ValueError, match=message):
        use_in_speechbrain(folder)


def test_use_in_speechbrain_takes_what_is_there(tmp_path):
    """Endings in capitals; a folder without recordings is no label."""
    wavs(tmp_path, *(f"yes/{n}.WAV" for n in range(5)), "no/a.wav", "notes/inner/a.wav")
    found = use_in_speechbrain(tmp_path)
    assert {folder.name: len(files) for folder, files in found.items()} == {
        "no": 1,
        "yes": 5,
    }


@pytest.mark.parametrize("template", [new_task, new_corpus])
@pytest.mark.parametrize("names", [None, (), ("other.wav",), ("a/b/c.wav",)])
def test_the_others(template, names, tmp_path):
    folder = tmp_path / "corpus"
    if names is not None:
        folder.mkdir()
        wavs(folder, *names)
    with pytest.raises(ManifestError, match="corpus"):
        template(folder)


def test_one_recording_of_a_task_is_not_three_sets(tmp_path):
    folder = wavs(tmp_path / "corpus", "7_me_0.wav")
    with pytest.raises(ManifestError):
        new_task(folder)


def test_a_corpus_whose_table_is_empty(tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/labels.tsv").write_text("\n")
    with pytest.raises(ManifestError):
        new_corpus(tmp_path / "corpus")
