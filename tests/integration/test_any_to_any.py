"""Voice conversion to any speaker: a run, its score, and its predictions."""

import json

import pytest
from clips import read_table, write_table
from outcomes import results
from recipe_runs import RECIPES, arguments
from tasks import small

from s3prl_sb.cli import main
from s3prl_sb.inference import load
from s3prl_sb.inference.converter import ConversionError

NAME = "SUPERB/VC"


def test_target_speakers_are_those_that_are_enrolled(on_tables, launcher, tmp_path):
    """In training the utterance itself, in the test those of the table."""
    folder, given = on_tables(NAME)
    rows = read_table(given["test_csv"])
    cells = [[*row.values(), "target/0.wav target/1.wav"] for row in rows]
    columns = (*rows[0], "enroll")
    table = write_table(folder / "enrolled.csv", columns, cells)
    given = {**given, "test_csv": table, "speaker_embedding": "upstream"}
    variant = RECIPES[NAME] / "hparams/any_to_any.yaml"
    argv = arguments(NAME, tmp_path / "out", **given)
    argv = [str(variant) if str(part).endswith("train.yaml") else part for part in argv]
    assert launcher.run(argv) == 0
    found = results(tmp_path / "out")
    assert found["task"] == f"{NAME}/any_to_any" and found["metrics"]["mel_l1"] > 0
    scored = ["score", str(tmp_path / "out"), "--test_csv", str(table)]
    assert main([*scored, "--output", str(tmp_path / "scored")]) == 0
    again = json.loads((tmp_path / "scored/results.json").read_text())["metrics"]
    assert again == pytest.approx(found["metrics"], rel=1e-5)

    model = load(tmp_path / "out")
    wav, voice = str(folder / rows[0]["wav"]), str(folder / "target/0.wav")
    with pytest.raises(ConversionError, match="give files of the target speaker"):
        model.convert_file(wav)
    [record] = model.records([voice, wav])  # the first is the voice
    own = model.spectrogram_file(wav, enroll=[wav])
    other = model.spectrogram_file(wav, enroll=[voice])
    assert record["wav"] == wav and not (own == other).all()
    assert small(NAME).RATE == model.output_rate
