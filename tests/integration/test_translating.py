"""ST with another target, and what it refuses."""

import json

import pytest
from outcomes import results
from recipe_runs import arguments
from tasks import small

from s3prl_sb.inference import load

NAME = "SUPERB/ST"


def test_transcriptions(on_tables, launcher, tmp_path):
    """The same recipe is an attention ASR, here without CTC, with pieces of words."""
    folder, given = on_tables(NAME)
    given = {**given, "target": "transcription", "ctc_weight": 0.0, "tokens": "bpe"}
    output = tmp_path / "out"
    assert launcher.run(arguments(NAME, output, **given, num_tokens=30)) == 0
    found = results(output)
    assert found["chosen_by"] == {"metric": "wer", "highest": False}
    assert {"wer", "cer"} <= found["metrics"].keys() and "bleu" not in found["metrics"]
    assert "signatures" not in found["test"]
    texts = {transcription for transcription, _ in small(NAME).TEXTS}
    assert set((output / "ref.txt").read_text().splitlines()) == texts
    tokens = json.loads((output / "save/transcription_tokens.json").read_text())
    model = load(output)
    assert model.tokenizer.spec() == tokens["tokenizer"]
    text = model.transcribe_file(folder / "test/0.wav")
    assert text == (output / "hyp.txt").read_text().splitlines()[0]


def test_ctc_needs_transcriptions(on_tables, launcher, tmp_path):
    _, given = on_tables(NAME)
    lines = [line.split(",") for line in given["test_csv"].read_text().splitlines()]
    for lacks in ("column", "text"):
        rows = [[c for i, c in enumerate(row) if i != 2] for row in lines]
        if lacks == "text":
            rows = [
                [*row[:2], "" if n else row[2], *row[3:]] for n, row in enumerate(lines)
            ]
        table = given["test_csv"].with_name(f"without_{lacks}.csv")
        table.write_text("".join(",".join(row) + "\n" for row in rows))
        argv = arguments(NAME, tmp_path / lacks, **{**given, "test_csv": table})
        assert "transcription" in launcher.failure(argv)


@pytest.mark.parametrize(
    "options, words",
    [
        (
            {"head": "mlp"},
            "a task whose labels are texts has no head to choose by name",
        ),
        ({"tokens": "unigram", "num_tokens": 6}, "num_tokens 6"),
        ({"train_per_class": 2}, "there are no classes"),
    ],
)
def test_refused(options, words, on_tables, launcher, tmp_path):
    given = {**on_tables(NAME)[1], **options}
    assert words in launcher.failure(arguments(NAME, tmp_path / "out", **given))
